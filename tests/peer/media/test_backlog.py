"""A way that is too narrow is known as such within a moment, and no other is."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.media.backlog import (
    CHECK_INTERVAL,
    FULL_FOR,
    LATE,
    LATE_FOR,
    SLACK,
    WATCHED,
    WATCHED_WAITING,
    Answer,
    Backlog,
    Watch,
)
from peer.media.rungs import Choice, Full, when_full

PACKET = 9600  # bits
CHECK = 1000  # bits
TARGET = 2e6  # bits a second
RATE = 30  # pictures a second
STEP = 0.002  # seconds
WITHIN = 1.0  # seconds

seeds = st.integers(0, 1000)
key_frames = st.integers(5, 45)  # packets
delays = st.floats(0.001, 0.3)
moments = st.floats(0, 1)


@dataclass
class Way:
    """A line of so many bits a second, and the viewer at its end. Times are in seconds."""

    capacity: float
    seed: int
    delay: float = 0.02
    queue: float = 0.2
    loss: float = 0.0
    jitter: float = 0.0
    held_up: Sequence[tuple[float, float]] = ()
    """From when until when nothing comes; it comes in one go then."""
    chances: random.Random = field(init=False)
    _free_at: float = 0.0
    _last: float = 0.0

    def __post_init__(self) -> None:
        self.chances = random.Random(self.seed)

    def send(self, bits: float, now: float) -> float | None:
        """When that arrives, if it does."""
        begins = max(now, self._free_at)
        if begins - now > self.queue:
            return None
        self._free_at = begins + bits / self.capacity
        if self.chances.random() < self.loss:
            return None
        arrival = self._free_at + self.delay + self.chances.uniform(0, self.jitter)
        for start, end in self.held_up:
            if start <= arrival < end:
                arrival = end
        self._last = max(self._last, arrival)
        return self._last


def follow(way: Way, key_frame: int) -> tuple[float, int] | None:
    """When a viewer on this way, who has just joined, is to get a smaller size, and which; None if
    he is not. He asks for what he misses at once."""
    chances, watch = random.Random(way.seed), Watch(0.0, -1)
    packets, quickest, expected = 0, 9.9, 0
    begins_at = chances.uniform(0.2, 1)
    arrivals: deque[tuple[float, int]] = deque()
    answers: deque[tuple[float, float, int]] = deque()
    missing: deque[tuple[float, list[int]]] = deque()
    now = next_check = 0.0
    next_picture = STEP
    while not watch.is_over(now):
        if now >= next_check:
            next_check += CHECK_INTERVAL
            watch.asked(now)
            if (arrival := way.send(CHECK, now)) is not None:
                answers.append((arrival + way.delay, now, packets))
        if now >= next_picture:
            next_picture += 1 / RATE
            rate = TARGET * min(1.0, begins_at + 2 * now)  # as encoders begin
            usual = rate / RATE / PACKET * chances.uniform(0.3, 1.7)
            for _ in range(max(1, round(usual)) if packets else key_frame):
                if (arrival := way.send(PACKET, now)) is not None:
                    arrivals.append((arrival, packets))
                packets += 1
        while arrivals and arrivals[0][0] <= now:
            at, number = arrivals.popleft()
            if number > expected:
                missing.append((at + way.delay, list(range(expected, number))))
            expected = number + 1
        while missing and missing[0][0] <= now:
            watch.missed(now, missing.popleft()[1], packets)
        while answers and answers[0][0] <= now:
            at, asked_at, sent = answers.popleft()
            quickest = min(quickest, at - asked_at)
            watch.answered(now, asked_at, quickest, sent)
        backlog = watch.backlog
        if (most := backlog.most()) is not None:
            rates = [PACKET * rate for rate in (backlog.sent(), most, backlog.carried())]
            full = Full(rates[0], rates[1], rates[2], backlog.fraction_lost())
            choice = when_full(Choice(), full, TARGET, now, 3)
            if choice.rung:
                return now, choice.rung
        now += STEP
    return None


@given(
    st.floats(2e5, 1.2e6),
    seeds,
    key_frames,
    st.floats(0.001, 0.1),
    st.floats(0.1, 0.3),
    st.floats(0, 0.02),
)
def test_a_way_that_is_too_narrow_is_known_at_once(
    capacity: float, seed: int, key_frame: int, delay: float, queue: float, jitter: float
) -> None:
    found = follow(Way(capacity, seed, delay, queue, jitter=jitter), key_frame)
    assert found is not None
    at, rung = found
    assert at < WITHIN + 2 * delay
    if capacity > 0.9e6:
        assert rung == 1


@given(st.floats(2.5e6, 1e8), seeds, key_frames, delays, st.floats(0, 0.03), st.floats(0, 0.05))
def test_a_way_that_is_wide_enough_is_not_taken_for_narrow(
    capacity: float, seed: int, key_frame: int, delay: float, loss: float, jitter: float
) -> None:
    assert follow(Way(capacity, seed, delay, loss=loss, jitter=jitter), key_frame) is None


@given(st.floats(3e6, 1e8), seeds, key_frames, delays, moments, moments)
def test_what_is_held_up_for_a_moment_is_not_taken_for_a_queue(
    capacity: float, seed: int, key_frame: int, delay: float, begins: float, lasts: float
) -> None:
    way = Way(capacity, seed, delay, held_up=[(begins, begins + lasts)])
    assert follow(way, key_frame) is None


@given(seeds, key_frames, st.floats(0.01, 0.1), st.floats(0.01, 0.3))
def test_a_viewer_that_is_busy_is_not_taken_for_a_narrow_way(
    seed: int, key_frame: int, runs: float, sleeps: float
) -> None:
    chances, pauses, begins = random.Random(seed), [], 0.0
    while begins < WATCHED_WAITING:
        begins += chances.expovariate(1 / runs)
        pauses.append((begins, begins := begins + chances.expovariate(1 / sleeps)))
    assert follow(Way(1e7, seed, held_up=pauses), key_frame) is None


def test_answers_that_come_in_one_go_show_nothing() -> None:
    backlog = Backlog().after(Answer(0.0, 0.0, 0.0, 0))
    for number in range(1, 9):
        backlog = backlog.after(Answer(number / 10, 1.0, 1 - number / 10, 10 * number))
    assert backlog.most() is None


def test_what_is_carried_is_what_came_between_answers() -> None:
    backlog = Backlog().after(Answer(0.0, 0.0, 0.0, 10))
    for number in range(1, 6):
        late, packets = LATE + number / 50, 10 + 20 * number
        backlog = backlog.after(Answer(number / 20, number / 10, late, packets, number))
    assert backlog.carried() == (100 - 5) / 0.5
    assert backlog.most() == pytest.approx((100 - 5) / (0.5 - SLACK))
    assert backlog.sent() == 100 / 0.25
    assert backlog.after(Answer(1.0, 1.0, 0.0, 120)).most() is None


def test_losses_count_only_once_packets_have_waited_for_long() -> None:
    backlog = Backlog().after(Answer(0.0, 0.0, 0.0, 0)).after(Answer(0.0, 0.1, LATE, 10, 5))
    assert backlog.after(Answer(0.1, 0.1 + FULL_FOR / 2, LATE, 20, 10)).fraction_lost() == 0
    assert backlog.after(Answer(0.1, 0.2 + FULL_FOR, LATE, 20, 10)).fraction_lost() == 0.5


def test_no_answer_is_as_good_as_one_where_packets_are_lost() -> None:
    watch = Watch(0.0, 65_533)
    watch.asked(0.0)
    watch.missed(0.3, [65_534], 10)
    assert watch.backlog.most() is None, "nothing is known of the way"
    watch.answered(0.3, 0.0, 0.3, 0)
    watch.asked(0.3)
    watch.missed(0.5, [65_534, 65_535, 0, 1], 20)
    assert watch.backlog.most() is None, "it may come yet"
    watch.missed(0.6 + LATE + LATE_FOR, [65_535, 0, 1, 2], 24)
    last = watch.backlog.last
    assert last is not None
    assert (last.packets, last.lost) == (24, 5), "each is lost once"
    assert watch.backlog.most() is not None


def test_a_watch_is_over_soon_unless_packets_wait() -> None:
    watch = Watch(0.0, 0)
    watch.asked(0.0)
    watch.answered(0.1, 0.0, 0.1, 0)
    assert not watch.is_over(WATCHED)
    assert watch.is_over(WATCHED + STEP)
    watch.asked(0.5)
    assert not watch.is_over(WATCHED + STEP), "no answer"
    watch.answered(1.0, 0.5, 0.1, 10)
    assert not watch.is_over(WATCHED + STEP), "a late answer"
    assert watch.is_over(WATCHED_WAITING + STEP)
    watch.disturb()
    assert watch.is_over(WATCHED + STEP)
