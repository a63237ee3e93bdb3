"""The screen of a real X server, which has no monitor; and of one that only answers."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from av import VideoFrame

from peer.devices.backend import Capture, Captured, DeviceError, DeviceLost, VideoMode
from peer.devices.screen import ScreenBackend
from peer.devices.x11_display import Display
from peer.testing.backend_contract import check_backend

from .x11_program import BLUE, GREEN, ORANGE, PATIENCE, RED, needs_xvfb, program_on, x_server


def next_frame(capture: Capture) -> Captured:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (captured := capture.read()) is not None:
            return captured
    raise AssertionError(f"no frame for {PATIENCE} s")


def read_for(capture: Capture, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        capture.read()


@needs_xvfb
def test_contract() -> None:
    with x_server() as (display, _):
        (device,) = check_backend(ScreenBackend(display))
    assert device.kind == "display"
    assert device.display_surface == "monitor"


@needs_xvfb
def test_contract_with_windows() -> None:
    with x_server() as (display, _), program_on(display) as program:
        program.window("One", (10, 20, 101, 51), ORANGE)
        program.window("Two", (200, 100, 300, 300), BLUE)
        devices = check_backend(ScreenBackend(display))
    assert [device.display_surface for device in devices] == ["monitor", "window", "window"]
    assert [device.default for device in devices] == [True, False, False]


@needs_xvfb
def test_windows_are_known_by_their_names() -> None:
    with x_server() as (display, _), program_on(display) as program:
        one = program.window("One", (0, 0, 10, 10), RED)
        program.set_text(one, "_NET_WM_NAME", "Eins – ein Fenster")
        program.set_text(one, "WM_CLASS", "one\0First\0")
        program.window("", (0, 0, 10, 10), RED)
        program.window("Hidden", (0, 0, 10, 10), RED, shown=False)
        backend = ScreenBackend(display)
        _, device = backend.list_devices()
        assert device.label == "Eins – ein Fenster (First)"
        assert device.hardware_id == f"x11/{display}.0/window/{one:#x}"
        assert device.modes[0] == VideoMode(10, 10, 30.0, "bgr0")
        program.resize(one, 20, 30)
        program.set_text(one, "_NET_WM_NAME", "Two")
        _, later = backend.list_devices()
        assert later.hardware_id == device.hardware_id
        assert later.label == "Two (First)"
        assert later.modes[0] == VideoMode(20, 30, 30.0, "bgr0")


@needs_xvfb
def test_windows_of_a_window_manager() -> None:
    """Its list counts, also with windows that are hidden or have no name, as long as it lives."""
    with x_server() as (display, _), program_on(display) as program:
        one = program.window("One", (0, 0, 10, 10), RED)
        hidden = program.window("", (0, 0, 10, 10), GREEN, shown=False)
        panel = program.window("Panel", (0, 0, 10, 10), GREEN)
        program.set_numbers(
            panel, "_NET_WM_WINDOW_TYPE", "ATOM", program.atom("_NET_WM_WINDOW_TYPE_DOCK")
        )
        program.window("Not the manager's", (0, 0, 10, 10), BLUE)
        gone = program.window("Gone", (0, 0, 10, 10), BLUE)
        program.close(gone)
        mark = program.window("", (0, 0, 1, 1), BLUE, shown=False)
        for window in (program.root, mark):
            program.set_numbers(window, "_NET_SUPPORTING_WM_CHECK", "WINDOW", mark)
        program.set_numbers(program.root, "_NET_CLIENT_LIST", "WINDOW", one, hidden, panel, gone)
        backend = ScreenBackend(display)
        assert [device.label for device in backend.list_devices()[1:]] == ["One", f"{hidden:#x}"]

        program.close(mark)
        labels = [device.label for device in backend.list_devices()[1:]]
        assert labels == ["One", "Not the manager's"]


@needs_xvfb
def test_pixels() -> None:
    with x_server() as (display, _):
        with program_on(display) as program:
            program.paint_root(ORANGE)
        backend = ScreenBackend(display)
        (device,) = backend.list_devices()
        assert device.modes == (
            VideoMode(320, 240, 30.0, "bgr0"),
            VideoMode(320, 240, 60.0, "bgr0"),
        )
        capture = backend.open(device, device.modes[0])
        before = time.monotonic()
        captured = next_frame(capture)
        after = time.monotonic()
        capture.close()
    assert isinstance(captured.frame, VideoFrame)
    picture = captured.frame.to_ndarray(format="rgb24")
    assert picture.shape == (240, 320, 3)
    assert {tuple(pixel) for pixel in picture[:50].reshape(-1, 3)} == {ORANGE}
    assert before - PATIENCE < captured.at < after


@needs_xvfb
def test_display_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    assert ScreenBackend().list_devices() == []
    with x_server() as (display, _):
        monkeypatch.setenv("DISPLAY", display)
        (device,) = ScreenBackend().list_devices()
        assert not device.unusable


@needs_xvfb
def test_second_screen() -> None:
    with x_server("-screen", "0", "320x240x24", "-screen", "1", "200x100x24") as (display, _):
        (device,) = ScreenBackend(f"{display}.1").list_devices()
        assert device.modes[0] == VideoMode(200, 100, 30.0, "bgr0")
        (missing,) = ScreenBackend(f"{display}.2").list_devices()
        assert "no screen 2" in missing.unusable


@needs_xvfb
def test_server_ends() -> None:
    with x_server() as (display, server):
        backend = ScreenBackend(display)
        (device,) = backend.list_devices()
        capture = backend.open(device, device.modes[1])
        capture.read()
        server.kill()
        server.wait()
        with pytest.raises(DeviceLost, match="no longer"):
            read_for(capture, PATIENCE)
        capture.close()
        (gone,) = backend.list_devices()
        assert gone.unusable
        assert gone.hardware_id == device.hardware_id
        with pytest.raises(DeviceLost):
            backend.open(device, device.modes[0])


@needs_xvfb
def test_watch_notices_a_server() -> None:
    called = threading.Event()
    stop = ScreenBackend().watch(called.set)
    with x_server():
        assert called.wait(PATIENCE)
    stop()


@needs_xvfb
def test_cookie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that wants to know its user's secret, among others' secrets."""
    secret = bytes(range(16))
    authority = tmp_path / "authority"
    authority.write_bytes(authorisation(b"", b"", secret))
    with x_server("-auth", str(authority)) as (display, _):
        backend = ScreenBackend(display)
        monkeypatch.setenv("XAUTHORITY", str(tmp_path / "none"))
        (device,) = backend.list_devices()
        assert "XAUTHORITY" in device.unusable
        assert device.modes == ()

        number = display[1:].encode()
        host = socket.gethostname().encode()
        own = tmp_path / "own"
        own.write_bytes(
            authorisation(host, b"98765", bytes(16))
            + authorisation(b"elsewhere", number, bytes(16))
            + authorisation(host, number, secret)
        )
        monkeypatch.setenv("XAUTHORITY", str(own))
        (device,) = backend.list_devices()
        assert not device.unusable
        capture = backend.open(device, device.modes[0])
        frame = next_frame(capture).frame
        assert isinstance(frame, VideoFrame)
        assert frame.width == 320
        capture.close()


def authorisation(host: bytes, number: bytes, secret: bytes) -> bytes:
    """An entry of an Xauthority file, for a connection within this machine."""
    entry = struct.pack(">H", 256)
    for text in (host, number, b"MIT-MAGIC-COOKIE-1", secret):
        entry += struct.pack(">H", len(text)) + text
    return entry


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A server that answers anything in these words, one of them to each request; its display."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                for answer in answers:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1] - 6000}"
        finally:
            thread.join(PATIENCE)


def setup_answer(width: int, height: int) -> bytes:
    """A connection setup with one screen."""
    vendor = b"Nobody"
    setup = struct.pack("<IIIIHHBB10x", 0, 0, 0, 0, len(vendor), 65535, 1, 1)
    setup += vendor + bytes(2)
    setup += struct.pack("<BBB5x", 24, 32, 32)
    setup += struct.pack("<5I6HIBBBB", 1, 2, 3, 4, 5, width, height, 0, 0, 1, 1, 6, 0, 0, 24, 0)
    return struct.pack("<BxHHH", 1, 11, 0, len(setup) // 4) + setup


def test_wayland_is_not_passed_off_as_a_screen() -> None:
    """Xwayland gives X11 programs a black picture."""
    xwayland_is_there = struct.pack("<BxHIBBBB20x", 1, 1, 0, 1, 140, 0, 0)
    with answering(setup_answer(800, 600), xwayland_is_there) as display:
        (device,) = ScreenBackend(display).list_devices()
    assert "Wayland" in device.unusable
    assert device.modes == ()


@needs_xvfb
def test_remote_screen() -> None:
    with x_server("-listen", "tcp") as (display, _), program_on(display) as program:
        program.paint_root(ORANGE)
        backend = ScreenBackend(f"127.0.0.1{display}")
        (device,) = backend.list_devices()
        capture = backend.open(device, device.modes[0])
        frame = next_frame(capture).frame
        capture.close()
    assert isinstance(frame, VideoFrame)
    assert tuple(frame.to_ndarray(format="rgb24")[-1, -1]) == ORANGE


def test_server_that_hangs_up() -> None:
    with answering(setup_answer(800, 600)[:100]) as display:
        (device,) = ScreenBackend(display).list_devices()
    assert "can't be used" in device.unusable


def test_nobody_there() -> None:
    (device,) = ScreenBackend(":98765").list_devices()
    assert "can't be used" in device.unusable
    with pytest.raises(DeviceError):
        ScreenBackend(":98765").open(device, VideoMode(640, 480, 30.0))


@pytest.mark.parametrize(
    ("name", "display"),
    [
        (":0", Display("", 0, 0)),
        (":10.1", Display("", 10, 1)),
        ("unix:0", Display("", 0, 0)),
        ("localhost:10.0", Display("localhost", 10, 0)),
    ],
)
def test_display_names(name: str, display: Display) -> None:
    assert Display.parse(name) == display


@pytest.mark.parametrize("name", ["0", "host", ":", ":a", ":0.", ":0+10,20"])
def test_bad_display_name(name: str) -> None:
    (device,) = ScreenBackend(name).list_devices()
    assert "should be like" in device.unusable
