"""Sound, encoded and decoded again."""

from itertools import pairwise

import numpy as np
import pytest
from av import AudioFrame, CodecContext, Packet

from peer.media.opus_encoder import CLOCK_RATE, SILENCE_LEVEL, OpusEncoder, sound_level


def tone(
    number: int, *, rate: int = 48000, channels: int = 2, amplitude: float = 0.25
) -> AudioFrame:
    """The 20 ms of this number of a tone of 440 Hz."""
    samples = rate // 50
    at = np.arange(number * samples, (number + 1) * samples) / rate
    wave = (np.sin(2 * np.pi * 440 * at) * amplitude * 32767).astype(np.int16)
    layout = "mono" if channels == 1 else "stereo"
    frame = AudioFrame.from_ndarray(np.repeat(wave, channels).reshape(1, -1), "s16", layout)
    frame.sample_rate = rate
    return frame


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("is_music", [False, True])
def test_a_tone_is_the_same_tone(channels: int, rate: int, is_music: bool) -> None:
    encoder = OpusEncoder()
    decoder = CodecContext.create("libopus", "r")
    decoder.layout, decoder.sample_rate = "stereo", CLOCK_RATE
    packets = []
    for number in range(50):
        frame = tone(number, rate=rate, channels=channels)
        packets += encoder.encode(frame, 100 + number / 50, is_music)
    assert {b - a for (_, a, _), (_, b, _) in pairwise(packets)} == {960}
    heard = [f.to_ndarray() for data, _, _ in packets for f in decoder.decode(Packet(data))]
    sound = np.concatenate([one.reshape(one.shape[0], -1)[0] for one in heard[10:]])
    sound = sound.astype(np.float64)[:: 1 if heard[0].shape[0] == 2 else 2]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.argmax(spectrum) * CLOCK_RATE / len(sound) == pytest.approx(440, abs=3)


def test_music_gets_more() -> None:
    sizes = {}
    for is_music in (False, True):
        encoder = OpusEncoder()
        noise = np.random.default_rng(1).integers(-8000, 8000, (1, 1920), np.int16)
        frame = AudioFrame.from_ndarray(noise, "s16", "stereo")
        frame.sample_rate = CLOCK_RATE
        packets = [encoder.encode(frame, n / 50, is_music)[0][0] for n in range(20)]
        sizes[is_music] = sum(map(len, packets))
    assert sizes[True] > 1.5 * sizes[False]


def test_another_number_of_channels_is_survived() -> None:
    encoder = OpusEncoder()
    assert encoder.encode(tone(0, channels=2), 0)
    assert encoder.encode(tone(1, channels=1), 0.02)


def test_levels() -> None:
    assert sound_level(tone(0, amplitude=0)) == SILENCE_LEVEL
    assert sound_level(tone(0, amplitude=1)) == pytest.approx(3, abs=1), "a sine at full scale"
    assert sound_level(tone(0, amplitude=0.1)) == pytest.approx(23, abs=1)
    assert sound_level(tone(0, amplitude=0.0001)) > 70
