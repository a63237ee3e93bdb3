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
        if video is not None:
            for number in range(round(duration * RATE)):
                frame = grey(number, size, white=number == round(click_at * RATE))
                frame.time_base = Fraction(1, RATE)
                frame.pts = number + round(first_pts * RATE)
                container.mux(picture_stream.encode(frame))
            container.mux(picture_stream.encode(None))
        if audio is not None:
            channels = 1 if layout == "mono" else 2
            for sound in _sound(duration, sample_rate, channels, click_at):
                sound.pts += round(first_pts * sample_rate)
                container.mux(sound_stream.encode(sound))
            container.mux(sound_stream.encode(None))
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


def _sound(duration: float, rate: int, channels: int, click_at: float) -> list[AudioFrame]:
    samples = np.zeros((round(duration * rate), channels), np.int16)
    first = round(click_at * rate)
    noise = np.random.default_rng(1).integers(-20000, 20000, (rate // 100, channels))
    samples[first : first + rate // 100] = noise[: max(0, len(samples) - first)]
    frames = []
    for begin in range(0, len(samples), 960):
        chunk = np.ascontiguousarray(samples[begin : begin + 960]).reshape(1, -1)
        frame = AudioFrame.from_ndarray(
            chunk, format="s16", layout="mono" if channels == 1 else "stereo"
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        frames.append(frame)
    return frames
