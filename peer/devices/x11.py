"""A connection to an X server: begun, asked, and answered, with nothing but a socket.

No library of X is used: Xlib ends the whole program when its server dies, and what a capture needs
of the protocol is small. See the X Window System Protocol, X Version 11, sections 1 and 8.
"""

import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from .backend import DeviceError
from .x11_display import COOKIE, Display, find_cookie
from .x11_requests import Request, get_input_focus, query_extension, query_version

ANSWER_TIMEOUT = 1.0
"""Seconds to wait for the X server, which answers within milliseconds even over a network."""
RECEIVE_SIZE = 1 << 16
"""Bytes of one receive: all answers but a picture's come in one."""

ERROR, REPLY = 0, 1
GENERIC_EVENT = 35
SENT_EVENT = 0x80
"""Set in the type of an event that another program sent."""
LENGTHS = struct.Struct("<BxHI")
"""Of an answer: its type, the request's number, and the length beyond 32 bytes of some types."""
BAD_VALUE = 2
ERROR_NAMES = {
    BAD_VALUE: "BadValue",
    3: "BadWindow",
    4: "BadPixmap",
    5: "BadAtom",
    8: "BadMatch",
    9: "BadDrawable",
    10: "BadAccess",
    11: "BadAlloc",
}

T = TypeVar("T")


class XError(Exception):
    """The X server refused a request."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the X server says {ERROR_NAMES.get(code, f'error {code}')}")
        self.code = code


class Screen(NamedTuple):
    """A screen of the server, by its root window."""

    root: int
    width: int
    height: int
    depth: int
    """Bits of colour."""


class Answer(Generic[T]):
    """What a request will have been answered, once `Connection.settle()` says that all are."""

    def __init__(self, request: Request[T], number: int) -> None:
        self.number = number
        self._decode = request.decode
        self._data = b""
        self._error: XError | None = None

    def get(self) -> T:
        """:raises XError: when the request was refused."""
        if self._error is not None:
            raise self._error
        return self._decode(self._data)

    def fulfil(self, data: bytes) -> None:
        """For the connection: the reply or error has come."""
        if data[0] == ERROR:
            self._error = XError(data[1])
        else:
            self._data = data


class Connection:
    """A connection to one screen of a display. For one thread.

    Requests are collected by `send()` and go out together, so that any number of them costs one
    turn of the server.

    :param on_event: gets every event, of 32 bytes, while answers are waited for.
    :raises OSError: there is no server.
    :raises DeviceError: it refuses, or its screen can't be captured.
    """

    def __init__(
        self, display: Display, on_event: Callable[[bytes], None] = lambda event: None
    ) -> None:
        self.display = display
        self._on_event = on_event
        self._outgoing = b""
        self._incoming = bytearray()
        self._sent = 0
        self._answered = True
        self._pending: deque[Answer[Any]] = deque()
        self._socket = display.connect(ANSWER_TIMEOUT)
        try:
            self._set_up(self._exchange_greetings())
            if self.ask(query_extension("XWAYLAND")) is not None:
                raise DeviceError(
                    "it belongs to a Wayland session, whose screen isn't shown to X11 programs"
                )
        except BaseException:
            self.close()
            raise

    def _exchange_greetings(self) -> bytes:
        cookie = find_cookie(self.display)
        name = COOKIE if cookie else b""
        greeting = struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie))
        self._socket.sendall(greeting + _padded(name) + _padded(cookie))
        status, reason_length, length = struct.unpack("<BB4xH", self._receive_exactly(8))
        setup = self._receive_exactly(4 * length)
        if status != 1:
            reason = setup[:reason_length].decode(errors="replace").strip()
            raise DeviceError(f"the X server refuses ({reason}): is XAUTHORITY right?")
        return setup

    def _receive_exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            data += _some(self._socket.recv(length - len(data)))
        return data

    def _set_up(self, setup: bytes) -> None:
        id_base, id_mask, vendor_length, _, format_count, high_byte_first = struct.unpack_from(
            "<4xII4xHHxBB", setup
        )
        self._last_id: int = id_base
        self._id_step: int = id_mask & -id_mask
        if high_byte_first:
            raise DeviceError("its pictures have the most significant byte first: no PC's have")
        offset = 32 + (vendor_length + 3) // 4 * 4
        formats = struct.iter_unpack("<BBB5x", setup[offset : offset + 8 * format_count])
        self.bits_per_pixel = {depth: bits for depth, bits, _ in formats}
        """By depth; each row of a picture is padded to 32 bits."""
        screens = list(_screens(setup, offset + 8 * format_count))
        if self.display.screen >= len(screens):
            raise DeviceError(f"it has no screen {self.display.screen}, only {len(screens)}")
        self.screen = screens[self.display.screen]

    @property
    def local(self) -> bool:
        """Whether the server is on this computer, and may share memory."""
        return self._socket.family == socket.AF_UNIX

    def fileno(self) -> int:
        """Becomes readable when events, or answers, are there."""
        return self._socket.fileno()

    def new_id(self) -> int:
        """An identifier for something that this connection makes."""
        self._last_id += self._id_step
        return self._last_id

    def extension(self, name: str, major: int, minor: int) -> int:
        """The major opcode of an extension that wants to be told the version that is spoken; 0
        when the server has none of this name, or only an older one."""
        opcode = self.ask(query_extension(name))
        if opcode is None or self.ask(query_version(opcode, major, minor)) < (major, minor):
            return 0
        return opcode

    def send(self, request: Request[T], descriptor: int | None = None) -> Answer[T]:
        """Ask; the answer is there after `settle()`.

        :param descriptor: an open file that belongs to the request.
        """
        self._sent += 1
        answer = Answer(request, self._sent & 0xFFFF)
        self._pending.append(answer)
        self._outgoing += request.data
        self._answered = request.answered
        if descriptor is not None:
            self._socket.settimeout(ANSWER_TIMEOUT)
            socket.send_fds(self._socket, [self._outgoing], [descriptor])
            self._outgoing = b""
        return answer

    def settle(self, timeout: float = ANSWER_TIMEOUT) -> bool:
        """Send what was asked, and wait for all answers; False when some are still to come.

        :raises OSError: the connection is lost.
        """
        if self._pending and not self._answered:
            self.send(get_input_focus())  # whose answer says that all before it is done
        if self._outgoing:
            self._socket.settimeout(ANSWER_TIMEOUT)
            self._socket.sendall(self._outgoing)
            self._outgoing = b""
        deadline = time.monotonic() + timeout
        while self._pending:
            if not self._receive(max(0.0, deadline - time.monotonic())):
                return False
        return True

    def ask(self, request: Request[T]) -> T:
        """Send one request, and wait for its answer.

        :raises XError: it is refused.
        :raises OSError: the connection is lost, or the server doesn't answer.
        """
        answer = self.send(request)
        self.settle_all()
        return answer.get()

    def settle_all(self) -> None:
        """Send what was asked, and wait for all answers.

        :raises OSError: the connection is lost, or the server doesn't answer.
        """
        if not self.settle():
            raise TimeoutError("the X server does not answer")

    def receive_events(self) -> None:
        """Hand on the events that are there.

        :raises OSError: the connection is lost.
        """
        while self._receive(0):
            pass

    def close(self) -> None:
        self._socket.close()

    def _receive(self, timeout: float) -> bool:
        self._socket.settimeout(timeout)
        try:
            self._incoming += _some(self._socket.recv(RECEIVE_SIZE))
        except (TimeoutError, BlockingIOError):
            return False
        while (packet := self._packet()) is not None:
            self._take(packet)
        return True

    def _packet(self) -> bytes | None:
        """The next whole answer or event."""
        if len(self._incoming) < 32:
            return None
        sort, _, more = LENGTHS.unpack_from(self._incoming)
        length = 32 + 4 * more if sort in (REPLY, GENERIC_EVENT) else 32
        if len(self._incoming) < length:
            return None
        packet = bytes(memoryview(self._incoming)[:length])
        del self._incoming[:length]
        return packet

    def _take(self, packet: bytes) -> None:
        sort, number, _ = LENGTHS.unpack_from(packet)
        if sort not in (ERROR, REPLY):
            self._on_event(bytes([sort & ~SENT_EVENT]) + packet[1:])
            return
        while self._pending:
            answer = self._pending.popleft()
            if answer.number == number:
                answer.fulfil(packet)
                return
        raise ConnectionError("the X server answered what was not asked")


def _screens(setup: bytes, offset: int) -> Iterator[Screen]:
    """The screens in a connection setup's answer, after its first eight bytes."""
    (count,) = struct.unpack_from("<B", setup, 20)
    for _ in range(count):
        root, width, height, depth, depths = struct.unpack_from("<I16xHH14xBB", setup, offset)
        yield Screen(root, width, height, depth)
        offset += 40
        for _ in range(depths):
            (visuals,) = struct.unpack_from("<xxH", setup, offset)
            offset += 8 + 24 * visuals


def _some(data: bytes) -> bytes:
    if not data:
        raise ConnectionError("the X server hung up")
    return data


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
