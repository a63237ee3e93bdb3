"""A file that is being recorded: sound and pictures on one line of time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import aiortc
import av
import av.error
import numpy as np
from av import AudioFrame, Packet, VideoFrame
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace

from ..capture.clock import VIDEO_TIME_BASE, sample_number
from ..capture.processing import PIXEL_FORMAT, black, pixels, scale
from ..capture.sound import FRAME_DURATION, AudioFramer
from .encoder_catalogue import suitable_bitrate

SAMPLE_RATE = 48000
CHANNELS = 2
FRAME_RATE = 30
"""Pictures a second that encoders are told of; each has its own time stamp, whatever the rate."""
KEYFRAME_INTERVAL = 2.0
"""Seconds from which a player can begin; of an MP4 file, also the most that a crash costs."""
LATENESS = 2.0
"""Seconds after which nothing is expected to come any more: a silence, or a picture that stands, is
written. A remote clock is thought to have jumped when it is a second off, and then there is what
waits to be encoded."""
STANDING_INTERVAL = 1.0
"""Seconds between pictures where none come, so that the file grows and a player has one to show."""
PATIENCE = 2.0
"""Seconds that the beginning of the file waits for tracks from which nothing has come."""

Track = aiortc.MediaStreamTrack


@dataclass(frozen=True)
class Format:
    """A container, and what is put into it; names are libav's."""

    container: str
    audio: str
    video: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


# In fragments while it grows, so that all but the last is there after a crash; at the end libav
# adds the index that makes it an ordinary MP4 file, in which every player can seek.
_MP4 = {
    "movflags": "hybrid_fragmented+delay_moov",
    "frag_duration": str(round(KEYFRAME_INTERVAL * 1_000_000)),
}
FORMATS = {
    ".mp4": Format("mp4", "aac", "libx264", _MP4),
    ".mkv": Format("matroska", "libopus", "libx264"),
    ".webm": Format("webm", "libopus", "libvpx"),
    ".wav": Format("wav", "pcm_s16le"),
    ".ogg": Format("ogg", "libopus"),
}
# Encoders hold nothing back: what they hold, a crash would lose.
_ENCODERS = {
    "libx264": {"preset": "veryfast", "tune": "zerolatency", "crf": "23"},
    # Its threads wait for each other by spinning, which starves everybody on a busy computer.
    "libvpx": {"deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "threads": "1"},
}


def format_for(path: Path) -> Format:
    """The format of a file of this name.

    :raises ValueError: its suffix is none of those that work, which the message names.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise ValueError(f"{path.name}: recordings are {', '.join(FORMATS)}; "
                         "the last two are of sound alone")  # fmt: skip
    return found


class RecordingFile:
    """Takes the frames of tracks; each track has a place in the file from its first frame on.

    Which places there are is settled at the file's beginning: when all tracks that are there have
    sent something, or after `PATIENCE`. A track that comes later takes the place of one of its kind
    that has ended, or has none. Blocks: it is for a thread of its own.

    :raises OSError, av.error.FFmpegError: from all its methods: the file can't be written.
    """

    def __init__(self, file: BinaryIO, format: Format) -> None:
        options = {"flush_packets": "1", **format.options}
        self._container: Any = av.open(file, "w", format=format.container, options=options)
        self._file, self._format = file, format
        self._places: dict[Track, _Sound | _Pictures] = {}
        self._waiting: list[Packet[Any]] | None = []
        self._origin: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing has come for it."""
        return not self._places

    def has_place(self, track: Track) -> bool:
        """Whether the frames of a track can be written."""
        return (
            track in self._places
            or self._waiting is not None
            or self._free_place(track.kind) is not None
        )

    def write(self, track: Track, frame: VideoFrame | AudioFrame, at: float) -> None:
        """Add a frame of a track that has a place, captured at `at` (`time.monotonic()`)."""
        if self._origin is None:
            self._origin = at
        place = self._places.get(track)
        if place is None:
            former = self._free_place(track.kind) if self._waiting is None else None
            place = self._places.pop(former) if former else self._new_place(frame, self._origin)
            self._places[track] = place
        self._mux(place.write(frame, at))

    def advance(self, now: float, tracks: Iterable[Track]) -> None:
        """Go on to now, whether or not something has come of these tracks."""
        if self._origin is None:
            return
        expected = [track for track in tracks if track.readyState == "live"]
        if expected:
            for track, place in self._places.items():
                shows_nothing = track.readyState == "ended" or getattr(track, "muted", False)
                self._mux(place.fill(now - LATENESS, blank=shows_nothing))
        all_here = all(track in self._places for track in expected)
        if self._waiting is not None and (all_here or now > self._origin + PATIENCE):
            self._begin()

    def close(self) -> None:
        """Complete the file."""
        try:
            for place in self._places.values():
                self._mux(place.finish())
            if self._waiting:
                self._begin()
        finally:
            try:
                self._container.close()
            finally:
                self._file.close()

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, None
        self._mux(waiting or [])

    def _mux(self, packets: "list[Packet[Any]]") -> None:
        if self._waiting is not None:
            self._waiting += packets
        else:
            self._container.mux(packets)

    def _free_place(self, kind: str) -> Track | None:
        return next(
            (one for one in self._places if one.kind == kind and one.readyState == "ended"), None
        )

    def _new_place(self, frame: VideoFrame | AudioFrame, origin: float) -> "_Sound | _Pictures":
        if isinstance(frame, AudioFrame):
            stream = self._container.add_stream(
                self._format.audio, rate=SAMPLE_RATE, layout="stereo"
            )
            return _Sound(stream, origin)
        assert self._format.video is not None, "a file of sound alone is given no pictures"
        options = _ENCODERS[self._format.video]
        stream = self._container.add_stream(self._format.video, rate=FRAME_RATE, options=options)
        return _Pictures(stream, frame.width, frame.height, origin)


class _Sound:
    """The place of a track of sound: without a gap, from the beginning of the file on."""

    def __init__(self, stream: Any, origin: float) -> None:
        self._stream = stream
        self._origin = sample_number(origin, SAMPLE_RATE)
        self._framer = AudioFramer(SAMPLE_RATE, CHANNELS)
        self._next = 0

    def write(self, frame: Any, at: float) -> "list[Packet[Any]]":
        # The framer takes the time stamp off, and others have this frame, too.
        own = AudioFrame.from_ndarray(frame.to_ndarray(), frame.format.name, frame.layout.name)
        own.sample_rate = frame.sample_rate
        packets = []
        for framed in self._framer.push(own, at):
            assert framed.pts is not None
            number = framed.pts - self._origin
            if number >= self._next:  # else silence is there already, or it is before the beginning
                packets += self._silence(number)
                packets += self._encode(framed)
        return packets

    def fill(self, until: float, *, blank: bool) -> "list[Packet[Any]]":
        return self._silence(sample_number(until, SAMPLE_RATE) - self._origin)

    def finish(self) -> "list[Packet[Any]]":
        return list(self._stream.encode(None))

    def _silence(self, until: int) -> "list[Packet[Any]]":
        packets = []
        while (missing := until - self._next) > 0:
            samples = min(missing, round(SAMPLE_RATE * FRAME_DURATION))
            silence = np.zeros((1, samples * CHANNELS), np.int16)
            frame = AudioFrame.from_ndarray(silence, "s16", "stereo")
            frame.sample_rate = SAMPLE_RATE
            packets += self._encode(frame)
        return packets

    def _encode(self, frame: AudioFrame) -> "list[Packet[Any]]":
        frame.pts, frame.time_base = self._next, Fraction(1, SAMPLE_RATE)
        self._next += frame.samples
        return list(self._stream.encode(frame))


class _Pictures:
    """The place of a track of pictures, all of the size of the first."""

    def __init__(self, stream: Any, width: int, height: int, origin: float) -> None:
        # Two by two pixels share their colour.
        self._width, self._height = max(2, width // 2 * 2), max(2, height // 2 * 2)
        self._stream, self._origin = stream, origin
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = self._width, self._height, PIXEL_FORMAT
        context.time_base = VIDEO_TIME_BASE
        context.gop_size = 1 << 20  # key frames are asked for by the clock
        # Players take large pictures that say nothing for ITU-R BT.709.
        context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
        if context.name == "libvpx":
            context.bit_rate = 2 * suitable_bitrate("vp8", self._width, self._height, FRAME_RATE)
        self._picture = black(self._width, self._height)
        self._last = self._last_key = -1.0
        """Seconds since the beginning of the file."""

    def write(self, frame: Any, at: float) -> "list[Packet[Any]]":
        seconds = at - self._origin
        if seconds < 0 or _pts(seconds) <= _pts(self._last):
            return []
        self._picture = letterbox(frame, self._width, self._height)
        return self._encode(seconds)

    def fill(self, until: float, *, blank: bool) -> "list[Packet[Any]]":
        packets = []
        while 0 <= self._last < until - self._origin - STANDING_INTERVAL:
            if blank:
                self._picture = black(self._width, self._height)
            packets += self._encode(self._last + STANDING_INTERVAL)
        return packets

    def finish(self) -> "list[Packet[Any]]":
        return list(self._stream.encode(None))

    def _encode(self, seconds: float) -> "list[Packet[Any]]":
        picture, self._last = self._picture, seconds
        picture.pts, picture.time_base = _pts(seconds), VIDEO_TIME_BASE
        is_key = self._last_key < 0 or seconds >= self._last_key + KEYFRAME_INTERVAL
        picture.pict_type = PictureType.I if is_key else PictureType.NONE
        if is_key:
            self._last_key = seconds
        return list(self._stream.encode(picture))


def _pts(seconds: float) -> int:
    return round(seconds / VIDEO_TIME_BASE)


def letterbox(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """A new picture of this size, both even, that shows all of the given one, on black."""
    factor = min(width / frame.width, height / frame.height)
    inner_width, inner_height = (
        max(2, min(whole, round(size * factor / 2) * 2))
        for whole, size in ((width, frame.width), (height, frame.height))
    )
    left, top = (width - inner_width) // 4 * 2, (height - inner_height) // 4 * 2
    canvas, inner = black(width, height), scale(frame, inner_width, inner_height)
    for source, target, divisor in zip(inner.planes, canvas.planes, (1, 2, 2), strict=True):
        columns, rows = inner_width // divisor, inner_height // divisor
        x, y = left // divisor, top // divisor
        pixels(target)[y : y + rows, x : x + columns] = pixels(source)[:rows, :columns]
    return canvas
