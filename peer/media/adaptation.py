"""What a viewer reports, and what follows for the pictures that it gets."""

import logging
import math
import time
import weakref
from collections import deque
from dataclasses import replace

from .feedback import ReportBlock
from .lateness import lateness
from .probing import Signs
from .rtcp import ReceiverState
from .rungs import Choice, Conditions, after_signs, next_bitrate, next_choice, rung_count

logger = logging.getLogger(__name__)

ESTIMATE_LASTS = 5.0
"""Seconds for which a viewer's estimate holds; browsers send one a second at least."""
LOOK_AGAIN = 3.0
"""Seconds since the last look at a viewer's way, after which the next only begins to count."""
ASSUMED_ROUND_TRIP = 0.05
"""Seconds, as long as no report has told."""
LATE = 0.05
"""Seconds by which this process may be late when it takes a round trip for the viewer's way."""
STEP = 0.02
"""Seconds between the packets of a probe; its pictures have packets as far apart at 50 a second."""
MOST_PROBES = 16
"""Under way at the same time: hundreds of viewers may have gone down together, behind one line."""
MOST_AT_ONCE = 0.08
"""Seconds' worth of a probe that are sent in one go, after this process was late."""
ROUND_TRIPS = 3
"""So many say how long packets wait, by the shortest: a single one can be late anywhere."""
_HALF_LIFE = 0.5
"""Seconds in which the loss of a packet is half forgotten by a probe."""


class Adaptation:
    """Chooses a viewer's rung, and where that costs nothing a bitrate, by what its way carries."""

    def __init__(self) -> None:
        self.receiver = ReceiverState()
        """What the viewer has reported."""
        self.available_bitrate: int | None = None
        """Bits a second that the viewer estimates its way can carry."""
        self.aim: float | None = None
        """Bits a second to encode with for this viewer; None for what is nominal."""
        self._choice = Choice()
        self._estimated_at = 0.0
        self._estimated_before: int | None = None  # at the last look
        self._round_trip: float | None = None  # the last that is the way's own
        self._reported = self._looked_reported = (0, 0)  # packets lost, of those sent
        self._looked_at, self._looked_octets = 0.0, 0
        # Of the probe under way.
        self._signs = Signs()
        self._stepped_at, self._stepped_octets, self._stepped_packets = 0.0, 0, 0
        self._owed = 0.0  # octets
        self._quickest = math.inf
        self._round_trips: deque[float] = deque(maxlen=ROUND_TRIPS)

    @property
    def rung(self) -> int:
        """0 for the full size; each one below halves it."""
        return self._choice.rung

    @property
    def round_trip(self) -> float:
        """Seconds."""
        return self.receiver.round_trip_time or ASSUMED_ROUND_TRIP

    @property
    def is_probing(self) -> bool:
        """Whether `step()` is to be called."""
        return self._choice.probe is not None

    # What the viewer says.

    def reported(self, report: ReportBlock, packets: int) -> None:
        """Take up a report block about the stream.

        :param packets: that have been sent in it so far.
        """
        now, receiver = time.monotonic(), self.receiver
        measured = receiver.round_trip_time_measurements
        receiver.update(report, now)
        if receiver.round_trip_time_measurements == measured or lateness().worst() > LATE:
            self._round_trip = None
        else:
            self._round_trip = receiver.last_round_trip_time
        lost_before, _ = self._reported
        self._reported = (report.packets_lost, packets)
        if self.is_probing:
            lost = self._signs.lost + max(0, report.packets_lost - lost_before)
            self._signs = replace(self._signs, heard_at=now, lost=lost)

    def estimated(self, bitrate: int) -> None:
        """Take up the viewer's estimate, in bits a second."""
        now = time.monotonic()
        self.available_bitrate, self._estimated_at = bitrate, now
        if self.is_probing:
            best = max(self._signs.best_available or 0, bitrate)
            self._signs = replace(self._signs, heard_at=now, available=bitrate, best_available=best)

    def answered(self, round_trip: float) -> None:
        """Take up how many seconds an answer took, during a probe."""
        trips = self._round_trips
        if lateness().worst() <= LATE:
            trips.append(round_trip)
            self._quickest = min(self._quickest, round_trip)
        delay = min(trips) - self._quickest if len(trips) == ROUND_TRIPS else 0.0
        self._signs = replace(self._signs, delay=delay)

    # What follows.

    def look(
        self, octets: int, size: tuple[int, int], nominal_bitrate: int, needed: float | None = None
    ) -> None:
        """Choose anew; about once a second.

        :param octets: that have been sent so far.
        :param size: of the pictures of rung 0.
        :param nominal_bitrate: of an encoder whose bitrate can be changed at no cost, otherwise 0.
        :param needed: bits a second that the next larger size takes; None when the viewer can't be
            sent what it has already.
        """
        now = time.monotonic()
        elapsed, more = now - self._looked_at, octets - self._looked_octets
        self._looked_at, self._looked_octets = now, octets
        lost = self._fraction_lost()
        if elapsed > LOOK_AGAIN:
            return
        is_fresh = now - self._estimated_at < ESTIMATE_LASTS
        available = self.available_bitrate if is_fresh else None
        available_before, self._estimated_before = self._estimated_before, available
        conditions = Conditions(
            sent=8 * more / elapsed,
            available=available,
            available_before=available_before,
            fraction_lost=lost,
            round_trip=self._round_trip,
        )
        before, rungs = self._choice, rung_count(*size)
        choice = next_choice(before, conditions, now, rungs, needed)
        if choice.probe is not before.probe is None and len(_probed) >= MOST_PROBES:
            choice = replace(choice, probe=None)  # at the next look, perhaps
        self._chosen(choice, conditions)
        if not nominal_bitrate:
            self.aim = None
        elif choice.rung >= before.rung:
            aim = nominal_bitrate if self.aim is None else self.aim
            aim = next_bitrate(aim, nominal_bitrate, conditions, choice.quickest)
            self.aim = aim if aim < nominal_bitrate else None

    def step(self, octets: int, packets: int) -> float:
        """Go on with the probe that is under way, or end it; every `STEP` seconds.

        :param octets: that have been sent so far, those of probes too.
        :param packets: that have been sent so far.
        :return: octets that are to be sent for the probe.
        """
        now, probe = time.monotonic(), self._choice.probe
        if probe is None:
            return 0.0
        if self._stepped_at < probe.began_at:
            unreported = packets - self._reported[1]
            self._signs = Signs(best_available=self.available_bitrate, sent=unreported)
            self._stepped_at, self._stepped_octets, self._stepped_packets = now, octets, packets
            self._owed, self._quickest = 0.0, math.inf
            self._round_trips.clear()
        elapsed = now - self._stepped_at
        remembered = 0.5 ** (elapsed / _HALF_LIFE)
        signs = self._signs
        self._signs = replace(
            signs,
            lost=signs.lost * remembered,
            sent=signs.sent * remembered + packets - self._stepped_packets,
        )
        rate = probe.bitrate(now) / 8
        self._owed += rate * elapsed - (octets - self._stepped_octets)
        if self._owed > rate * MOST_AT_ONCE:
            self._owed = rate * MOST_AT_ONCE
            self._signs = replace(self._signs, short_at=now)
        self._stepped_at, self._stepped_octets, self._stepped_packets = now, octets, packets
        self._chosen(after_signs(self._choice, self._signs, now), self._signs)
        return max(0.0, self._owed) if self.is_probing else 0.0

    def abandon(self) -> None:
        """End the probe that is under way, if any: nothing will be sent for a while."""
        self._choice = replace(self._choice, probe=None)
        _probed.discard(self)

    def _fraction_lost(self) -> float:
        """Of 1: what was lost since the last look, by the reports: what each says of the time since
        the one before may be of a few packets only, as many come as viewers ask for packets."""
        (lost, sent), (lost_before, sent_before) = self._reported, self._looked_reported
        self._looked_reported = self._reported
        return max(0, lost - lost_before) / (sent - sent_before) if sent > sent_before else 0.0

    def _chosen(self, choice: Choice, because: Conditions | Signs) -> None:
        before, self._choice = self._choice, choice
        if (choice.rung, choice.probe) != (before.rung, before.probe):
            logger.debug("%s, because of %s", choice, because)
            (_probed.discard if choice.probe is None else _probed.add)(self)
        if choice.rung < before.rung:
            # Without a probe it is a try, and begins with as little as can be.
            self.aim = 0.0 if before.probe is None else None


_probed: "weakref.WeakSet[Adaptation]" = weakref.WeakSet()
