"""The frame rate that time stamps tell of."""

from collections.abc import Iterable
from itertools import accumulate

import pytest

from peer.media.pace import Pace


def after(intervals: Iterable[float], usual: float = 30) -> Pace:
    """What is known after pictures with so many seconds between them."""
    pace = Pace()
    pace.settle(usual)
    for at in accumulate(intervals, initial=1000.0):
        pace.take(round(at * 90000))
    return pace


def test_what_is_usual_is_believed_until_there_have_been_enough() -> None:
    assert after([1 / 60] * 5).rate(30) == 30
    assert after([1 / 60] * 20).rate(30) == pytest.approx(60)


def test_faster_ones_are_told_at_once_and_slower_ones_after_a_while() -> None:
    assert after([1 / 60] * 20).changed() == pytest.approx(60, rel=0.01)
    assert after([1 / 10] * 20).changed() is None
    assert after([1 / 10] * 50).changed() == pytest.approx(10, rel=0.01)
    assert after([1 / 10] * 50, usual=10).changed() is None


@pytest.mark.parametrize(("before", "now"), [(20, 60), (30, 10), (10, 30), (60, 15)])
def test_a_change_is_one_change(before: int, now: int) -> None:
    pace, changes = after([1 / before] * 100, usual=before), []
    for number in range(1, 300):
        pace.take(round((1000 + 100 / before + number / now) * 90000))
        changed = pace.changed()
        if changed is not None:
            changes.append(changed)
            pace.settle(changed)
    assert changes == pytest.approx([now], rel=0.01)


def test_a_moment_is_no_change() -> None:
    assert after([*[1 / 30] * 90, *[1 / 10] * 25]).changed() is None
    assert after([0.02, 0.0467] * 100).changed() is None
    assert after([1 / 25] * 100).changed() is None


def test_pauses_and_time_that_goes_back_tell_nothing() -> None:
    pace = after([*[1 / 30] * 30, *[1.0] * 10, -5.0, *[1 / 30] * 5])
    assert pace.rate(15) == pytest.approx(30)
    assert pace.changed() is None


def test_time_that_stands_still_is_a_rate_too() -> None:
    assert after([0.0] * 50).rate(30) > 30


def test_what_came_before_it_settled_does_not_count() -> None:
    pace = after([1 / 10] * 50)
    pace.settle(30)
    assert pace.changed() is None
