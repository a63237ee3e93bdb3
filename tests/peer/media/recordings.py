"""What is in a recording, as PyAV has it: for tests."""

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from peer.devices import barcode

RATE = 48000
MARK = 1760


def names(folder: Path) -> list[str]:
    """Of the files that are there."""
    return sorted(path.name for path in folder.iterdir())


def pictures(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """The time of each picture, in seconds, and its luma."""
    with av.open(str(path)) as container:
        return [
            (frame.time, frame.to_ndarray(format="gray").astype(np.uint8))
            for frame in container.decode(video=0)
        ]


def numbers(path: Path) -> list[int]:
    """The numbers in the barcodes."""
    stamps = [barcode.read(luma) for _, luma in pictures(path)]
    return [stamp.frame for stamp in stamps if stamp is not None]


def sound(path: Path) -> NDArray[np.float64]:
    """The left channel, from the time 0 on."""
    pieces = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "stereo", RATE)
        first = None
        for decoded in container.decode(audio=0):
            first = decoded.time if first is None else first
            for frame in resampler.resample(decoded):
                pieces.append(frame.to_ndarray()[0, ::2].astype(float))
    samples = np.concatenate(pieces)
    before = round((first or 0) * RATE)
    return np.concatenate([np.zeros(max(0, before)), samples[max(0, -before) :]])


def pitch(samples: NDArray[np.float64]) -> float:
    """The loudest frequency, in hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()])


def mark_in_sound(samples: NDArray[np.float64]) -> float:
    """When the first whole mark of a virtual microphone begins, in seconds."""
    step = RATE // 200
    windows = samples[: len(samples) // step * step].reshape(-1, step)
    is_mark = [abs(pitch(window) - MARK) < 200 and window.std() > 500 for window in windows]
    return _first_rise(is_mark) * step / RATE


def mark_in_pictures(taken: list[tuple[float, NDArray[np.uint8]]]) -> float:
    """When the first whole mark of a virtual camera begins, in seconds."""
    lit = []
    for _, luma in taken:
        height, width = luma.shape
        size = height // 6
        square = luma[height - 2 * size : height - size, width - 2 * size : width - size]
        lit.append(bool(square.mean() > 235))
    return taken[_first_rise(lit)][0]


def _first_rise(values: list[bool]) -> int:
    return next(n for n in range(1, len(values)) if values[n] and not values[n - 1])
