"""A block barcode that survives a video codec: frame number and capture time in each picture.

The code is two rows of cells along the upper edge, each cell a square of 1/40 of the picture's
width. A row has a light guard cell, 38 cells of which the outer ones stay dark, and a light guard
cell again; the 36 cells in between carry the bits, a light cell for a one:

    24 bits of frame number, 40 bits of capture time in milliseconds, 8 bits of CRC.

The sizes are relative, so a scaled picture still carries its code; a cropped one may not.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

COLUMNS = 40
ROWS = 2
BITS_PER_ROW = 36
MIN_WIDTH = 2 * COLUMNS
FRAME_BITS = 24
TIME_BITS = 40
CRC_BITS = 8
DARK, LIGHT = 24, 224  # luma that stays apart after limited-range conversion and quantisation


class Stamp(NamedTuple):
    """What a barcode says."""

    frame: int
    """Number of the frame, modulo 2**24."""
    time: float
    """Seconds since the epoch at capture, modulo 2**40 milliseconds; a millisecond's precision."""


def draw(luma: NDArray[np.uint8], stamp: Stamp) -> None:
    """Draw the code into a picture's luma plane, an array of (height, width).

    :raises ValueError: when the picture is too small to carry it.
    """
    height, width = luma.shape
    rows = -(-ROWS * width // COLUMNS)
    if width < MIN_WIDTH or height < rows:
        raise ValueError(
            f"a barcode needs at least {MIN_WIDTH}x{rows} pixels, not {width}x{height}"
        )
    cells = np.full((ROWS, COLUMNS), DARK, np.uint8)
    cells[:, 0] = cells[:, -1] = LIGHT
    bits = np.array([int(bit) for bit in f"{_encode(stamp):0{ROWS * BITS_PER_ROW}b}"], np.bool_)
    cells[:, 2 : 2 + BITS_PER_ROW] = np.where(bits, LIGHT, DARK).reshape(ROWS, BITS_PER_ROW)
    row_of_line = np.arange(rows) * COLUMNS // width
    luma[:rows] = cells[row_of_line][:, np.arange(width) * COLUMNS // width]


def read(luma: NDArray[np.uint8]) -> Stamp | None:
    """What the code in a luma plane of (height, width) says; None when there is none to be read."""
    height, width = luma.shape
    size = width / COLUMNS
    if width < MIN_WIDTH or height < ROWS * size:
        return None
    cells = np.array([[_cell(luma, row, column, size) for column in range(COLUMNS)]
                      for row in range(ROWS)])  # fmt: skip
    light = cells > (DARK + LIGHT) / 2
    if not light[:, (0, -1)].all() or light[:, (1, -2)].any():
        return None
    return _decode(int("".join("01"[int(bit)] for bit in light[:, 2:-2].flat), 2))


def _cell(luma: NDArray[Any], row: int, column: int, size: float) -> float:
    # The middle half of a cell is far enough from its neighbours' ringing.
    top, left = round((row + 0.25) * size), round((column + 0.25) * size)
    extent = max(1, int(size / 2))
    return float(luma[top : top + extent, left : left + extent].mean())


def _encode(stamp: Stamp) -> int:
    milliseconds = round(stamp.time * 1000) % (1 << TIME_BITS)
    payload = (stamp.frame % (1 << FRAME_BITS)) << TIME_BITS | milliseconds
    return payload << CRC_BITS | _crc8(payload)


def _decode(value: int) -> Stamp | None:
    payload, crc = value >> CRC_BITS, value % (1 << CRC_BITS)
    if _crc8(payload) != crc:
        return None
    return Stamp(payload >> TIME_BITS, payload % (1 << TIME_BITS) / 1000)


def _crc8(payload: int) -> int:
    """CRC-8 with the polynomial x^8 + x^2 + x + 1, over the payload's eight bytes."""
    crc = 0
    for byte in payload.to_bytes((FRAME_BITS + TIME_BITS) // 8, "big"):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc
