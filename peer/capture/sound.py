"""Pure work on sound: frames of 20 ms at one rate, in step with the clock, and silence."""

import numpy as np
from av import AudioFrame, AudioResampler
from numpy.typing import NDArray

from .clock import sample_number, stamp_audio

FRAME_DURATION = 0.02
"""Seconds of sound in a frame: what a WebRTC packet carries."""
GAP = 0.1
"""Seconds from where a chunk's predecessor ended from which on samples were lost, or the device
slept: more than a clock is ever fast or slow by."""
DRIFT_ALLOWED = 0.003
"""Seconds by which sound may be early or late. A device's clock is some 50 millionths off, 0.18
seconds in an hour; that the time stamps of its chunks waver by a millisecond or two is no drift."""
DRIFT_SMOOTHING = 0.01
"""How much one chunk's time stamp counts in what the drift is thought to be: about a second's
worth of chunks."""


def silence(sample_rate: int, channel_count: int) -> AudioFrame:
    """A frame of silence."""
    samples = round(sample_rate * FRAME_DURATION)
    return _audio_frame(np.zeros((samples, channel_count), np.int16), sample_rate)


class AudioFramer:
    """Turns sound of any size and rate into 20 ms frames of one rate and channel count.

    The frames follow each other without a gap, and stay in step with the clock of the pictures: a
    device whose own clock is fast or slow has a chunk of its sound made longer or shorter by one
    sample now and then, which nobody hears.
    """

    def __init__(self, sample_rate: int, channel_count: int) -> None:
        self.sample_rate, self.channel_count = sample_rate, channel_count
        self._samples = round(sample_rate * FRAME_DURATION)
        self._resampler = AudioResampler("s16", _layout(channel_count), sample_rate)
        self._pending: NDArray[np.int16] = np.zeros((0, channel_count), np.int16)
        self._next: int | None = None  # number of the first pending sample
        self._drift = 0.0  # samples by which the device is behind the clock

    def push(self, frame: AudioFrame, at: float) -> list[AudioFrame]:
        """Take sound captured from `at` seconds on; returns the frames that it completes."""
        number = sample_number(at, self.sample_rate)
        behind = 0 if self._next is None else number - self._next - len(self._pending)
        if self._next is None or abs(behind) > GAP * self.sample_rate:
            self._next = number
            self._pending = self._pending[:0]
            self._drift = behind = 0
        self._drift += (behind - self._drift) * DRIFT_SMOOTHING
        chunks = [self._pending]
        frame.pts = None  # the resampler would insist on time stamps of its own kind
        for resampled in self._resampler.resample(frame):
            samples = resampled.to_ndarray().astype(np.int16, copy=False)
            chunks.append(self._in_step(samples.reshape(-1, self.channel_count)))
        self._pending = np.concatenate(chunks)
        frames = []
        while len(self._pending) >= self._samples:
            head, self._pending = (
                self._pending[: self._samples],
                self._pending[self._samples :],
            )
            completed = _audio_frame(head, self.sample_rate)
            stamp_audio(completed, self._next)
            self._next += self._samples
            frames.append(completed)
        return frames

    def _in_step(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """The samples, one more or one fewer when the device's clock has drifted."""
        if abs(self._drift) <= DRIFT_ALLOWED * self.sample_rate or len(samples) < 2:
            return samples
        more = 1 if self._drift > 0 else -1
        self._drift -= more
        positions = np.linspace(0, len(samples) - 1, len(samples) + more)
        known = np.arange(len(samples))
        stretched = [np.interp(positions, known, channel) for channel in samples.T]
        return np.stack(stretched, axis=1).round().astype(np.int16)


def _layout(channel_count: int) -> str:
    return "mono" if channel_count == 1 else "stereo"


def _audio_frame(samples: NDArray[np.int16], sample_rate: int) -> AudioFrame:
    interleaved = np.ascontiguousarray(samples).reshape(1, -1)
    frame = AudioFrame.from_ndarray(interleaved, format="s16", layout=_layout(samples.shape[1]))
    frame.sample_rate = sample_rate
    return frame
