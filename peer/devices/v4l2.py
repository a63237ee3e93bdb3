"""Cameras of the Linux kernel (V4L2): which there are, what they are called and can do."""

import errno
import glob
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from av import VideoFormat

from . import v4l2_abi as abi
from .backend import DeviceDescription, DeviceError, DeviceLost, Mode, VideoMode
from .hotplug import watch_paths
from .nodes import forbidden, open_error, physical_parent, read_attribute
from .v4l2_capture import ASSUMED_RATE, COMPRESSED, PIXEL_FORMATS, V4L2Capture, frame_rate
from .v4l2_controls import knobs

NODES = "/dev/video*"
COST = {name: cost for cost, name in enumerate(dict.fromkeys(PIXEL_FORMATS.values()))}

PASS_THROUGH_PIXELS = 1280 * 720
"""From here on a camera's own H.264 is taken where there are raw pictures, too: encoding costs 4 to
25 ms a picture, and decoding 2 for who needs frames."""

COMMON_SIZES = [
    *[(160, 120), (320, 180), (320, 240), (640, 360), (640, 480), (800, 600), (1024, 768)],
    *[(1280, 720), (1280, 960), (1920, 1080), (2560, 1440), (3840, 2160)],
]
"""What to list of a camera that takes any size within limits, besides the largest."""
COMMON_RATES = [5.0, 10.0, 15.0, 20.0, 24.0, 25.0, 30.0, 50.0, 60.0]
"""What to list of a camera that takes any rate within limits, besides the fastest."""
MAX_ENTRIES = 256
"""More formats, sizes or rates of one kind than any driver lists: an end for a broken one."""

FACING_WORDS = {
    "user": re.compile(r"\b(front|user)\b", re.IGNORECASE),
    "environment": re.compile(r"\b(rear|back|world)\b", re.IGNORECASE),
}


class V4L2Backend:
    """Cameras, TV cards and loopbacks that have a /dev/videoN."""

    name = "v4l2"

    def list_devices(self) -> list[DeviceDescription]:
        nodes = sorted(glob.glob(NODES), key=lambda node: (len(node), node))
        return [device for node in nodes if (device := _describe(node))]

    def open(self, device: DeviceDescription, mode: Mode) -> V4L2Capture:
        if not isinstance(mode, VideoMode):
            raise DeviceError(f"{device.label} is a camera: it needs a VideoMode, not {mode}")
        try:
            return V4L2Capture(_open(device), device.label, mode)
        except OSError as error:
            raise open_error(error.errno, device.label, device.location) from error

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return watch_paths([NODES], changed)


def _open(device: DeviceDescription) -> int:
    """Open a device's node, if it is still that device's."""
    fd = _open_node(device.location)
    try:
        identity = _identify(fd, device.location)
        if identity is None or identity.hardware_id != device.hardware_id:
            raise DeviceLost(f"{device.label} is no longer at {device.location}")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open_node(node: str) -> int:
    return os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


class _Identity(NamedTuple):
    hardware_id: str
    label: str
    group: str
    driver: str


def _describe(node: str) -> DeviceDescription | None:
    """A capture device; None when the node is none, or has just gone."""
    try:
        fd = _open_node(node)
    except PermissionError:
        return _describe_forbidden(node)
    except OSError:
        return None
    try:
        identity = _identify(fd, node)
        if identity is None:
            return None
        modes = _modes(fd)
        controls = tuple(knob.control for knob in knobs(fd))
        facing = _facing_mode(fd, identity.label)
    except OSError:
        return None
    finally:
        os.close(fd)
    return DeviceDescription(
        kind="videoinput",
        hardware_id=identity.hardware_id,
        label=identity.label,
        modes=modes,
        location=node,
        group=identity.group,
        facing_mode=facing,
        controls=controls if modes else (),
        unusable="" if modes else f"{identity.label} ({node}) offers no picture format",
        native_ids={"driver": identity.driver},
    )


def _describe_forbidden(node: str) -> DeviceDescription | None:
    sysfs = _sysfs(node)
    label = clean_label(read_attribute(sysfs / "name")) or node
    if read_attribute(sysfs / "index") not in ("", "0"):
        return None  # a camera's further nodes seldom capture, and this one can't be asked
    parent = (sysfs / "device").resolve()
    return DeviceDescription(
        kind="videoinput",
        hardware_id=f"sysfs:{parent}",
        label=label,
        modes=(),
        location=node,
        group=str(physical_parent(parent) or parent),
        unusable=forbidden(label, node),
    )


def _identify(fd: int, node: str) -> _Identity | None:
    """Who the device is; None when it doesn't capture video in a way that can be read."""
    capability = abi.v4l2_capability()
    abi.ioctl(fd, abi.IOC.QUERYCAP, capability)
    has = capability.capabilities
    if has & abi.Capability.DEVICE_CAPS:
        has = capability.device_caps
    if not (has & abi.Capability.VIDEO_CAPTURE and has & abi.Capability.STREAMING):
        return None
    bus = capability.bus_info.decode(errors="replace")
    label = clean_label(capability.card.decode(errors="replace"))
    sysfs = _sysfs(node)
    parent = physical_parent(sysfs / "device")
    index = read_attribute(sysfs / "index")
    # One USB device may have several cameras: an interface each, or several nodes of one.
    parts = [
        bus or f"sysfs:{(sysfs / 'device').resolve()}",
        read_attribute(sysfs / "device" / "bInterfaceNumber"),
        "" if index == "0" else f"#{index}",
        read_attribute(parent / "serial") if parent else "",
    ]
    return _Identity(
        hardware_id="/".join(part for part in parts if part),
        label=label or node,
        group=str(parent or bus),
        driver=capability.driver.decode(errors="replace"),
    )


def _sysfs(node: str) -> Path:
    return Path("/sys/class/video4linux") / os.path.basename(node)


def clean_label(card: str) -> str:
    """A camera's name without the truncated repetition that USB cameras add to it."""
    name, _, again = card.partition(": ")
    return name if again and name.startswith(again) else card


def _facing_mode(fd: int, label: str) -> str | None:
    orientation = abi.get_control(fd, abi.ControlID.CAMERA_ORIENTATION)
    if orientation is not None:
        return {0: "user", 1: "environment"}.get(orientation)
    return facing_mode_of(label)


def facing_mode_of(label: str) -> str | None:
    """Where a camera looks, going by its name."""
    for facing, word in FACING_WORDS.items():
        if word.search(label):
            return facing
    return None


def best_modes(modes: Iterable[VideoMode]) -> tuple[VideoMode, ...]:
    """The cheapest format of each size and rate, nearest first to what browsers take by default."""
    best: dict[tuple[int, int, float], VideoMode] = {}
    for mode in sorted(modes, key=_cost):
        best.setdefault((mode.width, mode.height, mode.frame_rate), mode)
    return tuple(
        sorted(
            best.values(),
            key=lambda mode: (
                abs(mode.width * mode.height - 640 * 480),
                abs(mode.frame_rate - 30),
            ),
        )
    )


def _cost(mode: VideoMode) -> int:
    """Of two modes, the one that costs less to publish has the smaller number."""
    if mode.pixel_format == "h264" and mode.width * mode.height >= PASS_THROUGH_PIXELS:
        return -1
    return COST[mode.pixel_format]


def cheapest_modes(
    codes: Iterable[str],
    sizes: Callable[[str], Iterable[tuple[int, int]]],
    rates: Callable[[str, int, int], Iterable[float]],
) -> tuple[VideoMode, ...]:
    """The modes of a camera that has formats of these four-letter codes.

    What can't be among `best_modes()` isn't asked for, since each answer is an ioctl: a raw format
    delivers a size no faster than another that is cheaper and has no more bits.

    :param sizes: tells the sizes of a format.
    :param rates: tells the rates of a format and size.
    """
    modes: list[VideoMode] = []
    fewest_bits: dict[tuple[int, int], int] = {}
    for code in sorted(PIXEL_FORMATS.keys() & codes, key=lambda code: COST[PIXEL_FORMATS[code]]):
        name = PIXEL_FORMATS[code]
        for size in sizes(code):
            if name not in COMPRESSED:
                bits = VideoFormat(name).padded_bits_per_pixel
                if bits >= fewest_bits.get(size, math.inf):
                    continue
                fewest_bits[size] = bits
            modes += [VideoMode(*size, rate, name) for rate in rates(code, *size)]
    return best_modes(modes)


def _modes(fd: int) -> tuple[VideoMode, ...]:
    formats = _enumerate(fd, abi.IOC.ENUM_FMT, abi.v4l2_fmtdesc(type=abi.BufType.VIDEO_CAPTURE))
    return cheapest_modes(
        [entry.pixelformat.to_bytes(4, "little").decode("latin-1") for entry in formats],
        lambda code: _sizes(fd, abi.fourcc(code)),
        lambda code, width, height: _rates(fd, abi.fourcc(code), width, height),
    )


def _sizes(fd: int, fourcc: int) -> list[tuple[int, int]]:
    sizes: list[tuple[int, int]] = []
    for entry in _enumerate(fd, abi.IOC.ENUM_FRAMESIZES, abi.v4l2_frmsizeenum(pixel_format=fourcc)):
        if entry.type == abi.SizeType.DISCRETE:
            sizes.append((entry.discrete.width, entry.discrete.height))
            continue
        limits = entry.stepwise
        sizes += stepwise_sizes(
            range(limits.min_width, limits.max_width + 1, limits.step_width or 1),
            range(limits.min_height, limits.max_height + 1, limits.step_height or 1),
        )
    if not sizes:  # an old driver, which can only say what it is set to
        current = abi.v4l2_format(type=abi.BufType.VIDEO_CAPTURE)
        abi.ioctl(fd, abi.IOC.G_FMT, current)
        if current.fmt.pix.pixelformat == fourcc:
            sizes.append((current.fmt.pix.width, current.fmt.pix.height))
    return sizes


def stepwise_sizes(widths: range, heights: range) -> list[tuple[int, int]]:
    """The common sizes among all that a camera takes, and its largest."""
    common = [size for size in COMMON_SIZES if size[0] in widths and size[1] in heights]
    return list(dict.fromkeys([*common, (widths[-1], heights[-1])]))


def _rates(fd: int, fourcc: int, width: int, height: int) -> list[float]:
    rates: list[float] = []
    for entry in _enumerate(
        fd,
        abi.IOC.ENUM_FRAMEINTERVALS,
        abi.v4l2_frmivalenum(pixel_format=fourcc, width=width, height=height),
    ):
        if entry.type == abi.SizeType.DISCRETE:
            rates.append(frame_rate(entry.discrete))
        else:
            rates += stepwise_rates(frame_rate(entry.stepwise.max), frame_rate(entry.stepwise.min))
    return rates or [ASSUMED_RATE]


def stepwise_rates(slowest: float, fastest: float) -> list[float]:
    """The common rates within a camera's limits, and its fastest."""
    return [*(rate for rate in COMMON_RATES if slowest <= rate < fastest), fastest]


def _enumerate(fd: int, request: int, entry: Any) -> Iterator[Any]:
    """Count up `entry.index` until the driver knows no more."""
    for entry.index in range(MAX_ENTRIES):
        try:
            abi.ioctl(fd, request, entry)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return
            raise
        yield entry
