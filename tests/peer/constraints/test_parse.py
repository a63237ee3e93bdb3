from typing import Any

import pytest

from peer import OverconstrainedError
from peer.constraints.parse import (
    check_display_constraints,
    check_required_allowed,
    parse_constraints,
)
from peer.constraints.properties import PROPERTIES, supported_constraints


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param(None, {}, id="nothing"),
        pytest.param(True, {}, id="True"),
        pytest.param({"width": 640}, {"width": 640}, id="bare"),
        pytest.param({"width": 640.5}, {"width": 640}, id="0.7 half to even"),
        pytest.param({"width": 641.5}, {"width": 642}, id="0.7 half to even, up"),
        pytest.param({"width": -3}, {"width": 0}, id="0.7 clamped below"),
        pytest.param({"width": 1e12}, {"width": 2**32 - 1}, id="0.7 clamped above"),
        pytest.param({"width": {"min": 1, "max": None}}, {"width": {"min": 1}}, id="None"),
        pytest.param({"width": None}, {}, id="None member"),
        pytest.param({"width": {}}, {"width": {}}, id="3.4 empty dictionary"),
        pytest.param({"nonsense": {"exact": 1}}, {}, id="3.6 unknown names vanish"),
        pytest.param({"width": {"exact": 1, "best": 2}}, {"width": {"exact": 1}}, id="unknown"),
        pytest.param({"facingMode": ["user", "left"]}, {"facingMode": ["user", "left"]}, id="list"),
        pytest.param({"facingMode": "sideways"}, {"facingMode": "sideways"}, id="0.7 any string"),
        pytest.param({"echoCancellation": "all"}, {"echoCancellation": "all"}, id="4.12 string"),
        pytest.param(
            {"advanced": [{"width": 1, "x": 2}, {}]}, {"advanced": [{"width": 1}, {}]},
            id="8.5 nesting and order",
        ),
    ],
)  # fmt: skip
@pytest.mark.spec("0.7", "0.8", "3.1", "3.4", "3.6", "8.5")
def test_what_get_constraints_returns(given: Any, kept: Any) -> None:
    parsed = parse_constraints(given)
    assert parsed.to_dict() == kept
    parsed.to_dict().clear()
    for value in parsed.to_dict().values():
        if isinstance(value, list | dict):
            value.clear()
    assert parsed.to_dict() == kept, "0.8: a fresh copy"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (1, "video must be a dictionary"),
        ("640x480", "video must be a dictionary"),
        ({"width": "640"}, "video.width must be a number, not '640'"),
        ({"width": True}, "video.width must be a number"),
        ({"width": {"min": "x"}}, "video.width.min must be a number"),
        ({"frameRate": float("nan")}, "video.frameRate must be a finite number"),
        ({"frameRate": {"max": float("inf")}}, "video.frameRate.max must be a finite"),
        ({"frameRate": {"max": 10**400}}, "video.frameRate.max must be a finite"),
        ({"facingMode": 1}, "video.facingMode must be a string"),
        ({"facingMode": {"exact": ["user", 1]}}, "video.facingMode.exact must be a string"),
        ({"autoGainControl": "yes"}, "video.autoGainControl must be True or False"),
        ({"echoCancellation": 3}, "video.echoCancellation must be"),
        ({"advanced": {"width": 1}}, "video.advanced must be a list"),
        ({"advanced": "x"}, "video.advanced must be a list"),
        ({"advanced": [1]}, r"video.advanced\[0\] must be a dictionary"),
        ({"advanced": [{}, {"width": "x"}]}, r"video.advanced\[1\].width must be a number"),
    ],
)
@pytest.mark.spec("3.9")
def test_type_errors_name_the_place(given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        parse_constraints(given, where="video")


@pytest.mark.spec("3.2", "3.3")
def test_bare_is_ideal_in_the_basic_set_and_exact_in_an_advanced_one() -> None:
    parsed = parse_constraints({"width": 1, "advanced": [{"width": 2}, {"width": {"ideal": 3}}]})
    assert (parsed.basic["width"].ideal, parsed.basic["width"].exact) == (1, None)
    assert (parsed.advanced[0]["width"].ideal, parsed.advanced[0]["width"].exact) == (None, 2)
    assert (parsed.advanced[1]["width"].ideal, parsed.advanced[1]["width"].exact) == (3, None)
    assert parsed.required == ()


@pytest.mark.spec("3.4")
def test_an_empty_list_asks_nothing() -> None:
    assert parse_constraints({"facingMode": {"exact": []}}).basic == {}


@pytest.mark.spec("3.7", wpt=["GUM-non-applicable-constraint.https.html"])
def test_constraints_of_the_other_kind_are_dropped_in_advanced_sets_too() -> None:
    parsed = parse_constraints(
        {"width": {"exact": 1}, "sampleRate": {"exact": 1}, "advanced": [{"width": 1}]}
    )
    audio = parsed.without_other_kind("audio")
    assert set(audio.basic) == {"sampleRate"}
    assert audio.advanced == ({},)


@pytest.mark.parametrize("name", sorted(PROPERTIES))
@pytest.mark.spec("5.11", "4.19")
def test_what_may_be_required_in_get_user_media(name: str) -> None:
    exact: Any = {"exact": 1}
    if name in (
        "facingMode", "resizeMode", "deviceId", "groupId", "displaySurface", "cursor",
        "whiteBalanceMode", "exposureMode", "focusMode",
    ):  # fmt: skip
        exact = {"exact": "x"}
    elif name in (
        "echoCancellation", "autoGainControl", "noiseSuppression", "logicalSurface", "torch",
    ):  # fmt: skip
        exact = {"exact": True}
    elif name == "pointsOfInterest":
        exact = {"exact": [{"x": 0.5}]}
    allowed = {
        "width", "height", "aspectRatio", "frameRate", "facingMode", "resizeMode", "sampleRate",
        "sampleSize", "echoCancellation", "autoGainControl", "noiseSuppression", "latency",
        "channelCount", "deviceId", "groupId",
    }  # fmt: skip
    parsed = parse_constraints({name: exact})
    if name in allowed:
        check_required_allowed(parsed, "video")
    else:
        with pytest.raises(TypeError, match=f"{name} can't be required"):
            check_required_allowed(parsed, "video")
    check_required_allowed(parse_constraints({"advanced": [{name: exact}]}), "video")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"advanced": []}, TypeError),
        ({"width": {"min": 1}}, TypeError),
        ({"frameRate": {"exact": 1}}, TypeError),
        ({"width": {"max": 0}}, OverconstrainedError),
    ],
)
@pytest.mark.spec("11.2")
def test_what_get_display_media_refuses(given: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_display_constraints(parse_constraints(given), "video")


@pytest.mark.spec("3.8", "10.3")
def test_supported_constraints_are_true_and_never_false() -> None:
    supported = supported_constraints()
    assert supported["facingMode"] is True
    assert set(supported.values()) == {True}
    supported.clear()
    assert supported_constraints()
