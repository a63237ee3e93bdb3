"""A file or stream of media as devices: one container, read in one thread for all its captures.

The thread puts packets into histories that reach back to the last key frame, so that a capture
which opens later begins at once. Each capture takes packets apart in its own thread, and waits
until they are due; one that isn't read, or decodes too slowly, goes on at a newer key frame.
"""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

from av import AudioFrame, AudioResampler, BitStreamFilterContext, Packet, VideoFrame
from av.codec.context import ThreadType
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from .backend import (
    AudioMode,
    Captured,
    DeviceBusy,
    DeviceDescription,
    DeviceError,
    DeviceLost,
    EncodedPicture,
    Mode,
    VideoMode,
)

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
SOUND_RATE = 48000
"""Samples a second, which Opus needs no conversion for."""
ASSUMED_RATE = 30.0
"""Frames a second where a stream doesn't say."""
SEQUENCE_PARAMETER_SET = re.compile(rb"\x00\x00\x01[\x27\x47\x67]")
"""The start of one in H.264's Annex B."""
PASSED_THROUGH = ("yuv420p", "yuvj420p")
"""Pixel formats of the H.264 that every decoder understands."""

Kind = Literal["video", "audio"]
KINDS: tuple[Kind, ...] = ("video", "audio")
DEVICE_KINDS: dict[Kind, Literal["videoinput", "audioinput"]] = {
    "video": "videoinput",
    "audio": "audioinput",
}
Piece = tuple[float, VideoFrame | AudioFrame | EncodedPicture, float]
"""Position in the container, what is to be seen or heard there, and for how long; in seconds."""


class Connection:
    """An open container: what is in it, and what takes its packets apart.

    :raises DeviceError: there is neither picture nor sound in it.
    """

    def __init__(self, container: InputContainer) -> None:
        self.container = container
        pictures = [
            stream
            for stream in container.streams.video
            if stream.codec_context
            and stream.codec_context.width
            and not stream.disposition & Disposition.attached_pic
        ]
        sounds = [
            stream
            for stream in container.streams.audio
            if stream.codec_context and stream.codec_context.channels
        ]
        self._streams: list[Any] = [*pictures[:1], *sounds[:1]]
        if not self._streams:
            raise DeviceError("there is neither a picture nor sound in it that can be decoded")
        self.unpackers: dict[str, PictureUnpacker | SoundUnpacker] = {}
        if pictures:
            self.unpackers["video"] = PictureUnpacker(pictures[0])
        if sounds:
            self.unpackers["audio"] = SoundUnpacker(sounds[0])
        self.origin = (container.start_time or 0) / 1e6
        """The time stamp with which the content begins, in seconds."""
        self.format = container.format.name
        self._frame_rate_is_set = False
        self.duration = None if container.duration is None else container.duration / 1e6
        """Seconds of a recording, as far as the container knows; None of what has no end."""

    @property
    def modes(self) -> dict[str, Mode]:
        """The mode of each kind that is there."""
        return {kind: unpacker.mode for kind, unpacker in self.unpackers.items()}

    def set_frame_rate(self, rate: float) -> None:
        """Show pictures at this rate, whatever the container says."""
        unpacker = self.unpackers["video"]
        assert isinstance(unpacker, PictureUnpacker), "only pictures have a frame rate"
        unpacker.mode = replace(unpacker.mode, frame_rate=rate)
        self._frame_rate_is_set = True

    def duration_of(self, packet: "Packet[Any]") -> float:
        """Seconds that a packet lasts."""
        if packet.duration and not self._frame_rate_is_set:
            return float(packet.duration * packet.time_base)
        mode = self.unpackers[packet.stream.type].mode
        return 1 / mode.frame_rate if isinstance(mode, VideoMode) else 0.0

    def packets(self) -> "Iterator[tuple[str, Packet[Any]]]":
        """The packets with their kind; at the end an empty one of each, which ends decoding."""
        for packet in self.container.demux(self._streams):
            yield packet.stream.type, packet


class PictureUnpacker:
    """Turns packets into frames, or H.264 packets without B-frames into pictures as they are."""

    def __init__(self, stream: Any) -> None:
        self._codec = codec = stream.codec_context
        rate = float(stream.average_rate or stream.guessed_rate or ASSUMED_RATE)
        self._duration = 1 / rate
        self._next = 0.0
        self._filter: BitStreamFilterContext | None = None
        self._parameter_sets = b""
        if codec.name == "h264" and not codec.has_b_frames and codec.pix_fmt in PASSED_THROUGH:
            self._filter = BitStreamFilterContext("h264_mp4toannexb", stream)
            extradata = codec.extradata or b""
            self._parameter_sets = extradata if extradata.startswith(b"\0\0") else b""
        else:
            codec.thread_type = ThreadType.AUTO
        pixel_format = "h264" if self._filter else ""
        self.mode = VideoMode(codec.width, codec.height, rate, pixel_format)

    def restart(self) -> None:
        """What follows doesn't build upon what was before."""
        if self._filter:
            self._filter.flush()
        elif self._codec.is_open:
            self._codec.flush_buffers()

    def unpack(self, packet: "Packet[Any]") -> list[Piece]:
        if self._filter:
            if not packet.size:
                return []
            # A copy, for the filter empties what it gets, and another capture may need it.
            whole = b"".join(bytes(part) for part in self._filter.filter(Packet(bytes(packet))))
            picture = self._picture(whole, packet.is_keyframe)
            return [self._piece(seconds(packet), picture)] if whole else []
        pieces = []
        for frame in self._codec.decode(packet):
            frame.pict_type = 0  # else it would tell an encoder to make a key frame
            pieces.append(self._piece(frame.time, frame))
        return pieces

    def _picture(self, data: bytes, keyframe: bool) -> EncodedPicture:
        if keyframe and not _has_parameter_sets(data):
            data = self._parameter_sets + data
            keyframe = bool(self._parameter_sets)
        return EncodedPicture("h264", data, keyframe)

    def _piece(self, position: float | None, content: VideoFrame | EncodedPicture) -> Piece:
        if position is None:
            position = self._next
        self._next = position + self._duration
        return position, content, self._duration


class SoundUnpacker:
    """Turns packets into packed 16 bit samples, mono or stereo, of 48 kHz."""

    def __init__(self, stream: Any) -> None:
        self._codec = stream.codec_context
        channels = min(self._codec.channels, 2)
        self.mode = AudioMode(SOUND_RATE, channels)
        self._layout = "mono" if channels == 1 else "stereo"
        self._resampler = AudioResampler("s16", self._layout, SOUND_RATE)
        self._next = 0.0

    def restart(self) -> None:
        """What follows doesn't go on from what was before."""
        if self._codec.is_open:
            self._codec.flush_buffers()
        self._resampler = AudioResampler("s16", self._layout, SOUND_RATE)

    def unpack(self, packet: "Packet[Any]") -> list[Piece]:
        pieces: list[Piece] = []
        frames: list[AudioFrame | None] = [*self._codec.decode(packet)]
        if not packet.size:
            frames.append(None)
        for frame in frames:
            for sound in self._resampler.resample(frame):
                if not sound.samples:
                    continue
                position = self._next if sound.time is None else sound.time
                duration = sound.samples / SOUND_RATE
                self._next = position + duration
                pieces.append((position, sound, duration))
        return pieces


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


def seconds(packet: "Packet[Any]") -> float | None:
    """The packet's time stamp in seconds, if it has one."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    return None if stamp is None else float(stamp * packet.time_base)


def _has_parameter_sets(data: bytes) -> bool:
    return SEQUENCE_PARAMETER_SET.search(data) is not None


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
