"""Sound: 20 ms frames without a gap, in step with the clock whatever the device's own does."""

import numpy as np
import pytest
from av import AudioFrame

from peer.capture.clock import sample_time
from peer.capture.sound import DRIFT_ALLOWED, AudioFramer, silence


def sound(samples: int, rate: int = 48000) -> AudioFrame:
    ramp = np.arange(samples, dtype=np.int16).repeat(2).reshape(1, -1)
    frame = AudioFrame.from_ndarray(ramp, format="s16", layout="stereo")
    frame.sample_rate = rate
    return frame


def test_sound_of_any_size_becomes_frames_of_20_ms_without_a_gap() -> None:
    framer = AudioFramer(48000, 2)
    frames = []
    for n in range(100):
        frames += framer.push(sound(100), at=1000 + n * 100 / 48000)
    assert [frame.samples for frame in frames] == [960] * 10
    numbers = [frame.pts for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 9600, 960))
    joined = np.concatenate([frame.to_ndarray()[0, ::2] for frame in frames])
    assert (joined == np.arange(9600) % 100).all(), "no sample lost, none twice"


def test_sound_is_resampled_and_mixed_down() -> None:
    framer = AudioFramer(16000, 1)
    frames = []
    for n in range(20):
        frames += framer.push(sound(960), at=1000 + n * 0.02)
    assert {(f.sample_rate, f.samples, f.layout.name) for f in frames} == {(16000, 320, "mono")}
    assert len(frames) in (19, 20), "the filter may keep a few samples back"


def test_a_gap_in_the_sound_is_a_gap_in_its_time_stamps() -> None:
    framer = AudioFramer(48000, 2)
    [first] = framer.push(sound(960), at=1000)
    [second] = framer.push(sound(960), at=1005)
    assert second.pts - first.pts == 5 * 48000


def test_a_clock_that_is_a_little_fast_is_no_gap() -> None:
    framer = AudioFramer(48000, 2)
    [first] = framer.push(sound(960), at=1000)
    [second] = framer.push(sound(960), at=1000.03)
    assert second.pts - first.pts == 960


CHUNK = 480  # samples in 10 ms at 48 kHz


def tone(first: int) -> AudioFrame:
    """A chunk of 1 kHz as the device samples it."""
    wave = np.sin((first + np.arange(CHUNK)) / 48 * 2 * np.pi) * 10000
    frame = AudioFrame.from_ndarray(wave.astype(np.int16).reshape(1, -1), "s16", "mono")
    frame.sample_rate = 48000
    return frame


@pytest.mark.parametrize("millionths", [-500, 500])
def test_a_device_s_clock_may_drift_and_the_sound_stays_in_step(millionths: int) -> None:
    """Two minutes of a clock that is ten times as bad as usual: 60 ms, were nothing done."""
    framer = AudioFramer(48000, 1)
    noise = np.random.default_rng(1)
    frames: list[AudioFrame] = []
    captured = 0.0
    for number in range(12000):
        captured = 1000 + number * CHUNK / 48000 * (1 + millionths / 1e6)
        frames += framer.push(tone(number * CHUNK), captured + noise.normal(0, 0.0005))
    numbers = [frame.pts for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 960 * len(numbers), 960)), "no gap"
    # The last frame ends where the last chunk does, but for what is pending.
    ends = sample_time(numbers[-1] + 960, 48000)
    assert abs(ends - (captured + CHUNK / 48000)) < 2 * DRIFT_ALLOWED + 0.02
    steps = np.abs(np.diff(np.concatenate([frame.to_ndarray()[0] for frame in frames])))
    steepest = 10000 * 2 * np.pi / 48
    assert steps.max() < steepest * 1.02, "a click would be steeper than the tone"


def test_time_stamps_that_waver_are_no_drift() -> None:
    framer = AudioFramer(48000, 1)
    noise = np.random.default_rng(2)
    frames: list[AudioFrame] = []
    for number in range(1000):
        at = 1000 + number * CHUNK / 48000 + noise.normal(0, 0.001)
        frames += framer.push(tone(number * CHUNK), at)
    joined = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    expected = np.concatenate([tone(number * CHUNK).to_ndarray()[0] for number in range(1000)])
    np.testing.assert_array_equal(joined, expected[: len(joined)])


def test_silence_is_a_frame_of_zeros() -> None:
    frame = silence(16000, 2)
    assert (frame.samples, frame.sample_rate, frame.layout.name) == (320, 16000, "stereo")
    assert not frame.to_ndarray().any()
