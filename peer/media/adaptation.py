"""What a viewer reports, and what follows for the pictures that it gets."""

import logging
import math
import time
import weakref
from collections import deque
from dataclasses import dataclass, replace

from .backlog import Answer, Backlog, Watch
from .feedback import ReportBlock
from .lateness import lateness
from .probing import Signs
from .rtcp import ReceiverState
from .rungs import (
    Choice,
    Conditions,
    Full,
    after_signs,
    next_bitrate,
    next_choice,
    rung_count,
    when_full,
)

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
MOST_WATCHES = 32
"""Under way at the same time: a check costs about as much as a picture's packets."""
UNWATCHED = 0.3
"""Seconds after a watch before another is of use, where nothing else is sent."""
OVERDUE = 0.08
"""Seconds that packets may be under way, besides a round trip, before there is reason to watch."""
RECENT = 1.0
"""Seconds for which it counts how many packets had come when they still came in time."""
MOST_AT_ONCE = 0.08
"""Seconds' worth of a probe that are sent in one go, after this process was late."""
ROUND_TRIPS = 3
"""So many say how long packets wait, by the shortest: a single one can be late anywhere."""
_HALF_LIFE = 0.5
"""Seconds in which the loss of a packet is half forgotten by a probe."""


@dataclass(frozen=True)
class Sent:
    """What a viewer has been sent, and what it is sent of."""

    packets: int
    octets: int
    size: tuple[int, int]
    """Of the pictures of rung 0."""
    target_bitrate: int
    """Bits a second that the encoder aims at."""


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
        self._watch: Watch | None = None
        self._watched_at = -math.inf
        self._timely: Answer | None = None  # the last report that had come in time, as one
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

    @property
    def is_watching(self) -> bool:
        """Whether checks are to be sent, and `heard()` told of their answers."""
        if self._watch is not None and self._watch.is_over(time.monotonic()):
            self._unwatch()
        return self._watch is not None

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

    def watch(self, sequence_number: int) -> None:
        """Look closely for a moment at what becomes of what is sent from now on.

        :param sequence_number: of the packet that is sent next.
        """
        self._begin_watch(Watch(time.monotonic(), sequence_number - 1))

    def arrived(self, report: ReportBlock, packets: int, under_way: float) -> bool:
        """Take up what had come when the viewer reported; returns whether a watch begins.

        :param packets: that had been sent, to the last that had come.
        :param under_way: seconds since the one after it was sent.
        """
        quickest, now = self._choice.quickest, time.monotonic()
        if quickest is None or under_way < quickest + OVERDUE:
            self._timely = Answer(now - (quickest or 0), now, 0.0, packets, report.packets_lost)
            return False
        is_early = self._watch is not None or now - self._watched_at < UNWATCHED
        if is_early or lateness().worst() > LATE:
            return False
        before = self._timely
        if before is not None and now - before.at > RECENT:
            before = None
        return self._begin_watch(Watch(now, report.highest, report.packets_lost, before))

    def _begin_watch(self, watch: Watch) -> bool:
        self._unwatch()
        if self.is_probing or len(_watched) >= MOST_WATCHES:
            return False
        self._watch = watch
        _watched.add(self)
        return True

    def asked(self) -> None:
        """A check is sent, during a watch."""
        if self._watch is not None:
            self._watch.asked(time.monotonic())

    def heard(self, round_trip: float, packets: int, sent: Sent) -> float:
        """Take up the answer to a check, and choose anew.

        :param round_trip: seconds.
        :param packets: that had been sent when it was asked for.
        :return: seconds that packets wait, if the viewer is to have a smaller size for that.
        """
        choice, watch, now = self._choice, self._watch, time.monotonic()
        if watch is None:
            return 0.0
        if lateness().worst() > LATE:
            watch.disturb()
            return 0.0
        quickest = choice.quickest
        if quickest is None or round_trip < quickest:
            quickest = round_trip
            self._choice = replace(choice, quickest=quickest)
        watch.answered(now, now - round_trip, quickest, packets)
        return self._judge(watch.backlog, sent)

    def missed(self, sequence_numbers: list[int], sent: Sent) -> float:
        """Take up which packets have not come, during a watch, and choose anew.

        :return: seconds that packets wait, if the viewer is to have a smaller size for that.
        """
        watch = self._watch
        if watch is None or lateness().worst() > LATE:
            return 0.0
        watch.missed(time.monotonic(), sequence_numbers, sent.packets)
        return self._judge(watch.backlog, sent)

    def _judge(self, backlog: Backlog, sent: Sent) -> float:
        most, last = backlog.most(), backlog.last
        if most is None or last is None:
            return 0.0
        packet = 8 * sent.octets / max(1, sent.packets)  # bits
        before, now, rungs = self._choice, time.monotonic(), rung_count(*sent.size)
        sent_lately, carried = packet * backlog.sent(), packet * backlog.carried()
        full = Full(sent_lately, packet * most, carried, backlog.fraction_lost())
        choice = when_full(before, full, sent.target_bitrate, now, rungs)
        self._chosen(choice, full)
        if choice.rung == before.rung:
            return 0.0
        self._unwatch()
        return last.late

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch, self._watched_at = None, time.monotonic()
            _watched.discard(self)

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
        """End the probe or watch that is under way, if any: nothing will be sent for a while."""
        self._unwatch()
        self._choice = replace(self._choice, probe=None)
        _probed.discard(self)

    def _fraction_lost(self) -> float:
        """Of 1: what was lost since the last look, by the reports: what each says of the time since
        the one before may be of a few packets only, as many come as viewers ask for packets."""
        (lost, sent), (lost_before, sent_before) = self._reported, self._looked_reported
        self._looked_reported = self._reported
        return max(0, lost - lost_before) / (sent - sent_before) if sent > sent_before else 0.0

    def _chosen(self, choice: Choice, because: Conditions | Signs | Full) -> None:
        before, self._choice = self._choice, choice
        if (choice.rung, choice.probe) != (before.rung, before.probe):
            logger.debug("%s, because of %s", choice, because)
            (_probed.discard if choice.probe is None else _probed.add)(self)
        if choice.rung < before.rung:
            # Without a probe it is a try, and begins with as little as can be.
            self.aim = 0.0 if before.probe is None else None


_probed: "weakref.WeakSet[Adaptation]" = weakref.WeakSet()
_watched: "weakref.WeakSet[Adaptation]" = weakref.WeakSet()
