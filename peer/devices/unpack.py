"""A media container taken apart: which streams it has, and what its packets are a picture of."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from av import AudioFrame, AudioResampler, BitStreamFilterContext, Packet, VideoFrame
from av.codec.context import ThreadType
from av.container import InputContainer
from av.stream import Disposition

from .backend import AudioMode, DeviceError, EncodedPicture, Mode, VideoMode

SOUND_RATE = 48000
"""Samples a second, which Opus needs no conversion for."""
ASSUMED_RATE = 30.0
"""Frames a second where a stream doesn't say."""
SEQUENCE_PARAMETER_SET = re.compile(rb"\x00\x00\x01[\x27\x47\x67]")
"""The start of one in H.264's Annex B."""
PASSED_THROUGH = ("yuv420p", "yuvj420p")
"""Pixel formats of the H.264 that every decoder understands."""

Kind = Literal["video", "audio"]
KINDS: tuple[Kind, ...] = ("video", "audio")
Piece = tuple[float, VideoFrame | AudioFrame | EncodedPicture, float]
"""Position in the container, what is to be seen or heard there, and for how long; in seconds."""


class Connection:
    """An open container: what is in it, and what takes its packets apart.

    :raises DeviceError: there is neither picture nor sound in it.
    """

    def __init__(self, container: InputContainer) -> None:
        self.container = container
        pictures = [
            stream
            for stream in container.streams.video
            if stream.codec_context
            and stream.codec_context.width
            and not stream.disposition & Disposition.attached_pic
        ]
        sounds = [
            stream
            for stream in container.streams.audio
            if stream.codec_context and stream.codec_context.channels
        ]
        self._streams: list[Any] = [*pictures[:1], *sounds[:1]]
        if not self._streams:
            raise DeviceError("there is neither a picture nor sound in it that can be decoded")
        self.unpackers: dict[str, PictureUnpacker | SoundUnpacker] = {}
        if pictures:
            self.unpackers["video"] = PictureUnpacker(pictures[0])
        if sounds:
            self.unpackers["audio"] = SoundUnpacker(sounds[0])
        self.origin = (container.start_time or 0) / 1e6
        """The time stamp with which the content begins, in seconds."""
        self.format = container.format.name
        self._frame_rate_is_set = False
        self.duration = None if container.duration is None else container.duration / 1e6
        """Seconds of a recording, as far as the container knows; None of what has no end."""

    @property
    def modes(self) -> dict[str, Mode]:
        """The mode of each kind that is there."""
        return {kind: unpacker.mode for kind, unpacker in self.unpackers.items()}

    def set_frame_rate(self, rate: float) -> None:
        """Show pictures at this rate, whatever the container says."""
        unpacker = self.unpackers["video"]
        assert isinstance(unpacker, PictureUnpacker), "only pictures have a frame rate"
        unpacker.mode = replace(unpacker.mode, frame_rate=rate)
        self._frame_rate_is_set = True

    def duration_of(self, packet: "Packet[Any]") -> float:
        """Seconds that a packet lasts."""
        if packet.duration and not self._frame_rate_is_set:
            return float(packet.duration * packet.time_base)
        mode = self.unpackers[packet.stream.type].mode
        return 1 / mode.frame_rate if isinstance(mode, VideoMode) else 0.0

    def packets(self) -> "Iterator[tuple[str, Packet[Any]]]":
        """The packets with their kind; at the end an empty one of each, which ends decoding."""
        for packet in self.container.demux(self._streams):
            yield packet.stream.type, packet


class PictureUnpacker:
    """Turns packets into frames, or H.264 packets without B-frames into pictures as they are."""

    def __init__(self, stream: Any) -> None:
        self._codec = codec = stream.codec_context
        rate = float(stream.average_rate or stream.guessed_rate or ASSUMED_RATE)
        self._duration = 1 / rate
        self._next = 0.0
        self._filter: BitStreamFilterContext | None = None
        self._parameter_sets = b""
        if codec.name == "h264" and not codec.has_b_frames and codec.pix_fmt in PASSED_THROUGH:
            self._filter = BitStreamFilterContext("h264_mp4toannexb", stream)
            extradata = codec.extradata or b""
            self._parameter_sets = extradata if extradata.startswith(b"\0\0") else b""
        else:
            codec.thread_type = ThreadType.AUTO
        pixel_format = "h264" if self._filter else ""
        self.mode = VideoMode(codec.width, codec.height, rate, pixel_format)

    def restart(self) -> None:
        """What follows doesn't build upon what was before."""
        if self._filter:
            self._filter.flush()
        elif self._codec.is_open:
            self._codec.flush_buffers()

    def unpack(self, packet: "Packet[Any]") -> list[Piece]:
        if self._filter:
            if not packet.size:
                return []
            # A copy, for the filter empties what it gets, and another capture may need it.
            whole = b"".join(bytes(part) for part in self._filter.filter(Packet(bytes(packet))))
            picture = self._picture(whole, packet.is_keyframe)
            return [self._piece(seconds(packet), picture)] if whole else []
        pieces = []
        for frame in self._codec.decode(packet):
            frame.pict_type = 0  # else it would tell an encoder to make a key frame
            pieces.append(self._piece(frame.time, frame))
        return pieces

    def _picture(self, data: bytes, keyframe: bool) -> EncodedPicture:
        if keyframe and not _has_parameter_sets(data):
            data = self._parameter_sets + data
            keyframe = bool(self._parameter_sets)
        return EncodedPicture("h264", data, keyframe)

    def _piece(self, position: float | None, content: VideoFrame | EncodedPicture) -> Piece:
        if position is None:
            position = self._next
        self._next = position + self._duration
        return position, content, self._duration


class SoundUnpacker:
    """Turns packets into packed 16 bit samples, mono or stereo, of 48 kHz."""

    def __init__(self, stream: Any) -> None:
        self._codec = stream.codec_context
        channels = min(self._codec.channels, 2)
        self.mode = AudioMode(SOUND_RATE, channels)
        self._layout = "mono" if channels == 1 else "stereo"
        self._resampler = AudioResampler("s16", self._layout, SOUND_RATE)
        self._next = 0.0

    def restart(self) -> None:
        """What follows doesn't go on from what was before."""
        if self._codec.is_open:
            self._codec.flush_buffers()
        self._resampler = AudioResampler("s16", self._layout, SOUND_RATE)

    def unpack(self, packet: "Packet[Any]") -> list[Piece]:
        pieces: list[Piece] = []
        frames: list[AudioFrame | None] = [*self._codec.decode(packet)]
        if not packet.size:
            frames.append(None)
        for frame in frames:
            for sound in self._resampler.resample(frame):
                if not sound.samples:
                    continue
                position = self._next if sound.time is None else sound.time
                duration = sound.samples / SOUND_RATE
                self._next = position + duration
                pieces.append((position, sound, duration))
        return pieces


def seconds(packet: "Packet[Any]") -> float | None:
    """The packet's time stamp in seconds, if it has one."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    return None if stamp is None else float(stamp * packet.time_base)


def _has_parameter_sets(data: bytes) -> bool:
    return SEQUENCE_PARAMETER_SET.search(data) is not None
