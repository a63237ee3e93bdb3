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


def usual_pitch(samples: NDArray[np.float64]) -> float:
    """The loudest frequency at most times, in hertz; to be told from others 20 away."""
    step = RATE // 10
    windows = samples[: len(samples) // step * step].reshape(-1, step)
    return float(np.median([pitch(window) for window in windows]))


def sound_and_pictures_apart(path: Path) -> float:
    """Seconds between the mark in the sound and the one in the pictures, which come once a second;
    of the pair that is closest, since a picture with a mark may be missing."""
    taken = pictures(path)
    return min(abs(a - b) for a in marks_in_sound(sound(path)) for b in marks_in_pictures(taken))


def marks_in_sound(samples: NDArray[np.float64]) -> list[float]:
    """When the marks of a virtual microphone begin, in seconds."""
    step = RATE // 200
    windows = samples[: len(samples) // step * step].reshape(-1, step)
    is_mark = [abs(pitch(window) - MARK) < 200 and window.std() > 500 for window in windows]
    return [number * step / RATE for number in _rises(is_mark)]


def marks_in_pictures(taken: list[tuple[float, NDArray[np.uint8]]]) -> list[float]:
    """When the marks of a virtual camera begin, in seconds."""
    lit = []
    for _, luma in taken:
        height, width = luma.shape
        size = height // 6
        square = luma[height - 2 * size : height - size, width - 2 * size : width - size]
        lit.append(bool(square.mean() > 235))
    return [taken[number][0] for number in _rises(lit)]


def _rises(values: list[bool]) -> list[int]:
    return [n for n in range(1, len(values)) if values[n] and not values[n - 1]]
