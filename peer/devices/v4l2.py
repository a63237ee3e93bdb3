"""Cameras of the Linux kernel (V4L2): listed by ioctl, captured through mapped buffers."""

import ctypes
import errno
import glob
import math
import mmap
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from av import CodecContext, Packet, VideoFormat, VideoFrame
from av.error import FFmpegError

from . import v4l2_abi as abi
from .backend import Captured, DeviceDescription, DeviceError, DeviceLost, Mode, VideoMode
from .hotplug import forbidden, open_error, physical_parent, read_attribute, watch_paths

if sys.platform == "linux":
    import fcntl

# Capture is by ioctl and FFmpeg decodes. FFmpeg's own `v4l2` input blocks inside the driver, out of
# reach of its time-outs and interrupts, so that opening or reading a camera which delivers nothing
# hangs the thread for good; in its non-blocking form it burns a core while opening.

NODES = "/dev/video*"
READ_TIMEOUT = 0.1
"""Seconds until `read()` answers that there is no frame: the protocol's limit."""
PRIVACY_INTERVAL = 0.5
"""Seconds between questions about the privacy switch: each can cost a USB transfer."""
BUFFERS = 4
"""Enough that one late wake-up loses no frame at 60 fps; more would only be memory."""

PIXEL_FORMATS = {
    "YU12": "yuv420p",
    "NV12": "nv12",
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "YVYU": "yvyu422",
    "NV16": "nv16",
    "422P": "yuv422p",
    "MJPG": "mjpeg",
    "JPEG": "mjpeg",
    "RGB3": "rgb24",
    "BGR3": "bgr24",
    "XR24": "bgr0",
    "AR24": "bgra",
    "H264": "h264",
    "HEVC": "hevc",
    "GREY": "gray",
    "Y16 ": "gray16le",
}
"""FFmpeg's name of each V4L2 format, the cheapest to make YUV 4:2:0 of first, those without
colour last."""
COMPRESSED = {"mjpeg", "h264", "hevc"}
COST = {name: cost for cost, name in enumerate(dict.fromkeys(PIXEL_FORMATS.values()))}

COMMON_SIZES = [
    *[(160, 120), (320, 180), (320, 240), (640, 360), (640, 480), (800, 600), (1024, 768)],
    *[(1280, 720), (1280, 960), (1920, 1080), (2560, 1440), (3840, 2160)],
]
"""What to list of a camera that takes any size within limits, besides the largest."""
COMMON_RATES = [5.0, 10.0, 15.0, 20.0, 24.0, 25.0, 30.0, 50.0, 60.0]
"""What to list of a camera that takes any rate within limits, besides the fastest."""
MAX_ENTRIES = 256
"""More formats, sizes or rates of one kind than any driver lists: an end for a broken one."""
ASSUMED_RATE = 30.0
"""Frames a second, where a driver doesn't say."""

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

    def open(self, device: DeviceDescription, mode: Mode) -> "V4L2Capture":
        if not isinstance(mode, VideoMode):
            raise DeviceError(f"{device.label} is a camera: it needs a VideoMode, not {mode}")
        try:
            return V4L2Capture(device, mode)
        except OSError as error:
            raise open_error(error.errno, device.label, device.location) from error

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return watch_paths([NODES], changed)


class V4L2Capture:
    """A camera that streams into buffers shared with the kernel."""

    mode: Mode
    muted = False

    def __init__(self, device: DeviceDescription, mode: VideoMode) -> None:
        self._label = device.label
        self._buffers: list[mmap.mmap] = []
        self._fd = os.open(device.location, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            identity = _identify(self._fd, device.location)
            if identity is None or identity.hardware_id != device.hardware_id:
                raise DeviceLost(f"{device.label} is no longer at {device.location}")
            mode, self._frame_size = _set_mode(self._fd, device.label, mode)
            self.mode = mode
            self._decoder = decoder(mode)
            self._start()
            self._privacy_asked = -math.inf
            self._has_privacy = self._ask_privacy()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        request = abi.v4l2_requestbuffers(
            count=BUFFERS, type=abi.BufType.VIDEO_CAPTURE, memory=abi.Memory.MMAP
        )
        _ioctl(self._fd, abi.IOC.REQBUFS, request)
        for index in range(request.count):
            buffer = self._buffer(index)
            _ioctl(self._fd, abi.IOC.QUERYBUF, buffer)
            self._buffers.append(mmap.mmap(self._fd, buffer.length, offset=buffer.m.offset))
            _ioctl(self._fd, abi.IOC.QBUF, buffer)
        _ioctl(self._fd, abi.IOC.STREAMON, ctypes.c_int(abi.BufType.VIDEO_CAPTURE))
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def _buffer(self, index: int = 0) -> Any:
        return abi.v4l2_buffer(index=index, type=abi.BufType.VIDEO_CAPTURE, memory=abi.Memory.MMAP)

    def read(self) -> Captured | None:
        deadline = time.monotonic() + READ_TIMEOUT
        if self._has_privacy and deadline - self._privacy_asked > PRIVACY_INTERVAL:
            self._ask_privacy()
        while (left := deadline - time.monotonic()) > 0:
            if not self._poll.poll(math.ceil(left * 1000)):
                continue
            try:
                frame, at = self._dequeue()
            except OSError as error:
                reason = error.strerror or str(error)
                raise DeviceLost(f"{self._label} stopped delivering pictures: {reason}") from error
            if frame:
                return Captured(frame, at)
        return None

    def _dequeue(self) -> tuple[VideoFrame | None, float]:
        buffer = self._buffer()
        _ioctl(self._fd, abi.IOC.DQBUF, buffer)
        now = time.monotonic()
        frame = None
        if not buffer.flags & abi.BufferFlag.ERROR:
            size = min(buffer.bytesused, self._frame_size or buffer.bytesused)
            packet = Packet(size)
            with memoryview(self._buffers[buffer.index]) as data, data[:size] as picture:
                packet.update(picture)  # type: ignore[arg-type]  # takes any buffer
            frame = self._decode(packet)
        stamp = buffer.timestamp.secs + buffer.timestamp.usecs / 1e6
        clock = buffer.flags & abi.BufferFlag.TIMESTAMP_MASK
        _ioctl(self._fd, abi.IOC.QBUF, buffer)
        return frame, min(stamp, now) if clock == abi.BufferFlag.TIMESTAMP_MONOTONIC else now

    def _decode(self, packet: "Packet[Any]") -> VideoFrame | None:
        """The newest picture in a packet; none when it is damaged or only a part of one."""
        try:
            frames = self._decoder.decode(packet)
        except FFmpegError:
            return None
        for frame in frames:
            frame.pict_type = 0  # else it would tell an encoder to make a key frame
        return frames[-1] if frames else None

    def _ask_privacy(self) -> bool:
        """Learn whether the privacy switch is on; False when the camera has none."""
        self._privacy_asked = time.monotonic()
        privacy = _control(self._fd, abi.ControlID.PRIVACY)
        self.muted = bool(privacy)
        return privacy is not None

    def close(self) -> None:
        if self._fd < 0:
            return
        with suppress(OSError):  # the device may be gone
            _ioctl(self._fd, abi.IOC.STREAMOFF, ctypes.c_int(abi.BufType.VIDEO_CAPTURE))
        for buffer in self._buffers:
            buffer.close()
        os.close(self._fd)  # frees the buffers
        self._fd = -1


def decoder(mode: VideoMode) -> Any:
    """What turns a buffer of the camera into frames."""
    if mode.pixel_format in COMPRESSED:
        return CodecContext.create(mode.pixel_format, "r")
    context = CodecContext.create("rawvideo", "r")
    context.width, context.height = mode.width, mode.height
    context.pix_fmt = mode.pixel_format
    return context


class _Identity(NamedTuple):
    hardware_id: str
    label: str
    group: str
    driver: str


def _describe(node: str) -> DeviceDescription | None:
    """A capture device; None when the node is none, or has just gone."""
    try:
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return _describe_forbidden(node)
    except OSError:
        return None
    try:
        identity = _identify(fd, node)
        if identity is None:
            return None
        modes = best_modes(_modes(fd))
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
    _ioctl(fd, abi.IOC.QUERYCAP, capability)
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
    orientation = _control(fd, abi.ControlID.CAMERA_ORIENTATION)
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
    for mode in sorted(modes, key=lambda mode: COST[mode.pixel_format]):
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


def _modes(fd: int) -> Iterator[VideoMode]:
    for entry in _enumerate(fd, abi.IOC.ENUM_FMT, abi.v4l2_fmtdesc(type=abi.BufType.VIDEO_CAPTURE)):
        fourcc: int = entry.pixelformat
        name = PIXEL_FORMATS.get(fourcc.to_bytes(4, "little").decode("latin-1"))
        if name is None:
            continue
        for width, height in _sizes(fd, fourcc):
            for rate in _rates(fd, fourcc, width, height):
                yield VideoMode(width, height, rate, name)


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
        _ioctl(fd, abi.IOC.G_FMT, current)
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
            rates.append(_rate(entry.discrete))
        else:
            rates += stepwise_rates(_rate(entry.stepwise.max), _rate(entry.stepwise.min))
    return rates or [ASSUMED_RATE]


def stepwise_rates(slowest: float, fastest: float) -> list[float]:
    """The common rates within a camera's limits, and its fastest."""
    return [*(rate for rate in COMMON_RATES if slowest <= rate < fastest), fastest]


def _rate(interval: Any) -> float:
    """Frames a second of a `v4l2_fract` of seconds."""
    if not interval.numerator or not interval.denominator:
        return ASSUMED_RATE
    rate: float = round(interval.denominator / interval.numerator, 3)
    return rate


def _set_mode(fd: int, label: str, mode: VideoMode) -> tuple[VideoMode, int]:
    """Set the format and rate.

    :return: the mode that the driver took; the bytes of a picture, or 0 when they vary.
    """
    wanted = abi.v4l2_format(type=abi.BufType.VIDEO_CAPTURE)
    pix = wanted.fmt.pix
    pix.width, pix.height, pix.field = mode.width, mode.height, abi.Field.ANY
    for fourcc, name in PIXEL_FORMATS.items():
        if name != mode.pixel_format:
            continue
        pix.pixelformat = int.from_bytes(fourcc.encode(), "little")
        _ioctl(fd, abi.IOC.S_FMT, wanted)
        if pix.pixelformat == int.from_bytes(fourcc.encode(), "little"):
            break
    else:
        raise DeviceError(f"{label} delivers no {mode.pixel_format or 'unnamed format'}")
    size = 0
    if mode.pixel_format not in COMPRESSED:
        layout = VideoFormat(mode.pixel_format, pix.width, pix.height)
        bits = layout.padded_bits_per_pixel
        size = pix.width * pix.height * bits // 8
        if pix.bytesperline > pix.width * (8 if layout.is_planar else bits) // 8:
            raise DeviceError(
                f"{label} pads the lines of its {pix.width}x{pix.height} {mode.pixel_format} "
                "pictures, which can't be read: ask for another size"
            )
    return VideoMode(pix.width, pix.height, _set_rate(fd, mode), mode.pixel_format), size


def _set_rate(fd: int, mode: VideoMode) -> float:
    """Ask for the mode's rate; the nearest that the driver has is what it takes and says."""
    rate = Fraction(mode.frame_rate).limit_denominator(1001)
    wanted = abi.v4l2_streamparm(type=abi.BufType.VIDEO_CAPTURE)
    interval = wanted.parm.capture.timeperframe
    interval.numerator, interval.denominator = rate.denominator, rate.numerator
    try:
        _ioctl(fd, abi.IOC.S_PARM, wanted)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTTY):
            raise
        return mode.frame_rate  # it has one rate only, and the mode was listed with it
    return _rate(interval)


def _control(fd: int, control: int) -> int | None:
    """A control's value; None when the device hasn't got it."""
    wanted = abi.v4l2_control(id=control)
    try:
        _ioctl(fd, abi.IOC.G_CTRL, wanted)
    except OSError:
        return None
    value: int = wanted.value
    return value


def _enumerate(fd: int, request: int, entry: Any) -> Iterator[Any]:
    """Count up `entry.index` until the driver knows no more."""
    for entry.index in range(MAX_ENTRIES):
        try:
            _ioctl(fd, request, entry)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return
            raise
        yield entry


def _ioctl(fd: int, request: int, argument: Any) -> None:
    fcntl.ioctl(fd, request, argument)
