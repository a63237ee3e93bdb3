"""The screen of an X11 display: asked for by the X protocol, captured by FFmpeg's x11grab."""

import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
from av import VideoFrame
from av.error import FFmpegError

from .backend import Captured, DeviceDescription, DeviceError, DeviceLost, Mode, VideoMode
from .hotplug import watch_paths

SOCKETS = "/tmp/.X11-unix"
FRAME_RATES = (30.0, 60.0)
"""The cheaper first: capturing and converting a screen costs more than a camera."""
PIXEL_FORMATS = {24: "bgr0", 16: "rgb565le"}
"""What x11grab makes of a screen of so many bits of colour."""
ANSWER_TIMEOUT = 1.0
"""Seconds to wait for the X server, which answers within milliseconds even over a network."""
FIRST_TCP_PORT = 6000

COOKIE = b"MIT-MAGIC-COOKIE-1"
QUERY_EXTENSION = 98


class ScreenBackend:
    """The screen of one X11 display.

    :param display: as in the environment's DISPLAY, which it is by default.
    """

    name = "screen"

    def __init__(self, display: str | None = None) -> None:
        self._display = display

    def list_devices(self) -> list[DeviceDescription]:
        name = os.environ.get("DISPLAY", "") if self._display is None else self._display
        if not name:
            return []
        try:
            display = Display.parse(name)
        except ValueError as error:
            return [_description(name, unusable=str(error))]
        try:
            width, height, depth = ask_screen(display)
        except (OSError, DeviceError) as error:
            reason = f"The X11 display {display} can't be used: {error}"
            return [_description(str(display), unusable=reason)]
        return [
            _description(
                str(display),
                tuple(
                    VideoMode(width, height, rate, PIXEL_FORMATS.get(depth, ""))
                    for rate in FRAME_RATES
                ),
            )
        ]

    def open(self, device: DeviceDescription, mode: Mode) -> "ScreenCapture":
        if not isinstance(mode, VideoMode):
            raise DeviceError(f"{device.label} is a screen: it needs a VideoMode, not {mode}")
        here = [now for now in self.list_devices() if now.hardware_id == device.hardware_id]
        if not here or here[0].unusable:
            raise DeviceLost(here[0].unusable if here else f"{device.label} is no longer there")
        try:
            return ScreenCapture(device, mode)
        except FFmpegError as error:
            raise DeviceError(f"{device.label} could not be captured: {error}") from error

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Notices servers of this machine that start and end, not a changed size."""
        return watch_paths([f"{SOCKETS}/X*"], changed)


class ScreenCapture:
    """A screen, read at the pace of its frame rate: a read takes at most one frame's time."""

    muted = False

    def __init__(self, device: DeviceDescription, mode: VideoMode) -> None:
        self._label = device.label
        self._container = av.open(
            device.location,
            format="x11grab",
            options={
                "video_size": f"{mode.width}x{mode.height}",
                "framerate": str(mode.frame_rate),
                "fpsprobesize": "0",  # else opening takes five frames' time, and they are then late
            },
        )
        self.mode: Mode = mode

    def read(self) -> Captured:
        try:
            frame = next(self._container.decode(video=0))
        except (FFmpegError, StopIteration) as error:
            raise DeviceLost(f"{self._label} can no longer be captured: {error}") from error
        assert isinstance(frame, VideoFrame), "x11grab has one stream, of pictures"
        assert frame.time is not None, "x11grab stamps every frame, with the time of day"
        age = max(0.0, time.time() - frame.time)
        frame.pict_type = 0  # else it would tell an encoder to make a key frame
        return Captured(frame, time.monotonic() - age)

    def close(self) -> None:
        self._container.close()


def _description(
    name: str, modes: tuple[VideoMode, ...] = (), unusable: str = ""
) -> DeviceDescription:
    return DeviceDescription(
        kind="display",
        hardware_id=f"x11/{name}",
        label=f"Screen {name}",
        modes=modes,
        location=name,
        group=f"x11/{name}",
        default=True,
        display_surface="monitor",
        unusable=unusable,
    )


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

    def connect(self) -> socket.socket:
        if self.host:
            return socket.create_connection(
                (self.host, FIRST_TCP_PORT + self.number), timeout=ANSWER_TIMEOUT
            )
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER_TIMEOUT)
        try:
            connection.connect(f"{SOCKETS}/X{self.number}")
        except OSError:
            connection.close()
            raise
        return connection


class Screen(NamedTuple):
    """The root window of a screen."""

    width: int
    height: int
    depth: int
    """Bits of colour."""


def ask_screen(display: Display) -> Screen:
    """A screen's size, by a connection to the server (X Window System Protocol, section 8).

    :raises OSError: there is no server.
    :raises DeviceError: it refuses, or its screen can't be captured.
    """
    with display.connect() as connection:
        cookie = _cookie(display)
        name = COOKIE if cookie else b""
        connection.sendall(
            struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie))
            + _padded(name)
            + _padded(cookie)
        )
        status, reason_length, length = struct.unpack("<BB4xH", _receive(connection, 8))
        setup = _receive(connection, 4 * length)
        if status != 1:
            reason = setup[:reason_length].decode(errors="replace").strip()
            raise DeviceError(f"the X server refuses ({reason}): is XAUTHORITY right?")
        screens = list(_screens(setup))
        if display.screen >= len(screens):
            raise DeviceError(f"it has no screen {display.screen}, only {len(screens)}")
        extension = b"XWAYLAND"
        connection.sendall(
            struct.pack("<BxHHxx", QUERY_EXTENSION, 4, len(extension)) + _padded(extension)
        )
        (present,) = struct.unpack("<8xB23x", _receive(connection, 32))
        if present:
            raise DeviceError(
                "it belongs to a Wayland session, whose screen isn't shown to X11 programs"
            )
    return screens[display.screen]


def _screens(setup: bytes) -> Iterator[Screen]:
    """The screens in a connection setup's answer, after its first eight bytes."""
    vendor_length, _, count, formats = struct.unpack_from("<HHBB", setup, 16)
    offset = 32 + (vendor_length + 3) // 4 * 4 + 8 * formats
    for _ in range(count):
        width, height = struct.unpack_from("<HH", setup, offset + 20)
        depth, depths = struct.unpack_from("<BB", setup, offset + 38)
        yield Screen(width, height, depth)
        offset += 40
        for _ in range(depths):
            (visuals,) = struct.unpack_from("<xxH", setup, offset)
            offset += 8 + 24 * visuals


def _receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise ConnectionError("the X server hung up")
        data += more
    return data


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _cookie(display: Display) -> bytes:
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
