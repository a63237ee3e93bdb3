"""A file or stream of media as captures: one container, read in one thread for all of them.

The thread puts packets into histories that reach back to the last key frame, so that a capture
which opens later begins at once. Each capture takes packets apart in its own thread, and waits
until they are due; one that isn't read, or decodes too slowly, goes on at a newer key frame.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from av import AudioFrame, Packet, VideoFrame
from av.error import FFmpegError

from .backend import Captured, DeviceError, DeviceLost, EncodedPicture, Mode, VideoMode
from .unpack import KINDS, SOUND_RATE, Connection, Kind

READ_TIMEOUT = 0.1
"""Seconds until `read()` answers that there is nothing: the protocol's limit."""
LEAD = 1.0
"""Seconds that a file is read ahead: longer than a file takes to open again, or a disk to wake."""
SLACK = 1.0
"""Seconds that a capture may be late before the history that it reads from is cut."""
MAX_HISTORY = 64_000_000
"""Bytes of one history: 25 seconds from key frame to key frame at 20 Mbit/s."""
CLOSE_TIMEOUT = 1.0
"""Seconds to wait for the thread that reads. It sees at its next packet that it is to end; while a
server is silent that is later, and then it ends by itself."""
SQUEEZE = 1e-3
"""Pictures before the first wanted one, which that one builds on, are shown in this part of their
time: ten seconds of them within ten milliseconds."""


class Timing(NamedTuple):
    """When things that have a position in the container are shown."""

    offset: float
    """`time.monotonic()` of position 0."""
    begins: float
    """`time.monotonic()` of the first thing that is wanted."""

    def at(self, position: float) -> float:
        """When something is due; what only prepares the first wanted thing is just before that."""
        at = self.offset + position
        return at if at >= self.begins else self.begins - (self.begins - at) * SQUEEZE


class Entry(NamedTuple):
    """A packet in a history."""

    number: int
    packet: "Packet[Any]"
    at: float
    timing: Timing
    connection: Connection

    @property
    def begins_anew(self) -> bool:
        return self.packet.is_keyframe and bool(self.packet.size)


class History:
    """The packets of one kind, from the last key frame that is surely shown already."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._count = 0

    def append(
        self, packet: "Packet[Any]", at: float, timing: Timing, connection: Connection
    ) -> None:
        entry = Entry(self._count, packet, at, timing, connection)
        self._count += 1
        if entry.begins_anew:
            self._cut(self._newest(time.monotonic() - SLACK))
        elif self._size > MAX_HISTORY:
            self._cut(entry)
        self._entries.append(entry)
        self._size += packet.size

    def entry(self, number: int | None, by: float) -> Entry | None:
        """The packet of this number; without one, or when that is gone, the one to begin with so
        as to show what is due by a time. None when there is none yet."""
        if number is None or (self._entries and number < self._entries[0].number):
            return self._newest(by)
        index = number - self._entries[0].number if self._entries else 0
        return self._entries[index] if index < len(self._entries) else None

    def newest_due(self, by: float) -> float | None:
        """When the last thing is due that is to be shown by a time."""
        return max((entry.at for entry in self._entries if entry.at <= by), default=None)

    def _newest(self, by: float) -> Entry | None:
        """The last key frame that is due by a time; the first one when none is."""
        keyframes = [entry for entry in self._entries if entry.begins_anew]
        due = [entry for entry in keyframes if entry.at <= by]
        return due[-1] if due else next(iter(keyframes), None)

    def _cut(self, first: Entry | None) -> None:
        while first and self._entries and self._entries[0].number < first.number:
            self._size -= self._entries.popleft().packet.size


class Reader:
    """The thread that reads a source, for as long as one of its captures is open.

    :param connection: to begin with. Closed by the thread.
    """

    def __init__(self, label: str, connection: Connection) -> None:
        self.label = label
        self.changed = threading.Condition()
        self.histories: dict[Kind, History] = {kind: History() for kind in KINDS}
        self.connection: Connection | None = connection
        """What is being read; None while there is nothing to read from."""
        self.error: DeviceError | None = None
        """Why nothing follows."""
        self.captures: set[Kind] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"reader of {label}", daemon=True)
        self._thread.start()

    def play(self, connection: Connection) -> None:
        """Publish what there is, until `wait()` says that it is enough.

        :raises DeviceError: when there is no more.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """End the thread. It has gone, and closed the container, when its source is alive."""
        with self.changed:
            self._stopping = True
            self.changed.notify_all()
        self._thread.join(CLOSE_TIMEOUT)

    def publish(
        self, kind: str, packet: "Packet[Any]", at: float, timing: Timing, connection: Connection
    ) -> None:
        with self.changed:
            for known in KINDS:
                if kind == known:
                    self.histories[known].append(packet, at, timing, connection)
            self.changed.notify_all()

    def wait(self, seconds: float = 0.0) -> bool:
        """Wait for so long, if at all; returns False, and at once, when it is time to end."""
        with self.changed:
            return not self.changed.wait_for(lambda: self._stopping, max(0.0, seconds))

    def _run(self) -> None:
        connection = self.connection
        assert connection is not None, "a reader begins with an open container"
        error: DeviceError | None = None
        try:
            self.play(connection)
        except DeviceError as reason:
            error = reason
        finally:
            with self.changed:
                self.error = error or DeviceLost(f"{self.label} was closed")
                self.changed.notify_all()


class MediaCapture:
    """The picture or the sound of a source that is being read."""

    def __init__(self, reader: Reader, kind: Kind, mode: Mode, closed: Callable[[], None]) -> None:
        self._reader, self._kind, self._on_close = reader, kind, closed
        self.mode, self.muted = mode, self._is_muted()
        self._history = reader.histories[kind]
        self._opened_at = time.monotonic()
        self._number: int | None = None
        self._connection: Connection | None = None
        self._due: deque[tuple[Captured, float, Mode]] = deque()
        self._begins = 0.0
        self._last = 0.0
        self._until = 0.0
        self._is_closed = False

    def read(self) -> Captured | None:
        deadline = time.monotonic() + READ_TIMEOUT
        self.muted = self._is_muted()
        while not self._due:
            entry = self._next_entry(deadline)
            if entry is not None:
                self._unpack(entry)
            if time.monotonic() >= deadline and not self._due:
                self.muted = self._is_muted()
                return None
        captured, duration, mode = self._due[0]
        if not self._wait_until(min(captured.at, deadline)) or time.monotonic() < captured.at:
            return None
        self._due.popleft()
        self._last, self._until = captured.at, captured.at + duration
        self.mode, self.muted = mode, False
        return captured

    def close(self) -> None:
        if not self._is_closed:
            with self._reader.changed:
                self._is_closed = True
                self._reader.changed.notify_all()
            self._due.clear()
            self._on_close()

    def _is_muted(self) -> bool:
        """Whether the connection is broken, or there is nothing of this kind any more."""
        connection = self._reader.connection
        return connection is None or self._kind not in connection.unpackers

    def _wait_until(self, moment: float) -> bool:
        """Returns False, and at once, when the capture is closed."""
        changed = self._reader.changed
        with changed:
            seconds = max(0.0, moment - time.monotonic())
            return not changed.wait_for(lambda: self._is_closed, seconds)

    def _next_entry(self, deadline: float) -> Entry | None:
        """The next packet, if one comes in time.

        :raises DeviceLost: none will come, and what came last was shown for as long as it lasts.
        """
        now = time.monotonic()
        by = max(self._opened_at, now - SLACK) if self._number is None else now
        with self._reader.changed:
            self._reader.changed.wait_for(
                lambda: (
                    self._history.entry(self._number, by) or self._reader.error or self._is_closed
                ),
                max(0.0, deadline - now),
            )
            entry = self._history.entry(self._number, by)
            if self._is_closed or (entry is None and self._reader.error is None):
                return None
            if entry is not None and entry.number != self._number:  # the first, or fallen behind
                self._begins = self._history.newest_due(by) or 0.0
        if entry is None:
            error = self._reader.error
            assert error is not None
            if time.monotonic() >= self._until:
                raise DeviceLost(str(error))
            self._wait_until(min(self._until, deadline))
            return None
        if entry.connection is not self._connection or entry.number != self._number:
            self._connection = entry.connection
            entry.connection.unpackers[self._kind].restart()
        self._number = entry.number + 1
        return entry

    def _unpack(self, entry: Entry) -> None:
        unpacker = entry.connection.unpackers[self._kind]
        try:
            pieces = unpacker.unpack(entry.packet)
        except FFmpegError:  # a damaged packet; the decoder goes on with the next
            return
        begins = max(self._begins, entry.timing.begins)
        for position, content, duration in pieces:
            at = entry.timing.offset + position
            if isinstance(content, EncodedPicture):
                at = Timing(entry.timing.offset, begins).at(position)
                self._put(Captured(None, at, content), duration, unpacker.mode)
            elif isinstance(content, VideoFrame):
                if at >= begins - duration / 2:
                    assert isinstance(unpacker.mode, VideoMode), "a frame of a picture's stream"
                    mode = replace(unpacker.mode, width=content.width, height=content.height)
                    self._put(Captured(content, at), duration, mode)
            elif (sound := _from(content, begins - at)) is not None:
                at = max(at, begins)
                self._put(Captured(sound, at), sound.samples / SOUND_RATE, unpacker.mode)

    def _put(self, captured: Captured, duration: float, mode: Mode) -> None:
        last = self._due[-1][0].at if self._due else self._last
        at = max(captured.at, last + 1e-6)  # time never goes back, whatever the stamps say
        self._due.append((captured._replace(at=at), duration, mode))


def _from(frame: AudioFrame, seconds: float) -> AudioFrame | None:
    """What of a packed frame is after so many seconds; None when that is nothing."""
    first = max(0, round(seconds * frame.sample_rate))
    if first == 0:
        return frame
    if first >= frame.samples:
        return None
    samples = frame.to_ndarray()[:, first * frame.layout.nb_channels :]
    rest = AudioFrame.from_ndarray(samples, format="s16", layout=frame.layout.name)
    rest.sample_rate = frame.sample_rate
    return rest
