"""Sound, encoded and decoded again."""

from itertools import pairwise

import numpy as np
import pytest
from av import AudioFrame, CodecContext, Packet

from peer.capture.clock import sample_number
from peer.media import libopus
from peer.media.opus_encoder import (
    CLOCK_RATE,
    SILENCE_LEVEL,
    EncodedSound,
    OpusEncoder,
    sound_level,
)


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
    assert {b.timestamp - a.timestamp for a, b in pairwise(packets)} == {960}
    assert not any(one.resumes for one in packets)
    heard = [f.to_ndarray() for one in packets for f in decoder.decode(Packet(one.data))]
    sound = np.concatenate([one.reshape(one.shape[0], -1)[0] for one in heard[10:]])
    sound = sound.astype(np.float64)[:: 1 if heard[0].shape[0] == 2 else 2]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.argmax(spectrum) * CLOCK_RATE / len(sound) == pytest.approx(440, abs=3)


def room(number: int, *, amplitude: float, channels: int) -> AudioFrame:
    """20 ms of noise."""
    noise = np.random.default_rng(number).normal(0, amplitude, (1, 960 * channels))
    layout = "mono" if channels == 1 else "stereo"
    frame = AudioFrame.from_ndarray(noise.astype(np.int16), "s16", layout)
    frame.sample_rate = CLOCK_RATE
    return frame


def spoken(
    encoder: OpusEncoder, channels: int = 1, *, is_music: bool = False
) -> list[tuple[int, EncodedSound]]:
    """A second of speech, two of a quiet room, and one of speech: each packet with the number of
    its frame."""
    return [
        (number, one)
        for number in range(200)
        for one in encoder.encode(
            room(number, amplitude=20 if 50 <= number < 150 else 6000, channels=channels),
            100 + number / 50,
            is_music,
        )
    ]


@pytest.mark.parametrize("channels", [1, 2])
def test_pauses_cost_nearly_nothing(channels: int) -> None:
    sent = spoken(OpusEncoder(dtx=True), channels)
    paused = [one for number, one in sent if 75 <= number < 150]
    assert 4 <= len(paused) <= 10, "the noise of the room is told of now and then"
    assert sum(len(one.data) for one in paused) < 1000
    assert [number for number, _ in sent if number >= 150] == list(range(150, 200))
    [first, *others] = [one for number, one in sent if number >= 150]
    assert first.resumes
    assert not any(one.resumes for one in others)
    for number, one in sent:
        assert one.timestamp == sample_number(100 + number / 50, CLOCK_RATE), "the clock goes on"


def test_only_the_first_packet_of_a_pause_is_an_empty_one() -> None:
    sent = [one for _, one in spoken(OpusEncoder(dtx=True))]
    assert any(len(one.data) <= 2 for one in sent)
    for one, following in pairwise(sent):
        assert len(one.data) > 2 or len(following.data) > 2


def test_what_is_left_out_in_pauses_is_nothing_to_a_decoder() -> None:
    decoder = CodecContext.create("libopus", "r")
    decoder.layout, decoder.sample_rate = "mono", CLOCK_RATE
    sent = {number: one.data for number, one in spoken(OpusEncoder(dtx=True))}
    for number in range(200):
        if number in sent:
            [frame] = decoder.decode(Packet(sent[number]))
            loudest = np.abs(frame.to_ndarray()).max() / 32768
            assert loudest < 0.02 if 55 <= number < 150 else True
            assert loudest > 0.05 if number >= 152 else True


def test_pauses_are_sent_unless_asked_for_and_of_music_always() -> None:
    assert [number for number, _ in spoken(OpusEncoder())] == list(range(200))
    music = spoken(OpusEncoder(dtx=True), is_music=True)
    assert [number for number, _ in music] == list(range(200))


def test_without_a_libopus_of_its_own_pauses_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libopus, "available", lambda: False)
    assert [number for number, _ in spoken(OpusEncoder(dtx=True))] == list(range(200))


def test_sound_of_which_some_is_not_there_resumes() -> None:
    encoder = OpusEncoder()
    [before] = encoder.encode(tone(0), 100)
    [after] = encoder.encode(tone(1), 101)
    assert (before.resumes, after.resumes) == (False, True)
    assert after.timestamp - before.timestamp == CLOCK_RATE


def test_frames_that_come_late_make_no_gap() -> None:
    late = np.random.default_rng(1).uniform(0, 0.009, 50)
    encoder, sent = OpusEncoder(), []
    for number in range(50):
        sent += encoder.encode(tone(number), 100 + number / 50 + late[number])
    assert {b.timestamp - a.timestamp for a, b in pairwise(sent)} == {960}


def test_music_gets_more() -> None:
    sizes = {}
    for is_music in (False, True):
        encoder = OpusEncoder()
        noise = np.random.default_rng(1).integers(-8000, 8000, (1, 1920), np.int16)
        frame = AudioFrame.from_ndarray(noise, "s16", "stereo")
        frame.sample_rate = CLOCK_RATE
        packets = [encoder.encode(frame, n / 50, is_music)[0].data for n in range(20)]
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
