"""From one encoder to its viewers: bursts, paces, and who comes late."""

import asyncio
import time

from peer.media.encoded_frame import Burst, EncodedFrame
from peer.media.fan_out import (
    BURST,
    LONGEST_GROUP,
    NARROW_BURST,
    NARROW_DELAY,
    NARROW_PACE,
    FanOut,
)
from peer.media.packet_sender import PacketSender

from .test_cohort import sender


class Watching:
    """Takes note of what it is sent: which frame, from which packet on."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []
        self.times: list[float] = []
        self.interruptions = 0

    def deliver(self, burst: Burst) -> None:
        self.taken.append((burst.frame.timestamp, burst.first))
        self.times.append(time.monotonic())

    def steady_sender(self, frame: EncodedFrame) -> None:
        return None

    def left_out(self, burst: Burst) -> None:
        raise AssertionError("it has no sender")

    def interrupted(self) -> None:
        self.interruptions += 1

    def source_failed(self, error: Exception) -> None:
        raise AssertionError("it has not")

    def given_up(self, error: Exception) -> None:
        raise error


def frame(
    number: int, packets: int = 1, *, keyframe: bool = False, at: float = 0.0
) -> EncodedFrame:
    payloads = [bytes(1000)] * packets
    return EncodedFrame(b"", payloads, number, at, is_picture=True, keyframe=keyframe)


async def test_a_small_picture_goes_out_at_once_and_a_large_one_in_bursts() -> None:
    fan_out, one = FanOut(), Watching()
    fan_out.add(one)
    fan_out.send(frame(1, BURST), 1e6)
    assert one.taken == [(1, 0)]
    fan_out.send(frame(2, 2 * BURST + 1), 1e6)
    assert one.taken[1:] == [(2, 0)]
    async with asyncio.timeout(30):
        while len(one.taken) < 4:  # noqa: ASYNC110 - it is a matter of milliseconds
            await asyncio.sleep(0.001)
    assert one.taken[2:] == [(2, BURST), (2, 2 * BURST)]


async def test_what_is_left_of_a_picture_goes_before_the_next_one() -> None:
    fan_out, one = FanOut(), Watching()
    fan_out.add(one)
    fan_out.send(frame(1, 3 * BURST), 1e6)
    fan_out.send(frame(2), 1e6)
    fan_out.send(frame(3), 1e6)
    assert [number for number, _ in one.taken] == [1, 1, 1, 2, 3]


async def test_on_narrow_ways_a_picture_takes_its_time() -> None:
    fan_out, one = FanOut(narrow=True), Watching()
    fan_out.add(one)
    bitrate, packets = 400_000, 4 * NARROW_BURST
    fan_out.send(frame(1, packets), bitrate)
    fan_out.send(frame(2), bitrate)
    assert one.taken == [(1, 0)]
    async with asyncio.timeout(30):
        while len(one.taken) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert [number for number, _ in one.taken] == [1, 1, 1, 1, 2], "in their order"
    least = 8 * 1000 * packets / (NARROW_PACE * bitrate)
    assert one.times[-1] - one.times[0] >= 0.99 * least
    fan_out.close()


async def test_on_narrow_ways_nothing_grows_old() -> None:
    fan_out, one = FanOut(narrow=True), Watching()
    fan_out.add(one)
    fan_out.send(frame(1, 1000), 1000)
    fan_out.send(frame(2, at=NARROW_DELAY * 0.9), 1000)
    assert one.taken == [(1, 0)]
    fan_out.send(frame(3, at=NARROW_DELAY * 1.1), 1000)
    assert {number for number, _ in one.taken} == {1}
    assert sum(number == 1 for number, _ in one.taken) == -(-1000 // NARROW_BURST)
    fan_out.close()


async def test_who_comes_late_gets_what_is_kept_and_then_what_comes() -> None:
    fan_out, first, late = FanOut(), Watching(), Watching()
    assert fan_out.add(first), "there is nothing to begin with"
    for number in range(5):
        one = frame(number, keyframe=number == 1)
        fan_out.send(one, 1e6)
        fan_out.keep(one)
    assert not fan_out.add(late)
    assert not fan_out.empty
    async with asyncio.timeout(30):
        while late not in fan_out._apart:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert [number for number, _ in late.taken] == [1, 2, 3, 4]
    fan_out.send(frame(5), 1e6)
    assert late.taken[-1] == first.taken[-1] == (5, 0)


async def test_a_new_group_interrupts_who_is_still_in_the_old_one() -> None:
    fan_out, late = FanOut(), Watching()
    for number in range(20):
        fan_out.keep(frame(number, keyframe=number == 0))
    fan_out.add(late)
    await asyncio.sleep(0.01)
    fan_out.keep(frame(20, keyframe=True))
    async with asyncio.timeout(30):
        while late not in fan_out._apart:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert late.taken[-1] == (20, 0)
    assert late.interruptions == 1
    assert len(late.taken) < 20


async def test_a_group_that_is_too_long_is_not_kept() -> None:
    fan_out = FanOut()
    for number in range(LONGEST_GROUP + 5):
        fan_out.keep(frame(number, keyframe=number == 0))
    assert fan_out.add(Watching()), "it needs a key frame"


async def test_who_leaves_gets_no_more() -> None:
    fan_out, one, late = FanOut(), Watching(), Watching()
    fan_out.add(one)
    fan_out.keep(frame(0, keyframe=True))
    fan_out.add(late)
    fan_out.remove(one)
    fan_out.remove(late)
    assert fan_out.empty
    fan_out.send(frame(1), 1e6)
    await asyncio.sleep(0.01)
    assert one.taken == late.taken == []


class Broken(Watching):
    """Fails when it is sent something."""

    def __init__(self, fan_out: FanOut) -> None:
        super().__init__()
        self.fan_out = fan_out
        self.failures: list[Exception] = []

    def deliver(self, burst: Burst) -> None:
        raise RuntimeError("this one only")

    def given_up(self, error: Exception) -> None:
        self.failures.append(error)
        self.fan_out.remove(self)


async def test_a_viewer_that_fails_does_not_fail_the_others() -> None:
    fan_out, other = FanOut(), Watching()
    broken = Broken(fan_out)
    fan_out.add(broken)
    fan_out.add(other)
    fan_out.send(frame(1, keyframe=True), 1e6)
    fan_out.send(frame(2), 1e6)
    assert other.taken == [(1, 0), (2, 0)]
    assert [str(error) for error in broken.failures] == ["this one only"], "once"
    fan_out.remove(other)
    assert fan_out.empty


async def test_a_viewer_that_fails_while_it_catches_up_is_given_up() -> None:
    fan_out = FanOut()
    broken = Broken(fan_out)
    fan_out.keep(frame(1, keyframe=True))
    fan_out.add(broken)
    async with asyncio.timeout(30):
        while not broken.failures:  # noqa: ASYNC110 - it is a matter of milliseconds
            await asyncio.sleep(0.001)
    assert fan_out.empty


async def test_who_joins_gets_nothing_of_what_is_forgotten() -> None:
    fan_out, one, other = FanOut(narrow=True), Watching(), Watching()
    fan_out.add(one)
    old = frame(1, 3 * NARROW_BURST, keyframe=True)
    fan_out.send(old, 1e6)
    fan_out.keep(old)
    fan_out.forget()
    assert not fan_out.keeps
    assert fan_out.add(other), "it needs a key frame"
    await asyncio.sleep(0)
    assert one.taken == [(1, 0), (1, NARROW_BURST), (1, 2 * NARROW_BURST)]
    assert other.taken == []
    fan_out.close()


class InStep(Watching):
    """Has a sender, which is used while it can send."""

    def __init__(self, fan_out: FanOut, ssrc: int) -> None:
        super().__init__()
        self.fan_out = fan_out
        self.sender, self.wire = sender(ssrc)
        self.leaves: list[InStep] = []
        self.left = 0

    def deliver(self, burst: Burst) -> None:
        super().deliver(burst)
        self.sender.send(burst)

    def steady_sender(self, frame: EncodedFrame) -> PacketSender | None:  # type: ignore[override]
        return self.sender if self.sender.is_at(frame) else None

    def left_out(self, burst: Burst) -> None:
        self.left += 1

    def given_up(self, error: Exception) -> None:
        for one in self.leaves:
            self.fan_out.remove(one)


async def test_who_is_steady_goes_in_step_until_it_is_to_be_apart() -> None:
    fan_out = FanOut()
    one, other = InStep(fan_out, 1), InStep(fan_out, 2)
    for viewer in (one, other):
        fan_out.add(viewer)
    for number in range(4):
        fan_out.send(frame(number, keyframe=number == 0), 1e6)
    fan_out.part(other)
    fan_out.send(frame(4), 1e6)
    other.wire.accepts = lambda: False
    fan_out.send(frame(5), 1e6)
    fan_out.send(frame(6), 1e6)
    assert [number for number, _ in one.taken] == [0]
    assert [number for number, _ in other.taken] == [0, 4, 6]
    assert other.left == 1
    assert len(one.wire.packets) == 7
    fan_out.remove(one)
    fan_out.remove(other)
    assert fan_out.empty


async def test_one_that_fails_in_step_may_take_another_with_it() -> None:
    def fails() -> bool:
        raise RuntimeError("the way is broken")

    fan_out = FanOut()
    viewers = [InStep(fan_out, ssrc) for ssrc in range(4)]
    for viewer in viewers:
        fan_out.add(viewer)
    fan_out.send(frame(0, keyframe=True), 1e6)
    for viewer in viewers[:2]:
        viewer.wire.accepts = fails
    viewers[0].leaves = viewers[:3]
    fan_out.send(frame(1), 1e6)
    fan_out.send(frame(2), 1e6)
    assert len(viewers[3].wire.packets) == 3
    fan_out.remove(viewers[3])
    assert fan_out.empty
