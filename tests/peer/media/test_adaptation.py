"""What viewers report is about their ways, and not about how busy this computer is."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from peer.media import rungs
from peer.media.adaptation import (
    LATE,
    MOST_PROBES,
    MOST_WATCHES,
    OVERDUE,
    STEP,
    Adaptation,
    Sent,
)
from peer.media.capture_time import ntp_time
from peer.media.feedback import ReportBlock
from peer.media.lateness import BEAT, REMEMBERED, Lateness, lateness
from peer.media.rungs import Choice

SIZE = (1280, 720)
QUICK, SLOW = 0.02, 0.45


@pytest.fixture
def in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this computer is, this process is not late."""
    never_late = Lateness()
    monkeypatch.setattr("peer.media.adaptation.lateness", lambda: never_late)


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
    return ReportBlock(1, 0, 0, 0, asked, 0, 0)


def busy_for(seconds: float) -> None:
    """Keep the event loop from everything else."""
    time.sleep(seconds)


async def rung_after(adaptation: Adaptation, make_late: Callable[[], Awaitable[None]]) -> int:
    """The rung after some reports, of a round trip that became long."""
    for number in range(8):
        adaptation.reported(report(QUICK if number < 2 else SLOW), number)
        adaptation.look(100_000 * number, SIZE, 0)
        await make_late()
    return adaptation.rung


@pytest.mark.usefixtures("in_time")
async def test_a_round_trip_that_is_long_is_congestion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rungs, "BAD_FOR", 0.2)
    assert await rung_after(Adaptation(), lambda: asyncio.sleep(0.1)) == 1


async def test_a_round_trip_that_this_process_has_made_long_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def busy() -> None:
        await asyncio.sleep(2 * BEAT)
        busy_for(BEAT + 2 * LATE)

    monkeypatch.setattr(rungs, "BAD_FOR", 0.2)
    assert await rung_after(Adaptation(), busy) == 0


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
    busy_for(BEAT + 2 * LATE)
    late = watched.worst()
    assert late >= LATE
    await asyncio.sleep(REMEMBERED + 2 * BEAT)
    assert watched.worst() < late


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


@pytest.mark.usefixtures("in_time")
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


def sent(packets: int) -> Sent:
    return Sent(packets, 1200 * packets, SIZE, 2_000_000)


@pytest.mark.usefixtures("in_time")
async def test_a_full_way_is_left_at_once() -> None:
    adaptation = Adaptation()
    adaptation.watch(1)
    assert adaptation.is_watching
    adaptation.asked()
    assert adaptation.heard(QUICK, 0, sent(10)) == 0
    for number in range(1, 20):
        await asyncio.sleep(0.04)
        waits = adaptation.heard(QUICK + 0.03 * number, 2 * number, sent(10 * number))
        if waits:
            break
    assert waits >= 0.1
    assert adaptation.rung == 2
    assert not adaptation.is_watching


async def test_what_this_process_has_made_late_shows_nothing() -> None:
    adaptation = Adaptation()
    adaptation.watch(1)
    adaptation.heard(QUICK, 0, sent(10))
    await asyncio.sleep(2 * BEAT)
    for number in range(1, 8):
        busy_for(BEAT + 2 * LATE)
        assert adaptation.heard(QUICK + 0.1 * number, number, sent(10 * number)) == 0
        await asyncio.sleep(0)
    assert adaptation.rung == 0


async def test_so_many_are_watched_at_once() -> None:
    all_of_them = [Adaptation() for _ in range(MOST_WATCHES + 1)]
    for one in all_of_them:
        one.watch(1)
    assert [one.is_watching for one in all_of_them] == [True] * MOST_WATCHES + [False]
    for one in all_of_them:
        one.abandon()
    all_of_them[-1].watch(1)
    assert all_of_them[-1].is_watching
    all_of_them[-1].abandon()


@pytest.mark.usefixtures("in_time")
async def test_packets_that_are_overdue_are_reason_to_watch() -> None:
    adaptation = Adaptation()
    for _ in range(2):
        adaptation.reported(report(QUICK), 10)
        adaptation.look(0, SIZE, 0)
        await asyncio.sleep(0.01)
    quick, slow = QUICK + OVERDUE / 2, QUICK + 2 * OVERDUE
    assert not adaptation.arrived(report(QUICK), 10, quick)
    assert adaptation.arrived(report(QUICK), 10, slow)
    assert adaptation.is_watching
    assert not adaptation.arrived(report(QUICK), 10, slow), "it is being watched"
    adaptation.abandon()
    assert not adaptation.arrived(report(QUICK), 10, slow), "it has just been watched"
