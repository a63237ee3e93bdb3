"""The clock of all captured frames: time stamps that agree between the tracks of a process."""

import fractions
import time

from av import AudioFrame, VideoFrame

VIDEO_TIME_BASE = fractions.Fraction(1, 90000)

_ORIGIN = time.monotonic()


def video_time(at: float) -> int:
    """The time stamp, in VIDEO_TIME_BASE, of a picture captured at `at` (`time.monotonic()`)."""
    return round((at - _ORIGIN) * VIDEO_TIME_BASE.denominator)


def stamp_video(frame: VideoFrame, at: float) -> None:
    """Set a picture's time stamp; `at` is `time.monotonic()` at capture."""
    frame.pts = video_time(at)
    frame.time_base = VIDEO_TIME_BASE


def sample_number(at: float, sample_rate: int) -> int:
    """The number of the sample captured at `at`, on the same clock as the pictures."""
    return round((at - _ORIGIN) * sample_rate)


def sample_time(number: int, sample_rate: int) -> float:
    """When the sample of this number was captured, as `time.monotonic()`."""
    return _ORIGIN + number / sample_rate


def stamp_audio(frame: AudioFrame, number: int) -> None:
    """Set the time stamp of a frame whose first sample has this number."""
    frame.pts = number
    frame.time_base = fractions.Fraction(1, frame.sample_rate)
