"""One MediaStream and its viewers: answers each viewer's offer with the stream's tracks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiortc
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)

from signaling import NotLive, OfferMalformed, OfferRejected

from .capture.encoded_reader import EncodedReader
from .capture.media_devices import MediaDevices
from .capture.media_stream import MediaStream
from .capture.media_stream_track import MediaStreamTrack
from .capture.resumption import Resumption
from .connection.aiortc_seam import (
    gather_loopback_when_alone,
    prefer_codec,
    sends_codec,
    wants_media,
)
from .connection.control_channel import LABEL, ControlChannel
from .connection.viewer_track import ViewerTrack

logger = logging.getLogger(__name__)

# A viewer who has an answer connects within a second or two; what has not connected by then was
# an offer whose sender is gone (SECURITY: phantom sessions).
CONNECT_TIMEOUT = 15.0


class Publisher:
    """A producer of the signalling switchboard (`signaling.Producer`).

    :param stream: its live tracks are sent; it is the caller's, and never stopped here.
    :param id: how viewers name it, URL-safe.
    :param label: what the page calls it.
    :param session_ended: called with a session's id when its viewer is gone.
    :param resume: where to capture again from a device that was unplugged, when it is back: the
        viewers see black meanwhile, then its pictures. Without, a track that ended stays ended.
    """

    def __init__(
        self,
        stream: MediaStream,
        *,
        id: str,
        label: str,
        session_ended: Callable[[str], Awaitable[None]],
        ice_servers: tuple[RTCIceServer, ...] = (),
        resume: MediaDevices | None = None,
    ) -> None:
        self.id = id
        self.label = label
        self._stream = stream
        self._session_ended = session_ended
        self._configuration = RTCConfiguration(
            iceServers=list(ice_servers), bundlePolicy=RTCBundlePolicy.MAX_BUNDLE
        )
        self._viewers: dict[str, _Viewer] = {}
        self._resumption = Resumption(resume, stream, self._resumed) if resume else None
        gather_loopback_when_alone()

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the page shows of the stream."""
        return {
            "label": self.label,
            "live": bool(self._sendable()),
            "viewers": len(self._viewers),
            "tracks": [
                _describe(track) | {"awaited": self._awaited(track)}
                for track in self._stream.getTracks()
            ],
        }

    def _awaited(self, track: aiortc.MediaStreamTrack) -> bool:
        """Whether the track has ended, and another will take its place when its device is back."""
        return self._resumption is not None and track in self._resumption.awaited

    def _sendable(self) -> list[aiortc.MediaStreamTrack]:
        """The tracks that a viewer can be given: live, or expected to be again."""
        return [
            track
            for track in self._stream.getTracks()
            if track.readyState == "live" or self._awaited(track)
        ]

    def _camera(self) -> MediaStreamTrack | None:
        """The track that viewers control."""
        live = (track for track in self._stream.getVideoTracks() if track.readyState == "live")
        return next((track for track in live if isinstance(track, MediaStreamTrack)), None)

    def _applied(self, by: ControlChannel, settings: Mapping[str, Any]) -> None:
        for viewer in self._viewers.values():
            for control in viewer.controls:
                if control is not by:
                    control.tell(settings)

    def _resumed(self, ended: MediaStreamTrack, again: MediaStreamTrack) -> None:
        for viewer in self._viewers.values():
            viewer.replace_track(ended, again)

    async def start_session(self, session_id: str, offer: str, *, may_control: bool = False) -> str:
        """Answer a viewer's offer.

        :param may_control: whether the viewer may control the camera, over a data channel.
        :raises NotLive: every track of the stream has ended.
        :raises OfferMalformed: the offer can't be understood.
        :raises OfferRejected: it asks for none of the kinds that are on the air.
        """
        tracks = self._sendable()
        if not tracks:
            raise NotLive("the stream has ended")
        viewer = _Viewer(RTCPeerConnection(self._configuration))
        self._viewers[session_id] = viewer
        if may_control:
            viewer.let_control(self._camera, self._applied)

        @viewer.connection.on("connectionstatechange")
        async def changed() -> None:
            state = viewer.connection.connectionState
            logger.debug("session %s: %s", session_id[:6], state)
            if state == "connected":
                viewer.connected.set()
            elif state in ("failed", "closed"):
                await self._session_ended(session_id)

        try:
            answer = await viewer.answer(offer, tracks)
        except BaseException:
            await self.end_session(session_id)
            raise
        viewer.reaper = asyncio.create_task(self._reap(session_id, viewer))
        return answer

    async def end_session(self, session_id: str) -> None:
        """Close a viewer's connection; one that is gone already is no error."""
        viewer = self._viewers.pop(session_id, None)
        if viewer is not None:
            await viewer.close()

    async def stop_resuming(self) -> None:
        """What ends from now on stays ended."""
        if self._resumption is not None:
            await self._resumption.close()

    async def close(self) -> None:
        """Close every viewer's connection, and wait for no device any more."""
        await self.stop_resuming()
        await asyncio.gather(*(self.end_session(session_id) for session_id in list(self._viewers)))

    async def _reap(self, session_id: str, viewer: "_Viewer") -> None:
        try:
            await asyncio.wait_for(viewer.connected.wait(), CONNECT_TIMEOUT)
        except TimeoutError:
            logger.info("session %s did not connect within %g s", session_id[:6], CONNECT_TIMEOUT)
            await self._session_ended(session_id)


class _Viewer:
    """One viewer's connection."""

    def __init__(self, connection: RTCPeerConnection) -> None:
        self.connection = connection
        self.connected = asyncio.Event()
        self.reaper: asyncio.Task[None] | None = None
        self._views: list[ViewerTrack] = []
        self.controls: list[ControlChannel] = []
        """The channel by which the viewer controls the camera, if it has opened it."""

    def let_control(
        self,
        camera: Callable[[], MediaStreamTrack | None],
        applied: Callable[[ControlChannel, Mapping[str, Any]], None],
    ) -> None:
        """Obey what comes over the viewer's data channel for it."""

        @self.connection.on("datachannel")
        def opened(channel: RTCDataChannel) -> None:
            if channel.label == LABEL and not self.controls:
                self.controls.append(ControlChannel(channel, camera, applied))

    def replace_track(self, old: MediaStreamTrack, new: MediaStreamTrack) -> None:
        """Go on with another track where this one was sent."""
        for view in self._views:
            if view.track is old:
                view.replace(new)

    async def answer(self, offer: str, tracks: list[aiortc.MediaStreamTrack]) -> str:
        """:raises OfferMalformed, OfferRejected: as `Publisher.start_session()`."""
        try:
            return await self._negotiate(offer, tracks)
        except OfferRejected:
            raise
        except Exception as error:
            # aiortc raises seven types of exception for malformed offers, at three places.
            logger.info("an offer was refused: %r", error)
            raise OfferMalformed("the offer could not be understood") from error

    async def _negotiate(self, offer: str, tracks: list[aiortc.MediaStreamTrack]) -> str:
        connection = self.connection
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        waiting = list(tracks)
        for transceiver in connection.getTransceivers():
            track = next((t for t in waiting if t.kind == transceiver.kind), None)
            if track is None or not wants_media(transceiver):
                transceiver.direction = "inactive"
                continue
            waiting.remove(track)
            self._send(transceiver, track)
        if len(waiting) == len(tracks):
            raise OfferRejected("the offer asks for none of the kinds that are on the air")
        await connection.setLocalDescription(await connection.createAnswer())
        return connection.localDescription.sdp

    def _send(self, transceiver: RTCRtpTransceiver, track: aiortc.MediaStreamTrack) -> None:
        transceiver.direction = "sendonly"
        if not isinstance(track, MediaStreamTrack):
            transceiver.sender.replaceTrack(track)
            return
        view = ViewerTrack(track, transceiver.sender)
        if EncodedReader(track).available:
            prefer_codec(transceiver, "H264")
        view.takes_h264 = sends_codec(transceiver, "H264")
        transceiver.sender.replaceTrack(view)
        self._views.append(view)

    async def close(self) -> None:
        if self.reaper is not None and self.reaper is not asyncio.current_task():
            self.reaper.cancel()
        for control in self.controls:
            await control.close()
        try:
            await self.connection.close()
        except AttributeError:
            # Seen after malformed offers: aiortc closes a transport that it never made.
            logger.debug("aiortc failed to close a connection", exc_info=True)


def _describe(track: aiortc.MediaStreamTrack) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": track.kind, "id": track.id, "readyState": track.readyState}
    if isinstance(track, MediaStreamTrack):
        described |= {"label": track.label, "muted": track.muted}
        shown = ("width", "height", "frameRate")
        described |= {name: value for name, value in track.getSettings().items() if name in shown}
    return described
