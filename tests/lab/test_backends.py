"""The backends of Linux on real kernel drivers, which are unplugged, busy, stalled and broken."""

import fcntl
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from peer.devices import v4l2_abi, v4l2_capture
from peer.devices.alsa import AlsaBackend
from peer.devices.backend import (
    AudioMode,
    Backend,
    Capture,
    Captured,
    DeviceBusy,
    DeviceDescription,
    DeviceError,
    DeviceForbidden,
    DeviceLost,
    VideoMode,
)
from peer.devices.v4l2 import V4L2Backend
from peer.testing.backend_contract import check_backend

pytestmark = pytest.mark.skipif(
    "DEVICE_LAB" not in os.environ, reason="for the device lab: scripts/lab pytest tests/lab"
)

T = TypeVar("T")

PATIENCE = 20  # seconds; nothing that works takes a tenth of one
NOBODY = 65534


def driver(name: str, device: str, action: str) -> None:
    """Unplug (`unbind`) or plug (`bind`) a device, from a process that doesn't hold it open."""
    path = f"/sys/bus/platform/drivers/{name}/{action}"
    subprocess.run(["sh", "-c", f"echo {device} > {path}"], check=True)


@contextmanager
def unplugged(name: str, device: str) -> Iterator[None]:
    driver(name, device, "unbind")
    try:
        yield
    finally:
        driver(name, device, "bind")


def find(backend: Backend, hardware_id: str) -> DeviceDescription:
    return next(each for each in backend.list_devices() if each.hardware_id == hardware_id)


def read(capture: Capture) -> Captured:
    """The next frame."""
    return wait_for(capture.read)


def wait_for(look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
    raise AssertionError(f"nothing within {PATIENCE} s")


def read_for_good(capture: Capture) -> None:
    """Read until that fails."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        capture.read()


# Controls of the vivid driver, by which it can be made to fail.
DROPPED_PERCENT, DISCONNECT, BUFFER_ERROR, FATAL_ERROR = (0xF0F000 + n for n in (64, 65, 66, 70))


def set_control(node: str, control: int, value: int = 1) -> None:
    fd = os.open(node, os.O_RDWR)
    try:
        fcntl.ioctl(fd, v4l2_abi.IOC.S_CTRL, v4l2_abi.v4l2_control(id=control, value=value))
    finally:
        os.close(fd)


@pytest.fixture
def backend() -> V4L2Backend:
    return V4L2Backend()


@pytest.fixture
def camera(backend: V4L2Backend) -> DeviceDescription:
    return next(device for device in backend.list_devices() if device.label == "vivid")


@pytest.fixture
def vga(camera: DeviceDescription) -> VideoMode:
    return mode_of(camera, 640, 480, 30)


def mode_of(camera: DeviceDescription, width: int, height: int, rate: float) -> VideoMode:
    (mode,) = (
        mode
        for mode in camera.modes
        if isinstance(mode, VideoMode)
        and (mode.width, mode.height, mode.frame_rate) == (width, height, rate)
    )
    return mode


def test_cameras_satisfy_the_contract(backend: V4L2Backend) -> None:
    assert len(check_backend(backend)) >= 2


def test_microphones_satisfy_the_contract() -> None:
    assert check_backend(AlsaBackend())


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuyv422", "rgb24", "gray"])
def test_picture(
    backend: V4L2Backend, camera: DeviceDescription, width: int, height: int, pixel_format: str
) -> None:
    """vivid's picture begins with eight bars: white, yellow, cyan, green, …, down to black."""
    mode = mode_of(camera, width, height, 30)
    capture = backend.open(camera, replace(mode, pixel_format=pixel_format))
    try:
        frame = read(capture).frame
    finally:
        capture.close()
    assert capture.mode == VideoMode(width, height, 30.0, pixel_format)
    assert isinstance(frame, av.VideoFrame)
    assert (frame.width, frame.height, frame.format.name) == (width, height, pixel_format)
    picture = frame.to_ndarray(format="gray").astype(int)
    bars = [np.median(picture[height // 2 :, (2 * n + 1) * width // 16]) for n in range(8)]
    assert bars == sorted(bars, reverse=True)
    assert bars[0] - bars[-1] > 100


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "nv16", "yuyv422", "rgb24", "gray"])
def test_padded_lines(
    backend: V4L2Backend,
    camera: DeviceDescription,
    vga: VideoMode,
    monkeypatch: pytest.MonkeyPatch,
    pixel_format: str,
) -> None:
    """vivid pads its lines when it is asked to; the picture is the same as without."""
    mode = replace(vga, pixel_format=pixel_format)
    plain = still(backend, camera, mode)
    real, taken = v4l2_abi.ioctl, []

    def ask_for_padding(fd: int, request: int, argument: Any) -> None:
        if request == v4l2_abi.IOC.S_FMT:
            argument.fmt.pix.bytesperline = 2048
        real(fd, request, argument)
        if request == v4l2_abi.IOC.S_FMT:
            taken.append(argument.fmt.pix.bytesperline)

    monkeypatch.setattr(v4l2_abi, "ioctl", ask_for_padding)
    padded = still(backend, camera, mode)
    assert taken == [2048]
    np.testing.assert_array_equal(padded, plain)


def still(backend: V4L2Backend, camera: DeviceDescription, mode: VideoMode) -> np.ndarray:
    """The lower half of a picture, which has none of the text that changes."""
    capture = backend.open(camera, mode)
    try:
        frame = read(capture).frame
    finally:
        capture.close()
    assert isinstance(frame, av.VideoFrame)
    return frame.to_ndarray(format="yuv444p")[:, mode.height // 2 :]


@pytest.mark.parametrize(
    ("pixel_format", "said", "white"),
    [
        ("yuv420p", ColorRange.MPEG, 179),  # 16 + 75 % of 219
        ("yuyv422", ColorRange.MPEG, 179),
        ("rgb24", ColorRange.JPEG, 191),  # 75 % of 255
    ],
)
def test_color_range_is_the_picture_s(
    backend: V4L2Backend,
    camera: DeviceDescription,
    vga: VideoMode,
    pixel_format: str,
    said: ColorRange,
    white: int,
) -> None:
    """vivid's leftmost bar is white, at 75 %."""
    capture = backend.open(camera, replace(vga, pixel_format=pixel_format))
    try:
        frame = read(capture).frame
    finally:
        capture.close()
    assert isinstance(frame, av.VideoFrame)
    assert frame.color_range == said
    plane = frame.planes[0]
    assert np.frombuffer(plane, np.uint8)[360 * plane.line_size] == white


def test_rate_is_the_driver_s(backend: V4L2Backend, camera: DeviceDescription) -> None:
    asked = replace(mode_of(camera, 640, 480, 30), frame_rate=29.0)
    capture = backend.open(camera, asked)
    capture.close()
    assert capture.mode in camera.modes
    assert capture.mode != asked


def test_unplugged_while_read(
    backend: V4L2Backend, camera: DeviceDescription, vga: VideoMode
) -> None:
    capture = backend.open(camera, vga)
    read(capture)
    with unplugged("vivid", "vivid.0"):
        with pytest.raises(DeviceLost, match="vivid"):
            read_for_good(capture)
        assert all(each.hardware_id != camera.hardware_id for each in backend.list_devices())
        with pytest.raises(DeviceLost):
            backend.open(camera, vga)
        capture.close()


def test_plugged_again(backend: V4L2Backend, camera: DeviceDescription, vga: VideoMode) -> None:
    """While its old node is held open it comes back as another, and is the same camera."""
    capture = backend.open(camera, vga)
    with unplugged("vivid", "vivid.0"):
        pass
    again = find(backend, camera.hardware_id)
    assert again.location != camera.location
    assert replace(again, location=camera.location) == camera
    with pytest.raises(DeviceLost):
        backend.open(camera, vga)
    second = backend.open(again, vga)
    read(second)
    second.close()
    capture.close()


def test_another_camera_at_the_node(backend: V4L2Backend, camera: DeviceDescription) -> None:
    """Whoever was allowed one camera doesn't get the other, though it is where that one was."""
    other = next(each for each in backend.list_devices() if each.label == "vividb")
    mistaken = replace(camera, location=other.location)
    with pytest.raises(DeviceLost):
        backend.open(mistaken, camera.modes[0])


def test_busy(backend: V4L2Backend, camera: DeviceDescription, vga: VideoMode) -> None:
    capture = backend.open(camera, vga)
    with pytest.raises(DeviceBusy, match=rf"\(pid {os.getpid()}\)"):
        backend.open(camera, vga)
    read(capture)
    capture.close()
    backend.open(camera, vga).close()


def test_stalled(backend: V4L2Backend, camera: DeviceDescription, vga: VideoMode) -> None:
    """A camera that delivers nothing neither holds up opening nor reading nor closing."""
    set_control(camera.location, DROPPED_PERCENT, 100)
    try:
        capture = backend.open(camera, vga)
        assert capture.read() is None
        set_control(camera.location, DROPPED_PERCENT, 0)
        read(capture)
        set_control(camera.location, DROPPED_PERCENT, 100)
        wait_for(lambda: capture.read() is None or None)
        capture.close()
    finally:
        set_control(camera.location, DROPPED_PERCENT, 0)


def test_damaged_picture_is_left_out(
    backend: V4L2Backend, camera: DeviceDescription, vga: VideoMode
) -> None:
    capture = backend.open(camera, vga)
    times = [read(capture).at]
    set_control(camera.location, BUFFER_ERROR)
    times += [read(capture).at for _ in range(10)]
    capture.close()
    gaps = [after - before for before, after in pairwise(times)]
    assert max(gaps) > 1.5 / 30, "one is missing"


def test_privacy_switch(
    backend: V4L2Backend,
    camera: DeviceDescription,
    vga: VideoMode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """vivid has no such control: the answer to the question for it is made up."""
    switch = 1
    monkeypatch.setattr(v4l2_abi, "get_control", lambda fd, control: switch)
    monkeypatch.setattr(v4l2_capture, "PRIVACY_INTERVAL", 0.0)
    capture = backend.open(camera, vga)
    assert capture.muted
    switch = 0
    capture.read()
    assert not capture.muted
    capture.close()


def test_fatal_error(backend: V4L2Backend, camera: DeviceDescription, vga: VideoMode) -> None:
    capture = backend.open(camera, vga)
    read(capture)
    set_control(camera.location, FATAL_ERROR)
    with pytest.raises(DeviceLost, match="vivid"):
        read_for_good(capture)
    capture.close()
    capture = backend.open(camera, vga)
    read(capture)
    capture.close()


def test_disconnect(backend: V4L2Backend, camera: DeviceDescription, vga: VideoMode) -> None:
    """The driver lets go of the camera, and its node stays until the driver is told."""
    capture = backend.open(camera, vga)
    read(capture)
    set_control(camera.location, DISCONNECT)
    try:
        with pytest.raises(DeviceLost, match="vivid"):
            read_for_good(capture)
        capture.close()
    finally:
        with unplugged("vivid", "vivid.0"):
            pass


@pytest.mark.parametrize("allowed", ["owner", "group"])
def test_forbidden(
    backend: V4L2Backend, camera: DeviceDescription, vga: VideoMode, allowed: str
) -> None:
    os.chown(camera.location, 0, 44 if allowed == "group" else 0)
    os.chmod(camera.location, 0o660 if allowed == "group" else 0o600)
    called = threading.Event()
    stop = backend.watch(called.set)
    os.seteuid(NOBODY)
    try:
        (listed,) = (each for each in backend.list_devices() if each.location == camera.location)
        with pytest.raises(DeviceForbidden, match="video"):
            backend.open(camera, vga)
    finally:
        os.seteuid(0)
    assert "video" in listed.unusable
    assert "sudo" in listed.unusable
    assert listed.modes == ()
    os.chmod(camera.location, 0o666)
    assert called.wait(PATIENCE), "a change of permissions is news"
    stop()
    os.seteuid(NOBODY)
    try:
        assert not find(backend, camera.hardware_id).unusable
    finally:
        os.seteuid(0)


def test_watch(backend: V4L2Backend, camera: DeviceDescription) -> None:
    there: queue.Queue[bool] = queue.Queue()

    def changed() -> None:
        there.put(any(each.label == "vivid" for each in backend.list_devices()))

    stop = backend.watch(changed)
    with unplugged("vivid", "vivid.0"):
        wait_for(lambda: None if there.get(timeout=PATIENCE) else True)
    wait_for(lambda: there.get(timeout=PATIENCE) or None)
    stop()


@pytest.fixture
def microphone() -> DeviceDescription:
    """What records what is played on the Loopback's first device."""
    return next(
        each for each in AlsaBackend().list_devices() if each.location == "hw:CARD=Loopback,DEV=1"
    )


def test_microphone_busy(microphone: DeviceDescription) -> None:
    backend = AlsaBackend()
    mode = microphone.modes[0]
    captures: list[Capture] = []
    try:
        with pytest.raises(DeviceBusy, match=rf"\(pid {os.getpid()}\)"):
            captures.extend(backend.open(microphone, mode) for _ in range(100))
    finally:
        for capture in captures:
            capture.close()
    assert captures, "the first could open it"
    backend.open(microphone, mode).close()


def test_microphone_unplugged_while_read(microphone: DeviceDescription) -> None:
    backend = AlsaBackend()
    capture = backend.open(microphone, microphone.modes[0])
    read(capture)
    unplugging = subprocess.Popen(
        ["sh", "-c", "echo snd_aloop.0 > /sys/bus/platform/drivers/snd_aloop/unbind"]
    )
    try:
        with pytest.raises(DeviceLost, match="Loopback"):
            read_for_good(capture)
        with pytest.raises(DeviceLost):
            backend.open(microphone, microphone.modes[0])
    finally:
        capture.close()
        unplugging.wait(PATIENCE)
        driver("snd_aloop", "snd_aloop.0", "bind")
    again = find(backend, microphone.hardware_id)
    assert again == microphone
    capture = backend.open(again, again.modes[0])
    read(capture)
    capture.close()


def test_microphone_forbidden(microphone: DeviceDescription) -> None:
    backend = AlsaBackend()
    node = microphone.native_ids["node"]
    os.chmod(node, 0o600)
    os.seteuid(NOBODY)
    try:
        assert "audio" in find(backend, microphone.hardware_id).unusable
        with pytest.raises(DeviceForbidden, match="audio"):
            backend.open(microphone, microphone.modes[0])
    finally:
        os.seteuid(0)


def test_microphone_converts_what_the_card_cannot_do() -> None:
    """An AC'97 card has 48 kHz stereo and nothing else."""
    subprocess.run(["modprobe", "snd-dummy", "model=ac97", "pcm_substreams=1"], check=True)
    try:
        backend = AlsaBackend()
        device = next(each for each in backend.list_devices() if "Dummy" in each.label)
        capture = backend.open(device, AudioMode(16000, 1))
        frame = read(capture).frame
        assert isinstance(frame, av.AudioFrame)
        assert (frame.sample_rate, frame.layout.nb_channels) == (16000, 1)
        assert capture.mode.sample_rate == 16000  # type: ignore[union-attr]
        with pytest.raises(DeviceBusy, match=rf"\(pid {os.getpid()}\)"):
            backend.open(device, AudioMode(48000, 2))
        capture.close()
        with pytest.raises(DeviceError):
            backend.open(device, VideoMode(640, 480, 30.0))
    finally:
        subprocess.run(["rmmod", "snd-dummy"], check=True)


def test_what_is_played_is_recorded(microphone: DeviceDescription) -> None:
    """1 kHz on the left and 2 kHz on the right, at half of full scale."""
    ended = threading.Event()
    player = threading.Thread(target=play_tones, args=(ended,))
    capture = AlsaBackend().open(microphone, AudioMode(48000, 2))
    player.start()
    try:
        recorded: list[np.ndarray] = []
        silent = 0.0
        while sum(map(len, recorded)) < 48000:
            captured = read(capture)
            assert isinstance(captured.frame, av.AudioFrame)
            samples = captured.frame.to_ndarray().reshape(-1, 2)
            if np.abs(samples).max() > 1000:
                recorded.append(samples)
            silent += not recorded
            assert silent < 100 * PATIENCE, "nothing is heard"
    finally:
        ended.set()
        capture.close()
        player.join(PATIENCE)
    sound = np.concatenate(recorded)[-24000:]
    spectrum = np.abs(np.fft.rfft(sound, axis=0))
    assert list(spectrum.argmax(axis=0) * 2) == [1000, 2000]
    assert np.abs(sound).max() == pytest.approx(16384, rel=0.02)


def play_tones(ended: threading.Event) -> None:
    times = np.arange(48000) / 48000
    waves = np.stack([np.sin(2 * np.pi * hertz * times) for hertz in (1000, 2000)], axis=1)
    second = np.round(waves * 16384).astype(np.int16)
    with av.open("hw:CARD=Loopback,DEV=0", "w", format="alsa") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        position = 0
        while not ended.is_set():
            samples = second[position % 48000 : position % 48000 + 480]
            frame = av.AudioFrame.from_ndarray(
                samples.reshape(1, -1), format="s16", layout="stereo"
            )
            frame.sample_rate = 48000
            frame.pts = position
            position += 480
            container.mux(stream.encode(frame))
