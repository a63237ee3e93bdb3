"""RTCPeerConnection: a connection to another peer (WebRTC 4.4)."""

import asyncio
import logging
import secrets
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import aiortc
from aiortc import (
    RTCCertificate,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceCandidate,
    RTCIceTransportPolicy,
    RTCSctpTransport,
    RTCSessionDescription,
)
from aiortc.rtcdatachannel import RTCDataChannelParameters
from pyee.asyncio import AsyncIOEventEmitter

from ..errors import InvalidAccessError, InvalidModificationError, InvalidStateError
from ..events import Event, EventTarget, event_handler
from .aiortc_seam.srtp import SrtpTransport
from .bundle_transport import BundleTransport
from .events import RTCDataChannelEvent, RTCPeerConnectionIceEvent
from .ice_candidate import LocalCandidate, read_candidate
from .jsep import Described, Jsep
from .media_parameters import receiving_parameters, sending_parameters
from .operations_chain import OperationsChain
from .remote_streams import RemoteChanges, RemoteStreams
from .rtc_rtp_receiver import RTCRtpReceiver
from .rtc_rtp_sender import RTCRtpSender
from .rtc_rtp_transceiver import RTCRtpTransceiver
from .rtp_media_api import RtpMediaApi
from .sdp import Sdp, Section, reverse
from .session_description import (
    Description,
    is_of_transport,
    parse_description,
    read_description,
)
from .statistics import Statistics
from .stats_report import RTCStatsReport

logger = logging.getLogger(__name__)

_CLOSED_EVENTS = (
    "iceconnectionstatechange", "connectionstatechange", "signalingstatechange", "close",
)  # fmt: skip
_SENDING = ("sendrecv", "sendonly")
_RECEIVING = ("sendrecv", "recvonly")


class RTCPeerConnection(RtpMediaApi, EventTarget, AsyncIOEventEmitter):
    """A connection, by which tracks and data go both ways.

    The interface is the specification's: `addTrack(track, *streams)`, `removeTrack()`,
    `negotiationneeded`, `setLocalDescription()` without an argument, rollback, `restartIce()`;
    "perfect negotiation" works in both roles. Programs written for aiortc's class find what they
    know: `close()` is a coroutine, and `.on("track")` gets the track itself.

    Where it differs from a browser: there is always one transport (`max-bundle`, rtcp-mux). No
    STUN server is asked unless one is configured. `setLocalDescription()` waits for the addresses
    of this computer, which takes milliseconds, so that its `localDescription` has them; what STUN
    and TURN servers find comes as `icecandidate` events. When the other side closes the
    connection, this side closes, too: remote tracks end, and `recv()` waits for nothing.

    An event of its own: `sendererror`, with the `error`, when a track can't be read or encoded.

    :param configuration: aiortc's; its bundle policy is not looked at.
    :param alwaysNegotiateDataChannels: make the section of data channels the first of an offer,
        so that what carries the transport is never rejected (WebRTC extensions 4).
    :param allowRemoteCandidate: asked about each address that the other side names, before a packet
        is sent there; all are taken without.
    """

    onnegotiationneeded = event_handler("negotiationneeded")
    onicecandidate = event_handler("icecandidate")
    onsignalingstatechange = event_handler("signalingstatechange")
    oniceconnectionstatechange = event_handler("iceconnectionstatechange")
    onicegatheringstatechange = event_handler("icegatheringstatechange")
    onconnectionstatechange = event_handler("connectionstatechange")
    ontrack = event_handler("track")
    ondatachannel = event_handler("datachannel")
    onsendererror = event_handler("sendererror")

    def __init__(
        self,
        configuration: RTCConfiguration | None = None,
        *,
        alwaysNegotiateDataChannels: bool = False,
        allowRemoteCandidate: Callable[[RTCIceCandidate], bool] | None = None,
    ) -> None:
        super().__init__()
        self._configuration = configuration or RTCConfiguration()
        self._cname = str(uuid.uuid4())
        self._session_id = secrets.randbelow(1 << 62)
        self._version = 0
        self._wants_data = alwaysNegotiateDataChannels
        self._ice_restart_wanted = False
        self._transport = BundleTransport(
            self._configuration.iceServers or (),
            relay_only=self._configuration.iceTransportPolicy == RTCIceTransportPolicy.RELAY,
            allow_remote=allowRemoteCandidate,
            certificate=RTCCertificate.generateCertificate(),
            changed=self._transport_changed,
            connected=self._connected,
            data_channel=self._data_channel_opened,
        )
        self._transport.ice.on("candidate", self._candidate_found)
        self._packets = SrtpTransport(self._transport.dtls)
        self._jsep = Jsep(self._cname, lambda kind: self._new_transceiver(kind, "recvonly"))
        self._remote_streams = RemoteStreams()
        self._statistics = Statistics(self._transport)
        self._last_offer: str | None = None
        self._last_answer: str | None = None
        self._last_sdp: Sdp | None = None
        self._early_candidates: list[RTCIceCandidate | None] = []
        self._chain = OperationsChain(
            self._needs_negotiation, lambda: self._fire(Event("negotiationneeded"))
        )
        self._closing: asyncio.Future[None] | None = None
        self._states = {"connection": "new", "iceConnection": "new", "iceGathering": "new"}

    def __repr__(self) -> str:
        return f"<RTCPeerConnection {self.connectionState} {self.signalingState}>"

    # States.

    @property
    def signalingState(self) -> str:
        """stable, have-local-offer, have-remote-offer, or closed."""
        return "closed" if self._closed else self._jsep.signaling_state

    @property
    def connectionState(self) -> str:
        """new, connecting, connected, disconnected, failed or closed (WebRTC 4.3.3)."""
        return self._states["connection"]

    @property
    def iceConnectionState(self) -> str:
        """new, checking, connected, completed, disconnected, failed or closed."""
        return self._states["iceConnection"]

    @property
    def iceGatheringState(self) -> str:
        """new, gathering or complete."""
        return self._states["iceGathering"]

    @property
    def canTrickleIceCandidates(self) -> bool | None:
        """Whether the other side takes candidates later; None before it has said anything."""
        return True if self.remoteDescription is not None else None

    @property
    def sctp(self) -> RTCSctpTransport | None:
        """The transport of data channels, if any are wanted."""
        return self._transport.sctp

    def getConfiguration(self) -> RTCConfiguration:
        """What it was made with."""
        return self._configuration

    def setConfiguration(self, configuration: RTCConfiguration) -> None:
        """Use other ICE servers from the next gathering on, that is after a restart.

        :raises InvalidStateError: the connection is closed.
        """
        self._chain.assert_open()
        self._configuration = configuration
        self._transport.ice.use_servers(configuration.iceServers or ())

    @staticmethod
    async def generateCertificate() -> RTCCertificate:
        """A certificate; the first one of a process takes up to a fifth of a second."""
        return await asyncio.to_thread(RTCCertificate.generateCertificate)

    # Descriptions.

    @property
    def localDescription(self) -> RTCSessionDescription | None:
        """What this side said last, with the candidates found so far."""
        return self._described(self._jsep.pending_local or self._jsep.current_local, local=True)

    @property
    def currentLocalDescription(self) -> RTCSessionDescription | None:
        """What this side said in the negotiation that was completed last."""
        return self._described(self._jsep.current_local, local=True)

    @property
    def pendingLocalDescription(self) -> RTCSessionDescription | None:
        """An offer of this side that is not answered yet."""
        return self._described(self._jsep.pending_local, local=True)

    @property
    def remoteDescription(self) -> RTCSessionDescription | None:
        """What the other side said last."""
        return self._described(self._jsep.pending_remote or self._jsep.current_remote)

    @property
    def currentRemoteDescription(self) -> RTCSessionDescription | None:
        """What the other side said in the negotiation that was completed last."""
        return self._described(self._jsep.current_remote)

    @property
    def pendingRemoteDescription(self) -> RTCSessionDescription | None:
        """An offer of the other side that is not answered yet."""
        return self._described(self._jsep.pending_remote)

    def _described(
        self, described: Described | None, *, local: bool = False
    ) -> RTCSessionDescription | None:
        if described is None:
            return None
        if local:
            self._transport.add_candidates(described.sdp)
        return RTCSessionDescription(sdp=str(described.sdp), type=described.type)

    async def createOffer(self, options: Mapping[str, Any] | None = None) -> RTCSessionDescription:
        """An offer of what the transceivers are to be (WebRTC 4.4.1.6).

        :param options: `iceRestart`.
        :raises InvalidStateError: the connection is closed.
        """
        async with self._operation():
            if options is not None and options.get("iceRestart"):
                self._ice_restart_wanted = True
            return self._create_offer()

    def _create_offer(self) -> RTCSessionDescription:
        if self._ice_restart_wanted:
            self._transport.restart()
        sdp = self._jsep.create_offer(data=self._wants_data)
        for section in sdp.sections:
            if not section.rejected:
                self._transport.describe(section, "actpass")
        self._last_offer = self._finish(sdp)
        return RTCSessionDescription(sdp=self._last_offer, type="offer")

    async def createAnswer(self) -> RTCSessionDescription:
        """An answer to the other side's offer (WebRTC 4.4.1.6).

        :raises InvalidStateError: there is no offer, or the connection is closed.
        """
        async with self._operation():
            return self._create_answer()

    def _create_answer(self) -> RTCSessionDescription:
        sdp = self._jsep.create_answer()
        assert self._jsep.pending_remote is not None
        offered = self._jsep.pending_remote.sdp
        transport = offered.transport
        if transport is not None:
            if self._transport.is_restarted_by(transport):
                self._transport.restart()
            setup = self._transport.answer_setup(transport)
            for section in sdp.sections:
                if not section.rejected:
                    self._transport.describe(section, setup)
        if offered.bundle:
            sdp.bundle = [mid for mid in offered.bundle if mid in sdp.bundle]
        self._last_answer = self._finish(sdp)
        return RTCSessionDescription(sdp=self._last_answer, type="answer")

    def _finish(self, sdp: Sdp) -> str:
        self._version += 1
        sdp.session_id, sdp.version = self._session_id, self._version
        self._last_sdp = sdp
        return str(sdp)

    async def setLocalDescription(self, description: Description | None = None) -> None:
        """Put an offer or answer of this side in force (WebRTC 4.4.1.5).

        :param description: what `createOffer()` or `createAnswer()` gave last; a rollback; or
            nothing, for whatever the state wants.
        :raises InvalidModificationError: it is not what was created last.
        :raises InvalidStateError: the state does not allow it.
        """
        async with self._operation():
            type_, sdp = read_description(description)
            if type_ is None:
                answering = self.signalingState == "have-remote-offer"
                type_ = "answer" if answering else "offer"
            if type_ == "rollback":
                self._roll_back("have-local-offer")
                return
            if not sdp:
                created = self._create_answer() if type_ == "answer" else self._create_offer()
                sdp = created.sdp
            if sdp != (self._last_answer if type_ == "answer" else self._last_offer):
                raise InvalidModificationError(
                    f"the {type_} is not what create{type_.capitalize()}() gave last"
                )
            assert self._last_sdp is not None
            if type_ == "offer":
                self._jsep.set_local_offer(self._last_sdp)
                changes = RemoteChanges()
            else:
                changes = await self._set_answer(self._last_sdp, local=True)
            self._last_offer = self._last_answer = None
            self._state_changed(changes)
            if type_ == "offer":
                await self._transport.offer()
            else:
                await self._transport.ice.gather()

    async def setRemoteDescription(self, description: Description) -> None:
        """Put an offer or answer of the other side in force (WebRTC 4.4.1.5).

        An offer that comes while one of this side is not answered takes that back.

        :raises RTCError: the description can't be understood.
        :raises InvalidAccessError: it contradicts what was negotiated before.
        :raises InvalidStateError: the state does not allow it.
        """
        async with self._operation():
            type_, text = read_description(description)
            if type_ == "rollback":
                self._roll_back("have-remote-offer")
                return
            sdp = parse_description(text)
            if type_ == "offer":
                if self.signalingState == "have-local-offer":
                    self._roll_back("have-local-offer")
                changes = self._set_remote_offer(sdp)
            else:
                changes = await self._set_answer(sdp, local=False)
            await self._add_described_candidates(sdp)
            self._state_changed(changes)

    def _set_remote_offer(self, sdp: Sdp) -> RemoteChanges:
        self._jsep.set_remote_offer(sdp)
        changes = RemoteChanges()
        for section in sdp.sections:
            transceiver = self._of(section.mid)
            if transceiver is None:
                continue
            if section.rejected:
                self._end(transceiver)
            direction = "inactive" if section.rejected else reverse(section.direction)
            self._remote_streams.process(transceiver, direction, section.streams, changes)
        return changes

    async def _set_answer(self, sdp: Sdp, *, local: bool) -> RemoteChanges:
        """Complete a negotiation with the answer of one side."""
        changes = RemoteChanges()
        jsep = self._jsep
        rejected = jsep.set_local_answer(sdp) if local else jsep.set_remote_answer(sdp)
        for transceiver in rejected:
            self._end(transceiver)
            transceiver._stopped_for_good = True
            self._remote_streams.process(transceiver, "inactive", (), changes)
        for transceiver, own, theirs in jsep.negotiated():
            direction = own.direction if local else reverse(theirs.direction)
            transceiver._current_direction = direction
            if not local:
                self._remote_streams.process(transceiver, direction, theirs.streams, changes)
            elif direction not in _RECEIVING and transceiver._fired_direction in _RECEIVING:
                self._remote_streams.process(transceiver, direction, (), changes)
            await self._negotiated(transceiver, own, theirs, answer=own if local else theirs)
        assert jsep.current_remote is not None
        remote = jsep.current_remote.sdp
        if (transport := remote.transport) is not None:
            data = next((s for s in remote.sections if s.kind == "application"), None)
            if data is not None and (data.rejected or not jsep.has_data):
                data = None
            self._transport.accept(transport, data, offered=not local)
        self._ice_restart_wanted = False
        self._chain.negotiated()
        return changes

    async def _negotiated(
        self, transceiver: RTCRtpTransceiver, own: Section, theirs: Section, *, answer: Section
    ) -> None:
        """Send and receive as was agreed."""
        sender, direction = transceiver.sender, transceiver._current_direction
        sender._negotiated = None
        if direction in _SENDING:
            sender._used = True
            sender._negotiated = sending_parameters(sender, answer, own.mid, self._cname)
        if sender._negotiated is None:
            sender._pause()
        elif self._transport.dtls.state == "connected":
            sender._start(sender._negotiated)
        if direction in _RECEIVING:
            parameters = receiving_parameters(own, theirs)
            await transceiver.receiver._start(parameters, sender._ssrc)
        else:
            transceiver.receiver._pause()

    async def _connected(self) -> None:
        for transceiver in self._jsep.transceivers:
            sender = transceiver.sender
            if sender._negotiated is not None and not transceiver._stopping:
                sender._start(sender._negotiated)

    def _roll_back(self, state: str) -> None:
        if self.signalingState != state:
            raise InvalidStateError(f"a rollback in the state {self.signalingState}")
        taken_back = self._jsep.rollback()
        self._transport.give_up_restart()
        changes = RemoteChanges()
        for transceiver, (direction, streams) in taken_back.restored.items():
            if direction is not None or transceiver._fired_direction is not None:
                self._remote_streams.process(transceiver, direction or "inactive", streams, changes)
                transceiver._fired_direction = direction
        for transceiver in taken_back.removed:
            self._remote_streams.process(transceiver, "inactive", (), changes)
            self._end(transceiver)
        self._state_changed(changes)

    def _state_changed(self, changes: RemoteChanges) -> None:
        """Tell of a new signalling state, and then of what it brought (WebRTC 4.4.1.5)."""
        self._fire(Event("signalingstatechange"))
        for event in changes.tell():
            self._fire(event, event.track)
        self._changed()

    # Data.

    def createDataChannel(
        self, label: str, options: Mapping[str, Any] | None = None, **keywords: Any
    ) -> RTCDataChannel:
        """A channel for messages (WebRTC 6.1). Options are the specification's, as a mapping or as
        keywords.

        :raises InvalidStateError: the connection is closed.
        :raises TypeError: `maxPacketLifeTime` and `maxRetransmits` are both given, or an option is
            unknown.
        """
        self._chain.assert_open()
        parameters = RTCDataChannelParameters(label=label, **{**(options or {}), **keywords})
        if parameters.maxPacketLifeTime is not None and parameters.maxRetransmits is not None:
            raise TypeError("maxPacketLifeTime and maxRetransmits exclude each other")
        self._want_data()
        return RTCDataChannel(self._transport.with_data(), parameters)

    def _want_data(self) -> None:
        if not self._wants_data:
            self._wants_data = True
            self._changed()

    def _data_channel_opened(self, channel: RTCDataChannel) -> None:
        self._fire(RTCDataChannelEvent("datachannel", channel), channel)

    # ICE.

    def restartIce(self) -> None:
        """Look for another way to the other side, when that is negotiated (WebRTC 4.4.2)."""
        self._chain.assert_open()
        self._ice_restart_wanted = True
        self._changed()

    async def addIceCandidate(
        self, candidate: RTCIceCandidate | Mapping[str, Any] | None = None
    ) -> None:
        """Take a candidate of the other side's; None or an empty one says that there are no more.

        :raises TypeError: it does not say which section it belongs to.
        :raises InvalidStateError: nothing is known of the other side yet.
        :raises OperationError: it can't be understood.
        """
        read = read_candidate(candidate)
        async with self._operation():
            described = self._jsep.pending_remote or self._jsep.current_remote
            if described is None:
                raise InvalidStateError("a candidate comes after the description that it is for")
            if read is not None and not is_of_transport(read, described.sdp):
                return  # of a section that is bundled, whose own candidates are not used
            await self._transport.ice.add_remote_candidate(read)

    async def _add_described_candidates(self, sdp: Sdp) -> None:
        section = sdp.transport
        if section is None:
            return
        for candidate in section.candidates:
            await self._transport.ice.add_remote_candidate(candidate)
        if section.end_of_candidates:
            await self._transport.ice.add_remote_candidate(None)

    def _candidate_found(self, candidate: RTCIceCandidate | None) -> None:
        described = self._jsep.pending_local or self._jsep.current_local
        section = described.sdp.transport if described is not None else None
        if described is None or section is None or self._closed:
            return
        local = None
        if candidate is not None:
            local = LocalCandidate(
                **vars(candidate)
                | {"sdpMid": section.mid, "sdpMLineIndex": described.sdp.sections.index(section)}
            )
        self._fire(RTCPeerConnectionIceEvent("icecandidate", local), local)

    # States of the transport.

    def _transport_changed(self) -> None:
        if self._closed:
            return
        ice, dtls = self._transport.ice, self._transport.dtls
        self._set_state("iceGathering", ice.gathering_state)
        self._set_state("iceConnection", ice.state)
        if dtls.state == "closed":  # the other side has closed
            self._begin_to_close()
            self._states.update(connection="closed", iceConnection="closed")
            self.dispatchEvent(Event("connectionstatechange"))
            return
        self._set_state("connection", _connection_state(ice.state, dtls.state))

    def _set_state(self, name: str, value: str) -> None:
        if self._states[name] != value:
            self._states[name] = value
            self._fire(Event(f"{name.lower()}{'state'}change"))

    def _needs_negotiation(self) -> bool:
        return self.signalingState == "stable" and (
            self._ice_restart_wanted
            or (self._wants_data and not self._jsep.has_data)
            or self._jsep.needs_negotiation()
        )

    # Statistics.

    async def getStats(self, selector: aiortc.MediaStreamTrack | None = None) -> RTCStatsReport:
        """What there is to know of the connection, or of what sends or receives one track.

        :raises InvalidAccessError: nothing, or more than one, sends or receives that track.
        """
        if selector is not None:
            senders = [one for one in self.getSenders() if one.track is selector]
            receivers = [one for one in self.getReceivers() if one.track is selector]
            if len(senders) + len(receivers) != 1:
                raise InvalidAccessError("one sender or receiver must have this track")
            sender, receiver = next(iter(senders), None), next(iter(receivers), None)
            return await self._report(sender, receiver)
        report = await self._report()
        channels = self._transport.sctp.counts if self._transport.sctp is not None else {}
        opened = [one for one in channels if one.readyState != "connecting"]
        closed = [one for one in opened if one.readyState == "closed"]
        self._statistics.add_connection(report, len(opened), len(closed))
        for channel, counts in channels.items():
            self._statistics.add_channel(report, channel, counts)
        for transceiver in self._jsep.transceivers:
            self._statistics.add_sender(report, transceiver.sender)
            self._statistics.add_receiver(report, transceiver.receiver)
        return report

    async def _report(
        self, sender: RTCRtpSender | None = None, receiver: RTCRtpReceiver | None = None
    ) -> RTCStatsReport:
        report = RTCStatsReport()
        if sender is not None:
            self._statistics.add_sender(report, sender)
        if receiver is not None:
            self._statistics.add_receiver(report, receiver)
        self._statistics.add_transport(report)
        return report

    # The end.

    async def close(self) -> None:
        """End the connection: nothing is sent or received any more, and remote tracks end. Local
        tracks go on. A second call waits for the first."""
        await asyncio.shield(self._begin_to_close())

    def _begin_to_close(self) -> asyncio.Future[None]:
        if self._closing is None:
            self._chain.close()
            self._closing = asyncio.ensure_future(self._close())
        return self._closing

    async def _close(self) -> None:
        for transceiver in self._jsep.transceivers:
            self._end(transceiver)
            transceiver._stopped_for_good = True
        await asyncio.gather(*self._tasks)
        await self._transport.close()
        self._states.update(connection="closed", iceConnection="closed")
        # WebRTC 4.4.2: close() fires no event; aiortc's listeners expect theirs.
        for name in _CLOSED_EVENTS:
            self.emit(name)
        self.remove_all_listeners()

    # Small things.

    def _fire(self, event: Event, *aiortc_arguments: Any) -> None:
        """Tell the specification's listeners, then aiortc's, which get other arguments."""
        self.dispatchEvent(event)
        self.emit(event.type, *aiortc_arguments)


def _connection_state(ice: str, dtls: str) -> str:
    """WebRTC 4.3.3, for the one transport that there is."""
    if "failed" in (ice, dtls):
        return "failed"
    if ice == "disconnected":
        return "disconnected"
    if ice in ("connected", "completed") and dtls == "connected":
        return "connected"
    return "new" if ice == "new" and dtls == "new" else "connecting"
