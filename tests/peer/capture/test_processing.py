import numpy as np
import pytest
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from peer.capture.processing import (
    Decimator,
    black,
    pixels,
    scale,
)


def picture(width: int, height: int, pixel_format: str = "yuv420p") -> VideoFrame:
    """The left half dark, the right half light."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, width // 2 :] = 255
    return VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixel_format)


def luma(frame: VideoFrame) -> np.ndarray:
    return pixels(frame.planes[0])[: frame.height, : frame.width]


def test_nothing_to_do_returns_the_very_frame() -> None:
    frame = picture(64, 48)
    assert scale(frame, 64, 48) is frame


@pytest.mark.parametrize("pixel_format", ["yuyv422", "rgb24", "bgr0", "nv12", "gray", "yuv420p"])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (32, 24), (48, 48), (64, 20), (7, 5)])
def test_every_format_becomes_yuv420p_of_the_size(
    pixel_format: str, width: int, height: int
) -> None:
    scaled = scale(picture(64, 48, pixel_format), width, height)
    assert (scaled.width, scaled.height, scaled.format.name) == (width, height, "yuv420p")
    assert luma(scaled)[:, 0].max() < 40
    assert luma(scaled)[:, -1].min() > 215


@pytest.mark.spec("4.8")
def test_cropping_keeps_the_middle_and_stretches_nothing() -> None:
    rgb = np.zeros((48, 128, 3), np.uint8)
    rgb[:, 40:88] = 255
    square = scale(VideoFrame.from_ndarray(rgb, "rgb24"), 48, 48)
    assert luma(square).min() > 215, "the 48 columns in the middle, and no others"


def test_full_range_pictures_become_limited() -> None:
    full = picture(64, 48).reformat(format="yuvj420p", dst_color_range=2)
    assert luma(full).max() == 255
    assert luma(scale(full, 64, 48)).max() == 235


def test_black() -> None:
    planes = black(16, 8).to_ndarray()
    assert (planes[:8] == 16).all()
    assert (planes[8:] == 128).all()


@pytest.mark.parametrize(("rate", "native", "every"), [(10, 30, 3), (15, 30, 2), (7.5, 30, 4)])
@pytest.mark.parametrize("jitter", [0, 0.2])
@pytest.mark.spec("4.4")
def test_decimation_takes_every_nth_frame_even_from_a_jittering_camera(
    rate: float, native: float, every: int, jitter: float
) -> None:
    decimator = Decimator(rate, native)
    times = [(n + jitter * (-1) ** n) / native for n in range(60)]
    taken = [n for n, at in enumerate(times) if decimator.takes(at)]
    assert taken == list(range(taken[0], 60, every))


def test_decimation_goes_on_after_a_pause() -> None:
    decimator = Decimator(10, 30)
    assert decimator.takes(0)
    assert decimator.takes(100)
    assert not decimator.takes(100 + 1 / 30)
    assert decimator.takes(100.1)


def solid(y: int, cb: int, cr: int) -> VideoFrame:
    frame = VideoFrame(16, 8, "yuv420p")
    for plane, value in zip(frame.planes, (y, cb, cr), strict=True):
        pixels(plane)[:] = value
    return frame


def colour_of(frame: VideoFrame) -> list[int]:
    return [int(pixels(plane)[0, 0]) for plane in frame.planes]


def test_pictures_of_another_matrix_keep_their_colours() -> None:
    """Red, as ITU-R BT.709 has it and as BT.601 does."""
    frame = solid(63, 102, 240)
    frame.colorspace = Colorspace.ITU709
    assert colour_of(scale(frame, 16, 8)) == pytest.approx([81, 90, 240], abs=1)


def test_pictures_of_full_range_keep_their_tones() -> None:
    frame = solid(255, 128, 128)
    frame.color_range = ColorRange.JPEG
    assert colour_of(scale(frame, 16, 8)) == pytest.approx([235, 128, 128], abs=1)


def test_usual_colours_are_left_alone() -> None:
    frame = solid(100, 90, 200)
    assert scale(frame, 16, 8) is frame
