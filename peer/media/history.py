"""What has been sent lately, for who misses some of it (RFC 4585 6.2.1)."""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from .encoded_frame import Burst

HISTORY = 1.0
"""Seconds for which packets are kept: whoever misses one for longer is helped by a key frame only.
The payloads are those that all viewers share."""
MOST_BURSTS = 256
ATTEMPTS = 5
"""How often a packet is sent again: it keeps a flood of requests from becoming one of packets."""

_first = itemgetter(0)

Entry = tuple[int, int, Burst]
"""The number of a burst's first packet, its time stamp, and the burst."""


@dataclass(slots=True)
class Lost:
    """A packet that a viewer has been sent, and misses."""

    burst: Burst
    index: int
    """Which of the burst's packets."""
    timestamp: int
    """As it was sent."""


class History:
    """The bursts of the last second before the newest. Numbers go on for ever here: they are not
    RTP's 16 bits."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._bursts: deque[Entry] = deque(entries, maxlen=MOST_BURSTS)

    def add(self, number: int, timestamp: int, burst: Burst) -> None:
        """Remember a burst that has just been sent, the first packet under this number."""
        bursts = self._bursts
        bursts.append((number, timestamp, burst))
        while bursts[0][2].sent_at < burst.sent_at - HISTORY:
            bursts.popleft()

    def find(self, number: int) -> Lost:
        """The packet of this number.

        :raises LookupError: it is not kept any more, or has never been sent.
        """
        place = bisect_right(self._bursts, number, key=_first) - 1
        if place >= 0:
            first, timestamp, burst = self._bursts[place]
            if number - first < len(burst.payloads):
                return Lost(burst, number - first, timestamp)
        raise LookupError(number)

    def since(self, number: int = 0) -> Iterator[Entry]:
        """The bursts from this number on, the newest first."""
        for entry in reversed(self._bursts):
            if entry[0] < number:
                return
            yield entry


class Repetitions:
    """What one viewer has been sent again, and when."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[int, float]] = {}

    def allow(self, sequence_number: int, now: float, round_trip: float) -> bool:
        """Whether to send a packet again now; not when it was less than a round trip ago, and may
        still be on its way.

        :param round_trip: seconds.
        :raises LookupError: it has been sent again often enough.
        """
        attempts, before = self._made.get(sequence_number, (0, -math.inf))
        if now - before > HISTORY:
            attempts = 0  # the number has come round to another packet
        elif now - before < round_trip:
            return False
        elif attempts >= ATTEMPTS:
            raise LookupError(sequence_number)
        self._made[sequence_number] = (attempts + 1, now)
        if len(self._made) > 2 * MOST_BURSTS:
            self._made = {n: made for n, made in self._made.items() if now - made[1] <= HISTORY}
        return True
