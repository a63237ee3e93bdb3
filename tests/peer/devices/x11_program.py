"""A real X server, and a program of its own making that shows windows on it."""

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from peer.devices.x11 import Connection
from peer.devices.x11_display import Display
from peer.devices.x11_requests import Request, intern_atom

PATIENCE = 20  # seconds; nothing that works takes a tenth of one
ORANGE, BLUE, GREEN, RED = (0xFF, 0x80, 0x20), (0, 0, 0xFF), (0, 0xFF, 0), (0xFF, 0, 0)
CURSOR_SIZE = 8  # pixels, each way
STRING = 31  # the atom of a type

needs_xvfb = pytest.mark.skipif(
    not shutil.which("Xvfb"), reason="Xvfb isn't installed (Debian package: xvfb)"
)


@contextmanager
def x_server(*options: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run an X server; its display and its process."""
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_end), "-noreset"]
    command += [] if "-listen" in options else ["-nolisten", "tcp"]
    command += [] if "-screen" in options else ["-screen", "0", "320x240x24"]
    with subprocess.Popen(
        [*command, *options], pass_fds=[write_end], stderr=subprocess.DEVNULL
    ) as server:
        os.close(write_end)
        try:
            with open(read_end, "rb") as answer:
                number = answer.readline().decode().strip()
            assert number, "Xvfb did not start"
            yield f":{number}", server
        finally:
            server.kill()


@contextmanager
def program_on(display: str) -> Iterator["Program"]:
    """A program on a display, as long as the context lasts."""
    program = Program(display)
    try:
        yield program
    finally:
        program.connection.close()


class Program:
    """Shows windows. Every method returns once the server has done it."""

    def __init__(self, display: str) -> None:
        self.connection = Connection(Display.parse(display))
        self.root = self.connection.screen.root

    def order(self, opcode: int, detail: int, layout: str, *values: int, text: bytes = b"") -> None:
        """A request without an answer, which must not be refused."""
        body = struct.pack("<" + layout, *values) + text
        body += bytes(-len(body) % 4)
        head = struct.pack("<BBH", opcode, detail, 1 + len(body) // 4)
        done = self.connection.send(Request(head + body, lambda data: None, answered=False))
        self.connection.settle_all()
        done.get()

    def paint_root(self, colour: tuple[int, int, int]) -> None:
        self.order(2, 0, "III", self.root, 1 << 1, self.pixel(colour))
        self.order(61, 0, "IHHHH", self.root, 0, 0, 0, 0)

    def window(
        self,
        name: str,
        place: tuple[int, int, int, int],
        colour: tuple[int, int, int],
        border: int = 0,
        shown: bool = True,
    ) -> int:
        """A window of one colour.

        :param place: left, top, width, height.
        """
        window = self.connection.new_id()
        self.order(
            1, 0, "IIhhHHHHIII", window, self.root, *place, border, 1, 0, 1 << 1, self.pixel(colour)
        )
        self.set_text(window, "WM_NAME", name)
        if shown:
            self.map(window)
        return window

    def pixel(self, colour: tuple[int, int, int]) -> int:
        red, green, blue = colour
        if self.connection.screen.depth == 16:
            return red >> 3 << 11 | green >> 2 << 5 | blue >> 3
        return red << 16 | green << 8 | blue

    def map(self, window: int) -> None:
        self.order(8, 0, "I", window)

    def unmap(self, window: int) -> None:
        self.order(10, 0, "I", window)

    def close(self, window: int) -> None:
        self.order(4, 0, "I", window)

    def move(self, window: int, x: int, y: int) -> None:
        self.order(12, 0, "IHxxii", window, 0b11, x, y)

    def resize(self, window: int, width: int, height: int) -> None:
        self.order(12, 0, "IHxxII", window, 0b1100, width, height)

    def atom(self, name: str) -> int:
        return self.connection.ask(intern_atom(name))

    def set_text(self, window: int, name: str, text: str) -> None:
        data = text.encode()
        self.order(18, 0, "IIIB3xI", window, self.atom(name), STRING, 8, len(data), text=data)

    def set_numbers(self, window: int, name: str, sort: str, *numbers: int) -> None:
        layout = f"IIIB3xI{len(numbers)}I"
        head = (window, self.atom(name), self.atom(sort), 32, len(numbers))
        self.order(18, 0, layout, *head, *numbers)

    def move_pointer(self, x: int, y: int) -> None:
        self.order(41, 0, "IIhhHHhh", 0, self.root, 0, 0, 0, 0, x, y)

    def give_cursor(self, window: int, colour: tuple[int, int, int]) -> None:
        """A pointer over the window that is a square, with its hot spot in the upper left."""
        pixmap, context, cursor = (self.connection.new_id() for _ in range(3))
        self.order(53, 1, "IIHH", pixmap, self.root, CURSOR_SIZE, CURSOR_SIZE)
        self.order(55, 0, "IIII", context, pixmap, 1 << 2, 1)
        self.order(70, 0, "IIhhHH", pixmap, context, 0, 0, CURSOR_SIZE, CURSOR_SIZE)
        channels = [channel * 0x101 for channel in colour]
        self.order(93, 0, "III6HHH", cursor, pixmap, 0, *channels, 0, 0, 0, 0, 0)
        self.order(2, 0, "III", window, 1 << 14, cursor)
