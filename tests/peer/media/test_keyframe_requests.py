"""Key frames are made when they are asked for, and not too many."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from peer.media.keyframe_requests import KEYFRAME_SPACING, KeyframeRequests


def test_none_is_made_that_nobody_asks_for() -> None:
    assert not KeyframeRequests().is_due(1e9)


def test_one_serves_all_who_ask_before_it() -> None:
    requests = KeyframeRequests()
    requests.ask(0)
    requests.ask(0)
    assert requests.is_due(10)
    requests.take()
    requests.made(10)
    assert not requests.is_due(20)


def test_who_asks_while_one_is_made_gets_another() -> None:
    requests = KeyframeRequests()
    requests.ask(0)
    requests.take()
    requests.ask(0)
    requests.made(10)
    assert not requests.is_due(10 + KEYFRAME_SPACING / 2)
    assert requests.is_due(10 + KEYFRAME_SPACING)


def test_the_one_in_a_hurry_counts() -> None:
    requests = KeyframeRequests()
    requests.ask(5)
    assert not requests.is_due(4)
    requests.ask(3)
    assert requests.is_due(4)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 3)), max_size=100))
def test_they_are_never_closer_than_allowed(steps: list[tuple[float, float]]) -> None:
    requests, now, made = KeyframeRequests(), 0.0, []
    for elapsed, wait in steps:
        now += elapsed
        requests.ask(now + wait)
        if requests.is_due(now):
            requests.take()
            requests.made(now)
            made.append(now)
    assert all(b >= a + KEYFRAME_SPACING for a, b in pairwise(made))
