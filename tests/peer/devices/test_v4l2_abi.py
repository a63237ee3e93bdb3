"""V4L2's structures and request numbers are the kernel's, whatever machine these tests run on."""

import ctypes
import runpy
from typing import Any

import pytest

from peer.devices import v4l2_abi

# Printed by C programs that include linux/videodev2.h: for 64 bits, and for 32 where it differs.
REQUESTS = {
    "QUERYCAP": (0x80685600,),
    "ENUM_FMT": (0xC0405602,),
    "G_FMT": (0xC0D05604, 0xC0CC5604),
    "S_FMT": (0xC0D05605, 0xC0CC5605),
    "REQBUFS": (0xC0145608,),
    "QUERYBUF": (0xC0585609, 0xC0445609),
    "QBUF": (0xC058560F, 0xC044560F),
    "DQBUF": (0xC0585611, 0xC0445611),
    "STREAMON": (0x40045612,),
    "STREAMOFF": (0x40045613,),
    "S_PARM": (0xC0CC5616,),
    "G_CTRL": (0xC008561B,),
    "S_CTRL": (0xC008561C,),
    "QUERYCTRL": (0xC0445624,),
    "QUERYMENU": (0xC02C5625,),
    "S_EXT_CTRLS": (0xC0205648, 0xC0185648),
    "DQEVENT": (0x80885659, 0x80805659),
    "SUBSCRIBE_EVENT": (0x4020565A,),
    "ENUM_FRAMESIZES": (0xC02C564A,),
    "ENUM_FRAMEINTERVALS": (0xC034564B,),
}
OFFSETS = {
    "v4l2_buffer.timestamp": (24, 20),
    "v4l2_buffer.timecode": (40, 28),
    "v4l2_buffer.sequence": (56, 44),
    "v4l2_buffer.memory": (60, 48),
    "v4l2_buffer.m": (64, 52),
    "v4l2_buffer.length": (72, 56),
    "v4l2_buffer.request_fd": (80, 64),
    "v4l2_format.fmt": (8, 4),
    "v4l2_streamparm.parm": (4,),
    "v4l2_capability.capabilities": (84,),
    "v4l2_capability.device_caps": (88,),
    "v4l2_captureparm.timeperframe": (8,),
    "v4l2_pix_format.bytesperline": (16,),
    "v4l2_pix_format.colorspace": (24,),
    "v4l2_pix_format.quantization": (40,),
    "v4l2_frmsizeenum.discrete": (12,),
    "v4l2_frmivalenum.discrete": (20,),
    "v4l2_fmtdesc.pixelformat": (44,),
}


@pytest.fixture(params=[64, 32])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Any]:
    """The index of a machine's column in the tables, and the module as it is there."""
    bits: int = request.param
    for signed, name in ((True, "c_long"), (False, "c_ulong"), (False, "c_void_p")):
        monkeypatch.setattr(ctypes, name, getattr(ctypes, f"c_{'' if signed else 'u'}int{bits}"))
    return (0 if bits == 64 else -1), runpy.run_path(v4l2_abi.__file__)


def test_request_numbers_and_so_sizes_are_the_kernel_s(machine: tuple[int, Any]) -> None:
    column, abi = machine
    ours = {name: number for name, number in vars(abi["IOC"]).items() if name.isupper()}
    assert ours == {name: numbers[column] for name, numbers in REQUESTS.items()}


def test_members_lie_where_the_kernel_has_them(machine: tuple[int, Any]) -> None:
    column, abi = machine
    ours = {}
    for path in OFFSETS:
        structure, member = path.split(".")
        ours[path] = getattr(abi[structure], member).offset
    assert ours == {path: offsets[column] for path, offsets in OFFSETS.items()}


def test_four_letter_codes() -> None:
    assert v4l2_abi.fourcc("YUYV") == 0x56595559
    assert v4l2_abi.fourcc("Y16 ") == 0x20363159
