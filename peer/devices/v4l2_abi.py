"""The part of the kernel's V4L2 interface that capture needs (include/uapi/linux/videodev2.h).

Structures and members have the kernel's names. Sizes follow the machine, so the request numbers,
into which they go, are right on 32 and 64 bits of x86, Arm and RISC-V.
"""

import ctypes
import sys
from enum import IntEnum, IntFlag
from typing import Any

if sys.platform == "linux":
    import fcntl

u8, u32, s32 = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_int32


class BufType(IntEnum):
    """enum v4l2_buf_type."""

    VIDEO_CAPTURE = 1


class Memory(IntEnum):
    """enum v4l2_memory."""

    MMAP = 1


class Field(IntEnum):
    """enum v4l2_field."""

    ANY = 0


class SizeType(IntEnum):
    """enum v4l2_frmsizetypes and enum v4l2_frmivaltypes."""

    DISCRETE = 1


class Colorspace(IntEnum):
    """enum v4l2_colorspace."""

    SMPTE240M = 2
    REC709 = 3
    JPEG = 7
    BT2020 = 10
    DCI_P3 = 12


class YCbCrEncoding(IntEnum):
    """enum v4l2_ycbcr_encoding."""

    DEFAULT = 0
    BT601 = 1
    BT709 = 2
    XV709 = 4
    BT2020 = 6
    SMPTE240M = 8


class Quantization(IntEnum):
    """enum v4l2_quantization."""

    DEFAULT = 0
    FULL_RANGE = 1
    LIM_RANGE = 2


class Capability(IntFlag):
    """V4L2_CAP_…"""

    VIDEO_CAPTURE = 0x00000001
    STREAMING = 0x04000000
    DEVICE_CAPS = 0x80000000


class BufferFlag(IntFlag):
    """V4L2_BUF_FLAG_…"""

    KEYFRAME = 0x0008
    ERROR = 0x0040
    TIMESTAMP_MASK = 0xE000
    TIMESTAMP_MONOTONIC = 0x2000


class ControlID(IntEnum):
    """V4L2_CID_…"""

    BRIGHTNESS = 0x00980900
    CONTRAST = 0x00980901
    SATURATION = 0x00980902
    AUTO_WHITE_BALANCE = 0x0098090C
    DO_WHITE_BALANCE = 0x0098090D
    WHITE_BALANCE_TEMPERATURE = 0x0098091A
    SHARPNESS = 0x0098091B
    FORCE_KEY_FRAME = 0x009909E5
    EXPOSURE_AUTO = 0x009A0901
    EXPOSURE_ABSOLUTE = 0x009A0902
    PAN_ABSOLUTE = 0x009A0908
    TILT_ABSOLUTE = 0x009A0909
    FOCUS_ABSOLUTE = 0x009A090A
    FOCUS_AUTO = 0x009A090C
    ZOOM_ABSOLUTE = 0x009A090D
    AUTO_EXPOSURE_BIAS = 0x009A0913
    ISO_SENSITIVITY = 0x009A0917
    ISO_SENSITIVITY_AUTO = 0x009A0918
    AUTO_FOCUS_START = 0x009A091C
    PRIVACY = 0x009A0910
    CAMERA_ORIENTATION = 0x009A0922
    FLASH_LED_MODE = 0x009C0901


class ControlFlag(IntFlag):
    """V4L2_CTRL_FLAG_…"""

    DISABLED = 0x0001
    READ_ONLY = 0x0004


class ControlType(IntEnum):
    """enum v4l2_ctrl_type."""

    MENU = 3
    INTEGER_MENU = 9


EVENT_CTRL = 3
"""V4L2_EVENT_CTRL"""


class v4l2_capability(ctypes.Structure):
    _fields_ = (
        ("driver", ctypes.c_char * 16),
        ("card", ctypes.c_char * 32),
        ("bus_info", ctypes.c_char * 32),
        ("version", u32),
        ("capabilities", u32),
        ("device_caps", u32),
        ("reserved", u32 * 3),
    )


class v4l2_fmtdesc(ctypes.Structure):
    _fields_ = (
        ("index", u32),
        ("type", u32),
        ("flags", u32),
        ("description", ctypes.c_char * 32),
        ("pixelformat", u32),
        ("mbus_code", u32),
        ("reserved", u32 * 3),
    )


class v4l2_fract(ctypes.Structure):
    _fields_ = (("numerator", u32), ("denominator", u32))


class v4l2_frmsize_discrete(ctypes.Structure):
    _fields_ = (("width", u32), ("height", u32))


class v4l2_frmsize_stepwise(ctypes.Structure):
    _fields_ = (
        ("min_width", u32),
        ("max_width", u32),
        ("step_width", u32),
        ("min_height", u32),
        ("max_height", u32),
        ("step_height", u32),
    )


class _frmsize(ctypes.Union):
    _fields_ = (("discrete", v4l2_frmsize_discrete), ("stepwise", v4l2_frmsize_stepwise))


class v4l2_frmsizeenum(ctypes.Structure):
    _anonymous_ = ("size",)
    _fields_ = (
        ("index", u32),
        ("pixel_format", u32),
        ("type", u32),
        ("size", _frmsize),
        ("reserved", u32 * 2),
    )


class v4l2_frmival_stepwise(ctypes.Structure):
    _fields_ = (("min", v4l2_fract), ("max", v4l2_fract), ("step", v4l2_fract))


class _frmival(ctypes.Union):
    _fields_ = (("discrete", v4l2_fract), ("stepwise", v4l2_frmival_stepwise))


class v4l2_frmivalenum(ctypes.Structure):
    _anonymous_ = ("interval",)
    _fields_ = (
        ("index", u32),
        ("pixel_format", u32),
        ("width", u32),
        ("height", u32),
        ("type", u32),
        ("interval", _frmival),
        ("reserved", u32 * 2),
    )


class v4l2_pix_format(ctypes.Structure):
    _fields_ = (
        ("width", u32),
        ("height", u32),
        ("pixelformat", u32),
        ("field", u32),
        ("bytesperline", u32),
        ("sizeimage", u32),
        ("colorspace", u32),
        ("priv", u32),
        ("flags", u32),
        ("ycbcr_enc", u32),
        ("quantization", u32),
        ("xfer_func", u32),
    )


class _format(ctypes.Union):
    # Another member of the kernel's union has pointers, which gives it their alignment.
    _fields_ = (("pix", v4l2_pix_format), ("raw_data", u8 * 200), ("_align", ctypes.c_void_p))


class v4l2_format(ctypes.Structure):
    _fields_ = (("type", u32), ("fmt", _format))


class v4l2_captureparm(ctypes.Structure):
    _fields_ = (
        ("capability", u32),
        ("capturemode", u32),
        ("timeperframe", v4l2_fract),
        ("extendedmode", u32),
        ("readbuffers", u32),
        ("reserved", u32 * 4),
    )


class _parm(ctypes.Union):
    _fields_ = (("capture", v4l2_captureparm), ("raw_data", u8 * 200))


class v4l2_streamparm(ctypes.Structure):
    _fields_ = (("type", u32), ("parm", _parm))


class v4l2_requestbuffers(ctypes.Structure):
    _fields_ = (
        ("count", u32),
        ("type", u32),
        ("memory", u32),
        ("capabilities", u32),
        ("flags", u8),
        ("reserved", u8 * 3),
    )


class timeval(ctypes.Structure):
    _fields_ = (("secs", ctypes.c_long), ("usecs", ctypes.c_long))


class v4l2_timecode(ctypes.Structure):
    _fields_ = (
        ("type", u32),
        ("flags", u32),
        ("frames", u8),
        ("seconds", u8),
        ("minutes", u8),
        ("hours", u8),
        ("userbits", u8 * 4),
    )


class _memory(ctypes.Union):
    _fields_ = (("offset", u32), ("userptr", ctypes.c_ulong), ("fd", s32))


class v4l2_buffer(ctypes.Structure):
    _fields_ = (
        ("index", u32),
        ("type", u32),
        ("bytesused", u32),
        ("flags", u32),
        ("field", u32),
        ("timestamp", timeval),
        ("timecode", v4l2_timecode),
        ("sequence", u32),
        ("memory", u32),
        ("m", _memory),
        ("length", u32),
        ("reserved2", u32),
        ("request_fd", s32),
    )


class v4l2_control(ctypes.Structure):
    _fields_ = (("id", u32), ("value", s32))


class v4l2_queryctrl(ctypes.Structure):
    _fields_ = (
        ("id", u32),
        ("type", u32),
        ("name", u8 * 32),
        ("minimum", s32),
        ("maximum", s32),
        ("step", s32),
        ("default_value", s32),
        ("flags", u32),
        ("reserved", u32 * 2),
    )


class _menu(ctypes.Union):
    _pack_ = 1
    _fields_ = (("name", u8 * 32), ("value", ctypes.c_int64))


class v4l2_querymenu(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("id", u32), ("index", u32), ("u", _menu), ("reserved", u32))


class _ext_value(ctypes.Union):
    _pack_ = 1
    _fields_ = (("value", s32), ("value64", ctypes.c_int64))


class v4l2_ext_control(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("id", u32), ("size", u32), ("reserved2", u32), ("u", _ext_value))


class v4l2_ext_controls(ctypes.Structure):
    _fields_ = (
        ("which", u32),
        ("count", u32),
        ("error_idx", u32),
        ("request_fd", s32),
        ("reserved", u32),
        ("controls", ctypes.c_void_p),  # v4l2_ext_control[count]
    )


class v4l2_event_subscription(ctypes.Structure):
    _fields_ = (("type", u32), ("id", u32), ("flags", u32), ("reserved", u32 * 5))


class timespec(ctypes.Structure):
    _fields_ = (("secs", ctypes.c_long), ("nsecs", ctypes.c_long))


class _event(ctypes.Union):
    # What happened, which isn't read here; an s64 among it decides where it lies.
    _fields_ = (("data", u8 * 64), ("value64", ctypes.c_int64))


class v4l2_event(ctypes.Structure):
    _fields_ = (
        ("type", u32),
        ("u", _event),
        ("pending", u32),
        ("sequence", u32),
        ("timestamp", timespec),
        ("id", u32),
        ("reserved", u32 * 8),
    )


_WRITE, _READ = 1, 2


def _request(direction: int, number: int, structure: type[Any]) -> int:
    """The kernel's _IOC() for the type 'V' of V4L2."""
    return direction << 30 | ctypes.sizeof(structure) << 16 | ord("V") << 8 | number


class IOC:
    """VIDIOC_…"""

    QUERYCAP = _request(_READ, 0, v4l2_capability)
    ENUM_FMT = _request(_READ | _WRITE, 2, v4l2_fmtdesc)
    G_FMT = _request(_READ | _WRITE, 4, v4l2_format)
    S_FMT = _request(_READ | _WRITE, 5, v4l2_format)
    REQBUFS = _request(_READ | _WRITE, 8, v4l2_requestbuffers)
    QUERYBUF = _request(_READ | _WRITE, 9, v4l2_buffer)
    QBUF = _request(_READ | _WRITE, 15, v4l2_buffer)
    DQBUF = _request(_READ | _WRITE, 17, v4l2_buffer)
    STREAMON = _request(_WRITE, 18, ctypes.c_int)
    STREAMOFF = _request(_WRITE, 19, ctypes.c_int)
    S_PARM = _request(_READ | _WRITE, 22, v4l2_streamparm)
    G_CTRL = _request(_READ | _WRITE, 27, v4l2_control)
    S_CTRL = _request(_READ | _WRITE, 28, v4l2_control)
    QUERYCTRL = _request(_READ | _WRITE, 36, v4l2_queryctrl)
    QUERYMENU = _request(_READ | _WRITE, 37, v4l2_querymenu)
    S_EXT_CTRLS = _request(_READ | _WRITE, 72, v4l2_ext_controls)
    DQEVENT = _request(_READ, 89, v4l2_event)
    SUBSCRIBE_EVENT = _request(_WRITE, 90, v4l2_event_subscription)
    ENUM_FRAMESIZES = _request(_READ | _WRITE, 74, v4l2_frmsizeenum)
    ENUM_FRAMEINTERVALS = _request(_READ | _WRITE, 75, v4l2_frmivalenum)


def fourcc(code: str) -> int:
    """The kernel's v4l2_fourcc(): the number of a four-letter code."""
    return int.from_bytes(code.encode("ascii"), "little")


def ioctl(fd: int, request: int, argument: Any) -> None:
    """Call the driver, which may change the argument.

    :raises OSError: with the driver's error number.
    """
    fcntl.ioctl(fd, request, argument)


def get_control(fd: int, control: ControlID) -> int | None:
    """A control's value; None when the device hasn't got it."""
    wanted = v4l2_control(id=control)
    try:
        ioctl(fd, IOC.G_CTRL, wanted)
    except OSError:
        return None
    value: int = wanted.value
    return value


def set_control(fd: int, control: ControlID, value: int) -> None:
    """Set a control.

    :raises OSError: the device hasn't got it, or refuses the value.
    """
    ioctl(fd, IOC.S_CTRL, v4l2_control(id=control, value=value))
