"""Pointers that are drawn into pictures, pixel by pixel."""

import numpy as np
import pytest

from peer.devices.x11_cursor import draw_cursor
from peer.devices.x11_requests import CursorImage

GREY = 100
HALF_RED = (0, 0, 128, 128)  # blue, green, red and alpha, by which the colours are multiplied


def cursor(pixel: tuple[int, int, int, int], hot_x: int = 0, hot_y: int = 0) -> CursorImage:
    """Four by three pixels."""
    return CursorImage(4, 3, hot_x, hot_y, bytes(pixel) * 12)


def grey(width: int, height: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.full((height, width * 4), GREY, np.uint8)


def test_half_transparent() -> None:
    picture = grey(10, 10)
    draw_cursor(picture, "bgr0", 10, cursor(HALF_RED), 2, 5)
    pixels = picture.reshape(10, 10, 4)
    assert pixels[5, 2].tolist() == [50, 50, 178, GREY]
    assert (pixels[5:8, 2:6, 2] == 178).all()
    assert (pixels[..., 2] == 178).sum() == 12


def test_half_transparent_in_16_bits() -> None:
    """With a row that is padded, and three pixels wide."""
    picture = np.zeros((3, 8), np.uint8)
    picture.view("<u2")[:] = 8 << 11 | 16 << 5 | 8  # in eighths and quarters of 64
    draw_cursor(picture, "rgb565le", 3, cursor(HALF_RED), 1, 0)
    words = picture.view("<u2")
    assert words[0, 0] == words[0, 3] == 8 << 11 | 16 << 5 | 8
    assert words[0, 1] == (32 + 128) // 8 << 11 | 32 // 4 << 5 | 32 // 8


@pytest.mark.parametrize(
    ("x", "y", "visible"),
    [(-3, 0, 3), (9, 9, 1), (0, -2, 4), (-4, 0, 0), (10, 0, 0), (0, -3, 0), (500, -500, 0)],
)
def test_at_the_edge(x: int, y: int, visible: int) -> None:
    picture = grey(10, 10)
    draw_cursor(picture, "bgr0", 10, cursor((0, 0, 255, 255)), x, y)
    assert (picture.reshape(10, 10, 4)[..., 2] == 255).sum() == visible


def test_hot_spot() -> None:
    picture = grey(10, 10)
    draw_cursor(picture, "bgr0", 10, cursor((0, 0, 255, 255), hot_x=3, hot_y=1), 5, 5)
    rows, columns = np.nonzero(picture.reshape(10, 10, 4)[..., 2] == 255)
    assert (rows.min(), columns.min()) == (4, 2)
