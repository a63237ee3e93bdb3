"""An open V4L2 camera: its mode is set, it streams into mapped buffers, each becomes a frame."""

import ctypes
import errno
import math
import mmap
import os
import select
import time
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from av import VideoFormat, VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from ..controls import ControlValue
from . import v4l2_abi as abi
from .annex_b import is_well_formed, starts_keyframe
from .backend import Captured, DeviceError, DeviceLost, EncodedPicture, Mode, VideoMode
from .v4l2_controls import V4L2Controls

# Capture is by ioctl and FFmpeg decodes. FFmpeg's own `v4l2` input blocks inside the driver, out of
# reach of its time-outs and interrupts, so that opening or reading a camera which delivers nothing
# hangs the thread for good; in its non-blocking form it burns a core while opening.

READ_TIMEOUT = 0.1
"""Seconds until `read()` answers that there is no frame: the protocol's limit."""
PRIVACY_INTERVAL = 0.5
"""Seconds between questions about the privacy switch: each can cost a USB transfer."""
BUFFERS = 4
"""Enough that one late wake-up loses no frame at 60 fps; more would only be memory."""
ASSUMED_RATE = 30.0
"""Frames a second, where a driver doesn't say."""

PIXEL_FORMATS = {
    "YU12": "yuv420p",
    "NV12": "nv12",
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "YVYU": "yvyu422",
    "NV16": "nv16",
    "422P": "yuv422p",
    "H264": "h264",
    "MJPG": "mjpeg",
    "JPEG": "mjpeg",
    "RGB3": "rgb24",
    "BGR3": "bgr24",
    "XR24": "bgr0",
    "AR24": "bgra",
    "GREY": "gray",
    "Y16 ": "gray16le",
}
"""FFmpeg's name of each V4L2 format, the cheapest to make YUV 4:2:0 of first, those without
colour last."""
COMPRESSED = {"mjpeg", "h264"}


class V4L2Capture:
    """A camera that streams into buffers shared with the kernel.

    :param fd: the camera's node, open and non-blocking. It belongs to the capture from here on, and
        is closed when this fails.
    :param label: what messages call the camera.
    :raises OSError: from the driver.
    :raises DeviceError: the camera hasn't got the mode's pixel format.
    """

    muted = False

    def __init__(self, fd: int, label: str, mode: VideoMode) -> None:
        self._fd = fd
        self._label = label
        self._buffers: list[mmap.mmap] = []
        try:
            pix = _set_format(fd, label, mode)
            taken = VideoMode(pix.width, pix.height, _set_rate(fd, mode), mode.pixel_format)
            self.mode: Mode = taken
            compressed = mode.pixel_format in COMPRESSED
            self._broken = False
            self._picture = None if compressed else RawPicture(taken, pix)
            self._start()
            self._controls = V4L2Controls(fd)
            self._controls.subscribe()
            self.controls: Mapping[str, ControlValue] = self._controls.values()
            self._privacy_asked = -math.inf
            self._has_privacy = self._ask_privacy()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        request = abi.v4l2_requestbuffers(
            count=BUFFERS, type=abi.BufType.VIDEO_CAPTURE, memory=abi.Memory.MMAP
        )
        abi.ioctl(self._fd, abi.IOC.REQBUFS, request)
        for index in range(request.count):
            buffer = _buffer(index)
            abi.ioctl(self._fd, abi.IOC.QUERYBUF, buffer)
            self._buffers.append(mmap.mmap(self._fd, buffer.length, offset=buffer.m.offset))
            abi.ioctl(self._fd, abi.IOC.QBUF, buffer)
        abi.ioctl(self._fd, abi.IOC.STREAMON, ctypes.c_int(abi.BufType.VIDEO_CAPTURE))
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN | select.POLLPRI)

    def read(self) -> Captured | None:
        deadline = time.monotonic() + READ_TIMEOUT
        if self._has_privacy and deadline - self._privacy_asked > PRIVACY_INTERVAL:
            self._ask_privacy()
        while (left := deadline - time.monotonic()) > 0:
            ready = self._poll.poll(math.ceil(left * 1000))
            if not ready:
                continue
            try:
                if ready[0][1] & select.POLLPRI:
                    self._controls.take_events()
                    self.controls = self._controls.values()
                    continue
                captured = self._dequeue()
            except OSError as error:
                reason = error.strerror or str(error)
                raise DeviceLost(f"{self._label} stopped delivering pictures: {reason}") from error
            if captured is not None:
                return captured
        return None

    def _dequeue(self) -> Captured | None:
        """A picture; None when it is damaged."""
        buffer = _buffer()
        abi.ioctl(self._fd, abi.IOC.DQBUF, buffer)
        now = time.monotonic()
        stamp = buffer.timestamp.secs + buffer.timestamp.usecs / 1e6
        clock = buffer.flags & abi.BufferFlag.TIMESTAMP_MASK
        at = min(stamp, now) if clock == abi.BufferFlag.TIMESTAMP_MONOTONIC else now
        captured = None
        if buffer.bytesused and not buffer.flags & abi.BufferFlag.ERROR:
            with memoryview(self._buffers[buffer.index]) as data, data[: buffer.bytesused] as used:
                captured = self._captured(used, at, bool(buffer.flags & abi.BufferFlag.KEYFRAME))
        abi.ioctl(self._fd, abi.IOC.QBUF, buffer)
        return captured

    def _captured(self, data: memoryview, at: float, keyframe: bool) -> Captured | None:
        if self._picture is not None:
            frame = self._picture.copied(data)
            return Captured(frame, at) if frame is not None else None
        assert isinstance(self.mode, VideoMode)
        codec = self.mode.pixel_format
        picture = bytes(data)
        if codec == "h264":
            keyframe = keyframe or starts_keyframe(picture)
            if not is_well_formed(picture):
                self._broken = True  # and so is what builds upon it
                self.request_keyframe()
            elif keyframe:
                self._broken = False
            if self._broken:
                return None
        return Captured(None, at, EncodedPicture(codec, picture, codec == "mjpeg" or keyframe))

    def set_controls(self, values: Mapping[str, ControlValue]) -> None:
        """Set some of the camera's controls.

        :raises DeviceError: it refuses.
        """
        try:
            self._controls.set(values)
        except OSError as error:
            names = " and ".join(values)
            reason = error.strerror or str(error)
            raise DeviceError(f"{self._label} did not take {names}: {reason}") from error
        finally:
            self.controls = self._controls.values()

    def request_keyframe(self) -> None:
        """Ask a camera that compresses to H.264 for a key frame; not every one can be asked."""
        with suppress(OSError):
            abi.set_control(self._fd, abi.ControlID.FORCE_KEY_FRAME, 1)

    def _ask_privacy(self) -> bool:
        """Learn whether the privacy switch is on; False when the camera has none."""
        self._privacy_asked = time.monotonic()
        privacy = abi.get_control(self._fd, abi.ControlID.PRIVACY)
        self.muted = bool(privacy)
        return privacy is not None

    def close(self) -> None:
        if self._fd < 0:
            return
        with suppress(OSError):  # the device may be gone
            abi.ioctl(self._fd, abi.IOC.STREAMOFF, ctypes.c_int(abi.BufType.VIDEO_CAPTURE))
        for buffer in self._buffers:
            buffer.close()
        os.close(self._fd)  # frees the buffers
        self._fd = -1


def _buffer(index: int = 0) -> abi.v4l2_buffer:
    return abi.v4l2_buffer(index=index, type=abi.BufType.VIDEO_CAPTURE, memory=abi.Memory.MMAP)


def _set_format(fd: int, label: str, mode: VideoMode) -> Any:
    """Set the size and format.

    :return: the `v4l2_pix_format` that the driver took, whose size may be another.
    """
    wanted = abi.v4l2_format(type=abi.BufType.VIDEO_CAPTURE)
    pix = wanted.fmt.pix
    for code, name in PIXEL_FORMATS.items():
        if name != mode.pixel_format:
            continue
        number = abi.fourcc(code)
        pix.width, pix.height, pix.field = mode.width, mode.height, abi.Field.ANY
        pix.pixelformat, pix.bytesperline = number, 0  # as few bytes as the driver can
        abi.ioctl(fd, abi.IOC.S_FMT, wanted)
        if pix.pixelformat == number:
            return pix
    raise DeviceError(f"{label} delivers no {mode.pixel_format or 'unnamed format'}")


def _set_rate(fd: int, mode: VideoMode) -> float:
    """Ask for the mode's rate; the nearest that the driver has is what it takes and says."""
    rate = Fraction(mode.frame_rate).limit_denominator(1001)
    wanted = abi.v4l2_streamparm(type=abi.BufType.VIDEO_CAPTURE)
    interval = wanted.parm.capture.timeperframe
    interval.numerator, interval.denominator = rate.denominator, rate.numerator
    try:
        abi.ioctl(fd, abi.IOC.S_PARM, wanted)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTTY):
            raise
        return mode.frame_rate  # it has one rate only, and the mode was listed with it
    return frame_rate(interval)


def frame_rate(interval: Any) -> float:
    """Frames a second of a `v4l2_fract` of seconds."""
    if not interval.numerator or not interval.denominator:
        return ASSUMED_RATE
    rate: float = round(interval.denominator / interval.numerator, 3)
    return rate


class RawPicture:
    """Uncompressed pictures of one mode, copied without what the driver adds to their lines.

    :param pix: the `v4l2_pix_format` that says how they lie in memory.
    """

    def __init__(self, mode: VideoMode, pix: Any) -> None:
        self._shape = mode.width, mode.height, mode.pixel_format
        self._color_range = color_range(pix, mode.pixel_format)
        self._matrix = color_matrix(pix)
        self._planes = plane_layout(mode, pix.bytesperline)
        if pix.sizeimage and _size(self._planes) > pix.sizeimage:
            # Some drivers count the bytes of all planes as those of a line.
            self._planes = plane_layout(mode)

    def copied(self, data: memoryview) -> VideoFrame | None:
        """The picture in a buffer; None when it is only a part of one."""
        if len(data) < _size(self._planes):
            return None
        frame = VideoFrame(*self._shape)
        frame.color_range = self._color_range
        if not frame.format.is_rgb:
            frame.colorspace = self._matrix
        for plane, target in zip(self._planes, frame.planes, strict=True):
            shape = plane.lines, plane.used
            source = np.ndarray(shape, np.uint8, data, plane.offset, (plane.stride, 1))
            pixels = np.ndarray(shape, np.uint8, target, 0, (target.line_size, 1))  # type: ignore[arg-type]  # a buffer
            pixels[:] = source
        return frame


class Plane(NamedTuple):
    """Where a plane of a picture lies in a buffer, in bytes."""

    offset: int
    lines: int
    stride: int
    """From the start of a line to that of the next."""
    used: int
    """Bytes of a line that are picture."""


def plane_layout(mode: VideoMode, bytes_per_line: int = 0) -> list[Plane]:
    """The planes of an uncompressed picture, which V4L2 puts one after the other.

    :param bytes_per_line: of the first plane; less than a line needs means that none is padded.
        Those of the others are in proportion.
    """
    layout = VideoFormat(mode.pixel_format, mode.width, mode.height)
    used: dict[int, int] = {}
    lines: dict[int, int] = {}
    for component in layout.components:
        used[component.plane] = used.get(component.plane, 0) + component.width
        lines[component.plane] = component.height
    if not layout.is_planar:
        used = {0: mode.width * layout.padded_bits_per_pixel // 8}
        lines = {0: mode.height}
    planes: list[Plane] = []
    offset = 0
    for index, needed in used.items():
        stride = needed
        if bytes_per_line > used[0]:
            halves = round(2 * needed / used[0])  # of odd widths, chroma has half and a bit
            stride = bytes_per_line * halves // 2
        planes.append(Plane(offset, lines[index], stride, needed))
        offset += lines[index] * stride
    return planes


def _size(planes: list[Plane]) -> int:
    """Bytes of a picture; the last line may lack its padding."""
    last = planes[-1]
    return last.offset + (last.lines - 1) * last.stride + last.used


def color_range(pix: Any, pixel_format: str) -> ColorRange:
    """Whether black is 0 and white 255, or 16 and 235 (V4L2_MAP_QUANTIZATION_DEFAULT)."""
    if pix.quantization != abi.Quantization.DEFAULT:
        full = pix.quantization == abi.Quantization.FULL_RANGE
    else:
        full = VideoFormat(pixel_format).is_rgb or pix.colorspace == abi.Colorspace.JPEG
    return ColorRange.JPEG if full else ColorRange.MPEG


def color_matrix(pix: Any) -> Colorspace:
    """How colours became YCbCr (V4L2_MAP_YCBCR_ENC_DEFAULT)."""
    named = {
        abi.YCbCrEncoding.BT709: Colorspace.ITU709,
        abi.YCbCrEncoding.XV709: Colorspace.ITU709,
        abi.YCbCrEncoding.BT2020: Colorspace.BT2020,
        abi.YCbCrEncoding.SMPTE240M: Colorspace.SMPTE240M,
    }
    of_colorspace = {
        abi.Colorspace.REC709: Colorspace.ITU709,
        abi.Colorspace.DCI_P3: Colorspace.ITU709,
        abi.Colorspace.BT2020: Colorspace.BT2020,
        abi.Colorspace.SMPTE240M: Colorspace.SMPTE240M,
    }
    if pix.ycbcr_enc == abi.YCbCrEncoding.DEFAULT:
        return of_colorspace.get(pix.colorspace, Colorspace.ITU601)
    return named.get(pix.ycbcr_enc, Colorspace.ITU601)
