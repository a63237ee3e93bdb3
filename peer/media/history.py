"""What a viewer has been sent lately, for when it misses some of it (RFC 4585 6.2.1)."""

import math
from collections import deque
from dataclasses import dataclass

from .encoded_frame import Burst

HISTORY = 1.0
"""Seconds for which packets are kept: whoever misses one for longer is helped by a key frame only.
The payloads are those that all viewers share."""
MOST_BURSTS = 256
ATTEMPTS = 5
"""How often a packet is sent again: it keeps a flood of requests from becoming one of packets."""


@dataclass(slots=True)
class Lost:
    """A packet that a viewer has been sent, and misses."""

    burst: Burst
    index: int
    """Which of the burst's packets."""
    timestamp: int
    """As it was sent."""


class History:
    """The bursts that one viewer has been sent within the last second."""

    def __init__(self) -> None:
        self._bursts: deque[tuple[int, int, Burst]] = deque(maxlen=MOST_BURSTS)
        self._repeated: dict[int, tuple[int, float]] = {}

    def add(self, sequence_number: int, timestamp: int, burst: Burst) -> None:
        """Remember a burst that has just been sent, the first packet under this number."""
        bursts = self._bursts
        bursts.append((sequence_number, timestamp, burst))
        while bursts[0][2].sent_at < burst.sent_at - HISTORY:
            bursts.popleft()

    def find(self, sequence_number: int, now: float, round_trip: float) -> Lost | None:
        """The packet of this sequence number; None when it may still be on its way, having been
        sent again less than a round trip ago.

        :param round_trip: seconds.
        :raises LookupError: it is not kept any more, or has been sent again often enough.
        """
        for first, timestamp, burst in reversed(self._bursts):
            index = (sequence_number - first) & 0xFFFF
            if index < len(burst.payloads):
                if self._repeats(sequence_number, now, round_trip):
                    return Lost(burst, index, timestamp)
                return None
        raise LookupError(sequence_number)

    def sent_at(self, sequence_number: int) -> float:
        """When the packet of this sequence number was sent, of those that are still under way.

        :raises LookupError: it is not kept any more, or has never been sent.
        """
        for first, _, burst in reversed(self._bursts):
            if (sequence_number - first) & 0xFFFF < len(burst.payloads):
                return burst.sent_at
        raise LookupError(sequence_number)

    def another(self, number: int) -> tuple[int, Lost]:
        """The sequence number of a packet that was sent last, and that packet: by turns, if several
        were sent together.

        :raises LookupError: nothing is kept.
        """
        if not self._bursts:
            raise LookupError("nothing has been sent lately")
        first, timestamp, burst = self._bursts[-1]
        index = number % len(burst.payloads)
        return (first + index) & 0xFFFF, Lost(burst, index, timestamp)

    def _repeats(self, sequence_number: int, now: float, round_trip: float) -> bool:
        attempts, before = self._repeated.get(sequence_number, (0, -math.inf))
        if now - before > HISTORY:
            attempts = 0  # the number has come round to another packet
        elif now - before < round_trip:
            return False
        elif attempts >= ATTEMPTS:
            raise LookupError(sequence_number)
        self._repeated[sequence_number] = (attempts + 1, now)
        if len(self._repeated) > 2 * MOST_BURSTS:
            self._repeated = {n: r for n, r in self._repeated.items() if now - r[1] <= HISTORY}
        return True
