"""What becomes of the bytes that a camera delivers: pictures, without padding."""

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from av.video.reformatter import Colorspace as AvColorspace

from peer.devices.backend import VideoMode
from peer.devices.v4l2_abi import (
    Colorspace,
    Quantization,
    YCbCrEncoding,
    v4l2_fract,
    v4l2_pix_format,
)
from peer.devices.v4l2_capture import (
    RawPicture,
    color_matrix,
    color_range,
    frame_rate,
    plane_layout,
)

WIDTH, HEIGHT = 64, 48
RAW = {
    "yuv420p": [(48, 64), (24, 32), (24, 32)],
    "yuv422p": [(48, 64), (48, 32), (48, 32)],
    "nv12": [(48, 64), (24, 64)],
    "nv16": [(48, 64), (48, 64)],
    "yuyv422": [(48, 128)],
    "rgb24": [(48, 192)],
    "bgr0": [(48, 256)],
    "gray": [(48, 64)],
    "gray16le": [(48, 128)],
}
"""The lines of each plane, and the bytes of a line."""


def picture_lines(pixel_format: str) -> list[np.ndarray]:
    numbers = np.random.default_rng(1)
    return [numbers.integers(0, 256, shape, np.uint8) for shape in RAW[pixel_format]]


def in_memory(planes: list[np.ndarray], padding: int) -> bytes:
    """Planes as a driver stores them that adds so many bytes to each line of the first one."""
    stored = []
    for plane in planes:
        extra = padding * plane.shape[1] // planes[0].shape[1]
        stored.append(np.pad(plane, ((0, 0), (0, extra)), constant_values=0xEE).tobytes())
    return b"".join(stored)


def decode(pixel_format: str, data: bytes, **pix: int) -> av.VideoFrame | None:
    mode = VideoMode(WIDTH, HEIGHT, 30.0, pixel_format)
    return RawPicture(mode, v4l2_pix_format(**pix)).copied(memoryview(data))


def lines_of(frame: av.VideoFrame | None) -> list[np.ndarray]:
    """The picture bytes of each plane."""
    assert frame is not None
    assert (frame.width, frame.height) == (WIDTH, HEIGHT)
    return [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:lines, :used]
        for plane, (lines, used) in zip(frame.planes, RAW[frame.format.name], strict=True)
    ]


@pytest.mark.parametrize("padding", [0, 2, 32])
@pytest.mark.parametrize("pixel_format", RAW)
def test_raw_picture_keeps_its_bytes_and_loses_its_padding(pixel_format: str, padding: int) -> None:
    planes = picture_lines(pixel_format)
    data = in_memory(planes, padding)
    stride = planes[0].shape[1] + padding
    frame = decode(pixel_format, data, bytesperline=stride, sizeimage=len(data))
    for ours, theirs in zip(lines_of(frame), planes, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("pixel_format", RAW)
def test_driver_that_does_not_say_how_long_a_line_is(pixel_format: str) -> None:
    planes = picture_lines(pixel_format)
    for ours, theirs in zip(
        lines_of(decode(pixel_format, in_memory(planes, 0))), planes, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_line_of_all_planes_together_is_no_padding() -> None:
    """12 bits a pixel make 96 bytes a line, where the first plane has 64."""
    planes = picture_lines("nv12")
    data = in_memory(planes, 0)
    frame = decode("nv12", data, bytesperline=96, sizeimage=len(data))
    np.testing.assert_array_equal(lines_of(frame)[1], planes[1])


def test_more_after_the_picture_is_ignored() -> None:
    planes = picture_lines("yuyv422")
    frame = decode("yuyv422", in_memory(planes, 0) + b"\xee" * 4096, bytesperline=128)
    np.testing.assert_array_equal(lines_of(frame)[0], planes[0])


def test_part_of_a_picture_is_none() -> None:
    data = in_memory(picture_lines("yuyv422"), 32)
    assert decode("yuyv422", data[: len(data) // 2], bytesperline=160) is None
    assert decode("yuyv422", data[:-33], bytesperline=160) is None
    assert decode("yuyv422", data[:-32], bytesperline=160), "the last line needs no padding"


def test_picture_is_a_copy() -> None:
    """The driver overwrites its buffer while the picture is still looked at."""
    memory = bytearray(in_memory(picture_lines("gray"), 0))
    picture = RawPicture(VideoMode(WIDTH, HEIGHT, 30.0, "gray"), v4l2_pix_format())
    frame = picture.copied(memoryview(memory))
    before = [lines.copy() for lines in lines_of(frame)]
    memory[:] = bytes(len(memory))
    np.testing.assert_array_equal(lines_of(frame), before)


def test_odd_sizes_round_chroma_up() -> None:
    mode = VideoMode(641, 481, 30.0, "yuv420p")
    assert [tuple(plane) for plane in plane_layout(mode)] == [
        (0, 481, 641, 641),
        (481 * 641, 241, 321, 321),
        (481 * 641 + 241 * 321, 241, 321, 321),
    ]
    assert [plane.stride for plane in plane_layout(mode, 704)] == [704, 352, 352]


@pytest.mark.parametrize(
    ("pixel_format", "said", "expected"),
    [
        ("yuyv422", {}, ColorRange.MPEG),
        ("yuyv422", {"colorspace": Colorspace.JPEG}, ColorRange.JPEG),
        ("yuyv422", {"quantization": Quantization.FULL_RANGE}, ColorRange.JPEG),
        (
            "yuyv422",
            {"colorspace": Colorspace.JPEG, "quantization": Quantization.LIM_RANGE},
            ColorRange.MPEG,
        ),
        ("rgb24", {}, ColorRange.JPEG),
        ("rgb24", {"quantization": Quantization.LIM_RANGE}, ColorRange.MPEG),
    ],
)
def test_color_range(pixel_format: str, said: dict[str, int], expected: ColorRange) -> None:
    assert color_range(v4l2_pix_format(**said), pixel_format) == expected
    frame = decode(pixel_format, in_memory(picture_lines(pixel_format), 0), **said)
    assert frame is not None
    assert frame.color_range == expected


@pytest.mark.parametrize(
    ("numerator", "denominator", "rate"), [(1, 30, 30.0), (1001, 30000, 29.97), (0, 0, 30.0)]
)
def test_frame_rate(numerator: int, denominator: int, rate: float) -> None:
    assert frame_rate(v4l2_fract(numerator, denominator)) == rate


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, AvColorspace.ITU601),
        ({"colorspace": Colorspace.REC709}, AvColorspace.ITU709),
        ({"colorspace": Colorspace.BT2020}, AvColorspace.BT2020),
        ({"colorspace": Colorspace.REC709, "ycbcr_enc": YCbCrEncoding.BT601}, AvColorspace.ITU601),
        ({"ycbcr_enc": YCbCrEncoding.XV709}, AvColorspace.ITU709),
    ],
)
def test_color_matrix(said: dict[str, int], expected: AvColorspace) -> None:
    assert color_matrix(v4l2_pix_format(**said)) == expected
    frame = decode("yuyv422", in_memory(picture_lines("yuyv422"), 0), **said)
    assert frame is not None
    assert frame.colorspace == expected
