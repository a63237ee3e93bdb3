"""What viewers report is about their ways, and not about how busy this computer is."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from peer.media.adaptation import LATE, MOST_PROBES, STEP, Adaptation
from peer.media.capture_time import ntp_time
from peer.media.feedback import ReportBlock
from peer.media.lateness import BEAT, REMEMBERED, Lateness, lateness
from peer.media.rungs import Choice

SIZE = (1280, 720)
QUICK, SLOW = 0.02, 0.45


@pytest.fixture(autouse=True)
async def watched() -> AsyncIterator[Lateness]:
    """The lateness of this event loop, as long as the test takes."""
    watched = lateness()
    watched.start()
    yield watched
    watched.stop()


def report(round_trip: float) -> ReportBlock:
    """Of a viewer that has lost nothing, with a round trip of so many seconds."""
    asked = (ntp_time(time.monotonic() - round_trip) >> 16) & 0xFFFFFFFF
    return ReportBlock(1, 0, 0, 0, asked, 0)


def busy_for(seconds: float) -> None:
    """Keep the event loop from everything else."""
    time.sleep(seconds)


async def rung_after(adaptation: Adaptation, seconds: float, *, busy: bool) -> int:
    """The rung after some reports, each of which took so long because something was slow."""
    for number in range(8):
        adaptation.reported(report(QUICK if number < 2 else SLOW), number)
        adaptation.look(100_000 * number, SIZE, 0)
        if busy:
            await asyncio.sleep(2 * BEAT)
            busy_for(seconds)
        else:
            await asyncio.sleep(seconds)
    return adaptation.rung


async def test_a_round_trip_that_is_long_is_congestion() -> None:
    assert await rung_after(Adaptation(), SLOW, busy=False) == 1


async def test_a_round_trip_that_this_process_has_made_long_is_not() -> None:
    assert await rung_after(Adaptation(), SLOW, busy=True) == 0


async def test_a_full_size_that_was_tried_is_paced_as_others_are() -> None:
    adaptation = Adaptation()
    adaptation._choice = Choice(rung=1, changed_at=0.0, good_since=0.0)
    adaptation.look(0, SIZE, 0)
    for number in range(3):
        adaptation.estimated(90_000_000)
        await asyncio.sleep(0.01)
        adaptation.look(1000 * number, SIZE, 0)  # of an encoder whose bitrate is what it is
    assert (adaptation.rung, adaptation.aim) == (0, None)


async def test_lateness_is_known_before_its_timer_is_heard(watched: Lateness) -> None:
    await asyncio.sleep(2 * BEAT)
    assert watched.worst() < LATE
    busy_for(BEAT + 2 * LATE)
    assert watched.worst() >= LATE
    await asyncio.sleep(REMEMBERED + 2 * BEAT)
    assert watched.worst() < LATE


async def look(adaptation: Adaptation, octets: int) -> None:
    adaptation.estimated(1_500_000)
    adaptation.look(octets, SIZE, 0, needed=2_000_000)


def at_half_size() -> Adaptation:
    """Of a viewer with nothing in its way that has been at half the size for long."""
    adaptation = Adaptation()
    adaptation._choice = type(adaptation._choice)(rung=1, good_since=0.0, changed_at=0.0)
    adaptation.look(0, SIZE, 0)
    return adaptation


async def test_so_many_are_probed_at_once_and_others_when_these_are_done() -> None:
    all_of_them = [at_half_size() for _ in range(MOST_PROBES + 2)]
    await asyncio.sleep(0.1)
    for one in all_of_them:
        await look(one, 10_000)
    assert [one.is_probing for one in all_of_them] == [True] * MOST_PROBES + [False] * 2
    all_of_them[0].abandon()
    await asyncio.sleep(0.1)
    await look(all_of_them[-1], 20_000)
    assert not all_of_them[0].is_probing
    assert all_of_them[-1].is_probing
    for one in all_of_them:
        one.abandon()


async def test_a_probe_makes_up_what_pictures_leave_and_ends_at_a_sign() -> None:
    adaptation = at_half_size()
    await asyncio.sleep(0.1)
    await look(adaptation, 10_000)
    assert adaptation.is_probing
    assert adaptation.step(10_000, 10) == 0.0, "it has just begun"
    await asyncio.sleep(STEP)
    owed = adaptation.step(10_000, 10)
    assert owed > 0
    assert adaptation.step(10_000 + round(owed) + 50_000, 20) == 0.0, "a key frame was enough"
    for _ in range(3):
        adaptation.answered(QUICK)
    adaptation.step(100_000, 20)
    assert adaptation.is_probing
    for _ in range(3):
        adaptation.answered(QUICK + 0.1)
    assert adaptation.step(100_000, 20) == 0.0
    assert not adaptation.is_probing
    assert adaptation.rung == 1
