"""A media file as a camera and a microphone that play it in real time."""

import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from glob import escape
from pathlib import Path

import av
from av.error import FFmpegError, InvalidDataError

from .backend import DeviceError, DeviceForbidden, DeviceLost
from .demux import LEAD, Reader, Timing
from .hotplug import watch_paths
from .media_backend import MediaBackend
from .unpack import Connection, seconds

STILL_DURATION = 0.2
"""Seconds between two pictures of a still image: enough for who joins, and for an encoder to
refine it."""
STILL_FORMATS = ("image2", "_pipe")
"""How the names of FFmpeg's formats for still images end."""


class MediaFile(MediaBackend):
    """A file with pictures, sound or both; each is a device.

    It plays from the moment on when the first device is opened, and both keep to one time line: the
    second one joins where the first one is. When both are closed it is rewound. H.264 without
    B-frames is handed over as it is. A still image is a picture that is repeated until it is
    closed. A rotation that the file asks for is ignored.

    :param path: of a regular file.
    :param loop: begin again at the end; else the devices are lost then.
    :param start: seconds from the beginning to begin at.
    :raises ValueError: for a negative start.
    """

    name = "file"

    def __init__(self, path: str | Path, *, loop: bool = False, start: float = 0.0) -> None:
        if not start >= 0:
            raise ValueError(f"start is {start}, and has to be 0 or more seconds")
        self._path = Path(path).absolute()
        self._loop, self._start = loop, start
        self._known: os.stat_result | None = None
        resolved = str(self._path.resolve())
        super().__init__(self._path.name or resolved, resolved, f"file:{resolved}")

    def probe_again(self) -> bool:
        before, self._known = self._known, self._status()
        return _identity(before) != _identity(self._known)

    def _status(self) -> os.stat_result | None:
        try:
            return self._path.stat()
        except OSError:  # why, connect() says
            return None

    def connect(self) -> Connection:
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):
                raise DeviceError(f"{self._path} is not a media file, but a folder or a device")
            with self._path.open("rb"):  # FFmpeg's reasons are less clear
                pass
        except PermissionError as error:
            raise DeviceForbidden(f"This user may not read {self._path}") from error
        except OSError as error:
            raise DeviceLost(f"{self._path} can't be read: {error.strerror}") from error
        try:
            return self._open()
        except InvalidDataError as error:
            raise DeviceError(f"{self._path} is not a media file, or is damaged") from error
        except FFmpegError as error:
            raise DeviceError(f"{self._path} can't be played: {error.strerror}") from error

    def _open(self) -> Connection:
        container = av.open(f"file:{self._path}")
        try:
            connection = Connection(container)
            if connection.duration is not None and self._start >= connection.duration > 0:
                raise DeviceError(
                    f"it lasts {connection.duration:g} s: start before {self._start:g}"
                )
            if connection.format.endswith(STILL_FORMATS):
                connection.set_frame_rate(1 / STILL_DURATION)
            if self._start:
                with suppress(FFmpegError):  # what can't be searched is read from its beginning
                    container.seek(round((connection.origin + self._start) * 1e6))
        except DeviceError as error:
            container.close()
            raise DeviceError(f"{self._path} can't be played: {error}") from error
        return connection

    def read(self, connection: Connection) -> Reader:
        return _FileReader(self, connection, self._loop, self._start)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return watch_paths([str(self._path.parent / escape(self._path.name))], changed)


class _FileReader(Reader):
    """Reads a file in real time, a bit ahead."""

    def __init__(self, file: MediaFile, connection: Connection, loop: bool, start: float) -> None:
        self._file, self._start = file, start
        self._loop = loop or connection.format.endswith(STILL_FORMATS)
        super().__init__(file.label, connection)

    def play(self, connection: Connection) -> None:
        begins = time.monotonic()
        while (duration := self._play_once(connection, begins)) is not None:
            if not self._loop:
                raise DeviceLost(f"{self.label} has ended")
            if duration <= 0:
                raise DeviceLost(f"{self.label} has nothing after {self._start:g} s")
            begins += duration
            # Opened again, not rewound: the captures still decode what came from the old one.
            connection = self.connection = self._file.connect()

    def _play_once(self, connection: Connection, begins: float) -> float | None:
        """Publish it until its end; returns how long it was, None when that was cut short."""
        timing = Timing(begins - connection.origin - self._start, begins)
        at = ends = begins
        try:
            for kind, packet in connection.packets():
                position = seconds(packet)
                if packet.size and position is not None:
                    at = timing.at(position)
                    ends = max(ends, at + connection.duration_of(packet))
                if not self.wait(at - LEAD - time.monotonic()):
                    return None
                self.publish(kind, packet, at, timing, connection)
        except FFmpegError as error:
            raise DeviceLost(f"{self.label} can't be read on: {error.strerror}") from error
        finally:
            connection.container.close()
        return ends - begins


def _identity(status: os.stat_result | None) -> tuple[int, ...]:
    """What tells one content of a file from another."""
    if status is None:
        return ()
    return (
        status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size,
    )  # fmt: skip
