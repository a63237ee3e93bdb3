"""Recordings: what was shown and played is in the file, at its time."""

import asyncio
import contextlib
import resource
import shutil
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import aiortc
import av
import numpy as np
import pytest
from av import AudioFrame, VideoFrame

from peer import InvalidStateError, MediaDevices, MediaStreamTrack
from peer.media import recorder as recorder_module
from peer.media.recorder import BACKLOG, Recorder, RecordingError, check_recordable
from peer.media.recording_file import FORMATS, LATENESS, PATIENCE, RecordingFile

from .recordings import (
    RATE,
    marks_in_sound,
    names,
    numbers,
    pictures,
    pitch,
    sound,
    sound_and_pictures_apart,
    usual_pitch,
)

TONE = 440
"""Of the virtual microphone."""


class Given(aiortc.MediaStreamTrack):
    """A foreign track that gives what a test puts into it."""

    def __init__(self, kind: str = "video") -> None:
        super().__init__()
        self.kind = kind
        self.muted = False
        self._frames: asyncio.Queue[VideoFrame | AudioFrame] = asyncio.Queue()

    def put(self, frame: VideoFrame | AudioFrame) -> None:
        self._frames.put_nowait(frame)

    async def recv(self) -> VideoFrame | AudioFrame:
        return await self._frames.get()


def grey(level: int, width: int = 320, height: int = 240, number: int = 0) -> VideoFrame:
    luma = np.full((height, width, 3), level, np.uint8)
    frame = VideoFrame.from_ndarray(luma, format="rgb24")
    frame.pts, frame.time_base = number, Fraction(1, 30)
    return frame


def tone(seconds: float = 0.02, rate: int = RATE) -> AudioFrame:
    wave = 8000 * np.sin(2 * np.pi * 1000 * np.arange(round(seconds * rate)) / rate)
    frame = AudioFrame.from_ndarray(wave.astype(np.int16).reshape(1, -1), "s16", "mono")
    frame.sample_rate = rate
    return frame


async def watch(camera: MediaStreamTrack, seconds: float) -> None:
    """Wait until the camera has shown what is to be recorded."""
    begin = (await camera.recv()).time or 0
    while ((await camera.recv()).time or 0) - begin < seconds:
        pass


async def written(track: Given, recorder: Recorder, file: int, number: int = 0) -> None:
    """Give a track pictures until something is in the recorder's file of that number."""
    async with asyncio.timeout(30):
        while len(recorder.files) <= file or recorder.files[file].stat().st_size < 2000:
            track.put(grey(60 + 20 * file, number=number))
            number += 1
            await asyncio.sleep(1 / 30)  # a camera's pace


# The recorder


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
async def test_camera_and_microphone_are_recorded_in_step(
    suffix: str, tmp_path: Path, camera: MediaStreamTrack, microphone: MediaStreamTrack
) -> None:
    recorder = Recorder(tmp_path / f"out{suffix}")
    recorder.add_track(camera)
    recorder.add_track(microphone)
    await recorder.start()
    await watch(camera, 2.5)
    await recorder.stop()
    assert recorder.files == [tmp_path / f"out{suffix}"]
    read = numbers(recorder.files[0])
    assert len(read) > 30
    assert read == sorted(set(read)), "in order, and none twice"
    assert sound_and_pictures_apart(recorder.files[0]) < 0.06
    assert abs(usual_pitch(sound(recorder.files[0])) - TONE) <= 10


@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
async def test_sound_alone(
    suffix: str, tmp_path: Path, camera: MediaStreamTrack, microphone: MediaStreamTrack,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    recorder = Recorder(tmp_path / f"out{suffix}")
    recorder.add_track(microphone)
    recorder.add_track(camera)
    assert "no place for pictures" in caplog.text
    await recorder.start()
    await watch(camera, 1.3)
    await recorder.stop()
    samples = sound(recorder.files[0])
    assert abs(usual_pitch(samples) - TONE) <= 10
    assert marks_in_sound(samples)


@pytest.mark.parametrize("name", ["out.avi", "out", "mp4"])
def test_a_name_that_says_no_format(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.mp4, \.mkv, \.webm, \.wav, \.ogg"):
        Recorder(tmp_path / name)
    with pytest.raises(ValueError, match=r"\.mp4"):
        check_recordable(tmp_path / name)


async def test_a_path_that_cannot_be_written(tmp_path: Path, camera: MediaStreamTrack) -> None:
    path = tmp_path / "nowhere" / "out.mp4"
    with pytest.raises(ValueError, match="no folder"):
        check_recordable(path)
    recorder = Recorder(path)
    recorder.add_track(camera)
    with pytest.raises(RecordingError, match="No such file or directory"):
        await recorder.start()
    assert recorder.files == []
    await recorder.stop()


async def test_a_file_that_exists_is_left_alone(tmp_path: Path, camera: MediaStreamTrack) -> None:
    path = tmp_path / "out.mkv"
    path.write_text("mine")
    recorders = [Recorder(path), Recorder(path)]
    for recorder in recorders:
        recorder.add_track(camera)
        await recorder.start()
    await watch(camera, 0.3)
    for recorder in recorders:
        await recorder.stop()
    assert path.read_text() == "mine"
    assert [r.files for r in recorders] == [[tmp_path / "out-2.mkv"], [tmp_path / "out-3.mkv"]]
    assert numbers(tmp_path / "out-3.mkv")


async def test_a_file_that_exists_is_replaced_on_demand(
    tmp_path: Path, camera: MediaStreamTrack
) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    recorder = Recorder(path, overwrite=True)
    recorder.add_track(camera)
    await recorder.start()
    await watch(camera, 0.3)
    await recorder.stop()
    assert recorder.files == [path]
    assert numbers(path)


async def test_where_nothing_came_there_is_no_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "out.mp4")
    await recorder.start()
    assert (tmp_path / "out.mp4").exists(), "its name is taken"
    await recorder.stop()
    assert names(tmp_path) == []
    with pytest.raises(InvalidStateError):
        recorder.add_track(Given())


async def test_who_is_cancelled_while_stopping_leaves_a_complete_file(
    tmp_path: Path, camera: MediaStreamTrack
) -> None:
    recorder = Recorder(tmp_path / "out.mp4")
    recorder.add_track(camera)
    await recorder.start()
    await watch(camera, 0.5)
    stopping = asyncio.create_task(recorder.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    assert stopping.cancelled()
    await recorder.stop()
    assert len(numbers(recorder.files[0])) > 10
    assert b"moof" not in recorder.files[0].read_bytes()[:64], "an ordinary MP4 file in the end"
    assert camera.readyState == "live"


async def test_a_track_that_comes_later_takes_the_place_of_one_that_has_ended(
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path / "out.mkv")
    first, second = Given(), Given()
    recorder.add_track(first)
    await recorder.start()
    await written(first, recorder, 0)
    first.stop()
    recorder.add_track(second)
    for number in range(5):
        second.put(grey(200, 160, 120, number))
    async with asyncio.timeout(30):
        while second._frames.qsize():  # noqa: ASYNC110  # aiortc's tracks tell nobody
            await asyncio.sleep(0.01)
    second.stop()
    await recorder.stop()
    assert recorder.files == [tmp_path / "out.mkv"]
    levels = [luma.mean() for _, luma in pictures(recorder.files[0])]
    assert levels[0] < 80
    assert levels[-1] > 150
    assert {luma.shape for _, luma in pictures(recorder.files[0])} == {(240, 320)}


async def test_a_track_for_which_there_is_no_place_begins_another_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "out.mkv")
    first, second = Given(), Given()
    recorder.add_track(first)
    await recorder.start()
    await written(first, recorder, 0)
    recorder.add_track(second)
    await written(second, recorder, 1)
    await recorder.stop()
    assert recorder.files == [tmp_path / "out.mkv", tmp_path / "out-2.mkv"]
    assert len(pictures(recorder.files[0])) > 0
    assert len(pictures(recorder.files[1])) > 0


@pytest.fixture
def _small_files() -> Iterator[None]:
    """Writing more than 100 kB to a file fails, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("_small_files")
async def test_a_disk_that_is_full_is_told(
    tmp_path: Path, media_devices: MediaDevices, caplog: pytest.LogCaptureFixture
) -> None:
    stream = await media_devices.getUserMedia({"video": {"width": 1280, "height": 720}})
    [camera] = stream.getVideoTracks()
    recorder = Recorder(tmp_path / "out.mkv")
    recorder.add_track(camera)
    await recorder.start()
    async with asyncio.timeout(60):
        while "can't be written" not in caplog.text:
            await camera.recv()
    with pytest.raises(RecordingError, match="File too large"):
        await recorder.stop()
    assert camera.readyState == "live"


def test_a_computer_that_is_too_slow_loses_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    backlog, track = recorder_module._Backlog("out.mp4"), Given()
    for number in range(BACKLOG + 5):
        backlog.put((track, grey(0), float(number)))
    backlog.close()
    taken = []
    while not backlog.is_over:
        item = backlog.take(0)
        assert item is not None
        taken.append(item[2])
    assert taken == [float(number) for number in range(5, BACKLOG + 5)]
    assert caplog.text.count("too slow") == 1


def test_the_frame_that_was_delayed_least_says_when_all_were_captured() -> None:
    clock = recorder_module._LeastDelay()
    arrivals = [(0.0, 0.0), (0.1, 0.1), (0.2, 0.15), (0.3, 0.4), (0.4, 0.35)]
    times = [clock.capture_time(supposed, arrived) for supposed, arrived in arrivals]
    assert times == pytest.approx([0, 0.1, 0.15, 0.25, 0.35])


# The file, by times that the test makes up


@contextlib.contextmanager
def recording(path: Path) -> Iterator[RecordingFile]:
    file = RecordingFile(path.open("wb", buffering=0), FORMATS[path.suffix])
    yield file
    file.close()


ORIGIN = 1000.0


def play(file: RecordingFile, track: Given, begin: float, end: float) -> None:
    """Sound from the one second to the other."""
    for number in range(round((end - begin) * 50)):
        file.write(track, tone(), ORIGIN + begin + number * 0.02)


def loud_from_to(path: Path) -> list[float]:
    """The times between which there is sound, in seconds, to a hundredth."""
    step = RATE // 100
    samples = sound(path)
    loud = samples[: len(samples) // step * step].reshape(-1, step).std(axis=1) > 1000
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    return [float(edge) / 100 for edge in edges]


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".wav"])
async def test_a_gap_in_the_sound_is_silence(suffix: str, tmp_path: Path) -> None:
    path, track = tmp_path / f"out{suffix}", Given("audio")
    with recording(path) as file:
        play(file, track, 0, 1)
        file.advance(ORIGIN + 1, [track])
        play(file, track, 2.5, 3)
    assert loud_from_to(path) == pytest.approx([0, 1, 2.5, 3], abs=0.03)


async def test_sound_that_comes_after_the_pictures_is_where_it_belongs(tmp_path: Path) -> None:
    path, camera, microphone = tmp_path / "out.mp4", Given(), Given("audio")
    with recording(path) as file:
        file.write(camera, grey(50), ORIGIN)
        file.advance(ORIGIN, [camera, microphone])
        play(file, microphone, 1, 1.5)
        file.advance(ORIGIN + 1.5, [camera, microphone])
        file.write(camera, grey(50), ORIGIN + 1.5)
    assert loud_from_to(path) == pytest.approx([1, 1.5], abs=0.03)
    assert [at for at, _ in pictures(path)] == pytest.approx([0, 1.5], abs=0.001)


async def test_a_picture_stands_while_no_other_comes_and_is_black_while_muted(
    tmp_path: Path,
) -> None:
    path, camera, microphone = tmp_path / "out.mkv", Given(), Given("audio")
    with recording(path) as file:
        file.write(camera, grey(200), ORIGIN)
        play(file, microphone, 0, 3)
        file.advance(ORIGIN + 2 + LATENESS, [camera, microphone])
        camera.muted = True
        file.advance(ORIGIN + 5 + LATENESS, [camera, microphone])
        camera.muted = False
        file.write(camera, grey(200), ORIGIN + 5.5)
    shown = [(round(at, 2), bool(luma.mean() > 100)) for at, luma in pictures(path)]
    assert shown == [
        (0, True), (1, True), (2, False), (3, False), (4, False), (5.5, True)
    ]  # fmt: skip


async def test_nothing_is_added_when_all_tracks_have_ended(tmp_path: Path) -> None:
    path, camera = tmp_path / "out.mkv", Given()
    with recording(path) as file:
        file.write(camera, grey(200), ORIGIN)
        camera.stop()
        file.advance(ORIGIN + 3600, [camera])
    assert len(pictures(path)) == 1


async def test_the_file_does_not_wait_for_a_track_that_stays_silent(tmp_path: Path) -> None:
    path, camera, microphone = tmp_path / "out.mkv", Given(), Given("audio")
    with recording(path) as file:
        file.write(camera, grey(200), ORIGIN)
        file.advance(ORIGIN + 0.5, [camera, microphone])
        assert file.has_place(microphone)
        file.advance(ORIGIN + PATIENCE + 0.1, [camera, microphone])
        assert not file.has_place(microphone)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize(
    ("width", "height", "inner"),
    [
        (160, 120, (slice(0, 240), slice(0, 320))),
        (640, 240, (slice(60, 180), slice(0, 320))),
        (99, 199, (slice(0, 240), slice(100, 220))),
    ],
)
async def test_pictures_of_another_size_are_shown_whole(
    width: int, height: int, inner: tuple[slice, slice], tmp_path: Path
) -> None:
    path, camera = tmp_path / "out.mp4", Given()
    with recording(path) as file:
        file.write(camera, grey(128), ORIGIN)
        file.write(camera, grey(250, width, height), ORIGIN + 0.1)
    [(_, _), (_, luma)] = pictures(path)
    assert luma.shape == (240, 320)
    bright = luma > 128
    expected = np.zeros_like(bright)
    expected[inner] = True
    assert (bright == expected).mean() > 0.97


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
async def test_what_is_left_by_a_crash_can_be_played(suffix: str, tmp_path: Path) -> None:
    path, crashed = tmp_path / f"out{suffix}", tmp_path / f"crashed{suffix}"
    camera, microphone = Given(), Given("audio")
    with recording(path) as file:
        for number in range(100):
            at = number / 10
            file.write(camera, grey(number), ORIGIN + at)
            play(file, microphone, at, at + 0.1)
            file.advance(ORIGIN + at, [camera, microphone])
        shutil.copy(path, crashed)
    assert len(pictures(crashed)) >= 75, "of 100, at the most two seconds and a half are lost"
    assert loud_from_to(crashed)[-1] > 7
    assert len(pictures(path)) == 100


async def test_sound_of_another_rate_and_odd_pictures(tmp_path: Path) -> None:
    path, camera, microphone = tmp_path / "out.mp4", Given(), Given("audio")
    with recording(path) as file:
        file.write(camera, grey(99, 321, 241), ORIGIN)
        for number in range(50):
            file.write(microphone, tone(0.03, 16000), ORIGIN + number * 0.03)
    assert pictures(path)[0][1].shape == (240, 320)
    samples = sound(path)
    assert abs(pitch(samples[RATE // 4 : RATE]) - 1000) < 3
