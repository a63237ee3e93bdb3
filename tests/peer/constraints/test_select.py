"""SelectSettings by table, and against the specification's own enumeration (SPEC 5.10 to 5.16)."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.constraints.device import (
    AudioFormat,
    ConstrainableObject,
    VideoGeometry,
    capabilities,
)
from peer.constraints.fitness import distance
from peer.constraints.parse import TrackConstraints, parse_constraints
from peer.constraints.select import Selection, Unsatisfiable, rank, select_settings

CAMERA = ConstrainableObject(
    kind="video",
    label="Cam",
    fixed={"deviceId": "cam", "groupId": "g", "facingMode": "user"},
    video_modes=(
        VideoGeometry(640, 480, 30),
        VideoGeometry(1280, 720, 30),
        VideoGeometry(320, 240, 60),
    ),
)
OTHER = ConstrainableObject(
    kind="video",
    label="Other",
    fixed={"deviceId": "other", "groupId": "h", "facingMode": "environment"},
    video_modes=(VideoGeometry(640, 480, 30), VideoGeometry(1920, 1080, 15)),
)
SCREEN = ConstrainableObject(
    kind="video",
    label="Screen",
    fixed={"displaySurface": "monitor"},
    video_modes=(VideoGeometry(1920, 1080, 60),),
    keeps_aspect=True,
)
MICROPHONE = ConstrainableObject(
    kind="audio",
    label="Mic",
    fixed={"deviceId": "mic", "groupId": "g", "echoCancellation": False},
    audio_modes=(AudioFormat(48000, 2, 16, 0.02), AudioFormat(48000, 1, 16, 0.02)),
)


def selected(device: ConstrainableObject, constraints: dict[str, Any]) -> Selection:
    selection = select_settings(device, parse_constraints(constraints))
    assert isinstance(selection, Selection), selection
    return selection


def geometry(selection: Selection) -> tuple[int, int, float, str]:
    s = selection.settings
    return s["width"], s["height"], s["frameRate"], s["resizeMode"]


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        pytest.param({}, (640, 480, 30, "none"), id="4.13 default"),
        pytest.param({"width": 1280}, (1280, 720, 30, "none"), id="a native mode"),
        pytest.param({"width": {"min": 641}}, (1280, 720, 30, "none"), id="min"),
        pytest.param({"height": {"max": 479}, "frameRate": {"min": 31}}, (320, 240, 60, "none"),
                     id="two bounds"),
        pytest.param({"frameRate": 60}, (320, 240, 60, "none"), id="ideal rate by fitness"),
        pytest.param({"frameRate": {"max": 10}}, (640, 480, 10, "crop-and-scale"),
                     id="4.7 decimated is crop-and-scale"),
        pytest.param({"frameRate": {"exact": 7.5}}, (640, 480, 7.5, "crop-and-scale"),
                     id="4.4 integral decimation"),
        pytest.param({"width": {"exact": 300}, "height": {"exact": 300}},
                     (300, 300, 30, "crop-and-scale"), id="4.8 cropped to another ratio"),
        pytest.param({"width": {"exact": 1000}}, (1000, 562, 30, "crop-and-scale"),
                     id="4.8 the other dimension follows"),
        pytest.param({"resizeMode": {"exact": "crop-and-scale"}, "width": 640, "height": 480},
                     (640, 480, 30, "crop-and-scale"), id="4.7 native size exists twice"),
        pytest.param({"resizeMode": {"exact": "none"}, "width": 1000, "height": 562},
                     (1280, 720, 30, "none"), id="none: the nearest native mode"),
        pytest.param({"aspectRatio": {"exact": 16 / 9}}, (1280, 720, 30, "none"), id="5.16 ratio"),
        pytest.param({"aspectRatio": {"exact": 16 / 9}, "width": {"max": 700}},
                     (640, 360, 30, "crop-and-scale"), id="ratio by cropping"),
        pytest.param({"aspectRatio": {"exact": 1}, "height": 200}, (200, 200, 30, "crop-and-scale"),
                     id="ratio and height"),
        pytest.param({"advanced": [{"width": 1280, "height": 720}]}, (1280, 720, 30, "none"),
                     id="5.10b advanced"),
        pytest.param({"advanced": [{"width": 1280, "height": 9999}, {"width": 320}]},
                     (320, 240, 60, "none"), id="5.10b a set is skipped whole"),
        pytest.param({"advanced": [{"width": 1280}, {"width": 640}]}, (1280, 720, 30, "none"),
                     id="5.10b the first wins"),
        pytest.param({"width": {"max": 640}, "advanced": [{"width": 1280}]}, (640, 480, 30, "none"),
                     id="5.10b advanced yields to required"),
        pytest.param({"advanced": [{"width": {"ideal": 1280}}]}, (640, 480, 30, "none"),
                     id="5.10c an advanced ideal scores nothing"),
        pytest.param({"width": {"min": 700, "ideal": 100}}, (700, 394, 30, "crop-and-scale"),
                     id="5.9 bound and ideal"),
    ],
)  # fmt: skip
@pytest.mark.spec(
    "5.10",
    "4.3",
    "4.4",
    "4.5",
    "4.7",
    "4.8",
    "4.13",
    wpt=["GUM-required-constraint-with-ideal-value.https.html"],
)
def test_the_camera(constraints: dict[str, Any], expected: tuple[int, int, float, str]) -> None:
    assert geometry(selected(CAMERA, constraints)) == expected


@pytest.mark.parametrize(
    ("device", "constraints", "failed", "said"),
    [
        (CAMERA, {"width": {"min": 1281}}, "width", "at least 1281 was asked for; Cam offers 1 to"),
        (CAMERA, {"frameRate": {"exact": 31}}, "frameRate", "exactly 31"),
        (CAMERA, {"facingMode": {"exact": "left"}}, "facingMode", "Cam offers user"),
        (SCREEN, {"facingMode": {"exact": "user"}}, "facingMode", "Screen offers none"),
        (CAMERA, {"width": {"min": 20, "max": 10}}, "width", "at least 20 and at most 10"),
        (CAMERA, {"width": {"exact": 1280}, "frameRate": {"min": 60}}, "", "together"),
        (MICROPHONE, {"sampleRate": {"min": 96000}}, "sampleRate", "8000 to 48000"),
        (MICROPHONE, {"echoCancellation": {"exact": True}}, "echoCancellation", "False"),
    ],
)
@pytest.mark.spec("5.12", "5.15")
def test_failure_names_what_excludes_everything(
    device: ConstrainableObject, constraints: dict[str, Any], failed: str, said: str
) -> None:
    failure = select_settings(device, parse_constraints(constraints))
    assert isinstance(failure, Unsatisfiable)
    assert failure.constraint == failed
    assert said in failure.message


@pytest.mark.parametrize(
    ("constraints", "size"),
    [
        pytest.param({}, (1920, 1080), id="all of it"),
        pytest.param({"width": 960}, (960, 540), id="11.8 ideal width exactly"),
        pytest.param({"height": 333}, (592, 333), id="11.8 the other follows"),
        pytest.param(
            {"width": {"max": 500}, "height": {"max": 500}}, (500, 281), id="11.8 no crop"
        ),
        pytest.param({"width": 4000}, (1920, 1080), id="11.8 never upscaled"),
    ],
)
@pytest.mark.spec("11.8")
def test_the_screen_keeps_its_aspect(constraints: dict[str, Any], size: tuple[int, int]) -> None:
    assert geometry(selected(SCREEN, constraints))[:2] == size


@pytest.mark.spec("4.11", "4.12")
def test_sound() -> None:
    plain = selected(MICROPHONE, {})
    assert (plain.settings["sampleRate"], plain.settings["channelCount"]) == (48000, 2)
    mono = selected(MICROPHONE, {"channelCount": 1, "sampleRate": 16000})
    assert (mono.settings["sampleRate"], mono.settings["channelCount"]) == (16000, 1)
    assert MICROPHONE.audio_modes[mono.mode].channel_count == 1
    assert selected(MICROPHONE, {"echoCancellation": True}).distance == 1


@pytest.mark.parametrize(
    "constraints",
    [
        {"aspectRatio": {"min": 1.777, "max": 1.778}, "width": {"max": 100}},
        {"aspectRatio": {"min": 1.0001, "max": 1.01}, "height": {"max": 300}},
    ],
)
def test_a_narrow_range_of_aspect_ratios_is_found(constraints: dict[str, Any]) -> None:
    selection = selected(CAMERA, constraints)
    assert math.isfinite(distance(selection.settings, parse_constraints(constraints).basic))


@pytest.mark.parametrize("value", [5e-324, 1e308, 0])
@pytest.mark.parametrize("name", ["aspectRatio", "frameRate", "width", "height"])
def test_absurd_wishes_are_only_wishes(name: str, value: float) -> None:
    assert selected(CAMERA, {name: value}).settings["width"] >= 1


@pytest.mark.spec("5.14")
def test_devices_compete_and_the_first_wins_a_tie() -> None:
    def order(constraints: dict[str, Any]) -> list[str]:
        ranked = rank([CAMERA, OTHER], parse_constraints(constraints))
        assert isinstance(ranked, list)
        return [device.label for device, _ in ranked]

    assert order({}) == ["Cam", "Other"]
    assert order({"facingMode": "environment"}) == ["Other", "Cam"]
    assert order({"width": {"exact": 1920}}) == ["Other"]
    assert order({"advanced": [{"facingMode": "environment"}]}) == ["Other"]
    assert order({"advanced": [{"facingMode": "left"}]}) == ["Cam", "Other"]
    failure = rank([CAMERA, OTHER], parse_constraints({"height": {"min": 2000}}))
    assert isinstance(failure, Unsatisfiable)
    assert failure.constraint == "height"
    assert "Cam offers 1 to 720; Other offers 1 to 1080" in failure.message


# By property, on a camera small enough to enumerate every settings dictionary there is.

TINY = ConstrainableObject(
    kind="video",
    label="Tiny",
    fixed={"deviceId": "tiny", "facingMode": "user"},
    video_modes=(VideoGeometry(8, 6, 30), VideoGeometry(12, 4, 15)),
)


def every_settings_dictionary() -> Iterator[dict[str, Any]]:
    for width, height, rate in TINY.video_modes:
        for w in range(1, width + 1):
            for h in range(1, height + 1):
                for divisor in range(1, 31):
                    sizes = {"width": w, "height": h, "aspectRatio": round(w / h, 10)}
                    one = {**TINY.fixed, **sizes, "frameRate": rate / divisor}
                    yield {**one, "resizeMode": "crop-and-scale"}
                    if (w, h, divisor) == (width, height, 1):
                        yield {**one, "resizeMode": "none"}


EVERY = list(every_settings_dictionary())


def reference(constraints: TrackConstraints) -> float | None:
    """The smallest distance by the specification's own steps; None when nothing is left."""
    left = [(s, distance(s, constraints.basic)) for s in EVERY]
    left = [(s, d) for s, d in left if math.isfinite(d)]
    for advanced in constraints.advanced:
        narrowed = [(s, d) for s, d in left if math.isfinite(distance(s, advanced))]
        left = narrowed or left
    return min((d for _, d in left), default=None)


lengths = st.integers(0, 14)
rates = st.sampled_from([1, 2, 5, 7.5, 10, 15, 20, 30, 60])
ratios = st.sampled_from([0.5, 1, 4 / 3, 2, 3, 1.7777777778])


def numeric(values: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    keys = ("min", "max", "exact", "ideal")
    return values | st.fixed_dictionaries({}, optional=dict.fromkeys(keys, values))


sets = st.fixed_dictionaries(
    {},
    optional={
        "width": numeric(lengths),
        "height": numeric(lengths),
        "frameRate": numeric(rates),
        "aspectRatio": numeric(ratios),
        "resizeMode": st.sampled_from(["none", "crop-and-scale", {"exact": "none"}]),
        "facingMode": st.sampled_from(["user", "left", {"exact": "user"}, {"exact": "left"}]),
    },
)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(basic=sets, advanced=st.lists(sets, max_size=2))
@pytest.mark.spec("5.10", "5.13", "5.1")
def test_the_search_finds_what_enumeration_finds(
    basic: dict[str, Any], advanced: list[dict[str, Any]]
) -> None:
    constraints = parse_constraints({**basic, "advanced": advanced})
    found = select_settings(TINY, constraints)
    best = reference(constraints)
    if best is None:
        assert isinstance(found, Unsatisfiable)
        if found.constraint:
            alone = {found.constraint: constraints.basic[found.constraint]}
            assert all(math.isinf(distance(s, alone)) for s in EVERY)
        return
    assert isinstance(found, Selection)
    assert distance(found.settings, constraints.basic) == pytest.approx(found.distance)
    assert found.distance == pytest.approx(best, abs=1e-9)
    mode = TINY.video_modes[found.mode]
    assert found.settings["width"] <= mode.width, "never upscaled"
    assert found.settings["height"] <= mode.height
    assert capabilities(TINY)["frameRate"]["max"] >= found.settings["frameRate"] > 0


@settings(derandomize=True, deadline=None, max_examples=100)
@given(basic=sets, wish=st.dictionaries(st.sampled_from(["width", "height"]), lengths))
def test_a_wish_never_makes_it_fail(basic: dict[str, Any], wish: dict[str, Any]) -> None:
    if isinstance(select_settings(TINY, parse_constraints(basic)), Unsatisfiable):
        return
    wishes = {name: {"ideal": value} for name, value in wish.items() if name not in basic}
    assert isinstance(select_settings(TINY, parse_constraints({**basic, **wishes})), Selection)
