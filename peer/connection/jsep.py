"""The state of a connection's negotiation: descriptions, slots, and the way back (RFC 8829).

No transport is touched here, and nothing waits: `RTCPeerConnection` gives and takes descriptions,
and does what follows from them.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import InvalidAccessError, InvalidStateError
from .codecs import Numbers
from .negotiation import Slot, answered_section, needs_negotiation, offered_section, plan_offer
from .rtc_rtp_transceiver import RTCRtpTransceiver
from .sdp import Direction, Sdp, Section

Type = Literal["offer", "answer"]
_MEDIA = ("audio", "video")


@dataclass(frozen=True)
class Described:
    """A description that was set."""

    type: Type
    sdp: Sdp


@dataclass(frozen=True)
class _Known:
    """What an application knows of a transceiver's remote side, to be restored by a rollback."""

    fired_direction: Direction | None
    streams: tuple[str, ...]


@dataclass
class RolledBack:
    """What a rollback takes back."""

    removed: list[RTCRtpTransceiver]
    """Transceivers that only the remote offer had made."""
    restored: dict[RTCRtpTransceiver, tuple[Direction | None, tuple[str, ...]]]
    """The fired direction and remote streams of the others, as they were before."""


class Jsep:
    """The negotiation of one connection.

    :param create: makes a transceiver for a section that the other side offers.
    """

    def __init__(self, cname: str, create: Callable[[str], RTCRtpTransceiver]) -> None:
        self.transceivers: list[RTCRtpTransceiver] = []
        self.current_local: Described | None = None
        self.current_remote: Described | None = None
        self.pending_local: Described | None = None
        self.pending_remote: Described | None = None
        self.slots: list[Slot] = []
        """What was negotiated last."""
        self._cname, self._create = cname, create
        self._numbers = self._numbers_before = Numbers()
        self._mids: set[str] = set()
        self._planned: list[Slot] = []
        self._offered: list[Slot] = []  # of the offer that was created last
        self._created: list[RTCRtpTransceiver] = []
        self._associated: list[RTCRtpTransceiver] = []
        self._known: dict[RTCRtpTransceiver, _Known] = {}

    @property
    def signaling_state(self) -> str:
        """stable, have-local-offer or have-remote-offer (WebRTC 4.3.1)."""
        if self.pending_local is not None:
            return "have-local-offer"
        return "have-remote-offer" if self.pending_remote is not None else "stable"

    # What this side says.

    def create_offer(self, *, data: bool) -> Sdp:
        """An offer of what the transceivers are to be.

        :param data: whether data channels are wanted.
        """
        taken = set(self._mids)

        def new_mid() -> str:
            mid = next(str(n) for n in range(len(taken) + 1) if str(n) not in taken)
            taken.add(mid)
            return mid

        # An offer that is not answered yet can be made anew: what it has added stays.
        slots = self.slots if self.pending_local is None else self._planned
        self._offered = plan_offer(slots, self.transceivers, data=data, new_mid=new_mid)
        numbers = deepcopy(self._numbers)  # what is offered counts from when it is set
        return _bundled([offered_section(slot, numbers, self._cname) for slot in self._offered])

    def create_answer(self) -> Sdp:
        """An answer to the remote offer.

        :raises InvalidStateError: there is none.
        """
        if self.pending_remote is None:
            raise InvalidStateError("there is no remote offer to answer")
        offered = self.pending_remote.sdp.sections
        return _bundled([
            answered_section(slot, section, self._cname)
            for slot, section in zip(self._planned, offered, strict=True)
        ])  # fmt: skip

    # What is set.

    def set_local_offer(self, sdp: Sdp) -> None:
        """:raises InvalidStateError: there is an offer of the other side's."""
        self._expect("setLocalDescription", "offer", "stable", "have-local-offer")
        self._begin()
        self._planned = self._offered
        for slot in self._planned:
            if slot.transceiver is not None:
                self._associate(slot.transceiver, slot.mid)
        self.pending_local = Described("offer", sdp)
        self._learn(sdp)

    def set_remote_offer(self, sdp: Sdp) -> None:
        """:raises InvalidStateError: there is an offer of this side's.
        :raises InvalidAccessError: it contradicts what was negotiated before.
        """
        self._expect("setRemoteDescription", "offer", "stable", "have-remote-offer")
        if len(sdp.sections) < len(self.slots):
            raise InvalidAccessError("the offer has fewer m-lines than were negotiated before")
        for slot, section in zip(self.slots, sdp.sections, strict=False):
            if slot.mid == section.mid and slot.kind != section.kind:
                raise InvalidAccessError(f"section {slot.mid} was {slot.kind}, now {section.kind}")
            if slot.mid != section.mid and not slot.rejected:
                raise InvalidAccessError(f"section {slot.mid} is in use, and can't be replaced")
        self._begin()
        before = self.slots if self.pending_remote is None else self._planned[: len(sdp.sections)]
        known = [*before, *[None] * (len(sdp.sections) - len(before))]
        self._planned = [
            slot
            if slot is not None and (slot.mid, slot.kind) == (section.mid, section.kind)
            else self._new_slot(section)
            for slot, section in zip(known, sdp.sections, strict=True)
        ]
        self.pending_remote = Described("offer", sdp)
        self._learn(sdp)

    def set_local_answer(self, sdp: Sdp) -> list[RTCRtpTransceiver]:
        """Returns the transceivers whose sections were rejected.

        :raises InvalidStateError: there is no remote offer.
        """
        self._expect("setLocalDescription", "answer", "have-remote-offer")
        assert self.pending_remote is not None
        self._learn(sdp)
        return self._complete(Described("answer", sdp), self.pending_remote)

    def set_remote_answer(self, sdp: Sdp) -> list[RTCRtpTransceiver]:
        """Returns the transceivers whose sections were rejected.

        :raises InvalidStateError: there is no local offer.
        :raises InvalidAccessError: it does not answer that offer.
        """
        self._expect("setRemoteDescription", "answer", "have-local-offer")
        assert self.pending_local is not None
        offered = [(section.kind, section.mid) for section in self.pending_local.sdp.sections]
        answered = [(section.kind, section.mid) for section in sdp.sections]
        if offered != answered:
            raise InvalidAccessError(f"the offer has the sections {offered}, the answer {answered}")
        if any(section.setup == "actpass" for section in sdp.sections if not section.rejected):
            raise InvalidAccessError("an answer has chosen its setup: active or passive")
        self._learn(sdp)
        return self._complete(self.pending_local, Described("answer", sdp))

    def rollback(self) -> RolledBack:
        """Take back the offer that is pending (RFC 8829 4.1.10.2)."""
        gone = [one for one in self._created if not one._by_add_track]
        for transceiver in self._associated:
            transceiver._associated_mid = None
        for transceiver in gone:
            self.transceivers.remove(transceiver)
        restored = {
            one: (known.fired_direction, known.streams)
            for one in self.transceivers
            for known in (self._known.get(one, _Known(None, ())),)
        }
        self.pending_local = self.pending_remote = None
        self._numbers = self._numbers_before
        self._forget()
        return RolledBack(gone, restored)

    def needs_negotiation(self) -> bool:
        """Whether the transceivers are not what was negotiated (WebRTC 4.7.3)."""
        local, remote = self.current_local, self.current_remote
        for transceiver in self.transceivers:
            mid = transceiver.mid
            own = local.sdp.section(mid) if local is not None and mid is not None else None
            theirs = remote.sdp.section(mid) if remote is not None and mid is not None else None
            described = (local.type, own) if local is not None and own is not None else None
            if needs_negotiation(transceiver, described, theirs):
                return True
        return False

    @property
    def has_data(self) -> bool:
        """Whether a section for data channels was negotiated."""
        return any(slot.is_data and not slot.rejected for slot in self.slots)

    def negotiated(self) -> list[tuple[RTCRtpTransceiver, Section, Section]]:
        """Each transceiver that media may flow on, with its sections, local and remote."""
        if self.current_local is None or self.current_remote is None:
            return []
        return [
            (slot.transceiver, own, theirs)
            for slot, own, theirs in zip(
                self.slots,
                self.current_local.sdp.sections,
                self.current_remote.sdp.sections,
                strict=True,
            )
            if slot.transceiver is not None and not slot.rejected
        ]

    # The machinery.

    def _expect(self, method: str, type: Type, *states: str) -> None:
        if self.signaling_state not in states:
            raise InvalidStateError(f"{method}({type}) in the state {self.signaling_state}")

    def _begin(self) -> None:
        if self.signaling_state == "stable":
            self._numbers_before = deepcopy(self._numbers)
            self._known = {
                one: _Known(one._fired_direction, tuple(s.id for s in one.receiver._streams))
                for one in self.transceivers
            }

    def _forget(self) -> None:
        self._created, self._associated, self._known = [], [], {}

    def _associate(self, transceiver: RTCRtpTransceiver, mid: str) -> None:
        if transceiver._associated_mid is None:
            transceiver._associated_mid = mid
            self._associated.append(transceiver)

    def _new_slot(self, section: Section) -> Slot:
        """What takes up a section that the other side offers for the first time."""
        if section.kind not in _MEDIA or section.rejected:
            return Slot(section.kind, section.mid)
        fitting = (
            one
            for one in self.transceivers
            if one.kind == section.kind
            and one.mid is None
            and one._by_add_track
            and not one._stopping
            and section.receives
        )
        transceiver = next(fitting, None)
        if transceiver is None:
            transceiver = self._create(section.kind)
            self.transceivers.append(transceiver)
            self._created.append(transceiver)
        self._associate(transceiver, section.mid)
        return Slot(section.kind, section.mid, transceiver)

    def _learn(self, sdp: Sdp) -> None:
        for section in sdp.sections:
            self._mids.add(section.mid)
            if section.kind in _MEDIA and not section.rejected:
                self._numbers.learn(section.codecs, section.extensions)

    def _complete(self, local: Described, remote: Described) -> list[RTCRtpTransceiver]:
        self.slots, rejected = [], []
        sections = zip(self._planned, local.sdp.sections, remote.sdp.sections, strict=True)
        for slot, own, theirs in sections:
            gone = own.rejected or theirs.rejected
            if gone and slot.transceiver is not None:
                rejected.append(slot.transceiver)
            self.slots.append(
                replace(slot, rejected=gone, transceiver=None if gone else slot.transceiver)
            )
        for transceiver in rejected:
            transceiver._associated_mid = None
            self.transceivers.remove(transceiver)
        self.current_local, self.current_remote = local, remote
        self.pending_local = self.pending_remote = None
        self._forget()
        return rejected


def _bundled(sections: list[Section]) -> Sdp:
    return Sdp(sections, [section.mid for section in sections if not section.rejected])
