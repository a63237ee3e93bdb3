"""The Opus encoder, and how loud sound is."""

import math
from typing import Any

import numpy as np
from av import AudioFrame, CodecContext

from ..capture.clock import sample_number
from ..capture.sound import FRAME_DURATION, AudioFramer

CLOCK_RATE = 48000
_BITRATES = {1: 40_000, 2: 64_000}
"""By the number of channels: speech with nothing to be desired, and room for in-band FEC."""
_MUSIC_BITRATES = {1: 64_000, 2: 128_000}
_EXPECTED_LOSS = 10
"""Per cent of packets: what FEC is laid out for."""
SILENCE_LEVEL = 127
"""In -dBov, what RFC 6464 has for digital silence."""


class OpusEncoder:
    """Encodes one track's sound. Used by one thread at a time."""

    implementation = "libopus"

    def __init__(self) -> None:
        self._context: Any = None
        self._framer: AudioFramer | None = None
        self._channels, self._is_music = 0, False
        self.bitrate = 0
        """Bits a second that it aims at."""

    def encode(
        self, frame: AudioFrame, at: float, is_music: bool = False
    ) -> list[tuple[bytes, int, int]]:
        """The packets that a frame completes, each with its time stamp and level.

        :param at: when the frame was captured.
        :param is_music: whether fidelity counts for more than lost packets do.
        :raises av.error.FFmpegError: the encoder has failed.
        """
        channels = min(2, frame.layout.nb_channels)
        if (channels, is_music) != (self._channels, self._is_music):
            self._open(channels, is_music)
        packets = []
        for framed in self._framed(frame, at):
            timestamp, level = framed.pts or 0, sound_level(framed)
            framed.pts = None  # the encoder's own are as good, and need no time base
            packets += [(bytes(p), timestamp, level) for p in self._context.encode(framed)]
        return packets

    def _framed(self, frame: AudioFrame, at: float) -> list[AudioFrame]:
        samples = round(CLOCK_RATE * FRAME_DURATION)
        shape = (frame.format.name, frame.sample_rate, frame.samples, frame.layout.nb_channels)
        if shape == ("s16", CLOCK_RATE, samples, self._channels):
            own = AudioFrame.from_ndarray(frame.to_ndarray(), "s16", frame.layout.name)
            own.sample_rate = CLOCK_RATE
            own.pts = sample_number(at, CLOCK_RATE)
            return [own]
        self._framer = self._framer or AudioFramer(CLOCK_RATE, self._channels)
        return self._framer.push(frame, at)

    def _open(self, channels: int, is_music: bool) -> None:
        context: Any = CodecContext.create("libopus", "w")
        context.format, context.sample_rate = "s16", CLOCK_RATE
        context.layout = "mono" if channels == 1 else "stereo"
        context.bit_rate = self.bitrate = (_MUSIC_BITRATES if is_music else _BITRATES)[channels]
        speech = {"application": "voip", "fec": "1", "packet_loss": str(_EXPECTED_LOSS)}
        context.options = {"application": "audio"} if is_music else speech
        context.open()
        self._context, self._framer = context, None
        self._channels, self._is_music = channels, is_music


def sound_level(frame: AudioFrame) -> int:
    """How far a frame of packed s16 is below the loudest possible, in dB (RFC 6464 4)."""
    samples = np.frombuffer(
        memoryview(frame.planes[0]), np.int16, frame.samples * frame.layout.nb_channels
    )
    power = float(np.mean(np.square(samples.astype(np.float32))))
    if power == 0:
        return SILENCE_LEVEL
    return min(SILENCE_LEVEL, max(0, round(-10 * math.log10(power / 32768**2))))
