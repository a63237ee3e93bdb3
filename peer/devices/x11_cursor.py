"""The mouse's pointer, drawn into a picture of what it points at."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .x11 import Connection
from .x11_pictures import Pixels
from .x11_requests import CursorImage, Pointer, query_pointer, xfixes_get_cursor_image

OPAQUE = 255


class Cursor:
    """The pointer of one connection's display. A server without XFIXES doesn't show it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._xfixes = connection.extension("XFIXES", 1, 0)

    def request(self, window: int) -> Callable[[], tuple[Pointer, CursorImage] | None]:
        """Ask where it is in a window, and what it looks like; the answer, once all answers are
        there, is None when it isn't on this screen."""
        if not self._xfixes:
            return lambda: None
        place = self._connection.send(query_pointer(window))
        image = self._connection.send(xfixes_get_cursor_image(self._xfixes))
        return lambda: (place.get(), image.get()) if place.get().same_screen else None


def draw_cursor(
    picture: Pixels, pixel_format: str, width: int, cursor: CursorImage, x: int, y: int
) -> None:
    """Draw a pointer with its hot spot at (x, y), where that is in the picture.

    :param picture: its rows, in a format of `x11_surfaces.PIXEL_FORMATS`; changed in place.
    :param width: of the picture, without its rows' padding.
    """
    left, top = x - cursor.hot_x, y - cursor.hot_y
    rows = slice(max(0, top), max(0, min(len(picture), top + cursor.height)))
    columns = slice(max(0, left), max(0, min(width, left + cursor.width)))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    image = np.frombuffer(cursor.pixels, np.uint8).reshape(cursor.height, cursor.width, 4)
    image = image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    if pixel_format == "bgr0":
        part = picture.reshape(len(picture), -1, 4)[rows, columns, :3]
        part[:] = _over(image, part)
    else:
        words = picture.view("<u2")[rows, columns]
        words[:] = _packed(_over(image, _unpacked(words)))


def _over(image: Pixels, ground: Pixels) -> Pixels:
    """The image laid over the ground, of blue, green and red."""
    shining_through = OPAQUE - image[..., 3:].astype(np.uint16)
    mixed = image[..., :3] + (ground * shining_through + OPAQUE // 2) // OPAQUE
    return np.minimum(mixed, OPAQUE).astype(np.uint8)


def _unpacked(words: NDArray[np.uint16]) -> Pixels:
    """Blue, green and red of pixels in rgb565."""
    blue, green, red = words << 3, words >> 5 << 2, words >> 11 << 3
    return np.stack([blue, green, red], axis=-1).astype(np.uint8)


def _packed(pixels: Pixels) -> NDArray[np.uint16]:
    blue, green, red = np.moveaxis(pixels.astype(np.uint16), -1, 0)
    words: NDArray[np.uint16] = blue >> 3 | green >> 2 << 5 | red >> 3 << 11
    return words
