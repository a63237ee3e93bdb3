"""Delays between attempts."""

import pytest

from signaling.clients.backoff import (
    FIRST_DELAY,
    LONGEST_DELAY,
    Backoff,
    backoff_delay,
)


def test_the_delay_doubles_up_to_the_longest() -> None:
    delays = [backoff_delay(attempt, 1.0, first=1, longest=10) for attempt in range(6)]
    assert delays == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize("attempt", [0, 3, 40, 10_000])
def test_jitter_takes_up_to_half_of_it(attempt: int) -> None:
    longest = backoff_delay(attempt, 1.0)
    assert backoff_delay(attempt, 0.0) == longest / 2
    assert backoff_delay(attempt, 0.5) == longest * 0.75
    assert FIRST_DELAY <= longest <= LONGEST_DELAY


def test_success_begins_the_count_again() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.next_delay() for _ in range(3)] == [0.5, 1.0, 2.0]
    backoff.reset()
    assert backoff.next_delay() == 0.5


def test_two_clients_do_not_come_at_the_same_time() -> None:
    first, second = Backoff(), Backoff()
    assert [first.next_delay() for _ in range(8)] != [second.next_delay() for _ in range(8)]
