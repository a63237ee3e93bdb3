"""FFmpeg's own sources in the place of devices: read in time, closed, lost at their end."""

import logging
import math
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import pytest
from av import AudioFrame, CodecContext, Packet, VideoFrame
from av.container import InputContainer

from peer.devices.backend import (
    AudioMode,
    Captured,
    DeviceError,
    DeviceLost,
    EncodedPicture,
    VideoMode,
)
from peer.devices.libav_capture import (
    ArrivalClock,
    InputRefused,
    LibavCapture,
    as_source_frame,
    ask,
    heard,
    in_time,
    open_input,
    watch_listing,
)

PATIENCE = 20.0
VIDEO = VideoMode(320, 240, 30.0)
AUDIO = AudioMode(48000, 1, latency=0.02)

WITHOUT_UNIX = """
import sys, os, mmap, peer
for name in [name for name in sys.modules if name.startswith("peer.devices")]:
    del sys.modules[name]
for name in ("fcntl", "grp", "pwd", "termios"):
    sys.modules[name] = None
for name in ("O_NONBLOCK", "O_CLOEXEC", "eventfd", "geteuid"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("MAP_SHARED", "PROT_READ", "PROT_WRITE"):
    delattr(mmap, name)
sys.platform = "win32"
from peer.devices import avfoundation, dshow
for backend in (
    avfoundation.AVFoundationBackend(), dshow.DirectShowBackend(), dshow.GdiGrabBackend()
):
    assert backend.list_devices() == []
"""


def capture(graph: str, mode: VideoMode | AudioMode) -> LibavCapture:
    return LibavCapture("Test", open_input("lavfi", graph, {}), mode)


def next_frame(device: LibavCapture) -> Captured:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (captured := device.read()) is not None:
            return captured
    raise AssertionError(f"no frame for {PATIENCE} s")


class Recorded:
    """A container that gives what it is told to: packets, errors, and nothing."""

    def __init__(self, container: InputContainer, *given: "Packet[Any] | BaseException") -> None:
        self._container = container
        self.streams = container.streams
        self.given = list(given)

    def demux(self, stream: object) -> "Any":
        while True:
            if not self.given:
                raise av.error.BlockingIOError(11, "Resource temporarily unavailable")
            item = self.given.pop(0)
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        self._container.close()

    @classmethod
    def of(cls, path: Path, *given: BaseException) -> "Recorded":
        """Of a file's packets, and then something else."""
        container = av.open(str(path))
        packets = [packet for packet in container.demux() if packet.size]
        return cls(container, *packets, *given)

    def capture(self, mode: VideoMode, **arguments: Any) -> LibavCapture:
        return LibavCapture("Test", cast(InputContainer, self), mode, **arguments)


@pytest.fixture(scope="module")
def mjpeg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mjpeg") / "camera.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj422p"
        for _ in range(3):
            container.mux(stream.encode(VideoFrame(320, 240, "yuvj422p")))
        container.mux(stream.encode(None))
    return path


def test_pictures_come_as_frames_at_the_pace_of_the_device() -> None:
    begun = time.monotonic()
    device = capture("testsrc=size=320x240:rate=30,realtime,format=yuv420p", VIDEO)
    try:
        captured = [next_frame(device) for _ in range(10)]
    finally:
        device.close()
    assert device.mode == VideoMode(320, 240, 30.0, "yuv420p")
    times = [at for _, at, _ in captured]
    assert times[-1] - begun > 8.9 / 30, "the device delivers thirty a second, and not faster"
    assert all(earlier < later for earlier, later in pairwise(times))
    assert begun < times[0]
    assert times[-1] <= time.monotonic(), "not in the future"
    for frame, _, encoded in captured:
        assert isinstance(frame, VideoFrame)
        assert (frame.width, frame.height, frame.format.name) == (320, 240, "yuv420p")
        assert not frame.pict_type, "else each would become a key frame"
        assert encoded is None


def test_the_real_size_and_format_are_told_whatever_was_asked() -> None:
    device = capture("testsrc=size=64x48:rate=10", VideoMode(1920, 1080, 10.0, "nv12"))
    device.close()
    assert device.mode == VideoMode(64, 48, 10.0, "rgb24")


def test_sound_comes_packed_in_sixteen_bits() -> None:
    graph = "sine=frequency=440:sample_rate=44100,aformat=fltp:channel_layouts=stereo,arealtime"
    device = capture(graph, AudioMode(48000, 1, latency=0.02))
    try:
        captured = [next_frame(device) for _ in range(5)]
    finally:
        device.close()
    assert device.mode == AudioMode(44100, 2, latency=0.02), "what the device has"
    assert all(earlier.at < later.at for earlier, later in pairwise(captured))
    for frame, _, _ in captured:
        assert isinstance(frame, AudioFrame)
        assert (frame.format.name, frame.sample_rate) == ("s16", 44100)
        assert frame.layout.nb_channels == 2
        assert frame.to_ndarray().any(), "it is the tone, not silence"


def test_mjpeg_is_handed_over_as_it_is(mjpeg: Path) -> None:
    device = Recorded.of(mjpeg).capture(VIDEO)
    try:
        frame, at, encoded = next_frame(device)
    finally:
        device.close()
    assert device.mode == VideoMode(320, 240, 30.0, "mjpeg")
    assert frame is None
    assert at <= time.monotonic()
    assert isinstance(encoded, EncodedPicture)
    assert (encoded.codec, encoded.keyframe) == ("mjpeg", True)
    (picture,) = CodecContext.create("mjpeg", "r").decode(Packet(encoded.data))
    assert isinstance(picture, VideoFrame)
    assert (picture.width, picture.height) == (320, 240)


def test_read_answers_when_there_is_nothing(mjpeg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.devices.libav_capture.SILENCE", math.inf)
    device = Recorded(av.open(str(mjpeg))).capture(VIDEO, is_there=lambda: pytest.fail("asked"))
    try:
        assert [device.read() for _ in range(3)] == [None] * 3
    finally:
        device.close()


def test_a_device_that_falls_silent_because_it_is_gone_is_lost(
    mjpeg: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer.devices.libav_capture.SILENCE", 0.2)
    there = [False, True]
    device = Recorded.of(mjpeg).capture(VIDEO, is_there=lambda: there.pop())
    try:
        for _ in range(3):
            next_frame(device)
        with pytest.raises(DeviceLost, match="Test is no longer there"):
            next_frame(device)
    finally:
        device.close()
    assert not there, "the first time it only had nothing to say"


def test_a_device_that_fails_is_lost(mjpeg: Path) -> None:
    failure = av.error.OSError(5, "Input/output error")  # what dshow says when one is unplugged
    device = Recorded.of(mjpeg, failure).capture(VIDEO)
    try:
        for _ in range(3):
            assert next_frame(device).encoded
        with pytest.raises(DeviceLost, match="Input/output error"):
            next_frame(device)
    finally:
        device.close()


def test_the_end_is_a_loss_and_closing_twice_does_nothing() -> None:
    device = capture("testsrc=size=320x240:rate=30:duration=0.1", VIDEO)
    for _ in range(3):
        assert next_frame(device).frame
    with pytest.raises(DeviceLost, match="Test has ended"):
        next_frame(device)
    device.close()
    device.close()


def test_a_device_without_the_wanted_sort_of_stream_is_refused() -> None:
    with pytest.raises(DeviceError, match="Test delivers no 48000 Hz, mono"):
        capture("testsrc=size=320x240:rate=30", AUDIO)


def test_rgb_that_begins_with_the_lowest_line_is_turned() -> None:
    decoder = cast(Any, CodecContext.create("rawvideo", "r"))
    decoder.width, decoder.height, decoder.pix_fmt = 2, 4, "bgr24"
    decoder.extradata = b"BottomUp\0"  # as dshow has it
    white, black = b"\xff" * 6, b"\0" * 6
    (frame,) = decoder.decode(Packet(black * 2 + white * 2))
    assert frame.planes[0].line_size < 0, "the case is there"
    upright = as_source_frame(frame)
    assert all(plane.line_size > 0 for plane in upright.planes)
    luma = upright.to_ndarray(format="gray")
    assert luma[0, 0] > 200
    assert luma[3, 0] < 50


def test_refusal_tells_what_ffmpeg_said() -> None:
    with pytest.raises(InputRefused) as refused:
        open_input("lavfi", "nosuchfilter", {})
    assert "nosuchfilter" in refused.value.log
    error = refused.value.as_device_error("Camera")
    assert str(error).startswith("Camera could not be opened: ")
    assert "\n" not in str(error)


def test_an_input_that_delivers_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.devices.libav_capture.OPEN_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputRefused) as refused:
            open_input("mpegts", address, {})
    error = refused.value.as_device_error("Camera")
    assert str(error) == "Camera could not be opened: it delivered nothing for 0.2 s"


def test_asking_hears_ffmpeg_and_leaves_its_level_alone() -> None:
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    assert "nosuchfilter" in ask("lavfi", "nosuchfilter", {})
    with heard(av.logging.INFO) as messages:
        for _ in range(2):
            av.logging.log(av.logging.INFO, "test", "the same words")
    assert len(messages) == 2
    assert ask("no such format", "x", {}) == ""
    assert (av.logging.get_level(), av.logging.get_skip_repeated()) == before


def test_two_threads_hear_their_own_words_and_the_last_one_restores_the_level() -> None:
    before = av.logging.get_level()
    with heard(av.logging.INFO) as outer:
        other: list[str] = []
        thread = threading.Thread(target=lambda: other.append(ask("lavfi", "theirs", {})))
        thread.start()
        thread.join(PATIENCE)
        assert av.logging.get_level() == av.logging.INFO, "still heard here"
        av.logging.log(av.logging.INFO, "test", "mine")
    assert "theirs" in other[0]
    assert [text for _, _, text in outer] == ["mine"]
    assert av.logging.get_level() == before
    assert logging.getLogger("libav").level == logging.WARNING


def test_what_comes_too_late_is_discarded() -> None:
    go_on, discarded = threading.Event(), threading.Event()
    late: list[str] = []

    def opening() -> str:
        go_on.wait(PATIENCE)
        return "late"

    def discard(what: str) -> None:
        late.append(what)
        discarded.set()

    with pytest.raises(DeviceError, match=r"Camera delivered nothing for 0\.05 s"):
        in_time(opening, discard, "Camera", 0.05)
    go_on.set()
    assert discarded.wait(PATIENCE)
    assert late == ["late"]


def test_what_comes_in_time_is_given_and_errors_are_passed_on() -> None:
    assert in_time(lambda: "open", pytest.fail, "Camera", PATIENCE) == "open"

    def failing() -> str:
        raise InputRefused("no", "")

    with pytest.raises(InputRefused):
        in_time(failing, pytest.fail, "Camera", PATIENCE)


def test_a_picture_is_as_old_as_it_came_later_than_the_fastest() -> None:
    clock = ArrivalClock()
    assert clock.stamp(1000.0, 50.0) == 50.0
    assert clock.stamp(1001.0, 51.2) == pytest.approx(51.0, abs=0.001), "it came 0.2 s late"
    assert clock.stamp(1002.0, 51.9) == pytest.approx(51.9), "this one was faster than the first"
    assert clock.stamp(1003.0, 53.1) == pytest.approx(52.9, abs=0.001)
    assert clock.stamp(0.0, 54.0) == 54.0, "the device's clock began again"
    assert clock.stamp(1.0, 55.1) == pytest.approx(55.0, abs=0.001)


def test_clocks_that_go_apart_do_not_make_pictures_older_and_older() -> None:
    clock = ArrivalClock()
    ages = []
    for second in range(1, 36000):  # ten hours, with a clock that is 50 ppm slow
        now = second * (1 + 50e-6)
        ages.append(now - clock.stamp(float(second), now))
    assert max(ages) < 0.001
    assert min(ages) >= 0


def test_watch_calls_for_another_listing_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.devices.libav_capture.WATCH_INTERVAL", 0.01)
    listing, called, looked = ["one"], threading.Event(), threading.Semaphore(0)
    calls = []

    def look() -> list[str]:
        looked.release()
        return list(listing)

    def changed() -> None:
        calls.append(1)
        called.set()

    stop = watch_listing(look, changed)
    for _ in range(5):
        assert looked.acquire(timeout=PATIENCE)
    assert not calls
    listing.append("two")
    assert called.wait(PATIENCE)
    for _ in range(5):
        assert looked.acquire(timeout=PATIENCE)
    stop()
    stop()
    assert len(calls) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "device watch"]


def test_watch_can_be_ended_by_what_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.devices.libav_capture.WATCH_INTERVAL", 0.01)
    ended = threading.Event()
    listings = iter(range(1000))

    def changed() -> None:
        stop()
        ended.set()

    stop = watch_listing(lambda: next(listings), changed)
    assert ended.wait(PATIENCE)
    stop()


def test_the_backends_import_and_list_nothing_where_unix_is_missing() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_UNIX], check=True, timeout=60)
