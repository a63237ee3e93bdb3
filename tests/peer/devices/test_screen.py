"""The screen of a real X server, which has no monitor; and of one that only answers."""

import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from av import VideoFrame

from peer.devices.backend import Capture, DeviceError, DeviceLost, VideoMode
from peer.devices.screen import Display, ScreenBackend
from peer.testing.backend_contract import check_backend

PATIENCE = 20  # seconds; nothing that works takes a tenth of one
ORANGE = 0xFF8020

needs_xvfb = pytest.mark.skipif(not shutil.which("Xvfb"), reason="Xvfb isn't installed")


@contextmanager
def x_server(*options: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run an X server; its display and its process."""
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_end), "-noreset", "-nolisten", "tcp", *options]
    if "-screen" not in options:
        command += ["-screen", "0", "320x240x24"]
    with subprocess.Popen(command, pass_fds=[write_end], stderr=subprocess.DEVNULL) as server:
        os.close(write_end)
        try:
            with open(read_end, "rb") as answer:
                number = answer.readline().decode().strip()
            assert number, "Xvfb did not start"
            yield f":{number}", server
        finally:
            server.kill()


def paint(display: str, colour: int) -> None:
    """Make the screen all of one colour: ChangeWindowAttributes and ClearWindow on its root."""
    with Display.parse(display).connect() as connection:
        connection.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0))
        with connection.makefile("rb") as answers:
            _, length = struct.unpack("<B5xH", answers.read(8))
            setup = answers.read(4 * length)
            vendor_length, _, _, formats = struct.unpack_from("<HHBB", setup, 16)
            (root,) = struct.unpack_from("<I", setup, 32 + -(-vendor_length // 4) * 4 + 8 * formats)
            connection.sendall(
                struct.pack("<BxHIII", 2, 4, root, 1 << 1, colour)
                + struct.pack("<BxHIHHHH", 61, 4, root, 0, 0, 0, 0)
                + struct.pack("<BxH", 43, 1)  # GetInputFocus: answered when all is done
            )
            answers.read(32)


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
def test_pixels() -> None:
    with x_server() as (display, _):
        paint(display, ORANGE)
        backend = ScreenBackend(display)
        (device,) = backend.list_devices()
        assert device.modes == (
            VideoMode(320, 240, 30.0, "bgr0"),
            VideoMode(320, 240, 60.0, "bgr0"),
        )
        capture = backend.open(device, device.modes[0])
        before = time.monotonic()
        captured = capture.read()
        after = time.monotonic()
        capture.close()
    assert isinstance(captured.frame, VideoFrame)
    picture = captured.frame.to_ndarray(format="rgb24")
    assert picture.shape == (240, 320, 3)
    assert {tuple(pixel) for pixel in picture[:50].reshape(-1, 3)} == {(0xFF, 0x80, 0x20)}
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
        frame = capture.read().frame
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


def test_remote_screen() -> None:
    without = struct.pack("<BxHIBBBB20x", 1, 1, 0, 0, 0, 0, 0)
    with answering(setup_answer(800, 600), without) as display:
        (device,) = ScreenBackend(display).list_devices()
    assert device.modes[0] == VideoMode(800, 600, 30.0, "bgr0")


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
