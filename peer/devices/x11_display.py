"""Where the server of an X11 display is, and by which secret it knows this user."""

import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOCKETS = "/tmp/.X11-unix"
FIRST_TCP_PORT = 6000
COOKIE = b"MIT-MAGIC-COOKIE-1"


@dataclass(frozen=True)
class Display:
    """An X11 server and one of its screens."""

    host: str
    """Empty for this machine's."""
    number: int
    screen: int

    @classmethod
    def parse(cls, name: str) -> "Display":
        """:raises ValueError: when it isn't `[HOST]:NUMBER[.SCREEN]`."""
        match = re.fullmatch(r"(?:unix|(.*?)):(\d+)(?:\.(\d+))?", name)
        if match is None:
            raise ValueError(f"DISPLAY is {name!r}: it should be like :0 or HOST:0.0")
        return cls(match[1] or "", int(match[2]), int(match[3] or 0))

    def __str__(self) -> str:
        return f"{self.host}:{self.number}.{self.screen}"

    def connect(self, timeout: float) -> socket.socket:
        """A socket of the server.

        :raises OSError: there is no server.
        """
        if self.host:
            return socket.create_connection(
                (self.host, FIRST_TCP_PORT + self.number), timeout=timeout
            )
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(f"{SOCKETS}/X{self.number}")
        except OSError:
            connection.close()
            raise
        return connection


def find_cookie(display: Display) -> bytes:
    """The secret by which the server knows its user; empty when there is none."""
    path = Path(os.environ.get("XAUTHORITY") or Path.home() / ".Xauthority")
    try:
        data = path.read_bytes()
    except OSError:
        return b""
    host = (display.host or socket.gethostname()).encode()
    found = b""
    for address, number, name, secret in _authorities(data):
        if name == COOKIE and number in (b"", str(display.number).encode()):
            if address == host:
                return secret
            found = found or secret
    return found


def _authorities(data: bytes) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """The entries of an Xauthority file: a family, and four strings after their lengths."""
    rest = data[2:]
    while rest:
        strings = []
        for _ in range(4):
            length = int.from_bytes(rest[:2])
            strings.append(rest[2 : 2 + length])
            rest = rest[2 + length :]
        address, number, name, secret = strings
        yield address, number, name, secret
        rest = rest[2:]
