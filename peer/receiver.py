"""Takes what others send, who come through any signalling client."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from aiortc import RTCIceServer
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from signaling import (
    Ended,
    EndReason,
    OfferRejected,
    SignalingClient,
    SignalingSession,
)

from .connection.attended_session import AttendedSession
from .connection.events import RTCTrackEvent
from .connection.remote_track import RemoteTrack
from .events import Event
from .media.recorder import Recorder, RecordingError, check_recordable

logger = logging.getLogger(__name__)

MAX_SENDERS = 16
"""Sessions at a time: each has its decoders, and its encoders when it is recorded."""
MAX_TRACKS = 4
"""Tracks of a session that are decoded, each in a thread: camera, screen, and their sound."""

_KINDS = {"video": "picture", "audio": "sound"}
_REASONS = {
    EndReason.CLOSED: "the other side has left",
    EndReason.FAILED: "the connection has failed",
    EndReason.LOST: "the other side is gone",
    EndReason.NOT_LIVE: "there is nothing on the air",
    EndReason.MALFORMED: "a description could not be understood",
    EndReason.REJECTED: "an offer was refused",
    EndReason.OVERLOADED: "there is no place for another session",
    EndReason.UNAUTHORIZED: "the permission was withdrawn",
}

OnTrack = Callable[[RemoteTrack, SignalingSession], None]


class Receiver:
    """Receives the tracks of whoever sends, and sends nothing.

    :param record: a file for what is received; each session has one of its own, `out-2.mp4` and
        so on after the first, whose name owes nothing to the other side.
    :param on_track: called with each track that comes, which is muted until media arrives, and the
        session that it came with.
    :param allow_loopback: whether senders may be reached at this machine's loopback addresses.
    :raises ValueError: no recording can be made under this name.
    """

    def __init__(
        self,
        *,
        ice_servers: Iterable[RTCIceServer] = (),
        record: Path | None = None,
        on_track: OnTrack | None = None,
        allow_loopback: bool = True,
    ) -> None:
        if record is not None:
            check_recordable(record)
        self._ice_servers = list(ice_servers)
        self._record = record
        self._on_track = on_track
        self._allow_loopback = allow_loopback
        self._senders: dict[str, _Sender] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def serve(self, client: SignalingClient) -> None:
        """Receive from everybody who comes through this client, until it is closed. Several may be
        served at a time."""
        async for session in client.sessions():
            task = asyncio.create_task(self._attend(session))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End every session; the recordings are complete when it returns."""
        self._closed = True
        await asyncio.gather(*(sender.leave() for sender in list(self._senders.values())))
        await asyncio.gather(*self._tasks)

    async def _attend(self, session: SignalingSession) -> None:
        """One session, from the first message to the last."""
        if self._closed:
            await session.end(EndReason.NOT_LIVE, "nothing is received any more")
            return
        if len(self._senders) >= MAX_SENDERS:
            logger.warning("a sender was refused: there are %d already", MAX_SENDERS)
            await session.end(EndReason.OVERLOADED, "every place is taken")
            return
        recorder = Recorder(self._record) if self._record is not None else None
        sender = self._senders[session.id] = _Sender(
            session,
            recorder,
            self._on_track,
            ice_servers=self._ice_servers,
            allow_loopback=self._allow_loopback,
        )
        try:
            await sender.attend()
        finally:
            del self._senders[session.id]


class _Sender:
    """Somebody who sends, and what comes from there."""

    def __init__(
        self,
        session: SignalingSession,
        recorder: Recorder | None,
        on_track: OnTrack | None,
        *,
        ice_servers: Iterable[RTCIceServer],
        allow_loopback: bool,
    ) -> None:
        self._session = session
        self._attended = AttendedSession(
            session, ice_servers=ice_servers, accept=self._accept, allow_loopback=allow_loopback
        )
        self._connection, self._name = self._attended.connection, self._attended.name
        self._recorder, self._on_track = recorder, on_track
        self._tracks: set[RemoteTrack] = set()
        self._watches: set[asyncio.Task[None]] = set()
        self._connection.addEventListener("track", self._track_came)

    async def attend(self) -> None:
        """Receive until one side leaves, or can't be reached."""
        if self._session.offers:
            self._connection.addTransceiver("video", direction="recvonly")
            self._connection.addTransceiver("audio", direction="recvonly")
        peer = f" with {self._session.peer_id[:64]!r}" if self._session.peer_id else ""
        logger.info("%s%s begins", self._name, peer)
        recording = asyncio.create_task(self._begin_recording())
        ended = Ended()
        try:
            ended = await self._attended.run()
        finally:
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)
            await asyncio.gather(*self._watches)
            await self._complete_recording()
            logger.info("%s is over: %s", self._name, ended.detail or _REASONS[ended.reason])

    async def leave(self) -> None:
        """End the session; the other side sees it at once."""
        await self._session.end(EndReason.CLOSED, "we have left")

    def _accept(self) -> None:
        """Look at an offer before it is answered.

        :raises OfferRejected: it sends nothing, and there will be no other one.
        """
        if not self._tracks and not self._session.renegotiates:
            raise OfferRejected("the offer sends neither sound nor pictures")

    async def _begin_recording(self) -> None:
        """Record what comes over the connection once it stands."""
        await self._attended.connected.wait()
        if self._recorder is not None:
            try:
                await self._recorder.start()
            except RecordingError as error:
                logger.error("%s is not recorded: %s", self._name, error)

    async def _complete_recording(self) -> None:
        if self._recorder is not None:
            try:
                await self._recorder.stop()
            except RecordingError as error:
                logger.error("%s was not recorded to its end: %s", self._name, error)

    # Tracks.

    def _track_came(self, event: RTCTrackEvent) -> None:
        track = event.track
        if track in self._tracks:
            return  # it was taken away for a while
        if len(self._tracks) >= MAX_TRACKS:
            logger.warning("%s: more than %d tracks are not taken", self._name, MAX_TRACKS)
            event.transceiver.direction = "inactive"
            return
        self._tracks.add(track)
        for name, happens in (("unmute", "arrives"), ("mute", "is muted"), ("ended", "has ended")):
            track.addEventListener(name, self._saying(f"{_KINDS[track.kind]} {happens}"))
        track.addEventListener("ended", lambda event: self._tracks.discard(track))
        if track.kind == "video":
            task = asyncio.create_task(self._watch_size(track.clone()))
            self._watches.add(task)
            task.add_done_callback(self._watches.discard)
        if self._recorder is not None:
            # A clone has frames of its own: whoever else reads the track takes none away.
            self._recorder.add_track(track.clone())
        if self._on_track is not None:
            self._on_track(track, self._session)

    def _saying(self, text: str) -> Callable[[Event], None]:
        return lambda event: logger.info("%s: %s", self._name, text)

    async def _watch_size(self, track: RemoteTrack) -> None:
        """Say how large the pictures are, when they begin and when that changes."""
        size = None
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, VideoFrame)
                if size != (frame.width, frame.height):
                    size = (frame.width, frame.height)
                    logger.info("%s: picture is %dx%d", self._name, *size)
        except MediaStreamError:
            pass  # it has ended
