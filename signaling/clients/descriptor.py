"""Lines through a terminal, pipe or file, without a thread that could be left behind."""

import asyncio
import contextlib
import os
import select
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

if sys.platform != "win32":
    import termios

    _termios: ModuleType | None = termios
else:
    _termios = None

_END_OF_INPUT, _BACKSPACE = b"\x04", b"\x7f"


class LineTooLong(Exception):
    """A line exceeds the limit; it was skipped."""


class LineReader:
    """Reads lines from a file descriptor.

    A read waits until there is something to read, so it can be cancelled at any time. (Windows
    can't wait so: a thread waits there, until Enter is pressed.)

    :param limit: bytes of a line.
    """

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self._buffer = bytearray()
        self._skipping = False
        self._at_end = False

    async def read_line(self) -> str | None:
        """The next line without its end; None at the end of the input.

        :raises LineTooLong: it exceeds the limit.
        """
        while True:
            line, found, rest = self._buffer.partition(b"\n")
            if found or (self._at_end and line):
                self._buffer = bytearray(rest)
                too_long, self._skipping = self._skipping or len(line) > self._limit, False
                if too_long:
                    raise LineTooLong
                return line.decode(errors="replace").strip()
            if self._at_end:
                return None
            if len(self._buffer) > self._limit:
                self._skipping = True
                self._buffer.clear()
            await self._fill()

    async def _fill(self) -> None:
        if await _ready(self._descriptor, "reader"):
            chunk = os.read(self._descriptor, select.PIPE_BUF)
        else:
            chunk = await asyncio.to_thread(os.read, self._descriptor, 4096)
        if not chunk:
            self._at_end = True
        elif _termios is None or not os.isatty(self._descriptor):
            self._buffer += chunk
        else:
            self._take_keys(chunk)

    def _take_keys(self, chunk: bytes) -> None:
        """What a terminal's own line editor, which is off, would have done."""
        for key in (bytes([byte]) for byte in chunk):
            if key == _END_OF_INPUT:
                self._at_end = True
            elif key == _BACKSPACE:
                del self._buffer[-1:]
            else:
                self._buffer += key


async def write_text(descriptor: int, text: str) -> None:
    """Write all of it; a reader who does not read is waited for, without blocking the loop."""
    data = text.encode()
    while data:
        # A pipe that is ready takes PIPE_BUF bytes at once, whatever else is in it.
        if await _ready(descriptor, "writer"):
            written = os.write(descriptor, data[: select.PIPE_BUF])
        else:
            written = await asyncio.to_thread(os.write, descriptor, data)
        data = data[written:]


@contextlib.contextmanager
def long_lines(descriptor: int) -> Iterator[None]:
    """Let a terminal take lines of any length: its own line editor cuts them at 4,095 bytes,
    which is less than most descriptions have."""
    if _termios is None or not os.isatty(descriptor):
        yield
        return
    before = _termios.tcgetattr(descriptor)
    raw = [*before]
    raw[3] &= ~_termios.ICANON
    _termios.tcsetattr(descriptor, _termios.TCSANOW, raw)
    try:
        yield
    finally:
        with contextlib.suppress(_termios.error):  # it may be gone
            _termios.tcsetattr(descriptor, _termios.TCSANOW, before)


async def _ready(descriptor: int, side: str) -> bool:
    """Wait until it can be read or written; False if it is of a kind that can't be waited for."""
    loop = asyncio.get_running_loop()
    add: Callable[..., None] = getattr(loop, f"add_{side}")
    remove: Callable[[int], bool] = getattr(loop, f"remove_{side}")
    ready = asyncio.Event()
    try:
        add(descriptor, ready.set)
    except (PermissionError, NotImplementedError):
        return False  # a file on a disk, which never keeps us waiting; anything, on Windows
    try:
        await ready.wait()
    finally:
        remove(descriptor)
    return True
