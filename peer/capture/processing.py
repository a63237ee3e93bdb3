"""Pure work on frames: crop, scale, decimate, re-buffer, black and silence."""

import numpy as np
from av import AudioFrame, AudioResampler, VideoFrame
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from ..constraints.geometry import crop_rectangle
from .clock import sample_number, stamp_audio

PIXEL_FORMAT = "yuv420p"
FRAME_DURATION = 0.02  # seconds of sound in a frame: what a WebRTC packet carries
# A chunk of sound this far from where its predecessor ended, in seconds, means that samples were
# lost (or that the device slept), not that its clock is a little fast.
GAP = 0.1


def scale(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """The picture cropped to the aspect ratio of the given size and scaled to it, as yuv420p.

    Returns the very frame when nothing is to be done.
    """
    x, y, crop_width, crop_height = crop_rectangle(frame.width, frame.height, width, height)
    if (crop_width, crop_height) != (frame.width, frame.height):
        frame = _crop(_reformat(frame, frame.width, frame.height), x, y, crop_width, crop_height)
    return _reformat(frame, width, height)


def _reformat(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    if (frame.width, frame.height, frame.format.name) == (width, height, PIXEL_FORMAT):
        return frame
    return frame.reformat(
        width=width,
        height=height,
        format=PIXEL_FORMAT,
        interpolation="BILINEAR",
        dst_color_range=ColorRange.MPEG,
    )


def _crop(frame: VideoFrame, x: int, y: int, width: int, height: int) -> VideoFrame:
    cropped = VideoFrame(width, height, PIXEL_FORMAT)
    for source, target, divisor in zip(frame.planes, cropped.planes, (1, 2, 2), strict=True):
        columns, rows = -(-width // divisor), -(-height // divisor)
        top, left = y // divisor, x // divisor
        pixels(target)[:rows, :columns] = pixels(source)[top : top + rows, left : left + columns]
    return cropped


def black(width: int, height: int) -> VideoFrame:
    """A black picture."""
    frame = VideoFrame(width, height, PIXEL_FORMAT)
    for plane, value in zip(frame.planes, (16, 128, 128), strict=True):
        pixels(plane)[:] = value
    return frame


def silence(sample_rate: int, channel_count: int) -> AudioFrame:
    """A frame of silence."""
    samples = round(sample_rate * FRAME_DURATION)
    return _audio_frame(np.zeros((samples, channel_count), np.int16), sample_rate)


def pixels(plane: object) -> NDArray[np.uint8]:
    """A plane as an array of (lines, bytes of a line), padding included; it shares memory."""
    return np.frombuffer(plane, np.uint8).reshape(plane.height, -1)  # type: ignore[call-overload,attr-defined,no-any-return]


class Decimator:
    """Chooses the frames that make a lower rate out of a higher one."""

    def __init__(self, frame_rate: float, native_rate: float) -> None:
        self._interval = 1 / frame_rate
        # A frame may be early by half its distance to the next, so that jitter drops none.
        self._slack = 0.5 / native_rate
        self._due: float | None = None

    def takes(self, at: float) -> bool:
        """Whether the frame captured at `at` seconds belongs to the lower rate."""
        if self._due is None or at >= self._due + self._interval:
            self._due = at
        elif at < self._due - self._slack:
            return False
        self._due += self._interval
        return True


class AudioFramer:
    """Turns sound of any size and rate into 20 ms frames of one rate and channel count."""

    def __init__(self, sample_rate: int, channel_count: int) -> None:
        self.sample_rate, self.channel_count = sample_rate, channel_count
        self._samples = round(sample_rate * FRAME_DURATION)
        self._resampler = AudioResampler("s16", _layout(channel_count), sample_rate)
        self._pending: NDArray[np.int16] = np.zeros((0, channel_count), np.int16)
        self._next: int | None = None  # number of the first pending sample

    def push(self, frame: AudioFrame, at: float) -> list[AudioFrame]:
        """Take sound captured from `at` seconds on; returns the frames that it completes."""
        number = sample_number(at, self.sample_rate)
        if self._next is None or self._is_gap(number):
            self._next = number
            self._pending = self._pending[:0]
        chunks = [self._pending]
        frame.pts = None  # the resampler would insist on time stamps of its own kind
        for resampled in self._resampler.resample(frame):
            samples = resampled.to_ndarray().astype(np.int16, copy=False)
            chunks.append(samples.reshape(-1, self.channel_count))
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

    def _is_gap(self, number: int) -> bool:
        assert self._next is not None
        return abs(number - self._next - len(self._pending)) > GAP * self.sample_rate


def _layout(channel_count: int) -> str:
    return "mono" if channel_count == 1 else "stereo"


def _audio_frame(samples: NDArray[np.int16], sample_rate: int) -> AudioFrame:
    interleaved = np.ascontiguousarray(samples).reshape(1, -1)
    frame = AudioFrame.from_ndarray(interleaved, format="s16", layout=_layout(samples.shape[1]))
    frame.sample_rate = sample_rate
    return frame
