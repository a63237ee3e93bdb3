"""Whether a viewer's way carries more than the viewer gets, found out by sending more (pure).

While its pictures go on, a viewer is sent packets that it has already, until the total is what the
next larger size takes. That total grows slowly, and round trips are measured all the time: they
tell that it is too much before a queue is full and a picture is lost.
"""

import math
from dataclasses import dataclass

START, MARGIN = 1.1, 1.1
"""What a probe begins with, as a part of what is sent, and what it ends with, as a part of what the
next size takes: headers come to that."""
GROWTH = 1.4
"""Each second: half a second after the way is full, packets wait for 40 ms."""
_RATE = math.log(GROWTH)
HOLD = 1.0
"""Seconds for which all must be well with the most that is sent."""
LONGEST_HOLD = 8.0
"""Seconds for which a viewer may say nothing: browsers report each second, others each five, give
or take a half (RFC 3550 6.2)."""
_FALLING = 0.95
"""An estimate is falling when it is less than this part of the highest."""
_FEW_LOST, _USUAL_LOSS = 3, 3.0
"""So many packets may be lost within a moment, and so many times what usually is."""
_QUEUED = 0.04
"""Seconds that packets may have to wait: one of 1200 bytes takes 32 ms at 300 kbit/s."""


@dataclass(frozen=True)
class Signs:
    """What a viewer has said since a probe began."""

    heard_at: float = -math.inf
    """When it last said anything about its way."""
    available: float | None = None
    """Bits a second that it estimates it can carry."""
    best_available: float | None = None
    """The highest of these estimates, beginning with the one before the probe."""
    lost: float = 0.0
    """Packets that it has lost within the last moment,"""
    sent: float = 0.0
    """of so many."""
    delay: float = 0.0
    """Seconds by which round trips are longer now than the quickest."""
    short_at: float = -math.inf
    """When less could be sent than was meant to be."""


@dataclass(frozen=True)
class Probe:
    """A probe that is under way. Times are in seconds of one clock."""

    began_at: float
    start: float
    """Bits a second."""
    goal: float
    """Bits a second."""
    usual_loss: float = 0.0
    """Of 1, before it began."""

    @property
    def goal_at(self) -> float:
        """When it sends the most."""
        if self.start <= 0:
            return self.began_at
        return self.began_at + max(0.0, math.log(self.goal / self.start) / _RATE)

    def bitrate(self, now: float) -> float:
        """Bits a second to be sent now, pictures and all."""
        return min(self.goal, self.start * math.exp(_RATE * (now - self.began_at)))

    def is_refuted(self, signs: Signs, now: float) -> bool:
        """Whether the way is too narrow: at the first sign of it, or without a sign of life."""
        available, best = signs.available, signs.best_available
        falling = available is not None and best is not None and available < _FALLING * best
        lossy = signs.lost > _FEW_LOST + _USUAL_LOSS * self.usual_loss * signs.sent
        queued = signs.delay > _QUEUED
        return falling or lossy or queued or now > self.goal_at + LONGEST_HOLD

    def is_proven(self, signs: Signs, now: float) -> bool:
        """Whether the way has carried what is needed, as far as it isn't refuted."""
        full_since = max(self.goal_at, signs.short_at)
        return now >= full_since + HOLD and signs.heard_at > self.goal_at
