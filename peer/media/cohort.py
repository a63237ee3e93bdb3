"""Viewers in step: what is sent to one is sent to all, so that it is counted once."""

from typing import Generic, TypeVar

from .encoded_frame import Burst, EncodedFrame
from .packet_sender import PacketSender
from .progress import Progress
from .rtp_packet import PacketForm, batch_of
from .stream_parameters import PacketTransport

_MASK_16, _MASK_32 = 0xFFFF, 0xFFFFFFFF

V = TypeVar("V")


class Cohort(Generic[V]):
    """Viewers of one encoder whose packets have one form.

    There may be hundreds, and each is sent something some eighty times a second. So a viewer in
    step is numbers that don't change, and nothing is kept, counted or decided for each: whoever
    needs that is not in step.
    """

    def __init__(self, form: PacketForm) -> None:
        self._form = form
        self._progress = Progress()
        self._members: dict[V, tuple[PacketSender, PacketTransport, int, int, int]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def add(self, viewer: V, sender: PacketSender, frame: EncodedFrame) -> bool:
        """Take in a viewer whose sender is at this frame; False if the others are not."""
        if not self._members:
            self._progress = sender.lead()
        elif not self._progress.is_at(frame):
            return False
        offsets = sender.fall_in(self._progress)
        self._members[viewer] = (sender, sender.transport, *offsets, sender.ssrc)
        return True

    def remove(self, viewer: V, unsent: Burst | None = None) -> None:
        """Let a viewer go on by itself.

        :param unsent: what it could not be sent.
        """
        self._members.pop(viewer)[0].fall_out(unsent)

    def send(self, burst: Burst) -> list[tuple[V, Exception | None]]:
        """Send a burst to all.

        :return: those who could not be sent all of it, and are not in step any more; with the
            reason, where that is a failure.
        """
        progress, trailer = self._progress, self._form.trailer
        if burst.first == 0:
            progress.begin(burst.frame, burst.sent_at)
        number, timestamp = progress.number, progress.timestamp
        assert timestamp is not None
        batch, failed = batch_of(burst, self._form), list[tuple[V, Exception | None]]()
        stamp = batch.stamp
        # A copy: an error of the network's may end a connection while it is sent to.
        for viewer, (_, transport, plus, later, ssrc) in list(self._members.items()):
            stamp((number + plus) & _MASK_16, (timestamp + later) & _MASK_32, ssrc)
            try:
                if transport.trailer == trailer and transport.send_rtp(batch):
                    continue
            except Exception as error:  # whatever is wrong with one is no reason to fail the others
                failed.append((viewer, error))
            else:
                failed.append((viewer, None))
        failed = [one for one in failed if one[0] in self._members]
        for viewer, _ in failed:
            self.remove(viewer, burst)
        progress.pass_by(burst)
        progress.count(batch, whole=burst.last)
        return failed
