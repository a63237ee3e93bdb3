"""What V4L2 decides without a camera: formats, sizes, rates, names, decoding."""

import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

import peer
from peer.devices import v4l2_abi
from peer.devices.backend import VideoMode
from peer.devices.v4l2 import (
    best_modes,
    clean_label,
    decoder,
    facing_mode_of,
    stepwise_rates,
    stepwise_sizes,
)


def test_cheapest_format_of_each_size_and_rate() -> None:
    modes = [
        VideoMode(640, 480, 30.0, "mjpeg"),
        VideoMode(640, 480, 30.0, "rgb24"),
        VideoMode(640, 480, 30.0, "yuyv422"),
        VideoMode(640, 480, 30.0, "yuv420p"),
        VideoMode(640, 480, 30.0, "nv12"),
        VideoMode(640, 480, 30.0, "gray"),
    ]
    order = []
    while modes:
        (best,) = best_modes(modes)
        order.append(best.pixel_format)
        modes.remove(best)
    assert order == ["yuv420p", "nv12", "yuyv422", "mjpeg", "rgb24", "gray"]


def test_compressed_where_raw_is_too_slow() -> None:
    """A USB 2 camera: raw video at 720p reaches 10 frames a second."""
    modes = best_modes(
        [
            VideoMode(1280, 720, 10.0, "yuyv422"),
            VideoMode(1280, 720, 30.0, "mjpeg"),
            VideoMode(1280, 720, 10.0, "mjpeg"),
        ]
    )
    assert set(modes) == {
        VideoMode(1280, 720, 10.0, "yuyv422"),
        VideoMode(1280, 720, 30.0, "mjpeg"),
    }


def test_preferred_mode_is_what_browsers_take() -> None:
    modes = best_modes(
        VideoMode(width, height, rate, "nv12")
        for width, height in [(1920, 1080), (320, 240), (640, 480), (1280, 720)]
        for rate in (60.0, 15.0, 30.0)
    )
    assert modes[0] == VideoMode(640, 480, 30.0, "nv12")
    assert modes[-1] in {VideoMode(1920, 1080, 60.0, "nv12"), VideoMode(1920, 1080, 15.0, "nv12")}


def test_sizes_within_steps() -> None:
    sizes = stepwise_sizes(range(64, 1936 + 1, 16), range(64, 1096 + 1, 8))
    assert (640, 480) in sizes
    assert (1920, 1080) in sizes
    assert (2560, 1440) not in sizes, "larger than the camera's largest"
    assert (1936, 1096) in sizes, "the largest, which no list has"
    assert stepwise_sizes(range(640, 641), range(480, 481)) == [(640, 480)]


def test_largest_size_follows_the_steps() -> None:
    assert stepwise_sizes(range(16, 100 + 1, 16), range(16, 100 + 1, 16)) == [(96, 96)]


def test_rates_within_limits() -> None:
    assert stepwise_rates(7.5, 30.0) == [10.0, 15.0, 20.0, 24.0, 25.0, 30.0]
    assert stepwise_rates(1.0, 29.97)[-1] == 29.97
    assert stepwise_rates(60.0, 60.0) == [60.0]


@pytest.mark.parametrize(
    ("card", "label"),
    [
        ("Integrated Camera: Integrated C", "Integrated Camera"),
        ("USB Camera: USB Camera", "USB Camera"),
        ("HD Pro Webcam C920", "HD Pro Webcam C920"),
        ("Capture: HDMI 2", "Capture: HDMI 2"),
    ],
)
def test_label_is_said_once(card: str, label: str) -> None:
    assert clean_label(card) == label


@pytest.mark.parametrize(
    ("label", "facing"),
    [
        ("Surface Camera Front", "user"),
        ("User facing camera", "user"),
        ("ov5693 rear", "environment"),
        ("Back Camera", "environment"),
        ("World-facing", "environment"),
        ("Logitech BRIO", None),
        ("Backstage Frontier", None),
    ],
)
def test_facing_mode_from_label(label: str, facing: str | None) -> None:
    assert facing_mode_of(label) == facing


@pytest.mark.parametrize(
    ("pixel_format", "size"),
    [("yuyv422", 2), ("nv12", 1.5), ("yuv420p", 1.5), ("rgb24", 3), ("gray", 1)],
)
def test_raw_picture_keeps_its_bytes(pixel_format: str, size: float) -> None:
    width, height = 64, 48
    data = np.arange(int(width * height * size), dtype=np.uint8).tobytes()
    (frame,) = decoder(VideoMode(width, height, 30.0, pixel_format)).decode(av.Packet(data))
    assert (frame.width, frame.height, frame.format.name) == (width, height, pixel_format)
    assert b"".join(bytes(plane) for plane in frame.planes) == data


@pytest.mark.parametrize(
    ("codec", "encoder", "pixel_format"),
    [("mjpeg", "mjpeg", "yuvj420p"), ("h264", "libx264", "yuv420p")],
)
def test_each_compressed_picture_comes_at_once(codec: str, encoder: str, pixel_format: str) -> None:
    """A decoder that held pictures back would add that many frames of delay."""
    packets = _encode(encoder, pixel_format)
    context = decoder(VideoMode(64, 48, 30.0, codec))
    for packet in packets:
        (frame,) = context.decode(av.Packet(packet))
        assert (frame.width, frame.height) == (64, 48)


def _encode(encoder: str, pixel_format: str) -> list[bytes]:
    """Some pictures as a camera with such an encoder makes them."""
    with av.open(io.BytesIO(), "w", format="matroska") as container:
        stream = container.add_stream(encoder, rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        if encoder == "libx264":
            stream.options = {"tune": "zerolatency", "preset": "ultrafast"}
        packets = []
        for number in range(5):
            picture = np.full((48, 64, 3), number * 40, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            packets += stream.encode(frame.reformat(format=pixel_format))
        packets += stream.encode()
    data = [bytes(packet) for packet in packets]
    # As cameras send H.264: its parameters before the first picture.
    return [(stream.codec_context.extradata or b"") + data[0], *data[1:]]


OTHER_SYSTEM = """
import ctypes, sys
import peer.devices.backend
sys.platform = "win32"
for module in ("fcntl", "grp"):
    sys.modules[module] = None
from peer.devices import alsa, screen, v4l2
v4l2.NODES = "/no/such/video*"
for backend in (v4l2.V4L2Backend(), screen.ScreenBackend("")):
    assert list(backend.list_devices()) == [], backend.name
    backend.watch(print)()
"""


def test_other_systems_have_none() -> None:
    """Neither modules that only Linux has nor inotify are needed to find that there is nothing."""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", OTHER_SYSTEM],
        cwd=Path(peer.__file__).parents[1],
        check=True,
    )


LINUXPY_NAMES = {
    "QUERYCAP", "ENUM_FMT", "G_FMT", "S_FMT", "REQBUFS", "QUERYBUF", "QBUF", "DQBUF", "STREAMON",
    "STREAMOFF", "S_PARM", "G_CTRL", "S_CTRL", "ENUM_FRAMESIZES", "ENUM_FRAMEINTERVALS",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(LINUXPY_NAMES))
def test_request_numbers_and_so_sizes_are_those_that_others_use(name: str) -> None:
    raw = pytest.importorskip("linuxpy.video.raw", exc_type=ImportError)
    assert getattr(v4l2_abi.IOC, name) == getattr(raw.IOC, name) % 2**32, "theirs is signed"


def test_members_lie_where_others_have_them() -> None:
    raw = pytest.importorskip("linuxpy.video.raw", exc_type=ImportError)
    for structure in ("v4l2_buffer", "v4l2_pix_format", "v4l2_captureparm", "v4l2_capability"):
        ours, theirs = getattr(v4l2_abi, structure), getattr(raw, structure)
        for name, *_ in ours._fields_:
            if hasattr(theirs, name):
                assert getattr(ours, name).offset == getattr(theirs, name).offset, name
