"""One MediaStream and its viewers, who come through any signalling client."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import aiortc
from aiortc import RTCDataChannel, RTCIceServer, RTCRtpCodecCapability

from signaling import (
    Ended,
    EndReason,
    OfferRejected,
    SignalingClient,
    SignalingError,
    SignalingSession,
)

from .capture.media_devices import MediaDevices
from .capture.media_stream import MediaStream
from .capture.media_stream_track import MediaStreamTrack
from .capture.resumption import Resumption
from .connection.attended_session import AttendedSession
from .connection.control_channel import LABEL, ControlChannel
from .connection.events import RTCDataChannelEvent
from .connection.rtc_rtp_sender import RTCRtpSender
from .media.outgoing import preferred_codecs, sendable_codecs

logger = logging.getLogger(__name__)

GOODBYE_TIMEOUT = 0.4
"""Seconds for a viewer to answer the last offer, by which its tracks end. The whole end is to be
seen within half a second."""
MAX_VIEWERS = 500


class Publisher:
    """Sends a stream to whoever asks for it.

    A viewer whose session can be renegotiated sees a track's end as `ended`, and another that
    takes its place as a new track; a WHEP player, whose can't, sees black meanwhile, and the end of
    the session when there is nothing more to come.

    :param stream: its live tracks are sent; it is the caller's, and never stopped here.
    :param label: what viewers call it.
    :param resume: where to capture again from a device that was unplugged, when it is back.
        Without, a track that ended stays ended.
    :param codecs: names of video codecs, best first (`H264`); the others are not used. By default
        all, in the order of `media.sendable_codecs()`, but what a camera compresses itself first.
    :param allow_loopback: whether viewers may be reached at this machine's loopback addresses.
    """

    def __init__(
        self,
        stream: MediaStream,
        *,
        label: str,
        ice_servers: Iterable[RTCIceServer] = (),
        resume: MediaDevices | None = None,
        codecs: Iterable[str] = (),
        allow_loopback: bool = True,
    ) -> None:
        self.label = label
        self.stream = stream
        self.codecs = tuple(codecs)
        self._ice_servers = list(ice_servers)
        self._allow_loopback = allow_loopback
        self._viewers: dict[str, _Viewer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: list[SignalingClient] = []
        self._telling: asyncio.Task[None] | None = None
        self._refused: set[aiortc.MediaStreamTrack] = set()
        self._resumption = (
            Resumption(resume, stream, self._resumed, self._given_up) if resume else None
        )
        for track in stream.getTracks():
            self._watch(track)

    # What others are told.

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the page shows of the stream."""
        return {
            "label": self.label,
            "live": bool(self.sendable()),
            "viewers": len(self._viewers),
            "tracks": [
                _describe(track)
                | {"awaited": self.awaited(track), "refused": track in self._refused}
                for track in self.stream.getTracks()
            ],
        }

    def awaited(self, track: aiortc.MediaStreamTrack) -> bool:
        """Whether the track has ended, and another will take its place when its device is back."""
        return self._resumption is not None and track in self._resumption.awaited

    def sendable(self) -> list[aiortc.MediaStreamTrack]:
        """The tracks that a viewer can be given: live, or expected to be again."""
        return [
            track
            for track in self.stream.getTracks()
            if track.readyState == "live" or self.awaited(track)
        ]

    def camera(self) -> MediaStreamTrack | None:
        """The track that viewers control."""
        live = (track for track in self.stream.getVideoTracks() if track.readyState == "live")
        return next((track for track in live if isinstance(track, MediaStreamTrack)), None)

    def _watch(self, track: aiortc.MediaStreamTrack) -> None:
        # aiortc's event comes with `stop()`, too, of which the specification's says nothing.
        track.on("ended", lambda: self._ended(track))
        if isinstance(track, MediaStreamTrack):
            for name in ("mute", "unmute"):
                track.addEventListener(name, lambda event: self._changed())

    def _changed(self) -> None:
        if self._clients and self._telling is None:
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        self._telling = None  # what changes from now on is told once more
        for client in list(self._clients):
            try:
                await client.set_meta(self.meta)
            except SignalingError as error:
                logger.debug("nobody was told of a change: %s", error)

    # Viewers.

    async def serve(self, client: SignalingClient) -> None:
        """Send to everybody who comes through this client, until it is closed. Several may be
        served at a time."""
        self._clients.append(client)
        self._changed()
        try:
            async for session in client.sessions():
                task = asyncio.create_task(self._attend(session))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            self._clients.remove(client)

    async def _attend(self, session: SignalingSession) -> None:
        """One viewer, from the first message to the last."""
        tracks = self.sendable()
        if not tracks:
            await session.end(EndReason.NOT_LIVE, "the stream has ended")
            return
        if len(self._viewers) >= MAX_VIEWERS:
            await session.end(EndReason.OVERLOADED, "every place is taken")
            return
        try:
            viewer = _Viewer(self, session, self._ice_servers, self._allow_loopback)
        except ValueError as error:  # the server's ICE servers are none
            logger.warning("session %s: %s", session.id[:6], error)
            await session.end(EndReason.FAILED, "the ICE servers of the session are malformed")
            return
        self._viewers[session.id] = viewer
        logger.info("session %s: a viewer came", session.id[:6])
        self._changed()
        try:
            ended = await viewer.attend(tracks)
            logger.info("session %s: a viewer left: %s", session.id[:6],
                        ended.detail or ended.reason)  # fmt: skip
        finally:
            del self._viewers[session.id]
            self._changed()

    def applied(self, by: ControlChannel, settings: Mapping[str, Any]) -> None:
        """A viewer has changed the camera's settings: tell the others."""
        for viewer in self._viewers.values():
            for control in viewer.controls:
                if control is not by:
                    control.tell(settings)

    def _present(self) -> list["_Viewer"]:
        """The viewers that can still be told something: one that has just left can't."""
        return [viewer for viewer in self._viewers.values() if not viewer.is_gone]

    def _ended(self, track: aiortc.MediaStreamTrack) -> None:
        # The resumption hears of it by the specification's event, a moment later.
        asyncio.get_running_loop().call_soon(self._let_go, track)

    def _let_go(self, track: aiortc.MediaStreamTrack) -> None:
        for viewer in self._present():
            viewer.ended(track, is_last=not self.sendable())
        self._changed()

    def _resumed(self, ended: MediaStreamTrack, again: MediaStreamTrack) -> None:
        self._watch(again)
        for viewer in self._present():
            viewer.replace(ended, again)
        self._changed()

    def _given_up(self, ended: MediaStreamTrack) -> None:
        self._refused.add(ended)
        self._let_go(ended)

    async def stop_resuming(self) -> None:
        """What ends from now on stays ended."""
        if self._resumption is not None:
            await self._resumption.close()

    async def close(self) -> None:
        """Take leave of every viewer, whose tracks end, and wait for no device any more."""
        await self.stop_resuming()
        await asyncio.gather(*(viewer.leave() for viewer in self._present()))
        await asyncio.gather(*self._tasks)
        if self._telling is not None:
            await self._telling


class _Viewer:
    """One viewer's connection."""

    def __init__(
        self,
        publisher: Publisher,
        session: SignalingSession,
        ice_servers: Iterable[RTCIceServer],
        allow_loopback: bool,
    ) -> None:
        self._publisher, self._session = publisher, session
        self._attended = AttendedSession(
            session, ice_servers=ice_servers, accept=self._accept, allow_loopback=allow_loopback
        )
        self._connection = self._attended.connection
        self._senders: dict[aiortc.MediaStreamTrack, RTCRtpSender] = {}
        self._ending: asyncio.Task[None] | None = None
        self.controls: list[ControlChannel] = []
        """The channel by which the viewer controls the camera, if it has opened it."""
        if session.may_control:
            self._connection.addEventListener("datachannel", self._channel_opened)

    async def attend(self, tracks: list[aiortc.MediaStreamTrack]) -> Ended:
        """Send these tracks until the viewer leaves or can't be reached; returns why it is over."""
        for track in tracks:
            self._send(track)
        try:
            return await self._attended.run()
        finally:
            for control in self.controls:
                await control.close()

    @property
    def is_gone(self) -> bool:
        """Whether the connection is closed already."""
        return self._connection.signalingState == "closed"

    def _send(self, track: aiortc.MediaStreamTrack) -> None:
        sender = self._connection.addTrack(track, self._publisher.stream)
        self._senders[track] = sender
        transceivers = self._connection.getTransceivers()
        [transceiver] = [one for one in transceivers if one.sender is sender]
        transceiver.direction = "sendonly"
        if track.kind == "video":
            codecs = preferred_codecs(track, sendable_codecs("video"))
            if wanted := self._publisher.codecs:
                names = [name.lower() for name in wanted]
                codecs = [one for one in codecs if one.name.lower() in names]
                codecs.sort(key=lambda one: names.index(one.name.lower()))
            transceiver._preferred_codecs = [
                RTCRtpCodecCapability(
                    one.mimeType, one.clockRate, one.channels, dict(one.parameters)
                )
                for one in codecs
            ]

    def _accept(self) -> None:
        """Look at an offer before it is answered.

        :raises OfferRejected: it asks for nothing that is on the air.
        """
        transceivers = [one for one in self._connection.getTransceivers() if one.mid is not None]
        for transceiver in transceivers:
            if transceiver.sender.track is None and transceiver.direction != "stopped":
                transceiver.direction = "inactive"  # what the viewer would send is not wanted
        if not any(one.sender.track is not None for one in transceivers):
            raise OfferRejected("the offer asks for none of the kinds that are on the air")
        for transceiver in self._connection.getTransceivers():
            if transceiver.mid is None and not transceiver.stopped and not self._session.offers:
                transceiver.stop()  # what the viewer did not ask for is not pressed on him

    def ended(self, track: aiortc.MediaStreamTrack, *, is_last: bool) -> None:
        """A track has ended: tell the viewer, in the way that its session has."""
        if self._session.renegotiates:
            self._stop(track)
        elif is_last:
            self._ending = asyncio.create_task(
                self._session.end(EndReason.NOT_LIVE, "the stream has ended")
            )

    def replace(self, ended: MediaStreamTrack, again: MediaStreamTrack) -> None:
        """Another track takes the place of one that has ended."""
        sender = self._senders.pop(ended, None)
        if sender is not None:  # he came meanwhile, or can't be told of another
            sender._set_track(again)
            self._senders[again] = sender
        else:
            self._send(again)

    def _stop(self, track: aiortc.MediaStreamTrack) -> None:
        sender = self._senders.pop(track, None)
        for transceiver in self._connection.getTransceivers():
            if transceiver.sender is sender:
                transceiver.stop()

    async def leave(self) -> None:
        """Let the viewer see its tracks end, and close."""
        if self._session.renegotiates and self._attended.connected.is_set():
            for track in list(self._senders):
                self._stop(track)
            try:
                async with asyncio.timeout(GOODBYE_TIMEOUT):
                    await self._attended.negotiation.negotiate()
            except TimeoutError:
                logger.debug("session %s: no answer to the goodbye", self._session.id[:6])
        await self._session.end()

    def _channel_opened(self, event: RTCDataChannelEvent) -> None:
        channel: RTCDataChannel = event.channel
        if channel.label == LABEL and not self.controls:
            publisher = self._publisher
            self.controls.append(ControlChannel(channel, publisher.camera, publisher.applied))


def _describe(track: aiortc.MediaStreamTrack) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": track.kind, "id": track.id, "readyState": track.readyState}
    if isinstance(track, MediaStreamTrack):
        described |= {"label": track.label, "muted": track.muted}
        shown = ("width", "height", "frameRate")
        described |= {name: value for name, value in track.getSettings().items() if name in shown}
    return described
