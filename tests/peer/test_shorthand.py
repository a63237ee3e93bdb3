import pytest

from peer.shorthand import parse_shorthand


@pytest.mark.parametrize(
    ("text", "constraints"),
    [
        ("on", True),
        ("", True),
        ("none", False),
        ("off", False),
        ("1280x720", {"width": 1280, "height": 720}),
        ("1280x720@30", {"width": 1280, "height": 720, "frameRate": 30}),
        ("@12.5", {"frameRate": 12.5}),
        (
            "640x480, facingMode=environment",
            {"width": 640, "height": 480, "facingMode": "environment"},
        ),
        ("echoCancellation=true,sampleRate=16000", {"echoCancellation": True, "sampleRate": 16000}),
        ('{"width": {"min": 1280}}', {"width": {"min": 1280}}),
    ],
)
def test_what_a_person_types(text: str, constraints: object) -> None:
    assert parse_shorthand(text) == constraints


@pytest.mark.parametrize(
    "text", ["12x", "1280x720@", "wide", "facingMode=", "=3", "{", "[1]", "1,2"]
)
def test_what_means_nothing_is_named_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="for example 1280x720@30"):
        parse_shorthand(text)
