"""Which encoders there are, and how fast they are here."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from aiortc.codecs.vpx import number_of_threads
from av import AudioCodecContext, CodecContext, VideoCodecContext, VideoFrame
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError

from ..devices.test_pattern import AudioPattern
from ..media.encoder_catalogue import HARDWARE
from ..media.scheduling import ordinary_priority
from .finding import Finding, Level
from .threads import in_thread

CODECS_TIMEOUT = 3.0
"""Seconds for all of them: on a slow computer each takes its budget and a few slow frames more.
The important ones come first."""

BUDGET = 0.3
"""Seconds of encoding that tell how fast an encoder is."""

FRAMES = 20
"""Frames that tell it on a fast computer."""

WIDTH, HEIGHT = 1280, 720
FRAME_RATE = 30
BIT_RATE = 2_000_000
SAMPLE_RATE = 48000
PACKET_SAMPLES = 960
"""20 ms, as Opus packets have in WebRTC."""

_SMALLER = "Publish smaller pictures, for example `--video 640x480@15`, or end other programs"


@dataclass(frozen=True)
class Encoder:
    """An encoder to be measured."""

    name: str
    library: str
    """FFmpeg's name."""
    missing: Level
    """How bad it is if there is none."""
    options: Mapping[str, str] = field(default_factory=dict)


# The settings of aiortc, or those for live pictures where it has none.
_LIVE_VPX = {"deadline": "realtime", "lag-in-frames": "0"}
VIDEO = (
    Encoder(
        "VP8",
        "libvpx",
        "problem",
        {**_LIVE_VPX, "cpu-used": "-6", "static-thresh": "1", "noise-sensitivity": "4"},
    ),
    Encoder(
        "H.264", "libx264", "warning", {"tune": "zerolatency", "level": "31", "profile": "baseline"}
    ),
    Encoder("VP9", "libvpx-vp9", "ok", {**_LIVE_VPX, "cpu-used": "8", "row-mt": "1"}),
    Encoder(
        "AV1", "libsvtav1", "ok", {"preset": "10", "svtav1-params": "rtc=1:pred-struct=1:rc=2"}
    ),
)
OPUS = Encoder("Opus", "libopus", "problem")


@dataclass(frozen=True)
class Measurement:
    """What one encoder did."""

    encoder: Encoder
    seconds: float | None = None
    """For one frame, or packet of sound."""
    error: str = ""
    """Why there is no measurement, as a clause."""


async def examine() -> list[Finding]:
    """Encode a few frames with each, one after another."""
    done: list[Measurement] = []

    def work() -> list[str]:
        done.append(_measured(OPUS))
        for encoder in VIDEO:
            done.append(_measured(encoder))
        return [name for name in HARDWARE if opens(name)]

    try:
        hardware = await in_thread(work, CODECS_TIMEOUT)
    except TimeoutError:
        return judge(list(done), None)
    return judge(done, hardware)


def _measured(encoder: Encoder) -> Measurement:
    try:
        seconds = measure_opus() if encoder is OPUS else measure_video(encoder)
    except UnknownCodecError:
        return Measurement(encoder, error=f"PyAV has no {encoder.library}")
    except FFmpegError as error:
        return Measurement(encoder, error=f"{encoder.library} can't be opened ({error.strerror})")
    return Measurement(encoder, seconds)


def measure_video(encoder: Encoder) -> float:
    """Seconds that an encoder takes for one frame of 720p, on average. Blocks.

    :raises UnknownCodecError: PyAV has no such encoder.
    :raises FFmpegError: it does not work.
    """
    # SVT-AV1 writes its settings to the standard error, unless the environment says otherwise.
    os.environ.setdefault("SVT_LOG", "0")
    context = _video_context(encoder.library, "yuv420p")
    context.options = dict(encoder.options)
    context.thread_count = number_of_threads(WIDTH * HEIGHT, os.cpu_count() or 1)
    scene = pictures()
    with ordinary_priority():
        context.encode(scene[0])  # which opens it, and is the one large frame
    spent = 0.0
    for number in range(1, FRAMES + 1):
        frame = scene[number % len(scene)]
        frame.pts = number
        started = time.perf_counter()
        context.encode(frame)
        spent += time.perf_counter() - started
        if spent > BUDGET:
            break
    started = time.perf_counter()
    context.encode(None)  # what an encoder with threads of its own still has to do
    return (spent + time.perf_counter() - started) / number


def measure_opus() -> float:
    """Seconds that libopus takes for 20 ms of stereo, on average. Blocks.

    :raises UnknownCodecError: PyAV has no libopus.
    :raises FFmpegError: it does not work.
    """
    context = CodecContext.create(OPUS.library, "w")
    assert isinstance(context, AudioCodecContext)
    context.format, context.layout, context.sample_rate = "s16", "stereo", SAMPLE_RATE
    pattern = AudioPattern(SAMPLE_RATE, 2, 440.0)
    spent = 0.0
    for number in range(FRAMES):
        frame = pattern.frame(number * PACKET_SAMPLES, PACKET_SAMPLES)
        started = time.perf_counter()
        context.encode(frame)
        spent += time.perf_counter() - started
    return spent / FRAMES


def opens(library: str) -> bool:
    """Whether PyAV has an encoder and it starts: one in hardware does where there is the
    hardware."""
    try:
        context = _video_context(library, "nv12")
        with ordinary_priority():
            context.open()
    except (UnknownCodecError, FFmpegError):
        return False
    return True


def _video_context(library: str, pixel_format: str) -> VideoCodecContext:
    context = CodecContext.create(library, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, pixel_format
    context.framerate, context.time_base = Fraction(FRAME_RATE), Fraction(1, FRAME_RATE)
    context.bit_rate = BIT_RATE
    return context


def pictures() -> list[VideoFrame]:
    """A few frames as of a camera in an ordinary room: things move, and the sensor makes noise,
    without which encoders look several times as fast as they are."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    frames = []
    for number in range(4):
        waves = 60 * np.sin((columns + 6 * number) / 40) + 30 * np.sin(rows / 25)
        planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        planes[:HEIGHT] = 128 + waves + random.normal(0, 3, (HEIGHT, WIDTH))
        frame = VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
        frames.append(frame)
    return frames


def judge(measurements: Sequence[Measurement], hardware: Sequence[str] | None) -> list[Finding]:
    """What the measurements mean.

    :param hardware: the encoders in hardware that start; None when time was up before.
    """
    findings = [_judge_one(measurement) for measurement in measurements]
    if hardware is None:
        reached = [measurement.encoder.name for measurement in measurements]
        missed = [encoder.name for encoder in (OPUS, *VIDEO) if encoder.name not in reached]
        text = (
            f"{', '.join([*missed, 'encoders in hardware'])} could not be measured within "
            f"{CODECS_TIMEOUT:g} s: this computer is slow, or busy"
        )
        return [*findings, Finding("codecs", "warning", text, _SMALLER)]
    if hardware:
        text = f"Encoders in hardware: {', '.join(hardware)}"
    else:
        text = f"No encoder in hardware: none of {', '.join(HARDWARE)} starts"
    return [*findings, Finding("codecs", "ok", text)]


def _judge_one(measurement: Measurement) -> Finding:
    encoder, seconds = measurement.encoder, measurement.seconds
    if seconds is None:
        text = f"{encoder.name} can't be encoded: {measurement.error}"
        if encoder.missing == "ok":
            return Finding("codecs", "ok", f"{text}; it is not needed")
        remedy = "Install PyAV from its wheels, which have the encoder: `pip install --upgrade av`"
        return Finding("codecs", encoder.missing, text, remedy)
    if encoder is OPUS:
        text = f"Opus: {seconds * 1000:.2f} ms for each 20 ms of stereo"
        return Finding("codecs", "ok", text)
    rate = attainable(seconds)
    text = f"{encoder.name} 720p: {seconds * 1000:.1f} ms a frame: " + (
        f"enough for {rate} frames a second" if rate else "too slow for moving pictures"
    )
    if rate >= FRAME_RATE or encoder.missing == "ok":
        return Finding("codecs", "ok", text)
    return Finding("codecs", "warning", text, _SMALLER)


def attainable(seconds: float) -> int:
    """The usual frame rate that is reached with so many seconds a frame; 0 for none."""
    return next((rate for rate in (60, 30, 24, 15, 10, 5) if seconds * rate <= 1), 0)
