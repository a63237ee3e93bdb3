"""Makes small media files: a grey that tells the picture's number, and a tone with one click."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import AudioFrame, VideoFrame

RATE = 20
SIZE = (160, 120)
STEP = 4
"""How much lighter each picture is than the one before."""
DARKEST = 20
PIXEL_FORMATS = {"mjpeg": "yuvj420p", "png": "rgb24"}


def make_sample(
    path: Path,
    *,
    video: str | None = "libx264",
    audio: str | None = "aac",
    duration: float = 2.0,
    size: tuple[int, int] = SIZE,
    bframes: int = 0,
    gop: int = 10,
    sample_rate: int = 48000,
    layout: str = "stereo",
    click_at: float = 0.5,
    first_pts: float = 0.0,
    format: str | None = None,
) -> Path:
    """Write a file in the format of its name.

    Each picture is grey; `picture_number()` knows it again. The sound is silent but for one
    hundredth of a second of noise at `click_at`, which is when a picture is white.
    """
    with av.open(str(path), "w", format=format) as container:
        if video is not None:
            picture_stream = container.add_stream(video, RATE)
            picture_stream.width, picture_stream.height = size
            picture_stream.pix_fmt = PIXEL_FORMATS.get(video, "yuv420p")
            picture_stream.gop_size = gop
            picture_stream.codec_context.max_b_frames = bframes
            if video == "libx264":
                picture_stream.options = {"preset": "ultrafast", "sc_threshold": "0"}
                if bframes:
                    picture_stream.options |= {"b-adapt": "0", "bf": str(bframes)}
            picture_stream.bit_rate = 400_000
        if audio is not None:
            sound_stream = container.add_stream(audio, sample_rate, layout=layout)
        pictures = _pictures(duration, size, click_at) if video is not None else []
        sounds = _sound(duration, sample_rate, layout, click_at) if audio is not None else []
        # In the order of time, as what is live comes.
        for frame in sorted([*pictures, *sounds], key=lambda frame: frame.time or 0.0):
            if isinstance(frame, VideoFrame):
                frame.pts = (frame.pts or 0) + round(first_pts * RATE)
                container.mux(picture_stream.encode(frame))
            else:
                frame.pts = (frame.pts or 0) + round(first_pts * sample_rate)
                container.mux(sound_stream.encode(frame))
        for stream in container.streams:
            container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return path


def grey(number: int, size: tuple[int, int], *, white: bool = False) -> VideoFrame:
    """The picture of this number, of at most 50 that differ."""
    height, width = size[1], size[0]
    frame = VideoFrame(width, height, "yuv420p")
    luma = 250 if white else DARKEST + STEP * (number % 50)
    for plane, value in zip(frame.planes, (luma, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def picture_number(frame: VideoFrame) -> int:
    """The number of a picture of `grey()`; white ones have 58 or so."""
    luma = frame.to_ndarray()[: frame.height, : frame.width]
    return round((float(np.mean(luma)) - DARKEST) / STEP)


def _pictures(duration: float, size: tuple[int, int], white_at: float) -> list[VideoFrame]:
    frames = []
    for number in range(round(duration * RATE)):
        frame = grey(number, size, white=number == round(white_at * RATE))
        frame.pts, frame.time_base = number, Fraction(1, RATE)
        frames.append(frame)
    return frames


def _sound(duration: float, rate: int, layout: str, click_at: float) -> list[AudioFrame]:
    channels = 1 if layout == "mono" else 2
    samples = np.zeros((round(duration * rate), channels), np.int16)
    first = round(click_at * rate)
    noise = np.random.default_rng(1).integers(-20000, 20000, (rate // 100, channels))
    samples[first : first + rate // 100] = noise[: max(0, len(samples) - first)]
    frames = []
    for begin in range(0, len(samples), 960):
        chunk = np.ascontiguousarray(samples[begin : begin + 960]).reshape(1, -1)
        frame = AudioFrame.from_ndarray(chunk, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        frames.append(frame)
    return frames
