"""A stream of the network as a camera and a microphone: RTSP, HTTP, RTMP, SRT and UDP."""

import hashlib
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import av
from av.error import (
    ConnectionRefusedError,
    FFmpegError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPUnauthorizedError,
    InvalidDataError,
    ProtocolNotFoundError,
)

from .backend import DeviceError, DeviceForbidden, DeviceLost
from .demux import CLOSE_TIMEOUT, LEAD, Reader, Timing
from .media_backend import MediaBackend
from .unpack import Connection, seconds

PROBE_TIMEOUT = 5.0
"""Seconds to connect, and again to find out what a stream consists of: a camera that wakes up
needs two or three of them, and somebody waits for the list of devices."""
SILENCE_TIMEOUT = 5.0
"""Seconds without a byte after which a connection counts as broken: more than a lost packet costs
TCP, and than a camera takes from one picture to the next."""
PROBE_AGAIN = 10.0
"""Seconds until a stream that could not be reached is looked for again."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
"""Seconds until a broken connection is tried again, doubled each time: soon, for most come back at
once, and without pestering a camera that is off for the night."""
JUMP = 1.0
"""Seconds that time stamps are off from arrival when they must have begun anew."""
DRIFT = 1e-3
"""The part of a packet's delay that the clock gives way to: a camera's clock is slower than ours by
less than a tenth of that, and jitter is not followed."""

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp")
OPTIONS = {
    "analyzeduration": "2000000",  # microseconds; the usual five seconds are PROBE_TIMEOUT
    # What a stream refers to must not be a file of this computer.
    "protocol_whitelist": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto,rtmp,rtmps,"
    "rtmpt,rtmpts,srt",
    "rtsp_transport": "tcp",
    "allowed_media_types": "video+audio",
}
REASONS: list[tuple[type[FFmpegError], type[DeviceError], str]] = [
    (ConnectionRefusedError, DeviceError, "the connection was refused: nothing listens there"),
    (
        HTTPUnauthorizedError,
        DeviceForbidden,
        "user name and password are missing or wrong (401): write user:password@ before the host",
    ),
    (HTTPForbiddenError, DeviceForbidden, "the server forbids it (403)"),
    (HTTPNotFoundError, DeviceError, "the server knows no such stream (404)"),
    (InvalidDataError, DeviceError, "what comes from there is not a media stream"),
    (ProtocolNotFoundError, DeviceError, "this FFmpeg was built without its protocol"),
]


class NetworkStream(MediaBackend):
    """A stream with pictures, sound or both; each is a device, over one connection.

    It is delivered as it arrives. A recording that a web server has, and HLS, arrive faster than
    they play, and are played in real time. H.264 without B-frames is handed over as it is.

    When the connection breaks the devices are muted until it is there again. A recording that is
    at its end has ended, and its devices are lost.

    :param url: with user name and password, if need be; they are not in what the device is called.
    :param give_up_after: seconds after which a broken connection makes the devices lost; never, by
        default.
    """

    name = "stream"

    def __init__(self, url: str, *, give_up_after: float | None = None) -> None:
        self._url, self._give_up_after = url, give_up_after
        parts = urlsplit(url)
        self._scheme = parts.scheme.lower()
        host = parts.netloc.rpartition("@")[2]
        location = f"{self._scheme}://{host}{parts.path}"
        # The query may name one of a server's cameras, but it may also be secret.
        digest = hashlib.sha256(f"{location}?{parts.query}".encode()).hexdigest()[:16]
        super().__init__(location, location, f"stream:{location}#{digest}")
        self._probed_at = -PROBE_AGAIN

    def probe_again(self) -> bool:
        now = time.monotonic()
        if self.is_usable or now < self._probed_at + PROBE_AGAIN:
            return False
        self._probed_at = now
        return True

    def connect(self) -> Connection:
        if self._scheme not in SCHEMES:
            raise DeviceError(
                f"{self.location} can't be opened: the protocol has to be one of "
                f"{', '.join(SCHEMES)}, not {self._scheme or 'none'}"
            )
        begun = time.monotonic()
        try:
            container = av.open(
                self._url, options=OPTIONS, timeout=(PROBE_TIMEOUT, SILENCE_TIMEOUT)
            )
        except FFmpegError as error:  # whose message has the password in it
            # Which error a time-out is depends on the protocol.
            if time.monotonic() - begun >= PROBE_TIMEOUT:
                raise DeviceError(
                    f"{self.location} can't be opened: there was no answer within "
                    f"{PROBE_TIMEOUT:g} s (time-out)"
                ) from None
            raise self._refusal(error) from None
        try:
            return Connection(container)
        except DeviceError as error:
            container.close()
            raise DeviceError(f"{self.location} can't be played: {error}") from error

    def _refusal(self, error: FFmpegError) -> DeviceError:
        for kind, refusal, reason in REASONS:
            if isinstance(error, kind):
                return refusal(f"{self.location} can't be opened: {reason}")
        return DeviceError(f"{self.location} can't be opened: {error.strerror}")

    def read(self, connection: Connection) -> Reader:
        is_web = self._scheme in ("http", "https")
        return _StreamReader(self, connection, is_web, self._give_up_after)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        ended = threading.Event()
        lock = threading.RLock()

        def look() -> None:
            while not ended.wait(PROBE_AGAIN):
                if self.is_usable:
                    continue
                before = self._probed
                self.list_devices()
                with lock:
                    if self._probed != before and not ended.is_set():
                        changed()

        thread = threading.Thread(target=look, name=f"watch of {self.label}", daemon=True)
        thread.start()

        def stop() -> None:
            with lock:
                ended.set()
            if thread is not threading.current_thread():
                thread.join(CLOSE_TIMEOUT)  # one that waits for a server won't call any more

        return stop


class ArrivalClock:
    """When what arrives was captured: as even as the time stamps, and never in the future.

    :param paced: what arrives is ahead of its time, and is shown as its time stamps say.
    """

    def __init__(self, *, paced: bool) -> None:
        self._paced = paced
        self._offset: float | None = None

    def offset(self, position: float, now: float) -> float:
        """What to add to the time stamp, in seconds, of something that arrives now."""
        measured = now - position
        late = measured - self._offset if self._offset is not None else 0.0
        if self._offset is None or late > JUMP:
            self._offset = measured
        elif self._paced:
            if late < -LEAD - JUMP:  # never read so far ahead: they jumped
                self._offset = measured
        elif late < 0:
            self._offset = measured  # so little delay is possible
        else:
            self._offset += late * DRIFT
        return self._offset


class _StreamReader(Reader):
    """Reads a stream, and connects anew when it breaks."""

    def __init__(
        self,
        stream: NetworkStream,
        connection: Connection,
        is_web: bool,
        give_up_after: float | None,
    ) -> None:
        self._stream, self._is_web, self._give_up_after = stream, is_web, give_up_after
        super().__init__(stream.label, connection)

    def play(self, connection: Connection) -> None:
        following: Connection | None = connection
        while following is not None:
            self._play_once(following)
            with self.changed:
                self.connection = None
                self.changed.notify_all()
            following = self._connect_again()

    def _play_once(self, connection: Connection) -> None:
        """Publish what comes until the connection breaks, or `wait()` says that it is enough.

        :raises DeviceLost: it was a recording, which has ended.
        """
        paced = self._is_web and (connection.duration is not None or connection.format == "hls")
        clock = ArrivalClock(paced=paced)
        at, timing = 0.0, Timing(0.0, 0.0)
        try:
            for kind, packet in connection.packets():
                position = seconds(packet)
                if packet.size and position is not None:
                    timing = Timing(clock.offset(position, time.monotonic()), 0.0)
                    at = timing.at(position)
                if not self.wait(at - LEAD - time.monotonic()):
                    return
                self.connection = connection
                self.publish(kind, packet, at, timing, connection)
        except FFmpegError:  # it broke, and whoever captures sees that by being muted
            return
        finally:
            connection.container.close()
        if connection.duration is not None:
            raise DeviceLost(f"{self.label} has ended")

    def _connect_again(self) -> Connection | None:
        """The next connection; None when it is time to end.

        :raises DeviceLost: there has been none for too long.
        """
        broken_at = time.monotonic()
        pause = FIRST_PAUSE
        while self.wait(pause):
            try:
                return self._stream.connect()
            except DeviceError as error:
                if (
                    self._give_up_after is not None
                    and time.monotonic() - broken_at >= self._give_up_after
                ):
                    raise DeviceLost(str(error)) from error
            pause = min(2 * pause, LONGEST_PAUSE)
        return None
