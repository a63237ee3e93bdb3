"""Windows, monitors and screens of a real X server, captured while all sorts of things happen."""

import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from av import VideoFrame
from numpy.typing import NDArray

from peer.devices.backend import Captured, DeviceDescription, DeviceError, DeviceLost, VideoMode
from peer.devices.screen import ScreenBackend
from peer.devices.x11_capture import MOTION_LINGER, REFUSALS, X11Capture
from peer.devices.x11_pictures import SEGMENTS
from peer.devices.x11_requests import Request

from .x11_program import (
    BLUE,
    CURSOR_SIZE,
    GREEN,
    ORANGE,
    PATIENCE,
    RED,
    Program,
    needs_xvfb,
    program_on,
    x_server,
)

pytestmark = needs_xvfb
Colour = tuple[int, int, int]


@contextmanager
def captured(
    display: str, label: str, rate: float = 60.0, cursor: str = "never"
) -> Iterator[X11Capture]:
    """A capture of the device with this label, by default without Xvfb's big black pointer."""
    backend = ScreenBackend(display)
    device = find(backend, label)
    mode = next(mode for mode in device.modes if getattr(mode, "frame_rate", 0) == rate)
    capture = backend.open(device, mode)
    assert capture.controls == {"cursor": "always"}
    capture.set_controls({"cursor": cursor})
    try:
        yield capture
    finally:
        capture.close()


def find(backend: ScreenBackend, label: str) -> DeviceDescription:
    return next(device for device in backend.list_devices() if device.label.startswith(label))


def next_frame(capture: X11Capture) -> Captured:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (found := capture.read()) is not None:
            return found
    raise AssertionError(f"no frame for {PATIENCE} s")


def picture(captured: Captured) -> NDArray[Any]:
    assert isinstance(captured.frame, VideoFrame)
    return captured.frame.to_ndarray(format="rgb24")


def colours(picture: NDArray[Any]) -> set[Colour]:
    return {(int(r), int(g), int(b)) for r, g, b in np.unique(picture.reshape(-1, 3), axis=0)}


def read_until(capture: X11Capture, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it didn't become true"
        capture.read()


def test_window() -> None:
    with x_server() as (display, _), program_on(display) as program:
        program.window("One", (10, 20, 101, 51), ORANGE)
        with captured(display, "One") as capture:
            assert capture.mode == VideoMode(101, 51, 60.0, "bgr0")
            seen = picture(next_frame(capture))
    assert seen.shape == (51, 101, 3)
    assert colours(seen) == {ORANGE}


def test_border_is_left_out() -> None:
    with x_server() as (display, _), program_on(display) as program:
        program.paint_root(GREEN)
        program.window("One", (10, 20, 100, 50), ORANGE, border=5)
        with captured(display, "One") as capture:
            seen = picture(next_frame(capture))
    assert seen.shape == (50, 100, 3)
    assert colours(seen) == {ORANGE}


def test_covered_window_shows_itself() -> None:
    with x_server() as (display, _), program_on(display) as program:
        program.window("One", (10, 20, 100, 50), ORANGE)
        with captured(display, "One") as capture:
            next_frame(capture)
            program.window("Two", (0, 0, 300, 200), BLUE)
            assert colours(picture(next_frame(capture))) == {ORANGE}
            with captured(display, "Two") as other:
                assert colours(picture(next_frame(other))) == {BLUE}
            with captured(display, "Screen") as screen:
                seen = picture(next_frame(screen))
                assert colours(seen[:200, :300]) == {BLUE}


def test_window_that_was_covered_before() -> None:
    with x_server() as (display, _), program_on(display) as program:
        program.window("One", (10, 20, 100, 50), ORANGE)
        program.window("Two", (0, 0, 300, 200), BLUE)
        with captured(display, "One") as capture:
            assert colours(picture(next_frame(capture))) == {ORANGE}


@pytest.mark.parametrize("place", [(-60, -30), (300, 230), (1000, 1000)])
def test_window_that_is_moved_off_the_screen(place: tuple[int, int]) -> None:
    with x_server() as (display, _), program_on(display) as program:
        window = program.window("One", (10, 20, 100, 50), ORANGE)
        with captured(display, "One") as capture:
            next_frame(capture)
            program.move(window, *place)
            seen = picture(next_frame(capture))
            assert seen.shape == (50, 100, 3)
            assert colours(seen) == {ORANGE}


def test_resized_window() -> None:
    """The mode says so before the first frame of the new size, and the rate stays."""
    with x_server() as (display, _), program_on(display) as program:
        window = program.window("One", (10, 20, 100, 50), ORANGE)
        with captured(display, "One") as capture:
            first = next_frame(capture)
            for width, height in [(201, 103), (33, 17), (400, 300), (1, 1)]:
                program.resize(window, width, height)
                deadline = time.monotonic() + PATIENCE
                while capture.mode != VideoMode(width, height, 60.0, "bgr0"):
                    assert time.monotonic() < deadline
                    assert capture.read() is None
                seen = picture(next_frame(capture))
                assert seen.shape == (height, width, 3)
                assert colours(seen) == {ORANGE}
            assert picture(first).shape == (50, 100, 3)
            assert colours(picture(first)) == {ORANGE}


def test_minimised_window_is_muted() -> None:
    with x_server() as (display, _), program_on(display) as program:
        window = program.window("One", (10, 20, 100, 50), ORANGE)
        with captured(display, "One") as capture:
            next_frame(capture)
            assert not capture.muted
            program.unmap(window)
            for _ in range(REFUSALS + 1):
                assert capture.read() is None
                assert capture.muted
            program.resize(window, 60, 40)
            program.map(window)
            seen = picture(next_frame(capture))
            assert not capture.muted
            assert seen.shape == (40, 60, 3)
            assert colours(seen) == {ORANGE}


def test_closed_window_is_lost() -> None:
    with x_server() as (display, _), program_on(display) as program:
        window = program.window("One", (10, 20, 100, 50), ORANGE)
        program.window("Two", (0, 0, 30, 20), BLUE)
        backend = ScreenBackend(display)
        device = find(backend, "One")
        with captured(display, "One") as capture, captured(display, "Two") as other:
            next_frame(capture)
            program.close(window)
            with pytest.raises(DeviceLost, match="One was closed"):
                next_frame(capture)
            next_frame(other)
        with pytest.raises(DeviceLost, match="One is no longer there"):
            backend.open(device, device.modes[0])


def test_server_is_killed() -> None:
    with x_server() as (display, server), program_on(display) as program:
        program.window("One", (10, 20, 100, 50), ORANGE)
        with captured(display, "One") as capture:
            kept = next_frame(capture)
            server.kill()
            server.wait()
            with pytest.raises(DeviceLost, match="no longer"):
                next_frame(capture)
            assert colours(picture(kept)) == {ORANGE}


def test_server_that_keeps_everybody_waiting() -> None:
    with x_server() as (display, server), captured(display, "Screen") as capture:
        next_frame(capture)
        server.send_signal(signal.SIGSTOP)
        for _ in range(30):
            assert capture.read() is None
        server.send_signal(signal.SIGCONT)
        resumed_at = time.monotonic()
        assert next_frame(capture).at >= resumed_at


def test_frames_are_not_overwritten() -> None:
    """Not even when more are kept than the server shares memory for."""
    shades = [(level, 0, 255 - level) for level in range(0, 10 * (SEGMENTS + 4), 10)]
    frames = []
    with (
        x_server() as (display, _),
        program_on(display) as program,
        captured(display, "Screen") as capture,
    ):
        for shade in shades:
            program.paint_root(shade)
            frames.append(next_frame(capture))
    assert [colours(picture(frame)) for frame in frames] == [{shade} for shade in shades]


def test_memory_is_used_again() -> None:
    with x_server() as (display, _), captured(display, "Screen") as capture:
        for _ in range(3 * SEGMENTS):
            next_frame(capture)
        with open("/proc/self/maps") as maps:
            assert 0 < maps.read().count("x11 picture") < SEGMENTS


@pytest.mark.parametrize("options", [[], ["-extension", "MIT-SHM"]], ids=["shared", "socket"])
@pytest.mark.parametrize("depth", [16, 24])
def test_depths_and_odd_sizes(depth: int, options: list[str]) -> None:
    with (
        x_server("-screen", "0", f"331x241x{depth}", *options) as (display, _),
        program_on(display) as program,
    ):
        program.paint_root(BLUE)
        program.window("One", (0, 0, 77, 33), RED)
        with captured(display, "Screen") as capture:
            seen = picture(next_frame(capture))
        with captured(display, "One") as capture:
            assert colours(picture(next_frame(capture))) == {RED}
    assert seen.shape == (241, 331, 3)
    assert colours(seen[:33, :77]) == {RED}
    assert colours(seen[33:]) == {BLUE}
    assert colours(seen[:, 77:]) == {BLUE}


@pytest.mark.parametrize("depth", [16, 24])
def test_cursor(depth: int) -> None:
    """Drawn or not, in a window that was moved and in the screen, also half outside."""
    with (
        x_server("-screen", "0", f"320x240x{depth}") as (display, _),
        program_on(display) as program,
    ):
        window = program.window("One", (10, 20, 100, 50), GREEN)
        program.give_cursor(window, RED)
        program.move(window, 30, 40)
        program.move_pointer(50, 70)
        with (
            captured(display, "One", cursor="always") as capture,
            captured(display, "Screen", cursor="always") as screen,
        ):
            seen = picture(next_frame(capture))
            assert colours(seen[30 : 30 + CURSOR_SIZE, 20 : 20 + CURSOR_SIZE]) == {RED}
            assert (seen == RED).all(axis=2).sum() == CURSOR_SIZE**2
            seen = picture(next_frame(screen))
            assert colours(seen[70 : 70 + CURSOR_SIZE, 50 : 50 + CURSOR_SIZE]) == {RED}

            program.move_pointer(127, 88)
            seen = picture(next_frame(capture))
            assert (seen == RED).all(axis=2).sum() == 3 * 2
            assert colours(seen[48:, 97:]) == {RED}

            capture.set_controls({"cursor": "never"})
            assert colours(picture(next_frame(capture))) == {GREEN}
            assert (picture(next_frame(screen)) == RED).any()
            capture.set_controls({"cursor": "always"})
            assert (picture(next_frame(capture)) == RED).all(axis=2).sum() == 3 * 2


def test_cursor_while_it_moves() -> None:
    with x_server() as (display, _), program_on(display) as program:
        window = program.window("One", (0, 0, 100, 50), GREEN)
        program.give_cursor(window, RED)
        program.move_pointer(20, 20)
        with captured(display, "One", cursor="motion") as capture:
            still_since = next_frame(capture).at
            frame = next_frame(capture)
            while frame.at < still_since + MOTION_LINGER:
                frame = next_frame(capture)
            assert colours(picture(frame)) == {GREEN}
            program.move_pointer(30, 20)
            assert (picture(next_frame(capture)) == RED).any()


def test_even_pace() -> None:
    """Frames follow the clock, whatever each of them takes."""
    with x_server() as (display, _), captured(display, "Screen", 30.0) as capture:
        first = next_frame(capture)
        began = time.monotonic()
        for _ in range(15):
            last = next_frame(capture)
        assert last.at - first.at > 14 / 30
        time.sleep(0.5)  # frames that nobody reads are left out
        next_frame(capture)
        at = [next_frame(capture).at for _ in range(4)]
    assert at[-1] - at[0] > 2 / 30
    assert began < last.at


def test_monitors() -> None:
    """Each of several, and one that is rearranged and then taken away."""
    with x_server() as (display, _), program_on(display) as program:
        program.paint_root(BLUE)
        program.window("One", (120, 0, 200, 240), ORANGE)
        set_monitor(program, "left", (0, 0, 120, 240))
        set_monitor(program, "right", (120, 0, 200, 240))
        backend = ScreenBackend(display)
        left, right = find(backend, "Monitor left"), find(backend, "Monitor right")
        assert (left.label, left.display_surface, left.default) == (
            "Monitor left",
            "monitor",
            False,
        )
        assert right.modes[0] == VideoMode(200, 240, 30.0, "bgr0")
        with captured(display, "Monitor right") as capture:
            seen = picture(next_frame(capture))
            assert seen.shape == (240, 200, 3)
            assert colours(seen) == {ORANGE}
            program.order(36, 0, "")  # GrabServer: nobody sees what is between
            delete_monitor(program, "right")
            set_monitor(program, "right", (100, 0, 220, 200))
            program.order(37, 0, "")
            read_until(capture, lambda: capture.mode == VideoMode(220, 200, 60.0, "bgr0"))
            seen = picture(next_frame(capture))
            assert colours(seen[:, :20]) == {BLUE}
            assert colours(seen[:, 20:]) == {ORANGE}
            delete_monitor(program, "right")
            with pytest.raises(DeviceLost, match="Monitor right"):
                next_frame(capture)


def set_monitor(program: Program, name: str, place: tuple[int, int, int, int]) -> None:
    """RRSetMonitor: a part of the screen counts as a monitor."""
    randr = program.connection.extension("RANDR", 1, 5)
    program.order(
        randr, 43, "IIBBHhhHHII", program.root, program.atom(name), 0, 0, 0, *place, 100, 100
    )


def delete_monitor(program: Program, name: str) -> None:
    program.order(
        program.connection.extension("RANDR", 1, 5), 44, "II", program.root, program.atom(name)
    )


def shrink_screen(program: Program, width: int, height: int) -> None:
    """RRSetScreenSize, after RRSetCrtcConfig has turned the only monitor off."""
    randr = program.connection.extension("RANDR", 1, 5)
    resources = Request(
        struct.pack("<BBHI", randr, 25, 2, program.root),
        lambda data: struct.unpack_from("<II16xI", data, 8),
    )
    time_stamp, configured, crtc = program.connection.ask(resources)
    program.order(randr, 21, "IIIhhIHxx", crtc, time_stamp, configured, 0, 0, 0, 1)
    program.order(randr, 7, "IHHII", program.root, width, height, 100, 100)


def test_screen_that_becomes_smaller() -> None:
    with (
        x_server() as (display, _),
        program_on(display) as program,
        captured(display, "Screen") as capture,
    ):
        next_frame(capture)
        shrink_screen(program, 200, 100)
        read_until(capture, lambda: capture.mode == VideoMode(200, 100, 60.0, "bgr0"))
        assert picture(next_frame(capture)).shape == (100, 200, 3)


def test_without_composite() -> None:
    with x_server("-extension", "Composite") as (display, _), program_on(display) as program:
        program.window("One", (0, 0, 100, 50), GREEN)
        backend = ScreenBackend(display)
        window = find(backend, "One")
        assert "Composite" in window.unusable
        with pytest.raises(DeviceError, match="Composite"):
            backend.open(window, VideoMode(100, 50, 30.0))
        assert not find(backend, "Screen").unusable


def test_programs_of_others() -> None:
    """A program that draws by itself, and is killed."""
    with x_server() as (display, _):
        command = ["xlogo", "-display", display, "-geometry", "100x80", "-bg", "#ff8020"]
        try:
            logo = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            pytest.skip("xlogo isn't installed (Debian package: x11-apps)")
        with logo:
            try:
                backend = ScreenBackend(display)
                deadline = time.monotonic() + PATIENCE
                while len(backend.list_devices()) < 2:
                    assert time.monotonic() < deadline
                with captured(display, "xlogo (XLogo)") as capture:
                    read_until(capture, lambda: ORANGE in colours(picture(next_frame(capture))))
                    logo.kill()
                    with pytest.raises(DeviceLost):
                        read_until(capture, lambda: False)
            finally:
                logo.kill()
