"""Video encoders: FFmpeg's, set up for live pictures, one picture in and one packet out."""

import logging
import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av import CodecContext, VideoFrame
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import PictureType

from ..capture.clock import VIDEO_TIME_BASE
from ..capture.processing import scale
from .encoder_catalogue import (
    SMALL,
    Implementation,
    implementations,
    suitable_bitrate,
    suitable_threads,
)
from .encoder_settings import settings
from .pace import Pace
from .rungs import LEAST_OF_BITRATE
from .scheduling import ordinary_priority

logger = logging.getLogger(__name__)

# SVT-AV1 writes to stderr by itself, on every occasion; what fails is raised by FFmpeg.
os.environ.setdefault("SVT_LOG", "0")

_EVEN = 1.05
"""How many times as fast as they were said to come pictures may come, until less is made of each:
most are a little late or early."""
_NEVER = 1 << 20
"""Pictures from key frame to key frame: they are made when somebody asks for one."""


class VideoEncoder:
    """Encodes one track's pictures one way; it is opened anew when their size changes, or when they
    come at quite another rate for a while.

    Used by one thread at a time.

    :param codec: lower-case name of the codec, one of `encoder_catalogue.CODECS`.
    :param scale_down_by: how much smaller the encoded pictures are.
    :param bitrate: bits a second; what suits size and rate when it is None.
    """

    def __init__(self, codec: str, *, scale_down_by: float = 1, bitrate: int | None = None) -> None:
        self._codec = codec
        self._implementations = implementations(codec, settings.hardware)
        self._scale_down_by = scale_down_by
        self._bitrate = bitrate
        self._context: Any = None
        self._opened_for = (0, 0, False)
        self._opened_rate = 0.0
        self._counted_bitrate = 0  # what the encoder takes for its bitrate, if it counts pictures
        self._pace = Pace()
        self._referencer: _Referencer | None = None
        self._pts = 0
        self.bitrate = 0
        """Bits a second that it aims at."""
        self.nominal_bitrate = 0
        """Bits a second that it aims at without a limit."""
        self.limit: int | None = None
        """Bits a second not to go beyond, where that can be changed at no cost."""

    @property
    def is_adjustable(self) -> bool:
        """Whether `limit` has an effect."""
        return self._implementations[0].adjustable

    @property
    def implementation(self) -> str:
        """The encoder's name, for statistics."""
        return self._implementations[0].name

    def encode(
        self,
        frame: VideoFrame,
        timestamp: int,
        frame_rate: float,
        *,
        keyframe: bool,
        is_screen: bool = False,
    ) -> "EncodedPicture | None":
        """One picture; None when the encoder has left it out.

        :param timestamp: of the 90 kHz clock.
        :param frame_rate: how many come in a second, as far as that is known.
        :param is_screen: whether it is of text and drawings.
        :raises av.error.FFmpegError: the encoder has failed.
        """
        width, height = self._size(frame)
        picture = self._own(scale(frame, width, height), frame)
        self._pace.take(timestamp)
        rate = self._pace.rate(frame_rate)
        # Even ones: of a picture after a gap, libvpx makes much more than the gap has saved.
        self._pts += max(1, round(VIDEO_TIME_BASE.denominator / rate))
        picture.pts, picture.time_base = self._pts, VIDEO_TIME_BASE
        # A decoder leaves its own type in a frame: then every frame would be a key frame.
        picture.pict_type = PictureType.I if keyframe else PictureType.NONE
        while True:
            implementation = self._implementations[0]
            try:
                changed = self._pace.changed()
                if (
                    self._context is None
                    or self._opened_for != (width, height, is_screen)
                    or changed is not None
                ):
                    self._open(implementation, width, height, changed or rate, is_screen)
                if implementation.adjustable:
                    self._adjust(rate)
                packets = self._context.encode(self._in_format(picture, implementation))
                break
            except (FFmpegError, ValueError) as error:
                self._context = None
                if not implementation.hardware:
                    raise
                del self._implementations[0]
                following = self._implementations[0].name
                logger.warning("%s: %s; using %s", implementation.name, error, following)
        if not packets:
            return None
        data = b"".join(bytes(packet) for packet in packets)
        return EncodedPicture(data, any(packet.is_keyframe for packet in packets), width, height)

    def _own(self, picture: VideoFrame, frame: VideoFrame) -> VideoFrame:
        """The picture in a frame of its own: others may be encoding the very frame at the moment,
        and an encoder's wishes are set in it."""
        if picture is not frame:
            return picture
        if self._referencer is None or not self._referencer.fits(frame):
            self._referencer = _Referencer(frame)
        return self._referencer.reference(frame)

    def _in_format(self, picture: VideoFrame, implementation: Implementation) -> VideoFrame:
        if picture.format.name == implementation.pixel_format:
            return picture
        converted = picture.reformat(format=implementation.pixel_format)
        converted.pict_type = picture.pict_type
        return converted

    def _size(self, frame: VideoFrame) -> tuple[int, int]:
        # 4:2:0 has one sample of colour for two by two pixels.
        width = int(frame.width / self._scale_down_by) & ~1
        height = int(frame.height / self._scale_down_by) & ~1
        return max(2, width), max(2, height)

    def _adjust(self, rate: float) -> None:
        nominal = self.nominal_bitrate
        least = round(nominal * LEAST_OF_BITRATE)
        self.bitrate = nominal if self.limit is None else min(nominal, max(least, self.limit))
        # It counts pictures, and doesn't look at their time stamps.
        faster = rate / self._opened_rate
        counted = self.bitrate if faster < _EVEN else round(self.bitrate / faster)
        change = counted / self._counted_bitrate
        if change != 1 and (faster < _EVEN or not 1 / _EVEN < change < _EVEN):
            self._counted_bitrate = self._context.bit_rate = counted

    def _open(
        self,
        implementation: Implementation,
        width: int,
        height: int,
        frame_rate: float,
        is_screen: bool,
    ) -> None:
        self.nominal_bitrate = self.bitrate = self._bitrate or suitable_bitrate(
            self._codec, width, height, frame_rate
        )
        context: Any = CodecContext.create(implementation.name, "w")
        context.width, context.height = width, height
        context.pix_fmt = implementation.pixel_format
        context.time_base = VIDEO_TIME_BASE
        context.framerate = Fraction(frame_rate).limit_denominator(1001)
        context.bit_rate = self.bitrate
        context.gop_size = _NEVER
        context.thread_count = suitable_threads(width, height, os.cpu_count() or 1)
        options = dict(implementation.options)
        if is_screen:
            options |= implementation.screen_options
        if width * height < SMALL:
            options |= implementation.small_options
        if implementation.rate_bound:
            options |= {"maxrate": str(self.bitrate), "bufsize": str(self.bitrate // 2)}
        if implementation.constant_rate:
            options["minrate"] = str(self.bitrate)
        context.options = options
        with ordinary_priority():
            context.open()
        self._context, self._counted_bitrate = context, self.bitrate
        self._opened_for, self._opened_rate = (width, height, is_screen), frame_rate
        self._pace.settle(frame_rate)
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
