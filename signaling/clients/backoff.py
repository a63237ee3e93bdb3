"""How long to wait before another attempt."""

import random
from collections.abc import Callable

FIRST_DELAY = 0.5
"""Seconds: a server that is restarted is back in about that time."""
LONGEST_DELAY = 30.0
"""Seconds: nobody wants to wait longer for a server that is back."""
STABLE_AFTER = 30.0
"""Seconds that something must have lasted for the next failure to count as the first one."""

_ENOUGH_DOUBLINGS = 32


def backoff_delay(
    attempt: int,
    jitter: float,
    *,
    first: float = FIRST_DELAY,
    longest: float = LONGEST_DELAY,
) -> float:
    """Seconds before the attempt after `attempt` failed ones: doubling, from `first` to `longest`.

    :param attempt: 0 after the first failure.
    :param jitter: from 0 to 1, where at random: so much of the upper half of the delay is waited,
        so that the clients of a restarted server don't come all at once.
    """
    delay: float = min(longest, first * 2 ** min(attempt, _ENOUGH_DOUBLINGS))
    return delay / 2 + jitter * delay / 2


class Backoff:
    """Counts the failures, and says how long to wait after each."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._failures = 0

    def next_delay(self) -> float:
        """Seconds to wait after one more failure."""
        delay = backoff_delay(self._failures, self._jitter())
        self._failures += 1
        return delay

    def reset(self) -> None:
        """It worked: the next failure is the first again."""
        self._failures = 0
