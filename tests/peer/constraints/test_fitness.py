import math
from typing import Any

import pytest

from peer.constraints.fitness import distance
from peer.constraints.parse import parse_constraints

SETTINGS = {
    "width": 640,
    "frameRate": 30.0,
    "aspectRatio": 1.3333333333,
    "facingMode": "user",
    "echoCancellation": False,
}


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        pytest.param({}, 0, id="nothing asked"),
        pytest.param({"width": {"min": 640, "max": 640}}, 0, id="5.2 within bounds"),
        pytest.param({"width": {"min": 641}}, math.inf, id="5.2 below min"),
        pytest.param({"width": {"max": 639}}, math.inf, id="5.2 above max"),
        pytest.param({"width": {"exact": 641}}, math.inf, id="5.2 not exact"),
        pytest.param({"frameRate": {"exact": 30}}, 0, id="5.16 30 and 30.0"),
        pytest.param({"aspectRatio": {"exact": 4 / 3}}, 0, id="5.16 rounded ratio"),
        pytest.param({"aspectRatio": {"exact": 1.3334}}, math.inf, id="another ratio"),
        pytest.param({"height": {"exact": 480}}, math.inf, id="5.2 lacks a required property"),
        pytest.param({"height": 480}, 1, id="5.5 lacks a preferred property"),
        pytest.param({"width": {"min": 1}}, 0, id="5.6 no ideal"),
        pytest.param({"width": 640}, 0, id="5.7 the ideal"),
        pytest.param({"width": 1280}, 0.5, id="5.7 half"),
        pytest.param({"width": 320}, 0.5, id="5.7 twice"),
        pytest.param({"facingMode": "user"}, 0, id="5.8 equal"),
        pytest.param({"facingMode": "left"}, 1, id="5.8 different"),
        pytest.param({"facingMode": ["left", "user"]}, 0, id="5.8 any of a list"),
        pytest.param({"facingMode": {"exact": ["left", "right"]}}, math.inf, id="none of a list"),
        pytest.param({"echoCancellation": True}, 1, id="5.8 boolean"),
        pytest.param({"echoCancellation": {"exact": False}}, 0, id="exact False"),
        pytest.param({"width": {"min": 600, "ideal": 800}}, 0.2, id="5.9 min and ideal"),
        pytest.param({"width": 1280, "facingMode": "left", "frameRate": 60}, 2, id="a sum"),
    ],
)
@pytest.mark.spec("5.2", "5.5", "5.6", "5.7", "5.8", "5.9", "5.16", "3.5")
def test_distance(constraints: dict[str, Any], expected: float) -> None:
    basic = parse_constraints(constraints).basic
    assert distance(SETTINGS, basic) == pytest.approx(expected)
