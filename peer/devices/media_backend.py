"""What files and streams of the network have in common as backends."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Literal

from .backend import (
    DeviceBusy,
    DeviceDescription,
    DeviceError,
    DeviceLost,
    Mode,
    VideoMode,
)
from .demux import MediaCapture, Reader
from .unpack import KINDS, Connection, Kind

DEVICE_KINDS: dict[Kind, Literal["videoinput", "audioinput"]] = {
    "video": "videoinput",
    "audio": "audioinput",
}


class MediaBackend:
    """At most one camera and one microphone: the picture and the sound of one source.

    Whoever implements it says how to connect, and how to read.

    :param label: what people call the source.
    :param location: where it is, without secrets.
    :param hardware_id: names it across restarts.
    """

    name = "media"

    def __init__(self, label: str, location: str, hardware_id: str) -> None:
        self.label, self.location = label, location
        self._hardware_id = hardware_id
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._probed: dict[str, Mode] | str | None = None

    def connect(self) -> Connection:
        """Open the source.

        :raises DeviceError: in one sentence, why not.
        """
        raise NotImplementedError

    def read(self, connection: Connection) -> Reader:
        """Start to read what has been opened."""
        raise NotImplementedError

    def probe_again(self) -> bool:
        """Whether what is known of the source may be out of date; asked at each listing."""
        raise NotImplementedError

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        raise NotImplementedError

    @property
    def is_usable(self) -> bool:
        """Whether the source could be opened when it was last looked at."""
        return isinstance(self._probed, dict)

    def list_devices(self) -> list[DeviceDescription]:
        with self._lock:
            if self.probe_again() or self._probed is None:
                self._probed = self._probe()
            if isinstance(self._probed, str):
                return [self._describe("video", (), self._probed)]
            return [
                self._describe(kind, (self._probed[kind],))
                for kind in KINDS
                if kind in self._probed
            ]

    def _probe(self) -> dict[str, Mode] | str:
        try:
            connection = self.connect()
        except DeviceError as error:
            return str(error)
        connection.container.close()
        return connection.modes

    def _describe(
        self, kind: Kind, modes: tuple[Mode, ...], unusable: str = ""
    ) -> DeviceDescription:
        return DeviceDescription(
            kind=DEVICE_KINDS[kind],
            hardware_id=self._hardware_id,
            label=self.label,
            modes=modes,
            location=self.location,
            group=self._hardware_id,
            unusable=unusable,
        )

    def open(self, device: DeviceDescription, mode: Mode) -> MediaCapture:
        if device.hardware_id != self._hardware_id:
            raise DeviceLost(f"{device.label} ({device.location}) is not {self.location}")
        kind: Kind = "video" if device.kind == "videoinput" else "audio"
        if isinstance(mode, VideoMode) != (kind == "video"):
            needed = "a VideoMode" if kind == "video" else "an AudioMode"
            raise DeviceError(f"The {kind} of {self.label} needs {needed}, not {mode}")
        with self._lock:
            reader = self._reader
            if reader is not None and kind in reader.captures:
                raise DeviceBusy(f"The {kind} of {self.label} is open already")
            if reader is None or reader.error is not None:
                connection = self.connect()
                if kind not in connection.unpackers:
                    connection.container.close()
                    raise DeviceLost(f"There is no {kind} in {self.label} any more")
                reader = self._reader = self.read(connection)
            reader.captures.add(kind)
            if reader.connection is not None and kind in reader.connection.unpackers:
                mode = reader.connection.unpackers[kind].mode
            return MediaCapture(reader, kind, mode, partial(self._closed, reader, kind))

    def _closed(self, reader: Reader, kind: Kind) -> None:
        with self._lock:
            reader.captures.discard(kind)
            if not reader.captures:
                if self._reader is reader:
                    self._reader = None
                reader.stop()
