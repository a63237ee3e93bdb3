"""What an offer or answer of this side says: one section a slot (RFC 8829 5.2, 5.3; pure).

A *slot* is a place among the m-lines of a connection. It is there for good; what occupies it may
change once it has been rejected on both sides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .codecs import (
    Numbers,
    by_preference,
    common_codecs,
    common_extensions,
    local_codecs,
)
from .rtc_rtp_transceiver import RTCRtpTransceiver
from .sdp import RECEIVING, SENDING, Direction, Section, Ssrc, direction_of, reverse


@dataclass(frozen=True)
class Slot:
    """What occupies one m-line."""

    kind: str
    mid: str
    transceiver: RTCRtpTransceiver | None = None
    """None for data, and for media that nobody here takes."""
    rejected: bool = False

    @property
    def is_data(self) -> bool:
        """Whether it is the section of the data channels."""
        return self.kind == "application"


def plan_offer(
    slots: Sequence[Slot],
    transceivers: Sequence[RTCRtpTransceiver],
    *,
    data: bool,
    new_mid: Callable[[], str],
) -> list[Slot]:
    """The slots of an offer: those there are, used again where they are free, and new ones.

    Data comes first in a first offer: the section that describes the transport should be one that
    is never rejected.
    """
    waiting = [one for one in transceivers if one.mid is None and not one._stopping]
    has_data = any(slot.is_data for slot in slots)
    planned: list[Slot] = []
    if data and not has_data and not slots:
        planned.append(Slot("application", new_mid()))
    for slot in slots:
        if slot.rejected and waiting:
            taken = waiting.pop(0)
            planned.append(Slot(taken.kind, new_mid(), taken))
        elif slot.transceiver is not None and slot.transceiver._stopping:
            planned.append(replace(slot, rejected=True))
        else:
            planned.append(slot)
    if data and not has_data and slots:
        planned.append(Slot("application", new_mid()))
    planned += [Slot(taken.kind, new_mid(), taken) for taken in waiting]
    return planned


def offered_section(slot: Slot, numbers: Numbers, cname: str) -> Section:
    """A section of an offer, without the transport's parameters."""
    section = _section(slot)
    transceiver = slot.transceiver
    if slot.is_data:
        return section
    if transceiver is None or slot.rejected:
        section.rejected, section.direction = True, "inactive"
        return section
    section.direction = transceiver._wanted
    codecs = local_codecs(slot.kind, sends=section.sends, receives=section.receives)
    section.codecs = numbers.number(by_preference(codecs, transceiver._preferred_codecs))
    section.extensions = numbers.extensions(slot.kind)
    _describe_sender(section, transceiver, cname)
    return section


def answered_section(slot: Slot, offered: Section, cname: str) -> Section:
    """The section that answers an offered one, without the transport's parameters.

    It is rejected when nobody takes it, or there is no common codec.
    """
    section = _section(slot)
    section.protocol = offered.protocol
    transceiver = slot.transceiver
    if slot.is_data:
        section.rejected = offered.rejected
        return section
    if transceiver is not None and not transceiver._stopping and not offered.rejected:
        section.direction = answered_direction(transceiver._wanted, offered.direction)
        codecs = local_codecs(slot.kind, sends=section.sends, receives=section.receives)
        preferred = by_preference(codecs, transceiver._preferred_codecs)
        section.codecs = common_codecs(preferred, offered.codecs)
        section.extensions = common_extensions(slot.kind, offered.extensions)
        _describe_sender(section, transceiver, cname)
    if not section.codecs:
        section.rejected, section.direction = True, "inactive"
        section.codecs = offered.codecs[:1]  # an m-line names at least one format
    return section


def answered_direction(wanted: Direction, offered: Direction) -> Direction:
    """What comes of what both sides want (RFC 8829 5.3.1)."""
    theirs = reverse(offered)
    return direction_of(
        sends=wanted in SENDING and theirs in SENDING,
        receives=wanted in RECEIVING and theirs in RECEIVING,
    )


def _section(slot: Slot) -> Section:
    if slot.is_data:
        return Section("application", slot.mid, rejected=slot.rejected, protocol="UDP/DTLS/SCTP")
    return Section(slot.kind, slot.mid)


def _describe_sender(section: Section, transceiver: RTCRtpTransceiver, cname: str) -> None:
    sender = transceiver.sender
    section.streams = list(sender._stream_ids)
    section.track_id = sender._track_id
    section.ssrcs = [Ssrc(sender._ssrc, cname)]
    if any(codec.name.lower() == "rtx" for codec in section.codecs):
        section.ssrcs.append(Ssrc(sender._rtx_ssrc, cname))
        section.rtx_ssrcs = {sender._ssrc: sender._rtx_ssrc}


def needs_negotiation(
    transceiver: RTCRtpTransceiver,
    local: tuple[str, Section] | None,
    remote: Section | None,
) -> bool:
    """Whether a transceiver is not what was negotiated (WebRTC 4.7.3, step 5).

    :param local: the type of the current local description, and the transceiver's section in it.
    :param remote: its section in the current remote description.
    """
    if transceiver._stopping:
        return local is not None and not (local[1].rejected or (remote and remote.rejected))
    if local is None:
        return True
    type_, section = local
    wanted = transceiver._wanted
    if wanted in SENDING and section.sends:
        if sorted(section.streams) != sorted(transceiver.sender._stream_ids):
            return True
    elif wanted in SENDING and type_ == "offer":
        return True
    if type_ == "offer":
        theirs = reverse(remote.direction) if remote is not None else None
        return wanted not in (section.direction, theirs)
    assert remote is not None, "an answer has an offer"
    return section.direction != answered_direction(wanted, remote.direction)
