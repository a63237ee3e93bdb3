"""What a viewer can have sent again."""

import contextlib

import pytest

from peer.media.encoded_frame import Burst, EncodedFrame
from peer.media.history import ATTEMPTS, HISTORY, History

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
    history.add(1, 2, sent(other, 0.0))
    for number, expected in ((65535, (one, 0, 1)), (0, (one, 1, 1)), (1, (other, 0, 2))):
        lost = history.find(number, 0.0, ROUND_TRIP)
        assert lost is not None
        assert (lost.burst, lost.index, lost.timestamp) == expected
    for unknown in (2, 65534):
        with pytest.raises(LookupError):
            history.find(unknown, 0.0, ROUND_TRIP)


def test_what_is_older_is_forgotten() -> None:
    history = History()
    history.add(1, 1, sent(burst(b"a"), 0.0))
    history.add(2, 2, sent(burst(b"b"), HISTORY + 0.1))
    with pytest.raises(LookupError):
        history.find(1, HISTORY + 0.1, ROUND_TRIP)
    assert history.find(2, HISTORY + 0.1, ROUND_TRIP) is not None


def test_what_may_still_be_on_its_way_is_not_sent_again() -> None:
    history = History()
    history.add(1, 1, sent(burst(b"a"), 0.0))
    assert history.find(1, 0.0, ROUND_TRIP) is not None
    assert history.find(1, ROUND_TRIP / 2, ROUND_TRIP) is None
    assert history.find(1, ROUND_TRIP, ROUND_TRIP) is not None


def test_a_flood_of_requests_is_no_flood_of_packets() -> None:
    history = History()
    history.add(1, 1, sent(burst(b"a"), 0.0))
    answered = []
    for n in range(100):
        with contextlib.suppress(LookupError):
            answered.append(history.find(1, n / 100, 0.001))
    assert len(answered) == ATTEMPTS


def test_a_number_that_comes_round_again_is_another_packet() -> None:
    history = History()
    history.add(1, 1, sent(burst(b"a"), 0.0))
    for n in range(ATTEMPTS):
        history.find(1, n / 10, ROUND_TRIP)
    history.add(1, 2, sent(burst(b"b"), 60.0))
    assert history.find(1, 60.0, ROUND_TRIP) is not None


def test_when_a_packet_was_sent_is_known_as_long_as_it_is_kept() -> None:
    history = History()
    for number in range(3):
        first = (65_534 + 2 * number) & 0xFFFF
        history.add(first, 0, sent(burst(b"a", b"b"), number / 10))
    assert [history.sent_at(number) for number in (65_534, 0, 3)] == [0.0, 0.1, 0.2]
    with pytest.raises(LookupError):
        history.sent_at(4)
