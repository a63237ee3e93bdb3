"""The device lab is what it says, seen by PyAV and linuxpy alone."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import InputContainer

from .kernel import unplugged

PATIENCE = 20  # seconds; nothing that works takes a tenth of one


def open_camera(path: Path, size: str = "640x480") -> InputContainer:
    return av.open(str(path), format="v4l2", options={"video_size": size, "framerate": "30"})


def open_microphone(name: str) -> InputContainer:
    return av.open(name, format="alsa", options={"sample_rate": "48000", "channels": "2"})


@pytest.fixture(params=["camera", "second_camera"])
def either_camera(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def pictures(container: InputContainer) -> Iterator[tuple[int, np.ndarray]]:
    """Time stamps and grey pictures.

    The pictures are copies: FFmpeg's v4l2 input gives the driver's memory, and a frame of it that
    is read, or only let go, after the container is closed crashes the process.
    """
    for frame in container.decode(video=0):
        yield frame.pts, frame.to_ndarray(format="gray")
        del frame


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720)])
def test_a_camera_gives_moving_pictures(either_camera: Path, width: int, height: int) -> None:
    with open_camera(either_camera, f"{width}x{height}") as container:
        times, seen = zip(*islice(pictures(container), 5), strict=True)
        assert container.streams.video[0].average_rate == 30
    assert all(earlier < later for earlier, later in pairwise(times))
    assert {picture.shape for picture in seen} == {(height, width)}
    assert np.ptp(seen[0]) > 100
    assert (seen[0] != seen[-1]).any()


def test_a_camera_has_a_lens_that_can_be_turned(either_camera: Path) -> None:
    device = pytest.importorskip("linuxpy.video.device", exc_type=ImportError)
    with device.Device(either_camera) as camera:
        for name, ends in {
            "pan_absolute": (-36000, 36000),
            "tilt_absolute": (-36000, 36000),
            "zoom_absolute": (100, 500),
            "focus_absolute": (0, 250),
        }.items():
            control = camera.controls[name]
            assert (control.minimum, control.maximum) == ends
            before = control.value
            control.value = ends[1]
            assert control.value == ends[1]
            control.value = before


@pytest.mark.parametrize(
    ("pulled", "left", "driver"),
    [("camera", "second_camera", "vivid"), ("second_camera", "camera", "vividb")],
)
def test_a_camera_that_is_unplugged_fails_its_reader_and_leaves_the_other(
    request: pytest.FixtureRequest, pulled: str, left: str, driver: str
) -> None:
    path: Path = request.getfixturevalue(pulled)
    other: Path = request.getfixturevalue(left)
    with open_camera(path) as reader, open_camera(other) as other_reader:
        frames = pictures(reader)
        next(frames)
        with unplugged(driver, f"{driver}.0"):
            assert not path.exists()
            with pytest.raises(av.error.FFmpegError):
                # What had been captured before may still come.
                deque(islice(frames, 100), maxlen=0)
            next(pictures(other_reader))
            # The number is free for the next one only when nobody holds this one.
            reader.close()
    assert path.exists()
    with open_camera(path) as again:
        next(pictures(again))


def samples(container: InputContainer) -> Iterator[np.ndarray]:
    """Blocks of shape (samples, 2), as 16-bit integers."""
    for frame in container.decode(audio=0):
        assert (frame.sample_rate, frame.layout.nb_channels, frame.format.name) == (48000, 2, "s16")
        yield frame.to_ndarray().reshape(-1, 2)


def test_the_microphone_is_48_khz_stereo_and_no_faster_than_time(microphone: str) -> None:
    start = time.monotonic()
    with open_microphone(microphone) as container:
        heard = 0
        for block in samples(container):
            assert not block.any(), "nobody plays"
            if (heard := heard + len(block)) >= 48000:
                break
    assert heard / 48000 < 1.05 * (time.monotonic() - start)


def test_the_microphone_hears_the_speaker(microphone: str, speaker: str) -> None:
    with open_microphone(microphone) as container, av.open(speaker, "w", format="alsa") as output:
        stream = output.add_stream("pcm_s16le", rate=48000, layout="stereo")
        loud = np.full((1, 2 * 4800), 12345, np.int16)
        for number in range(5):
            frame = av.AudioFrame.from_ndarray(loud, format="s16", layout="stereo")
            frame.sample_rate = 48000
            frame.pts = number * 4800
            output.mux(stream.encode(frame))
        assert any((block == 12345).all() for block in samples(container))


def test_a_microphone_that_is_unplugged_fails_its_reader(microphone: str) -> None:
    def read_for_good() -> None:
        with open_microphone(microphone) as container:
            for _ in samples(container):
                pass

    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(read_for_good)
        # The kernel completes this once the reader has closed the card.
        with unplugged("snd_aloop", "snd_aloop.0"):
            assert isinstance(reading.exception(PATIENCE), av.error.FFmpegError)
            assert not Path("/dev/snd/controlC0").exists()
    with open_microphone(microphone) as again:
        assert next(samples(again)).size
