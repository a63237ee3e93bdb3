"""The part of RTCPeerConnection that is about offers and answers (WebRTC 4.4.1, 4.4.2)."""

import secrets
import uuid
from collections.abc import Mapping
from typing import Any

from aiortc import RTCSessionDescription

from ..errors import InvalidModificationError, InvalidStateError
from ..events import Event
from .jsep import Described, Jsep
from .media_parameters import receiving_parameters, sending_parameters
from .negotiation import answered_direction
from .remote_streams import RemoteChanges, RemoteStreams
from .rtc_rtp_transceiver import RTCRtpTransceiver
from .rtp_media_api import RtpMediaApi
from .sdp import RECEIVING, SENDING, Sdp, Section, reverse
from .session_description import Description, parse_description, read_description


class NegotiationApi(RtpMediaApi):
    """Descriptions of a connection, which inherits this, and what follows from them."""

    def __init__(self) -> None:
        super().__init__()
        self._cname = str(uuid.uuid4())
        self._jsep = Jsep(self._cname, lambda kind: self._new_transceiver(kind, "recvonly"))
        self._remote_streams = RemoteStreams()
        self._session_id = secrets.randbelow(1 << 62)
        self._version = 0
        self._wants_data = False
        self._ice_restart_wanted = False
        self._last_offer: str | None = None
        self._last_answer: str | None = None
        self._last_sdp: Sdp | None = None
        self._carrier: str | None = None  # the mid of the section that describes the transport
        self._carrier_rejected = False
        self._dtls_lost = False

    @property
    def signalingState(self) -> str:
        """stable, have-local-offer, have-remote-offer, or closed."""
        return "closed" if self._closed else self._jsep.signaling_state

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
        if self._rejects_carrier(sdp):
            self._transport.restart()  # the other side's next transport is a new one
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
                for section in self._last_sdp.sections:
                    transceiver = self._of(section.mid)
                    if transceiver is not None and section.sends and section.codecs:
                        transceiver.sender._expect(section.codecs[0])
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
        if sdp.transport is not None and self._transport.is_restarted_by(sdp.transport):
            self._transport.restart()  # before its candidates come
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
            direction = (
                own.direction if local else answered_direction(own.direction, theirs.direction)
            )
            transceiver._current_direction = direction
            if not local:
                self._remote_streams.process(transceiver, direction, theirs.streams, changes)
            elif direction not in RECEIVING and transceiver._fired_direction in RECEIVING:
                self._remote_streams.process(transceiver, direction, (), changes)
            await self._negotiated(transceiver, own, theirs, answer=own if local else theirs)
        assert jsep.current_remote is not None
        remote = jsep.current_remote.sdp
        self._carrier_rejected = self._rejects_carrier(remote)
        self._carrier = remote.transport.mid if remote.transport is not None else None
        if (transport := remote.transport) is not None:
            data = next((s for s in remote.sections if s.kind == "application"), None)
            if data is not None and (data.rejected or not jsep.has_data):
                data = None
            if self._transport.restarted:  # what was wanted since the offer is yet to come
                self._ice_restart_wanted = False
            self._transport.accept(transport, data, offered=not local)
            if self._dtls_lost:
                await self._replace_dtls(transport)
        self._chain.negotiated()
        return changes

    async def _negotiated(
        self, transceiver: RTCRtpTransceiver, own: Section, theirs: Section, *, answer: Section
    ) -> None:
        """Send and receive as was agreed."""
        sender, direction = transceiver.sender, transceiver._current_direction
        sender._negotiated = None
        if direction in SENDING:
            sender._used = True
            sender._negotiated = sending_parameters(sender, own, answer, self._cname)
        if sender._negotiated is None:
            sender._pause()
        else:
            # Before the transport is connected, too: encoders take a while to get going.
            sender._start(sender._negotiated)
        if direction in RECEIVING:
            parameters = receiving_parameters(own, theirs)
            await transceiver.receiver._start(parameters, sender._ssrc)
        else:
            transceiver.receiver._pause()

    def _rejects_carrier(self, sdp: Sdp) -> bool:
        """Whether a description rejects the section that describes the transport, and no other
        one: browsers then throw the transport away, and make another."""
        carrier = sdp.section(self._carrier) if self._carrier is not None else None
        return carrier is not None and carrier.rejected and sdp.transport is not None

    async def _survive_rejection(self) -> bool:
        """The other side has closed DTLS: whether that is because the section that described the
        transport was rejected, while others stay. Then the connection goes on."""
        pending, current = self._jsep.pending_local, self._jsep.current_remote
        if pending is not None and self._rejects_carrier(pending.sdp):
            self._dtls_lost = True  # its answer is still on the way
            return True
        remote = current.sdp.transport if current is not None else None
        if not self._carrier_rejected or remote is None:
            return False
        await self._replace_dtls(remote)
        if self._transport.ice.role == "controlling":
            # The pair that was chosen led to the old transport, and nobody but this side chooses.
            self._ice_restart_wanted = True
            self._changed()
        return True

    async def _replace_dtls(self, remote: Section) -> None:
        self._carrier_rejected = self._dtls_lost = False
        dtls = self._transport.replace_dtls(remote)
        self._packets.go_on_with(dtls)
        for transceiver in self._jsep.transceivers:
            transceiver.sender._transport = dtls
            await transceiver.receiver._move_to(dtls)

    async def _connected(self) -> None:
        """Send what has been encoded meanwhile, and go on."""
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

    async def _add_described_candidates(self, sdp: Sdp) -> None:
        section = sdp.transport
        if section is None:
            return
        for candidate in section.candidates:
            await self._transport.ice.add_remote_candidate(candidate)
        if section.end_of_candidates:
            await self._transport.ice.add_remote_candidate(None)

    def _needs_negotiation(self) -> bool:
        return self.signalingState == "stable" and (
            self._ice_restart_wanted
            or (self._wants_data and not any(slot.is_data for slot in self._jsep.slots))
            or self._jsep.needs_negotiation()
        )
