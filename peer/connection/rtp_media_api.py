"""The part of RTCPeerConnection that is about tracks: the RTP media API (WebRTC 5.1)."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiortc

from ..capture.media_stream import MediaStream
from ..errors import InvalidAccessError
from ..events import Event
from .aiortc_seam.srtp import SrtpTransport
from .bundle_transport import BundleTransport
from .events import RTCFailureEvent
from .jsep import Jsep
from .operations_chain import OperationsChain
from .rtc_rtp_receiver import RTCRtpReceiver
from .rtc_rtp_sender import RTCRtpSender, Track
from .rtc_rtp_transceiver import RTCRtpTransceiver
from .sdp import DIRECTIONS, RECEIVING, Direction
from .stats_report import RTCStatsReport

logger = logging.getLogger(__name__)


class RtpMediaApi:
    """Senders, receivers and transceivers of a connection, which inherits this."""

    _chain: OperationsChain
    _jsep: Jsep
    _packets: SrtpTransport
    _transport: BundleTransport

    def __init__(self) -> None:
        super().__init__()
        self._tasks: set[asyncio.Future[None]] = set()

    @property
    def _closed(self) -> bool:
        """Whether `close()` was called, here or on the other side."""
        return self._chain.closed

    def _operation(self) -> AbstractAsyncContextManager[None]:
        """A place in the operations chain (WebRTC 4.4.1.2).

        :raises InvalidStateError: the connection is closed.
        """
        return self._chain.operation()

    def _changed(self) -> None:
        """Fire `negotiationneeded`, if it is, in a task (WebRTC 4.7.3)."""
        self._chain.changed()

    async def _report(
        self, sender: RTCRtpSender | None = None, receiver: RTCRtpReceiver | None = None
    ) -> RTCStatsReport:
        """The statistics of a sender or receiver."""
        raise NotImplementedError

    def _fire(self, event: Event, *aiortc_arguments: Any) -> None:
        raise NotImplementedError

    def getTransceivers(self) -> list[RTCRtpTransceiver]:
        """All that are not stopped for good, in the order in which they were made."""
        return list(self._jsep.transceivers)

    def getSenders(self) -> list[RTCRtpSender]:
        """The senders of the transceivers that are not stopped."""
        return [one.sender for one in self._jsep.transceivers if not one._stopping]

    def getReceivers(self) -> list[RTCRtpReceiver]:
        """The receivers of the transceivers that are not stopped."""
        return [one.receiver for one in self._jsep.transceivers if not one._stopping]

    def addTrack(self, track: Track, *streams: MediaStream) -> RTCRtpSender:
        """Send a track; it takes effect when that is negotiated (WebRTC 5.1, addTrack).

        :raises InvalidStateError: the connection is closed.
        :raises InvalidAccessError: the track is sent already.
        :raises TypeError: it is no track.
        """
        if not isinstance(track, aiortc.MediaStreamTrack):
            raise TypeError(f"a MediaStreamTrack is wanted, not {track!r}")
        self._chain.assert_open()
        if any(sender.track is track for sender in self.getSenders()):
            raise InvalidAccessError("the track is sent over this connection already")
        for transceiver in self._jsep.transceivers:
            sender = transceiver.sender
            free = sender.track is None and not sender._used and not transceiver._stopping
            if free and transceiver.kind == track.kind:
                sender._set_track(track)
                sender.setStreams(*streams)
                receives = transceiver._wanted in RECEIVING
                transceiver._wanted = "sendrecv" if receives else "sendonly"
                break
        else:
            transceiver = self._new_transceiver(track.kind, "sendrecv", track, streams)
            self._jsep.transceivers.append(transceiver)
        transceiver._by_add_track = True
        self._changed()
        return transceiver.sender

    def removeTrack(self, sender: RTCRtpSender) -> None:
        """Send no track from this sender any more (WebRTC 5.1, removeTrack).

        :raises InvalidStateError: the connection is closed.
        :raises InvalidAccessError: the sender is another connection's.
        """
        self._chain.assert_open()
        if sender._negotiator is not self:
            raise InvalidAccessError("the sender is not this connection's")
        transceiver = next((t for t in self._jsep.transceivers if t.sender is sender), None)
        if transceiver is None or transceiver._stopping or sender.track is None:
            return
        sender._set_track(None)
        keeps: dict[str, Direction] = {"sendrecv": "recvonly", "sendonly": "inactive"}
        transceiver._wanted = keeps.get(transceiver._wanted, transceiver._wanted)
        self._changed()

    def addTransceiver(
        self,
        trackOrKind: Track | str,
        init: Mapping[str, Any] | None = None,
        *,
        direction: Direction = "sendrecv",
    ) -> RTCRtpTransceiver:
        """A new transceiver (WebRTC 5.1, addTransceiver).

        :param init: `direction`, `streams`, and `sendEncodings` of one encoding.
        :raises TypeError: there is no such kind or direction, or there is more than one encoding.
        :raises ValueError: a value of the encoding is out of range.
        :raises InvalidStateError: the connection is closed.
        """
        init = init or {}
        direction = init.get("direction", direction)
        track = None if isinstance(trackOrKind, str) else trackOrKind
        kind = trackOrKind if isinstance(trackOrKind, str) else trackOrKind.kind
        if kind not in ("audio", "video"):
            raise TypeError(f"a kind is audio or video, not {kind!r}")
        if direction not in DIRECTIONS:
            raise TypeError(f"a direction is one of {', '.join(DIRECTIONS)}, not {direction!r}")
        self._chain.assert_open()
        encodings = init.get("sendEncodings", [])
        if len(encodings) > 1:
            raise TypeError("one encoding is sent, not several")
        transceiver = self._new_transceiver(kind, direction, track, init.get("streams", ()))
        if encodings:
            transceiver.sender._set_encoding(encodings[0])
        self._jsep.transceivers.append(transceiver)
        self._changed()
        return transceiver

    def _new_transceiver(
        self,
        kind: str,
        direction: Direction,
        track: Track | None = None,
        streams: Sequence[MediaStream] = (),
    ) -> RTCRtpTransceiver:
        dtls = self._transport.dtls
        sender = RTCRtpSender(kind, track, streams, dtls, self._packets, self, self._sender_failed)
        receiver = RTCRtpReceiver(kind, dtls, self)
        return RTCRtpTransceiver(sender, receiver, direction, self, self._stop)

    def _stop(self, transceiver: RTCRtpTransceiver) -> Awaitable[None]:
        ended = self._end(transceiver)
        self._changed()
        return ended

    def _end(self, transceiver: RTCRtpTransceiver) -> Awaitable[None]:
        """Stop sending and receiving (WebRTC 5.4, "stop sending and receiving")."""
        if transceiver._stopping:
            return self._keep(asyncio.ensure_future(asyncio.sleep(0)))
        transceiver.sender._stopping = True
        transceiver.sender._negotiated = None
        transceiver.receiver._end()

        async def let_go() -> None:
            await transceiver.sender._close()
            await transceiver.receiver._stop()

        return self._keep(asyncio.ensure_future(let_go()))

    def _of(self, mid: str) -> RTCRtpTransceiver | None:
        return next((one for one in self._jsep.transceivers if one.mid == mid), None)

    def _sender_failed(self, sender: RTCRtpSender, error: Exception) -> None:
        logger.warning("a %s sender failed: %s", sender._kind, error)
        self._fire(RTCFailureEvent("sendererror", error), error)

    def _keep(self, task: asyncio.Future[None]) -> asyncio.Future[None]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
