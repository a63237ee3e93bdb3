"""A probe shows what a way carries, and does no harm where that is too little."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.media.probing import GROWTH, HOLD, LONGEST_HOLD, Probe, Signs
from peer.media.rungs import (
    AFTERMATH,
    MOST_AFTER_PROBES,
    PATIENCE,
    SETTLING,
    Choice,
    Conditions,
    after_signs,
    next_choice,
)

STEP = 0.02
QUEUE = 0.2  # seconds that packets can wait
LENGTH = 40.0  # of a probe that goes on for ever
SIZE = 9600  # bits of a packet

bitrates = st.floats(1e5, 1e7)
probes = st.builds(
    lambda start, times: Probe(0.0, start, start * times), bitrates, st.floats(1.0, 4.0)
)
signs = st.builds(
    Signs,
    heard_at=st.floats(0, 20),
    available=st.none() | bitrates,
    best_available=st.none() | bitrates,
    lost=st.floats(0, 50),
    sent=st.floats(0, 200),
    delay=st.floats(0, 1),
)


def follow(
    probe: Probe, capacity: float, *, loss: float = 0.0, estimates: bool = True
) -> tuple[bool, float]:
    """What comes of a probe on a line of so many bits a second, and for how many seconds packets
    had to wait at most. Round trips take 40 ms."""
    chances = random.Random(1)
    now = queue = longest = lost = sent = fraction = 0.0
    delays: list[float] = []
    best = available = min(capacity, 0.9 * probe.start) if estimates else None
    heard_at = 0.0
    while now < LENGTH:
        now += STEP
        queue = max(0.0, queue + (probe.bitrate(now) / capacity - 1) * STEP)
        longest = max(longest, queue)
        delays = [*delays, min(queue, QUEUE)][-5:]
        packets, fraction = divmod(fraction + probe.bitrate(now) * STEP / SIZE, 1)
        sent = sent * 0.5 ** (STEP / 0.5) + packets
        lost *= 0.5 ** (STEP / 0.5)
        lost += sum(chances.random() < loss for _ in range(round(packets)))
        if round(now / STEP) % 50 == 0:
            heard_at = now
        found = Signs(heard_at, available, best, lost, sent, min(delays[:3]))
        if probe.is_refuted(found, now):
            return False, longest
        if probe.is_proven(found, now):
            return True, longest
    raise AssertionError("a probe that never ends")


@given(probes, st.floats(0, 30), st.floats(0, 30))
def test_a_probe_grows_to_its_goal_and_no_further(probe: Probe, a: float, b: float) -> None:
    earlier, later = sorted((a, b))
    assert probe.start * (1 - 1e-9) <= probe.bitrate(earlier) <= probe.bitrate(later) <= probe.goal
    assert probe.bitrate(probe.goal_at) == pytest.approx(probe.goal)
    assert probe.bitrate(earlier + 1) <= GROWTH * probe.bitrate(earlier) * (1 + 1e-9)


@given(probes, bitrates, st.booleans())
def test_no_probe_fills_a_queue_or_is_wrong(probe: Probe, capacity: float, estimates: bool) -> None:
    capacity = max(capacity, 0.9 * probe.start)
    proven, longest = follow(probe, capacity, estimates=estimates)
    assert longest < QUEUE
    if proven:
        assert capacity > 0.95 * probe.goal
    if capacity >= probe.goal:
        assert proven


@given(probes)
def test_usual_losses_refute_nothing(probe: Probe) -> None:
    probe = replace(probe, usual_loss=0.05)
    assert follow(probe, 2 * probe.goal, loss=0.05)[0]


def test_losses_that_are_not_usual_do() -> None:
    assert not follow(Probe(0.0, 7e5, 2.2e6), 1e7, loss=0.3)[0]


def test_what_was_not_sent_proves_nothing() -> None:
    probe = Probe(0.0, 7e5, 1e6)
    found = Signs(heard_at=probe.goal_at + HOLD, short_at=probe.goal_at + 0.5)
    assert not probe.is_proven(found, found.heard_at)
    assert probe.is_proven(found, found.short_at + HOLD)


@given(probes, signs, st.floats(0, 40))
def test_nothing_is_proven_before_its_time(probe: Probe, found: Signs, now: float) -> None:
    if probe.is_proven(found, now):
        assert now >= probe.goal_at + HOLD
        assert found.heard_at > probe.goal_at
    if now > probe.goal_at + LONGEST_HOLD:
        assert probe.is_refuted(found, now)


@given(st.lists(st.tuples(st.floats(0.01, 1), signs), max_size=60))
def test_one_bad_sign_ends_a_probe_and_good_ones_lead_up(
    history: list[tuple[float, Signs]],
) -> None:
    choice, now = Choice(rung=2, probe=Probe(0.0, 3e5, 8e5)), 0.0
    for elapsed, found in history:
        now += elapsed
        before, choice = choice, after_signs(choice, found, now)
        if before.probe is None:
            assert choice == before
        elif before.probe.is_refuted(found, now):
            assert (choice.rung, choice.probe, choice.probed_at) == (2, None, now)
            assert before.patience < choice.patience <= MOST_AFTER_PROBES
        else:
            assert choice.rung == (1 if choice.probe is None else 2)


def test_a_falling_estimate_is_a_sign() -> None:
    probe = Probe(0.0, 7e5, 2.2e6)
    assert not probe.is_refuted(Signs(available=1_000_000, best_available=1_020_000), 1.0)
    assert probe.is_refuted(Signs(available=900_000, best_available=1_020_000), 1.0)


def looks(choice: Choice, conditions: Conditions, seconds: int, start: int = 0) -> Choice:
    for now in range(start, start + seconds):
        choice = next_choice(choice, conditions, now, 3, 2e6)
    return choice


def test_a_viewer_is_probed_once_all_is_well() -> None:
    choice = looks(Choice(rung=1, changed_at=0.0), Conditions(7e5, 1e6), 10)
    assert choice.probe is not None
    assert choice.rung == 1
    assert 7e5 < choice.probe.start < 1e6
    assert choice.probe.goal > 2e6
    assert max(PATIENCE, SETTLING) <= choice.probe.began_at <= SETTLING + PATIENCE + 1


def test_nobody_is_probed_on_a_full_way() -> None:
    assert looks(Choice(rung=1, changed_at=0.0), Conditions(7e5, 7e5), 30).probe is None
    assert (
        looks(Choice(rung=1, changed_at=0.0), Conditions(7e5, fraction_lost=0.2), 2).probe is None
    )


def test_what_a_probe_loses_is_not_held_against_the_way() -> None:
    bad = Conditions(7e5, 3e5, 3e5, 0.5, 1.0)
    choice = Choice(rung=1, probe=Probe(0.0, 8e5, 2.2e6), quickest=0.05)
    assert looks(choice, bad, 5).rung == 1
    choice = after_signs(choice, Signs(delay=0.2), 5.0)
    assert looks(choice, bad, math.ceil(AFTERMATH), 5).rung == 1
    assert looks(choice, bad, 10, 5).rung == 2


def test_a_proof_leads_up() -> None:
    probe = Probe(0.0, 8e5, 2.2e6)
    choice = Choice(rung=1, probe=probe)
    assert after_signs(choice, Signs(heard_at=probe.goal_at + 1), 6.0).rung == 0
    assert after_signs(choice, Signs(heard_at=probe.goal_at - 1), 6.0).rung == 1
