"""What a viewer reports, and what follows for the pictures that it gets."""

import time

from .feedback import ReportBlock
from .rtcp import ReceiverState
from .rungs import Choice, Conditions, next_bitrate, next_choice, rung_count

ESTIMATE_LASTS = 5.0
"""Seconds for which a viewer's estimate holds; browsers send one a second at least."""
LOOK_AGAIN = 3.0
"""Seconds since the last look at a viewer's way, after which the next only begins to count."""
ASSUMED_ROUND_TRIP = 0.05
"""Seconds, as long as no report has told."""


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
        self._fraction_lost = 0.0  # the worst since the last look
        self._looked_at, self._looked_octets = 0.0, 0

    @property
    def rung(self) -> int:
        """0 for the full size; each one below halves it."""
        return self._choice.rung

    @property
    def round_trip(self) -> float:
        """Seconds."""
        return self.receiver.round_trip_time or ASSUMED_ROUND_TRIP

    def reported(self, report: ReportBlock) -> None:
        """Take up a report block about the stream."""
        self.receiver.update(report, time.monotonic())
        self._fraction_lost = max(self._fraction_lost, self.receiver.fraction_lost)

    def estimated(self, bitrate: int) -> None:
        """Take up the viewer's estimate, in bits a second."""
        self.available_bitrate, self._estimated_at = bitrate, time.monotonic()

    def look(self, octets: int, size: tuple[int, int], nominal_bitrate: int) -> None:
        """Choose anew; about once a second.

        :param octets: that have been sent so far.
        :param size: of the pictures of rung 0.
        :param nominal_bitrate: of an encoder whose bitrate can be changed at no cost, otherwise 0.
        """
        now = time.monotonic()
        elapsed, more = now - self._looked_at, octets - self._looked_octets
        self._looked_at, self._looked_octets = now, octets
        lost, self._fraction_lost = self._fraction_lost, 0.0
        if elapsed > LOOK_AGAIN:
            return
        is_fresh = now - self._estimated_at < ESTIMATE_LASTS
        available = self.available_bitrate if is_fresh else None
        before, self._estimated_before = self._estimated_before, available
        conditions = Conditions(
            sent=8 * more / elapsed,
            available=available,
            available_before=before,
            fraction_lost=lost,
            round_trip=self.receiver.last_round_trip_time,
        )
        before = self._choice.rung
        self._choice = next_choice(self._choice, conditions, now, rung_count(*size))
        if self._choice.rung < before:
            self.aim = 0.0  # it is a try, and begins with as little as can be
            return
        if nominal_bitrate:
            aim = nominal_bitrate if self.aim is None else self.aim
            aim = next_bitrate(aim, nominal_bitrate, conditions, self._choice.quickest)
            self.aim = aim if aim < nominal_bitrate else None
