"""The rate of pictures, measured."""

import pytest

from peer.media.frame_rate import WINDOW, FrameRate


def test_what_was_assumed_holds_until_it_is_measured() -> None:
    rate = FrameRate(30)
    for number in range(16):
        rate.count(number / 15)
    assert rate.value == 30
    for number in range(16, 60):
        rate.count(number / 15)
    assert rate.value == pytest.approx(15)


def test_a_pause_is_not_a_rate() -> None:
    rate = FrameRate(30)
    at = 0.0
    for _ in range(10):
        for _ in range(29):
            at += 1 / 30
            rate.count(at)
        at += 2 * WINDOW
    assert rate.value == 30


def test_time_that_goes_back_is_a_new_beginning() -> None:
    rate = FrameRate(30)
    for number in range(25):
        rate.count(100 + number / 10)
    assert rate.value == pytest.approx(10)
    for number in range(45):
        rate.count(number / 20)
    assert rate.value == pytest.approx(20)
