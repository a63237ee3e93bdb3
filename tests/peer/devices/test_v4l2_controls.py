"""The kernel's controls in the specification's terms and units, without a camera."""

from typing import Any

import pytest

from peer.controls import ControlRange
from peer.devices.v4l2_abi import ControlID, v4l2_queryctrl
from peer.devices.v4l2_controls import (
    EXPOSURE_APERTURE,
    EXPOSURE_AUTO,
    EXPOSURE_MANUAL,
    EXPOSURE_SHUTTER,
    exposure_knob,
    in_order,
    menu_knob,
    mode_knob,
    number_knob,
)


def query(minimum: int, maximum: int, step: int = 1, default: int = 0) -> v4l2_queryctrl:
    return v4l2_queryctrl(minimum=minimum, maximum=maximum, step=step, default_value=default)


@pytest.mark.parametrize(
    ("name", "said", "allowed", "raw", "value"),
    [
        ("brightness", query(-64, 64), ControlRange(-64, 64, 1), -10, -10),
        ("zoom", query(100, 400, 10), ControlRange(1, 4, 0.1), 250, 2.5),
        ("zoom", query(1, 8), ControlRange(1, 8, 1), 3, 3),
        ("zoom", query(0, 300, 100), ControlRange(1, 4, 1), 100, 2),
        ("focusDistance", query(0, 1023, 5), ControlRange(0, 1.023, 0.005), 500, 0.5),
        ("exposureTime", query(3, 2047), ControlRange(3, 2047, 1), 156, 156),
        ("tilt", query(-36000, 36000, 3600), ControlRange(-36000, 36000, 3600), 3600, 3600),
    ],
)
def test_numbers(
    name: str, said: v4l2_queryctrl, allowed: ControlRange, raw: int, value: float
) -> None:
    knob = number_knob(name, ControlID.BRIGHTNESS, said)
    assert knob.control.allowed == allowed
    assert knob.value(raw) == value
    assert knob.settings(value) == [(ControlID.BRIGHTNESS, raw)]


def test_numbers_snap_and_stay_in_their_range() -> None:
    knob = number_knob("pan", ControlID.PAN_ABSOLUTE, query(-36000, 36000, 3600))
    raws = [knob.settings(value)[0][1] for value in (-99999, -1800, 5000, 5500, 99999)]
    assert raws == [-36000, -36000 + 3600 * 10, 3600, 7200, 36000]


def test_exposure_bias_is_given_in_thousandths_by_a_menu() -> None:
    menu = {0: -2000, 1: -1000, 2: 0, 3: 1000, 4: 2000}
    knob = menu_knob("exposureCompensation", ControlID.AUTO_EXPOSURE_BIAS, menu, 2)
    assert (knob.control.allowed, knob.control.value) == (ControlRange(-2, 2, 1), 0)
    assert knob.value(3) == 1
    assert knob.settings(1.4) == [(ControlID.AUTO_EXPOSURE_BIAS, 3)]


def test_iso_is_taken_out_of_automatic_first() -> None:
    knob = menu_knob("iso", ControlID.ISO_SENSITIVITY, {0: 100000, 2: 200000, 3: 400000}, 0)
    assert knob.control.allowed == ControlRange(100, 400, 100)
    assert knob.settings(190) == [
        (ControlID.ISO_SENSITIVITY_AUTO, 0),
        (ControlID.ISO_SENSITIVITY, 2),
    ]


@pytest.mark.parametrize(
    ("once", "value", "settings"),
    [
        (None, "continuous", [(ControlID.FOCUS_AUTO, 1)]),
        (None, "manual", [(ControlID.FOCUS_AUTO, 0)]),
        (
            ControlID.AUTO_FOCUS_START,
            "single-shot",
            [(ControlID.FOCUS_AUTO, 0), (ControlID.AUTO_FOCUS_START, 1)],
        ),
    ],
)
def test_modes(once: ControlID | None, value: str, settings: Any) -> None:
    knob = mode_knob("focusMode", ControlID.FOCUS_AUTO, once, 1)
    assert isinstance(knob.control.allowed, tuple)
    assert ("single-shot" in knob.control.allowed) is (once is not None)
    assert (knob.value(1), knob.value(0)) == ("continuous", "manual")
    assert knob.settings(value) == settings


@pytest.mark.parametrize(
    ("menu", "modes", "automatic", "manual"),
    [
        (
            {EXPOSURE_AUTO, EXPOSURE_MANUAL},
            ("continuous", "manual"),
            EXPOSURE_AUTO,
            EXPOSURE_MANUAL,
        ),
        (
            {EXPOSURE_MANUAL, EXPOSURE_APERTURE},
            ("continuous", "manual"),
            EXPOSURE_APERTURE,
            EXPOSURE_MANUAL,
        ),
        ({EXPOSURE_SHUTTER}, ("manual",), None, EXPOSURE_SHUTTER),
    ],
)
def test_of_four_exposure_modes_cameras_have_two(
    menu: set[int], modes: tuple[str, ...], automatic: int | None, manual: int
) -> None:
    knob = exposure_knob(menu, manual)
    assert (knob.control.allowed, knob.control.value) == (modes, "manual")
    assert knob.settings("manual") == [(ControlID.EXPOSURE_AUTO, manual)]
    if automatic is not None:
        assert knob.settings("continuous") == [(ControlID.EXPOSURE_AUTO, automatic)]


@pytest.mark.spec("4.16")
def test_modes_are_set_before_the_values_that_depend_on_them() -> None:
    names = ["exposureTime", "exposureMode", "zoom", "focusDistance", "focusMode"]
    assert in_order(names) == ["exposureMode", "focusMode", "exposureTime", "zoom", "focusDistance"]
