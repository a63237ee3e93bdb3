"""What a viewer can have sent again."""

import contextlib

import pytest

from peer.media.encoded_frame import Burst, EncodedFrame
from peer.media.history import ATTEMPTS, HISTORY, History, Repetitions

ROUND_TRIP = 0.05


def burst(*payloads: bytes) -> Burst:
    [one] = EncodedFrame(b"", list(payloads), 0, 0.0, is_picture=True).bursts(12)
    return one


def sent(one: Burst, at: float) -> Burst:
    one.sent_at = at
    return one


def test_packets_are_found_by_their_number() -> None:
    history = History()
    one, other = burst(b"a", b"b"), burst(b"c")
    history.add(65535, 1, sent(one, 0.0))
    history.add(65538, 2, sent(other, 0.0))
    for number, expected in ((65535, (one, 0, 1)), (65536, (one, 1, 1)), (65538, (other, 0, 2))):
        lost = history.find(number)
        assert (lost.burst, lost.index, lost.timestamp) == expected
    for unknown in (0, 2, 65534, 65537, 65539, 65535 + 65536):
        with pytest.raises(LookupError):
            history.find(unknown)
    assert [entry[2] for entry in history.since(65536)] == [other]


def test_what_is_older_is_forgotten() -> None:
    history = History()
    history.add(1, 1, sent(burst(b"a"), 0.0))
    history.add(2, 2, sent(burst(b"b"), HISTORY + 0.1))
    with pytest.raises(LookupError):
        history.find(1)
    assert history.find(2).timestamp == 2


def test_what_may_still_be_on_its_way_is_not_sent_again() -> None:
    made = Repetitions()
    assert made.allow(1, 0.0, ROUND_TRIP)
    assert not made.allow(1, ROUND_TRIP / 2, ROUND_TRIP)
    assert made.allow(2, ROUND_TRIP / 2, ROUND_TRIP)
    assert made.allow(1, ROUND_TRIP, ROUND_TRIP)


def test_a_flood_of_requests_is_no_flood_of_packets() -> None:
    made, allowed = Repetitions(), 0
    for n in range(100):
        with contextlib.suppress(LookupError):
            allowed += made.allow(1, n / 100, 0.001)
    assert allowed == ATTEMPTS


def test_a_number_that_comes_round_again_is_another_packet() -> None:
    made = Repetitions()
    for n in range(ATTEMPTS):
        assert made.allow(1, n / 10, ROUND_TRIP)
    assert made.allow(1, 60.0, ROUND_TRIP)
