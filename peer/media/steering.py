"""Steering: a viewer's way is asked what it carries, and the stream follows what is chosen."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from .adaptation import STEP, Adaptation, Sent
from .backlog import CHECK_INTERVAL
from .feedback import ReportBlock
from .packet_sender import PacketSender
from .rungs import BITRATE_PER_RUNG, rung_count
from .shared_encoder import SharedEncoder
from .stream_parameters import PacketTransport

LONGEST_DRAIN = 0.5
"""Seconds for which nothing is sent, at most, until what waits in a viewer's way is through: what
was sent meanwhile would come no sooner, and wait there for long."""


class Steering:
    """Looks at a viewer's way, watches and probes it.

    :param encoder: tells what the viewer is sent of; None while it is about to be another.
    :param turn: called when something was chosen, with whether no more is to be sent of the present
        size.
    """

    def __init__(
        self,
        sender: PacketSender,
        transport: PacketTransport,
        encoder: Callable[[], SharedEncoder | None],
        turn: Callable[[bool], None],
    ) -> None:
        self._sender, self._transport = sender, transport
        self._encoder, self._turn = encoder, turn
        self.adaptation = Adaptation()
        """What is chosen."""
        self.scale_down_by = 1.0
        """How much smaller than the track's the pictures of rung 0 are."""
        self._probe_timer: asyncio.TimerHandle | None = None
        self._check_timer: asyncio.TimerHandle | None = None
        self._drain_timer: asyncio.TimerHandle | None = None

    @property
    def is_draining(self) -> bool:
        """Whether nothing is to be sent for a moment."""
        return self._drain_timer is not None

    def stop(self) -> None:
        """Ask nothing more: nothing will be sent for a while."""
        for timer in (self._probe_timer, self._check_timer, self._drain_timer):
            if timer is not None:
                timer.cancel()
        self._probe_timer = self._check_timer = self._drain_timer = None
        self.adaptation.abandon()

    # All the time.

    def look(self) -> None:
        """Choose anew, by what is known; about once a second."""
        encoder, sender, adaptation = self._encoder(), self._sender, self.adaptation
        if encoder is None:
            return
        nominal, needed, rung = encoder.nominal_bitrate, None, adaptation.rung
        if sender.can_probe:
            needed = (nominal or encoder.target_bitrate) / BITRATE_PER_RUNG
        sent = sender.sent
        adaptation.look(
            sent.octets + sent.header_octets, self._largest_size(encoder), nominal, needed
        )
        self._turn(adaptation.rung > rung)
        if adaptation.is_probing and self._probe_timer is None:
            self._probe()

    def _largest_size(self, encoder: SharedEncoder) -> tuple[int, int]:
        width, height = encoder.size
        return round(width / self.scale_down_by), round(height / self.scale_down_by)

    # Whether there is way for more.

    def _probe(self) -> None:
        """Go on with a probe, until it ends."""
        self._probe_timer, sender = None, self._sender
        sent = sender.sent
        octets = sent.octets + sent.header_octets + sender.repeated_octets + sender.probe_octets
        sender.probe(self.adaptation.step(octets, sent.packets))
        if self.adaptation.is_probing:
            self._transport.measure_round_trip(self.adaptation.answered)
            self._probe_timer = asyncio.get_running_loop().call_later(STEP, self._probe)
        else:
            self._turn(False)

    # Whether there is way enough.

    def watch(self) -> None:
        """Look closely at what becomes of what is sent from now on."""
        if self._is_to_be_seen():
            self.adaptation.watch(self._sender.next_sequence_number)
            self._check()

    def arrived(self, report: ReportBlock) -> None:
        """Take up which packets had come, and look closely when others are overdue."""
        if not self._is_to_be_seen():
            return
        sender = self._sender
        others, seconds = sender.under_way(report.highest, time.monotonic())
        if seconds is None:
            return
        if self.adaptation.arrived(report, sender.sent.packets - others, seconds):
            self._check()

    def _is_to_be_seen(self) -> bool:
        """Whether anything follows when packets wait. For a way that is hardly wide enough for the
        smallest size, checks would be too much."""
        encoder = self._encoder()
        if encoder is None:
            return False
        return self.adaptation.rung < rung_count(*self._largest_size(encoder)) - 1

    def missed(self, sequence_numbers: list[int]) -> None:
        """Take up which packets have not come."""
        if self.adaptation.is_watching and (sent := self._sent()) is not None:
            self._conclude(self.adaptation.missed(sequence_numbers, sent))

    def _check(self) -> None:
        """Go on with a watch, until it ends."""
        if self._check_timer is not None:
            self._check_timer.cancel()
            self._check_timer = None
        if self.adaptation.is_watching:
            self.adaptation.asked()
            self._transport.measure_round_trip(partial(self._checked, self._sender.sent.packets))
            loop = asyncio.get_running_loop()
            self._check_timer = loop.call_later(CHECK_INTERVAL, self._check)

    def _checked(self, packets: int, round_trip: float) -> None:
        if (sent := self._sent()) is not None:
            self._conclude(self.adaptation.heard(round_trip, packets, sent))

    def _sent(self) -> Sent | None:
        sender, encoder = self._sender, self._encoder()
        if encoder is None:
            return None
        counts = sender.sent
        octets = counts.octets + counts.header_octets
        return Sent(counts.packets, octets, self._largest_size(encoder), encoder.target_bitrate)

    def _conclude(self, waits: float) -> None:
        """Go on with a smaller size, if packets wait, once they are through."""
        if waits:
            loop = asyncio.get_running_loop()
            self._drain_timer = loop.call_later(min(waits, LONGEST_DRAIN), self._drained)
            self._turn(True)

    def _drained(self) -> None:
        self._drain_timer = None
        self._turn(False)
