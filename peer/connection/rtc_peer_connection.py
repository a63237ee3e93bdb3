"""RTCPeerConnection: a connection to another peer (WebRTC 4.4)."""

import asyncio
import logging
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
)
from aiortc.rtcdatachannel import RTCDataChannelParameters
from pyee.asyncio import AsyncIOEventEmitter

from ..errors import InvalidAccessError, InvalidModificationError, InvalidStateError
from ..events import Event, EventTarget, event_handler
from .aiortc_seam.srtp import SrtpTransport
from .bundle_transport import BundleTransport
from .events import RTCDataChannelEvent, RTCPeerConnectionIceEvent
from .ice_candidate import LocalCandidate, read_candidate
from .negotiation_api import NegotiationApi
from .operations_chain import OperationsChain
from .rtc_rtp_receiver import RTCRtpReceiver
from .rtc_rtp_sender import RTCRtpSender
from .session_description import (
    is_of_transport,
)
from .statistics import Statistics
from .stats_report import RTCStatsReport

logger = logging.getLogger(__name__)

_CLOSED_EVENTS = (
    "iceconnectionstatechange", "connectionstatechange", "signalingstatechange", "close",
)  # fmt: skip


class RTCPeerConnection(NegotiationApi, EventTarget, AsyncIOEventEmitter):
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
        self._wants_data = alwaysNegotiateDataChannels
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
        self._statistics = Statistics(self._transport)
        self._chain = OperationsChain(
            self._needs_negotiation, lambda: self._fire(Event("negotiationneeded"))
        )
        self._closing: asyncio.Future[None] | None = None
        self._states = {"connection": "new", "iceConnection": "new", "iceGathering": "new"}

    def __repr__(self) -> str:
        return f"<RTCPeerConnection {self.connectionState} {self.signalingState}>"

    # States.

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
        :raises InvalidModificationError: it has another policy for ICE.
        :raises ValueError: a server's address is none.
        """
        self._chain.assert_open()
        if configuration.iceTransportPolicy != self._configuration.iceTransportPolicy:
            raise InvalidModificationError("the policy for ICE stays what it was")
        self._transport.ice.use_servers(configuration.iceServers or ())
        self._configuration = configuration

    @staticmethod
    async def generateCertificate() -> RTCCertificate:
        """A certificate; the first one of a process takes up to a fifth of a second."""
        return await asyncio.to_thread(RTCCertificate.generateCertificate)

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
        if self._jsep.pending_local or self._jsep.current_local:  # else there is nothing to restart
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
        if dtls.state == "closed":
            self._keep(asyncio.ensure_future(self._remotely_closed()))
            return
        self._set_state("connection", _connection_state(ice.state, dtls.state))

    async def _remotely_closed(self) -> None:
        if not await self._survive_rejection() and not self._closed:
            self._begin_to_close()
            self._states.update(connection="closed", iceConnection="closed")
            self.dispatchEvent(Event("connectionstatechange"))

    def _set_state(self, name: str, value: str) -> None:
        if self._states[name] != value:
            self._states[name] = value
            self._fire(Event(f"{name.lower()}{'state'}change"))

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
        self._packets.settle()
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
        await asyncio.gather(*self._tasks, return_exceptions=True)
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
