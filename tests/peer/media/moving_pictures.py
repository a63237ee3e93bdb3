"""Pictures to encode: each with a barcode, noise that costs bits, and something that moves."""

from collections.abc import Iterator

import numpy as np
from av import VideoFrame

from peer.devices import barcode

RATE = 30.0


def picture(number: int, width: int = 320, height: int = 240) -> VideoFrame:
    """The picture of this number."""
    noise = np.random.default_rng(number % 7).integers(40, 200, (height // 8, width // 8), np.uint8)
    luma = np.kron(noise, np.ones((8, 8), np.uint8))[:height, :width]
    barcode.draw(luma, barcode.Stamp(number, number / RATE))
    chroma = np.full((height // 2, width), 128, np.uint8)
    return VideoFrame.from_ndarray(np.vstack((luma, chroma)), "yuv420p")


def pictures(count: int, width: int = 320, height: int = 240) -> Iterator[tuple[VideoFrame, int]]:
    """The first so many pictures, with time stamps of the 90 kHz clock."""
    for number in range(count):
        yield picture(number, width, height), round(number * 90000 / RATE)


def number_in(frame: VideoFrame) -> int | None:
    """What the barcode of a picture says."""
    stamp = barcode.read(frame.to_ndarray(format="gray"))
    return None if stamp is None else stamp.frame
