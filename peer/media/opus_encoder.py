"""The Opus encoder, and how loud sound is."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from av import AudioFrame, CodecContext

from ..capture.clock import sample_number
from ..capture.sound import FRAME_DURATION, AudioFramer
from . import libopus

CLOCK_RATE = 48000
_SAMPLES = round(CLOCK_RATE * FRAME_DURATION)
_BITRATES = {1: 40_000, 2: 64_000}
"""By the number of channels: speech with nothing to be desired, and room for in-band FEC."""
_MUSIC_BITRATES = {1: 64_000, 2: 128_000}
_EXPECTED_LOSS = 10
"""Per cent of packets: what FEC is laid out for."""
SILENCE_LEVEL = 127
"""In -dBov, what RFC 6464 has for digital silence."""
_PAUSE = 2
"""Octets of a packet that has nothing in it (RFC 6716 3.2.1); RFC 7587 3.1.3 has it left out."""


@dataclass(frozen=True, slots=True)
class EncodedSound:
    """20 ms of sound, as the encoder compressed it."""

    data: bytes
    timestamp: int
    level: int
    """How far it is below the loudest possible, in dB (RFC 6464)."""
    resumes: bool
    """Whether it is the first after a pause."""


class OpusEncoder:
    """Encodes one track's sound. Used by one thread at a time.

    :param dtx: whether pauses of speech are left out, but for what tells of the noise in them.
    """

    implementation = "libopus"

    def __init__(self, *, dtx: bool = False) -> None:
        self._dtx = dtx
        self._pausing = False
        self._following: int | None = None
        self._expected: int | None = None
        self._context: Any = None
        self._framer: AudioFramer | None = None
        self._channels, self._is_music = 0, False
        self.bitrate = 0
        """Bits a second that it aims at."""

    def encode(self, frame: AudioFrame, at: float, is_music: bool = False) -> list[EncodedSound]:
        """The packets that a frame completes; none in a pause.

        :param at: when the frame was captured.
        :param is_music: whether fidelity counts for more than lost packets do.
        :raises av.error.FFmpegError: the encoder has failed.
        :raises OSError: as well.
        """
        channels = min(2, frame.layout.nb_channels)
        if (channels, is_music) != (self._channels, self._is_music):
            self._open(channels, is_music)
        packets = []
        for framed in self._framed(frame, at):
            timestamp, level = framed.pts or 0, sound_level(framed)
            framed.pts = None  # the encoder's own are as good, and need no time base
            for packet in self._context.encode(framed):
                data = bytes(packet)
                if not self._continues_pause(data):
                    packets.append(EncodedSound(data, timestamp, level, self._resumes(timestamp)))
        return packets

    def _continues_pause(self, data: bytes) -> bool:
        """Whether there is no need to send it: the first of a pause tells decoders to make noise
        of their own, as libwebrtc does it."""
        was_pausing, self._pausing = self._pausing, len(data) <= _PAUSE
        return was_pausing and self._pausing

    def _resumes(self, timestamp: int) -> bool:
        """Whether there is a gap before what is sent now."""
        expected, self._expected = self._expected, timestamp + _SAMPLES
        return expected is not None and timestamp - expected >= _SAMPLES

    def _framed(self, frame: AudioFrame, at: float) -> list[AudioFrame]:
        shape = (frame.format.name, frame.sample_rate, frame.samples, frame.layout.nb_channels)
        if shape == ("s16", CLOCK_RATE, _SAMPLES, self._channels):
            own = AudioFrame.from_ndarray(frame.to_ndarray(), "s16", frame.layout.name)
            own.sample_rate = CLOCK_RATE
            own.pts = self._number(at)
            return [own]
        self._framer = self._framer or AudioFramer(CLOCK_RATE, self._channels)
        return self._framer.push(frame, at)

    def _number(self, at: float) -> int:
        """Of a frame's first sample. Decoders take the least gap for a lost packet, and tracks
        that don't come from a device here may be off by as much as their frames are late."""
        number = sample_number(at, CLOCK_RATE)
        if self._following is not None and abs(number - self._following) < _SAMPLES:
            number = self._following
        self._following = number + _SAMPLES
        return number

    def _open(self, channels: int, is_music: bool) -> None:
        self.bitrate = (_MUSIC_BITRATES if is_music else _BITRATES)[channels]
        if self._dtx and not is_music and libopus.available():
            self._context = libopus.SpeechEncoder(
                CLOCK_RATE, channels, self.bitrate, _EXPECTED_LOSS
            )
        else:
            self._context = self._ffmpeg(channels, is_music)
        self._channels, self._is_music = channels, is_music
        self._framer = None

    def _ffmpeg(self, channels: int, is_music: bool) -> Any:
        context: Any = CodecContext.create("libopus", "w")
        context.format, context.sample_rate = "s16", CLOCK_RATE
        context.layout = "mono" if channels == 1 else "stereo"
        context.bit_rate = self.bitrate
        speech = {"application": "voip", "fec": "1", "packet_loss": str(_EXPECTED_LOSS)}
        context.options = {"application": "audio"} if is_music else speech
        context.open()
        return context


def sound_level(frame: AudioFrame) -> int:
    """How far a frame of packed s16 is below the loudest possible, in dB (RFC 6464 4)."""
    samples = np.frombuffer(
        memoryview(frame.planes[0]), np.int16, frame.samples * frame.layout.nb_channels
    )
    power = float(np.mean(np.square(samples.astype(np.float32))))
    if power == 0:
        return SILENCE_LEVEL
    return min(SILENCE_LEVEL, max(0, round(-10 * math.log10(power / 32768**2))))
