"""What the watch on a real X server notices, and that it ends."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from peer.devices.screen import ScreenBackend

from .x11_program import BLUE, ORANGE, PATIENCE, Program, needs_xvfb, program_on, x_server

pytestmark = needs_xvfb

UNHEARD = 1.0  # seconds; four times what the watch lets pass between two looks


@contextmanager
def watched(display: str) -> Iterator[threading.Event]:
    """Is set when the watch calls."""
    called = threading.Event()
    stop = ScreenBackend(display).watch(called.set)
    try:
        yield called
    finally:
        stop()
        assert not [thread for thread in threading.enumerate() if display in thread.name]


def open_window(program: Program, window: int) -> None:
    program.window("Two", (0, 0, 30, 30), BLUE)


def close_window(program: Program, window: int) -> None:
    program.close(window)


def hide_window(program: Program, window: int) -> None:
    program.unmap(window)


def resize_window(program: Program, window: int) -> None:
    program.resize(window, 60, 60)


def rename_window(program: Program, window: int) -> None:
    program.set_text(window, "WM_NAME", "Other")


def add_monitor(program: Program, window: int) -> None:
    randr = program.connection.extension("RANDR", 1, 5)
    numbers = (program.root, program.atom("more"), 0, 0, 0, 0, 0, 90, 90, 10, 10)
    program.order(randr, 43, "IIBBHhhHHII", *numbers)


@pytest.mark.parametrize(
    "change",
    [open_window, close_window, hide_window, resize_window, rename_window, add_monitor],
)
def test_notices(change: Callable[[Program, int], None]) -> None:
    with x_server() as (display, _), program_on(display) as program:
        window = program.window("One", (0, 0, 50, 50), ORANGE)
        backend = ScreenBackend(display)
        before = backend.list_devices()
        with watched(display) as called:
            assert not called.is_set()
            change(program, window)
            assert called.wait(PATIENCE)
            assert backend.list_devices() != before


def test_is_silent_about_what_does_not_matter() -> None:
    with x_server() as (display, _), program_on(display) as program:
        window = program.window("One", (0, 0, 50, 50), ORANGE)
        with watched(display) as called:
            program.move(window, 10, 10)
            program.set_text(window, "_NET_WM_USER_TIME", "now")
            assert not called.wait(UNHEARD)


def test_notices_a_window_that_came_later_and_changes() -> None:
    with x_server() as (display, _), program_on(display) as program, watched(display) as called:
        window = program.window("One", (0, 0, 50, 50), ORANGE)
        assert called.wait(PATIENCE)
        while called.wait(UNHEARD):
            called.clear()
        program.set_text(window, "WM_NAME", "Other")
        assert called.wait(PATIENCE)


def test_notices_a_server_that_ends_and_starts_again() -> None:
    with x_server() as (display, server), watched(display) as called:
        server.kill()  # which leaves its socket behind
        server.wait()
        assert called.wait(PATIENCE)
        called.clear()
        with subprocess.Popen(
            ["Xvfb", display, "-nolisten", "tcp"], stderr=subprocess.DEVNULL
        ) as successor:
            try:
                backend = ScreenBackend(display)
                while backend.list_devices()[0].unusable:
                    assert called.wait(PATIENCE)
                    called.clear()
            finally:
                successor.kill()


def test_may_be_ended_by_what_it_calls() -> None:
    with x_server() as (display, _), program_on(display) as program:
        done = threading.Event()
        stops: list[Callable[[], None]] = []

        def changed() -> None:
            stops[0]()
            done.set()

        stops.append(ScreenBackend(display).watch(changed))
        program.window("One", (0, 0, 50, 50), ORANGE)
        assert done.wait(PATIENCE)
        for thread in threading.enumerate():
            if display in thread.name:
                thread.join(PATIENCE)


def test_without_a_server() -> None:
    with watched(":98765") as called:
        assert not called.is_set()
