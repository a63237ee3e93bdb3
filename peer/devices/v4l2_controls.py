"""A V4L2 camera's controls in the terms and units of the constrainable properties.

The kernel's units (Linux Media: V4L2 user, camera and flash controls) and those of Image Capture 8
are the same for exposure times (100 µs), colour temperatures (K), pan and tilt (arc seconds).
Others are converted: USB cameras give focus distances in millimetres, the kernel exposure bias and
ISO in thousandths, and a zoom's smallest focal length is a ratio of 1.
"""

import ctypes
import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from ..controls import Control, ControlRange, ControlValue
from . import v4l2_abi as abi
from .v4l2_abi import ControlID

Setting = tuple[ControlID, int]
"""A control of the kernel's, and a value in its unit."""

PLAIN = {
    "brightness": ControlID.BRIGHTNESS,
    "contrast": ControlID.CONTRAST,
    "saturation": ControlID.SATURATION,
    "sharpness": ControlID.SHARPNESS,
    "colorTemperature": ControlID.WHITE_BALANCE_TEMPERATURE,
    "exposureTime": ControlID.EXPOSURE_ABSOLUTE,
    "pan": ControlID.PAN_ABSOLUTE,
    "tilt": ControlID.TILT_ABSOLUTE,
    "focusDistance": ControlID.FOCUS_ABSOLUTE,
    "zoom": ControlID.ZOOM_ABSOLUTE,
}
THOUSANDTHS = {
    "exposureCompensation": ControlID.AUTO_EXPOSURE_BIAS,
    "iso": ControlID.ISO_SENSITIVITY,
}
MILLIMETRE = 0.001
USUAL_ZOOM = 100
"""What USB cameras call a zoom of 1, if not by their smallest value."""

EXPOSURE_AUTO, EXPOSURE_MANUAL, EXPOSURE_SHUTTER, EXPOSURE_APERTURE = range(4)
LED_NONE, LED_TORCH = 0, 2


@dataclass(frozen=True)
class Knob:
    """One constrainable property of a camera, and the kernel's control that stands for it."""

    control: Control
    id: ControlID
    value: Callable[[int], ControlValue]
    """From the kernel's value."""
    settings: Callable[[ControlValue], list[Setting]]
    """What to set for a value, in order."""


class V4L2Controls:
    """The controls of an open camera.

    :param fd: its node; it stays the caller's.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._knobs = {knob.control.name: knob for knob in knobs(fd)}

    def subscribe(self) -> None:
        """Let the node be ready with POLLPRI when another program has moved one of them."""
        for knob in self._knobs.values():
            subscription = abi.v4l2_event_subscription(type=abi.EVENT_CTRL, id=knob.id)
            try:
                abi.ioctl(self._fd, abi.IOC.SUBSCRIBE_EVENT, subscription)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTTY):
                    raise  # an old driver tells of no changes

    def take_events(self) -> None:
        """Take what the node is ready with."""
        event = abi.v4l2_event()
        while True:
            try:
                abi.ioctl(self._fd, abi.IOC.DQEVENT, event)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EAGAIN):
                    return
                raise

    def values(self) -> dict[str, ControlValue]:
        """What they are set to."""
        read = {name: abi.get_control(self._fd, knob.id) for name, knob in self._knobs.items()}
        return {name: self._knobs[name].value(raw) for name, raw in read.items() if raw is not None}

    def set(self, values: Mapping[str, ControlValue]) -> None:
        """Set some; modes come first, since the values that depend on one are refused before.

        :raises OSError: the driver refuses.
        """
        settings = [
            one for name in in_order(values) for one in self._knobs[name].settings(values[name])
        ]
        entries = (abi.v4l2_ext_control * len(settings))()
        for entry, (id, value) in zip(entries, settings, strict=True):
            entry.id, entry.u.value = id, value
        request = abi.v4l2_ext_controls(count=len(settings), controls=ctypes.addressof(entries))
        try:
            abi.ioctl(self._fd, abi.IOC.S_EXT_CTRLS, request)  # all, or what a cluster is, at once
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise
            for id, value in settings:
                abi.set_control(self._fd, id, value)


def in_order(names: Iterable[str]) -> list[str]:
    """Properties in the order in which they are to be set: modes before what depends on them."""
    return sorted(names, key=lambda name: not name.endswith("Mode"))


def knobs(fd: int) -> Iterable[Knob]:
    """The constrainable properties that a camera has."""
    for name, id in PLAIN.items():
        if (query := _query(fd, id)) is not None:
            yield number_knob(name, id, query)
    for name, id in THOUSANDTHS.items():
        if (query := _query(fd, id)) is not None and query.type == abi.ControlType.INTEGER_MENU:
            yield menu_knob(name, id, _menu(fd, query), query.default_value)
    for name, id, once in (
        ("whiteBalanceMode", ControlID.AUTO_WHITE_BALANCE, ControlID.DO_WHITE_BALANCE),
        ("focusMode", ControlID.FOCUS_AUTO, ControlID.AUTO_FOCUS_START),
    ):
        if (query := _query(fd, id)) is not None:
            yield mode_knob(name, id, once if _query(fd, once) else None, query.default_value)
    if (query := _query(fd, ControlID.EXPOSURE_AUTO)) is not None:
        yield exposure_knob(set(_menu(fd, query)), query.default_value)
    if (query := _query(fd, ControlID.FLASH_LED_MODE)) and LED_TORCH in _menu(fd, query):
        yield Knob(
            Control("torch", (False, True), query.default_value == LED_TORCH),
            ControlID.FLASH_LED_MODE,
            lambda raw: raw == LED_TORCH,
            lambda value: [(ControlID.FLASH_LED_MODE, LED_TORCH if value else LED_NONE)],
        )


def number_knob(name: str, id: ControlID, query: abi.v4l2_queryctrl) -> Knob:
    """A property that is a number in a range."""
    scale, offset = 1.0, 0.0
    if name == "focusDistance":
        scale = MILLIMETRE
    if name == "zoom":
        smallest = query.minimum if query.minimum > 0 else USUAL_ZOOM
        scale, offset = 1 / smallest, 0.0 if query.minimum > 0 else 1.0

    def value(raw: int) -> float:
        return round(raw * scale + offset, 6)

    def settings(value: ControlValue) -> list[Setting]:
        raw = round((_number(value) - offset) / scale)
        step = max(1, query.step)
        raw = query.minimum + round((raw - query.minimum) / step) * step
        return [(id, max(query.minimum, min(raw, query.maximum)))]

    allowed = ControlRange(
        value(query.minimum), value(query.maximum), round(max(1, query.step) * scale, 6)
    )
    return Knob(Control(name, allowed, value(query.default_value)), id, value, settings)


def menu_knob(name: str, id: ControlID, menu: Mapping[int, int], default: int) -> Knob:
    """A property that is one of some numbers, which the kernel gives in thousandths."""
    values = {index: thousandths / 1000 for index, thousandths in menu.items()}

    def settings(value: ControlValue) -> list[Setting]:
        nearest = min(values, key=lambda index: abs(values[index] - _number(value)))
        before = [(ControlID.ISO_SENSITIVITY_AUTO, 0)] if name == "iso" else []
        return [*before, (id, nearest)]

    ordered = sorted(values.values())
    steps = [round(b - a, 6) for a, b in pairwise(ordered)]
    allowed = ControlRange(ordered[0], ordered[-1], min(steps, default=1.0))
    initial = values.get(default, ordered[0])
    return Knob(Control(name, allowed, initial), id, lambda raw: values.get(raw, initial), settings)


def mode_knob(name: str, id: ControlID, once: ControlID | None, default: int) -> Knob:
    """A mode that is automatic or not.

    :param once: the control that lets the camera do it one time.
    """

    def settings(value: ControlValue) -> list[Setting]:
        if value == "single-shot" and once is not None:
            return [(id, 0), (once, 1)]
        return [(id, int(value == "continuous"))]

    modes = ("continuous", "manual", *(("single-shot",) if once is not None else ()))
    return Knob(
        Control(name, modes, "continuous" if default else "manual"),
        id,
        lambda raw: "continuous" if raw else "manual",
        settings,
    )


def exposure_knob(menu: set[int], default: int) -> Knob:
    """The exposure mode, of which cameras have two of the kernel's four."""
    automatic = [one for one in (EXPOSURE_AUTO, EXPOSURE_APERTURE) if one in menu]
    manual = [one for one in (EXPOSURE_MANUAL, EXPOSURE_SHUTTER) if one in menu]
    modes = {
        **({"continuous": automatic[0]} if automatic else {}),
        **({"manual": manual[0]} if manual else {}),
    }

    def value(raw: int) -> str:
        return "continuous" if raw in (EXPOSURE_AUTO, EXPOSURE_APERTURE) else "manual"

    return Knob(
        Control("exposureMode", tuple(modes), value(default)),
        ControlID.EXPOSURE_AUTO,
        value,
        lambda chosen: [(ControlID.EXPOSURE_AUTO, modes[str(chosen)])],
    )


def _number(value: ControlValue) -> float:
    assert isinstance(value, (int, float)), "constraint selection gives a number for a range"
    return value


def _query(fd: int, id: ControlID) -> abi.v4l2_queryctrl | None:
    """What the driver says of a control; None when it can't be set."""
    query = abi.v4l2_queryctrl(id=id)
    try:
        abi.ioctl(fd, abi.IOC.QUERYCTRL, query)
    except OSError:
        return None
    unusable = abi.ControlFlag.DISABLED | abi.ControlFlag.READ_ONLY
    return None if query.flags & unusable else query


def _menu(fd: int, query: abi.v4l2_queryctrl) -> dict[int, int]:
    """A menu's entries that there are, with their values where they are numbers."""
    entries = {}
    for index in range(query.minimum, query.maximum + 1):
        entry = abi.v4l2_querymenu(id=query.id, index=index)
        try:
            abi.ioctl(fd, abi.IOC.QUERYMENU, entry)
        except OSError:
            continue  # menus have holes
        entries[index] = entry.u.value
    return entries
