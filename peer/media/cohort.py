"""Viewers in step: what is sent to one is sent to all, so that it is counted once."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from .encoded_frame import Burst, EncodedFrame
from .packet_sender import PacketSender
from .progress import Progress
from .rtp_packet import PacketBatch, PacketForm, batch_of
from .stream_parameters import PacketRow

_MASK_16, _MASK_32 = 0xFFFF, 0xFFFFFFFF

V = TypeVar("V")


@dataclass(slots=True)
class _Member(Generic[V]):
    viewer: V
    sender: PacketSender
    number: int
    """What is added for it to the common numbers."""
    timestamp: int
    """Likewise."""


class Cohort(Generic[V]):
    """Viewers of one encoder whose packets have one form.

    There may be hundreds, and each is sent something some eighty times a second. So a viewer in
    step is two numbers that don't change, and nothing is kept, counted or decided for each: whoever
    needs that is not in step. What is left to be done is one call, where the transports have a row.
    """

    def __init__(self, form: PacketForm) -> None:
        self._form = form
        self._progress = Progress()
        self._members: list[_Member[V]] = []
        self._places: dict[V, int] = {}
        self._row: PacketRow | None = None  # its places are the members'

    def __len__(self) -> int:
        return len(self._members)

    def add(self, viewer: V, sender: PacketSender, frame: EncodedFrame) -> bool:
        """Take in a viewer whose sender is at this frame; False if the others are not."""
        if not self._members:
            self._progress = sender.lead()
            self._row = sender.transport.open_row()
        elif not self._progress.is_at(frame):
            return False
        number, timestamp = sender.fall_in(self._progress)
        self._places[viewer] = len(self._members)
        self._members.append(_Member(viewer, sender, number, timestamp))
        if self._row is not None:
            self._row.add(sender.transport, number, timestamp, sender.ssrc)
        return True

    def remove(self, viewer: V) -> None:
        """Let a viewer go on by itself."""
        place = self._places.pop(viewer)
        member, last = self._members[place], self._members.pop()
        if last is not member:
            self._members[place] = last
            self._places[last.viewer] = place
        if self._row is not None:
            self._row.remove(place)
        member.sender.fall_out()

    def send(self, burst: Burst) -> list[tuple[V, Exception | None]]:
        """Send a burst to all.

        :return: those who could not be sent all of it, and are not in step any more; with the
            reason, where that is a failure.
        """
        progress = self._progress
        if burst.first == 0:
            progress.begin(burst.frame, burst.sent_at)
        number, timestamp = progress.number, progress.timestamp
        assert timestamp is not None
        # First: whatever happens, no number is ever used again for something else.
        progress.pass_by(burst)
        batch, left = batch_of(burst, self._form), self._members
        if self._row is not None:
            left = [left[place] for place in self._row.send(batch, number, timestamp)]
        # A copy: an error of the network's may end a connection while it is sent to.
        tried = [(one, *_sent(one, batch, number, timestamp)) for one in list(left)]
        failed = [
            (one.viewer, error)
            for one, is_sent, error in tried
            if not is_sent and one.viewer in self._places
        ]
        for viewer, _ in failed:
            self.remove(viewer)
        progress.count(batch, whole=burst.last)
        return failed


def _sent(
    member: _Member[V], batch: PacketBatch, number: int, timestamp: int
) -> tuple[bool, Exception | None]:
    """Send one member its packets; whether that was done, and how it failed otherwise."""
    sender, transport = member.sender, member.sender.transport
    number, timestamp = number + member.number, timestamp + member.timestamp
    batch.stamp(number & _MASK_16, timestamp & _MASK_32, sender.ssrc)
    try:
        return transport.trailer == batch.trailer and transport.send_rtp(batch), None
    except Exception as error:  # whatever is wrong with one is no reason to fail the others
        return False, error
