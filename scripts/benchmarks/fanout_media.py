"""What the benchmarks publish: pictures that cost bits and move, and a tone, both at their pace."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import aiortc
import numpy as np
from av import AudioFrame, VideoFrame

WIDTH, HEIGHT, RATE = 1280, 720, 30
BITRATE = 2_000_000


class Pictures:
    """Pictures to encode: noise that costs bits, and something that moves."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        small = random.integers(64, 190, (90, 160), np.uint8)
        texture = np.kron(small, np.ones((2, 2), np.uint8))
        slope = np.add.outer(np.arange(HEIGHT) * 0.15, np.arange(WIDTH) * 0.1) % 200 + 20
        still = slope.astype(np.uint8) + random.integers(0, 24, (HEIGHT, WIDTH), np.uint8)
        self._pictures = []
        for number in range(60):
            luma = still.copy()
            left, top = number * 12 % (WIDTH - 320), round(200 + 150 * np.sin(number / 60 * 6.283))
            luma[top : top + 180, left : left + 320] = texture
            chroma = np.full((HEIGHT // 2, WIDTH), 110 + number % 20, np.uint8)
            self._pictures.append(np.vstack((luma, chroma)))

    def frame(self, number: int) -> Any:
        frame = VideoFrame.from_ndarray(self._pictures[number % 60], "yuv420p")
        frame.pts, frame.time_base = number * 90000 // RATE, Fraction(1, 90000)
        return frame


def tracks() -> tuple[Any, Any]:
    """A paced picture and a paced tone, as aiortc's tracks."""
    pictures = Pictures()
    # As cameras do. What is as large as pictures, and lives as short, is no good neighbour in
    # memory for what connections allocate meanwhile.
    thread = ThreadPoolExecutor(1, thread_name_prefix="camera")

    class Paced(aiortc.MediaStreamTrack):
        def __init__(self) -> None:
            super().__init__()
            self.start: float | None = None
            self.number = -1

        async def next(self, interval: float) -> int:
            self.start = self.start or time.monotonic()
            self.number += 1
            await asyncio.sleep(self.start + self.number * interval - time.monotonic())
            return self.number

    class Camera(Paced):
        kind = "video"

        async def recv(self) -> Any:
            number = await self.next(1 / RATE)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(thread, pictures.frame, number)

    class Microphone(Paced):
        kind = "audio"

        async def recv(self) -> Any:
            number = await self.next(0.02)
            at = np.arange(number * 960, (number + 1) * 960)
            tone = (np.sin(at * 2 * np.pi * 440 / 48000) * 8000).astype(np.int16)
            frame = AudioFrame.from_ndarray(np.repeat(tone, 2).reshape(1, -1), "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, number * 960, Fraction(1, 48000)
            return frame

    return Camera(), Microphone()
