"""What the virtual devices show and play: a moving picture with a clock, a tone with a mark.

Picture and sound carry the same mark in the first tenth of each second of their common clock, so
that lip-sync can be measured: a light square in the picture, a higher beep in the sound.
"""

import math
import time

import numpy as np
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

from . import barcode
from .lens import Lens

MARK_DURATION = 0.1  # seconds
MARK_FREQUENCY = 1760.0  # hertz
AMPLITUDE = 0.25  # of full scale

# Seven-segment digits: top, upper left, upper right, middle, lower left, lower right, bottom.
_SEGMENTS = (
    *("1110111", "0010010", "1011101", "1011011", "0111010"),
    *("1101011", "1101111", "1010010", "1111111", "1111011"),
)
_TEXT_LUMA = 235


class VideoPattern:
    """Draws the frames of one virtual camera in one mode.

    :param colour: (U, V) chroma, each 0 to 255, that tells this camera's picture from others'.
    """

    def __init__(self, width: int, height: int, colour: tuple[int, int]) -> None:
        self.width, self.height = width, height
        rows, columns = np.mgrid[0:height, 0:width]
        ramp = (rows * 90 // height + columns * 60 // width + 40).astype(np.uint8)
        ramp[(rows // max(8, height // 12) + columns // max(8, height // 12)) % 2 == 0] += 12
        self._luma = ramp
        self._chroma = [np.full((height // 2, width // 2), value, np.uint8) for value in colour]

    def frame(self, number: int, at: float, rate: float, lens: Lens | None = None) -> VideoFrame:
        """Frame `number`, captured at `at` seconds of the monotonic clock: yuv420p.

        :param lens: what the scene is seen through; the barcode is put on the picture of it.
        """
        width, height = self.width, self.height
        luma = self._luma.copy()
        self._draw_sweep(luma, number, rate)
        wall = time.time() - (time.monotonic() - at)
        self._draw_clock(luma, wall)
        if at % 1 < MARK_DURATION:
            size = height // 6
            luma[height - 2 * size : height - size, width - 2 * size : width - size] = 250
        chroma = self._chroma
        if lens is not None:
            luma, chroma = lens.look(luma, chroma)
        barcode.draw(luma, barcode.Stamp(number, wall))
        frame = VideoFrame(width, height, "yuv420p")
        for plane, data in zip(frame.planes, (luma, *chroma), strict=True):
            _fill(plane, data)
        return frame

    def _draw_sweep(self, luma: NDArray[np.uint8], number: int, rate: float) -> None:
        """A light bar that crosses the picture in four seconds, and a ball that bounces."""
        width, height = self.width, self.height
        phase = number / rate / 4 % 1
        left = int(phase * width)
        luma[height // 2 : height // 2 + height // 16, left : left + width // 16] = 220
        radius = height // 12
        x = int(radius + (width - 2 * radius) * abs(2 * (number / rate / 3 % 1) - 1))
        y = int(height * 0.72 - height * 0.12 * abs(math.sin(number / rate * math.pi)))
        rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
        disc = rows * rows + columns * columns <= radius * radius
        luma[y - radius : y + radius + 1, x - radius : x + radius + 1][
            disc[
                : min(2 * radius + 1, height - y + radius),
                : min(2 * radius + 1, width - x + radius),
            ]
        ] = 200

    def _draw_clock(self, luma: NDArray[np.uint8], wall: float) -> None:
        """Hours, minutes, seconds and tenths of universal time."""
        tenths = int(wall * 10)
        text = time.strftime("%H:%M:%S", time.gmtime(wall)) + f".{tenths % 10}"
        size = self.height // 10
        left = int(self.width * 0.5 - len(text) * size * 0.35)
        top = self.height // 4
        for position, character in enumerate(text):
            self._draw_character(luma, character, left + int(position * size * 0.7), top, size)

    def _draw_character(
        self, luma: NDArray[np.uint8], character: str, left: int, top: int, size: int
    ) -> None:
        stroke = max(2, size // 8)
        width, half = size // 2, size // 2
        box = luma[top : top + size, left : left + width]
        if not character.isdigit():
            rows = (half // 2, half + half // 2) if character == ":" else (size - stroke,)
            for row in rows:
                box[row : row + stroke, width // 2 : width // 2 + stroke] = _TEXT_LUMA
            return
        segments = (
            (slice(0, stroke), slice(None)),
            (slice(0, half), slice(0, stroke)),
            (slice(0, half), slice(-stroke, None)),
            (slice(half - stroke // 2, half + stroke // 2 + 1), slice(None)),
            (slice(half, size), slice(0, stroke)),
            (slice(half, size), slice(-stroke, None)),
            (slice(size - stroke, size), slice(None)),
        )
        for lit, area in zip(_SEGMENTS[int(character)], segments, strict=True):
            if lit == "1":
                box[area] = _TEXT_LUMA


class AudioPattern:
    """Plays the samples of one virtual microphone in one mode."""

    def __init__(self, sample_rate: int, channel_count: int, frequency: float) -> None:
        self.sample_rate, self.channel_count, self.frequency = sample_rate, channel_count, frequency

    def frame(self, first: int, samples: int) -> AudioFrame:
        """`samples` samples of packed s16, the first of them number `first` of the clock."""
        seconds = (first + np.arange(samples)) / self.sample_rate
        pitch = np.where(seconds % 1 < MARK_DURATION, MARK_FREQUENCY, self.frequency)
        wave = np.sin(2 * np.pi * pitch * seconds) * (AMPLITUDE * 32767)
        interleaved = np.repeat(wave.astype(np.int16), self.channel_count).reshape(1, -1)
        layout = "mono" if self.channel_count == 1 else "stereo"
        frame = AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        frame.sample_rate = self.sample_rate
        return frame


def _fill(plane: object, data: NDArray[np.uint8]) -> None:
    """Copy a plane's pixels into FFmpeg's buffer, whose lines may be longer than the picture."""
    height = data.shape[0]
    buffer = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    buffer.reshape(height, -1)[:, : data.shape[1]] = data
