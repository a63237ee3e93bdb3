"""Video encoders: FFmpeg's, set up for live pictures, one picture in and one packet out."""

import logging
import math
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av import CodecContext, VideoFrame
from av.filter import Graph
from av.video.frame import PictureType

from ..capture.clock import VIDEO_TIME_BASE
from ..capture.processing import scale

logger = logging.getLogger(__name__)

# SVT-AV1 writes to stderr by itself, on every occasion; what fails is raised by FFmpeg.
os.environ.setdefault("SVT_LOG", "0")

_REFERENCE_BITRATE = 2_000_000
"""Bits a second that make 1280x720 at 30 a good picture in H.264 or VP8."""
_REFERENCE_PIXELS = 1280 * 720 * 30
_GROWTH = 0.75
"""Larger pictures have more in them, but not by as much: the exponent of their pixels."""
_LEAST_BITRATE = 80_000
_SAVING = {"vp9": 0.75, "av1": 0.65}
"""What a codec needs for the same picture, as a part of what H.264 and VP8 do."""
_RATE_CHANGE = 1.25
"""Factor by which the frame rate must have changed before an encoder is opened anew: it is told
once, and shares out the bits by it."""
_NEVER = 1 << 20
"""Pictures from key frame to key frame: they are made when somebody asks for one."""


def suitable_bitrate(codec: str, width: int, height: int, frame_rate: float) -> int:
    """Bits a second for pictures of this size and rate."""
    share = math.pow(width * height * frame_rate / _REFERENCE_PIXELS, _GROWTH)
    return max(_LEAST_BITRATE, round(_REFERENCE_BITRATE * share * _SAVING.get(codec, 1)))


@dataclass(frozen=True)
class _Implementation:
    """One of FFmpeg's encoders."""

    name: str
    options: dict[str, str]
    rate_bound: bool = True
    """Whether it takes `maxrate` and `bufsize`."""
    adjustable: bool = False
    """Whether it takes another bitrate while it is open, without a key frame."""


_VPX = {
    "deadline": "realtime",
    "lag-in-frames": "0",
    "static-thresh": "1",
    "max-intra-rate": "900",
    "auto-alt-ref": "0",
}
IMPLEMENTATIONS = {
    "h264": _Implementation(
        "libx264",
        {
            "preset": "superfast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "sc_threshold": "0",
        },
        adjustable=True,
    ),
    "vp8": _Implementation(
        "libvpx", {**_VPX, "cpu-used": "-6", "undershoot-pct": "100", "overshoot-pct": "15"}
    ),
    "vp9": _Implementation(
        "libvpx-vp9",
        {
            **_VPX,
            "cpu-used": "8",
            "row-mt": "1",
            "aq-mode": "3",
            "undershoot-pct": "50",
            "overshoot-pct": "50",
        },
    ),
    "av1": _Implementation(
        "libsvtav1",
        # Faster presets, and what it does for pictures that it takes for screens, leave parts of
        # the picture before.
        {"preset": "10", "svtav1-params": "rtc=1:pred-struct=1:rc=2:scm=0:lp=1:keyint=-1"},
        rate_bound=False,
    ),
}
"""By the lower-case name of the codec."""


class VideoEncoder:
    """Encodes one track's pictures one way; it is opened anew when their size changes.

    Used by one thread at a time.

    :param codec: lower-case name of the codec, one of `IMPLEMENTATIONS`.
    :param scale_down_by: how much smaller the encoded pictures are.
    :param bitrate: bits a second; what suits size and rate when it is None.
    """

    def __init__(self, codec: str, *, scale_down_by: float = 1, bitrate: int | None = None) -> None:
        self._codec = codec
        self._scale_down_by = scale_down_by
        self._bitrate = bitrate
        self._context: Any = None
        self._graph: _Referencer | None = None
        self._frame_rate = 0.0
        self._pts = -1
        self.bitrate = 0
        """Bits a second that it aims at."""
        self.nominal_bitrate = 0
        """Bits a second that it aims at without a limit."""
        self.limit: int | None = None
        """Bits a second not to go beyond, where that can be changed at no cost."""

    @property
    def is_adjustable(self) -> bool:
        """Whether `limit` has an effect."""
        return IMPLEMENTATIONS[self._codec].adjustable

    @property
    def implementation(self) -> str:
        """The encoder's name, for statistics."""
        return IMPLEMENTATIONS[self._codec].name

    def encode(
        self, frame: VideoFrame, timestamp: int, frame_rate: float, *, keyframe: bool
    ) -> "EncodedPicture | None":
        """One picture; None when the encoder has left it out.

        :param timestamp: of the 90 kHz clock.
        :param frame_rate: how many come in a second.
        :raises av.error.FFmpegError: the encoder has failed.
        """
        width, height = self._size(frame)
        picture = scale(frame, width, height)
        if picture is frame:
            # Others may be encoding the very frame at the moment, and what follows is set in it.
            self._graph = self._graph if self._graph and self._graph.fits(frame) else None
            self._graph = self._graph or _Referencer(frame)
            picture = self._graph.reference(frame)
        if self._is_outdated(width, height, frame_rate):
            self._open(width, height, frame_rate)
        if self.is_adjustable:
            self._adjust()
        # Encoders insist on time that goes forward.
        self._pts = max(self._pts + 1, timestamp)
        picture.pts, picture.time_base = self._pts, VIDEO_TIME_BASE
        # A decoder leaves its own type in a frame: then every frame would be a key frame.
        picture.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = self._context.encode(picture)
        if not packets:
            return None
        data = b"".join(bytes(packet) for packet in packets)
        return EncodedPicture(data, any(packet.is_keyframe for packet in packets), width, height)

    def _size(self, frame: VideoFrame) -> tuple[int, int]:
        # 4:2:0 has one sample of colour for two by two pixels.
        width = int(frame.width / self._scale_down_by) & ~1
        height = int(frame.height / self._scale_down_by) & ~1
        return max(2, width), max(2, height)

    def _is_outdated(self, width: int, height: int, frame_rate: float) -> bool:
        if self._context is None or (self._context.width, self._context.height) != (width, height):
            return True
        change = frame_rate / self._frame_rate
        return not 1 / _RATE_CHANGE < change < _RATE_CHANGE

    def _adjust(self) -> None:
        wanted = min(self.nominal_bitrate, self.limit or self.nominal_bitrate)
        if wanted != self.bitrate:
            self.bitrate = self._context.bit_rate = wanted

    def _open(self, width: int, height: int, frame_rate: float) -> None:
        implementation = IMPLEMENTATIONS[self._codec]
        self.nominal_bitrate = self.bitrate = self._bitrate or suitable_bitrate(
            self._codec, width, height, frame_rate
        )
        self._frame_rate = frame_rate
        context: Any = CodecContext.create(implementation.name, "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = VIDEO_TIME_BASE
        context.framerate = Fraction(frame_rate).limit_denominator(1001)
        context.bit_rate = self.bitrate
        context.gop_size = _NEVER
        context.thread_count = 1
        options = dict(implementation.options)
        if implementation.rate_bound:
            options |= {"maxrate": str(self.bitrate), "bufsize": str(self.bitrate // 2)}
        if implementation.name.startswith("libvpx"):
            options["minrate"] = options["maxrate"]  # makes the rate constant
        context.options = options
        context.open()
        self._context = context
        self._pts = -1
        logger.debug("%s opened for %dx%d at %g", implementation.name, width, height, frame_rate)


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture as the encoder compressed it."""

    data: bytes
    keyframe: bool
    width: int
    height: int


class _Referencer:
    """Makes frames that share another's pixels, and nothing else (two microseconds)."""

    def __init__(self, frame: VideoFrame) -> None:
        self._shape = (frame.width, frame.height, frame.format.name)
        self._graph = Graph()
        self._source = self._graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=VIDEO_TIME_BASE,
        )
        self._sink = self._graph.add("buffersink")
        self._source.link_to(self._sink)
        self._graph.configure()

    def fits(self, frame: VideoFrame) -> bool:
        return self._shape == (frame.width, frame.height, frame.format.name)

    def reference(self, frame: VideoFrame) -> VideoFrame:
        self._source.push(frame)
        pulled = self._sink.pull()
        assert isinstance(pulled, VideoFrame)
        return pulled
