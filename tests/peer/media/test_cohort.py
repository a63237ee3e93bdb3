"""Viewers in step are sent what they would be sent by themselves."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from aiortc.rtp import RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from peer.media.cohort import Cohort
from peer.media.encoded_frame import Burst, EncodedFrame
from peer.media.fan_out import BURST
from peer.media.packet_sender import PacketSender
from peer.media.progress import Counts
from peer.media.rtp_packet import PacketBatch

from .loopback import RTX_SSRC, parameters

FRAMES = 12
STEP = 3000  # of the clock, from frame to frame
TRAILER = 16


class Wire:
    """Takes down what is sent, as it would be received."""

    def __init__(self) -> None:
        self.trailer = TRAILER
        self.ready = True
        self.packets: list[RtpPacket] = []
        self.reports: list[bytes] = []
        self.accepts: Callable[[], bool] = lambda: True

    def send_rtp(self, batch: PacketBatch) -> bool:
        if not self.accepts():
            return False
        for start, length in zip(batch.starts, batch.lengths, strict=True):
            self.packets.append(RtpPacket.parse(bytes(batch.buffer[start : start + length])))
        return True

    def open_row(self) -> None:
        return None

    def send_rtcp(self, data: bytes) -> bool:
        self.reports.append(data)
        return True

    def measure_round_trip(self, measured: Callable[[float], None]) -> None:
        raise AssertionError("nobody does")


def sender(ssrc: int) -> tuple[PacketSender, Wire]:
    wire = Wire()
    made = PacketSender("video", wire)
    made.configure(parameters(ssrc=ssrc))
    return made, wire


def frame(number: int, packets: int = 2, *, keyframe: bool = False) -> EncodedFrame:
    payloads = [f"{number} {index}".encode() for index in range(packets)]
    return EncodedFrame(b"", payloads, number * STEP, number / 30, True, keyframe)


def bursts(one: EncodedFrame) -> list[Burst]:
    made = list(one.bursts(BURST))
    for burst in made:
        burst.sent_at = one.at
    return made


def alone(one: PacketSender, *frames: EncodedFrame) -> None:
    for each in frames:
        for burst in bursts(each):
            assert one.send(burst)


def check_order(packets: list[RtpPacket], frames: list[EncodedFrame]) -> None:
    """Each of the frames' packets once, in order, under numbers that follow one another."""
    assert [p.payload for p in packets] == [b for each in frames for b in each.payloads]
    first = packets[0].sequence_number
    numbers = [(p.sequence_number - first) & 0xFFFF for p in packets]
    assert numbers == list(range(len(packets)))
    stamps = [(p.timestamp - packets[0].timestamp) & 0xFFFFFFFF for p in packets]
    begun = frames[0].timestamp
    assert stamps == [each.timestamp - begun for each in frames for _ in each.payloads]


@given(
    sizes=st.lists(st.integers(1, 2 * BURST + 3), min_size=FRAMES, max_size=FRAMES),
    changes=st.lists(st.sampled_from(["join", "leave", ""]), min_size=FRAMES, max_size=FRAMES),
)
def test_coming_and_going_makes_no_difference(sizes: list[int], changes: list[str]) -> None:
    frames = [frame(n, size, keyframe=n == 0) for n, size in enumerate(sizes)]
    cohort: Cohort[str] = Cohort(sender(1)[0].form)
    steady, steady_wire = sender(1)
    moving, moving_wire = sender(2)
    alone(steady, frames[0])
    assert cohort.add("steady", steady, frames[0])
    inside = False
    alone(moving, frames[0])
    for number, change in enumerate(changes[1:], 1):
        if change == "join" and not inside:
            inside = cohort.add("moving", moving, frames[number - 1])
            assert inside
        elif change == "leave" and inside:
            cohort.remove("moving")
            inside = False
        for burst in bursts(frames[number]):
            if not inside:
                assert moving.send(burst)
            assert cohort.send(burst) == []
    for one, wire in ((steady, steady_wire), (moving, moving_wire)):
        check_order(wire.packets, frames)
        assert {p.ssrc for p in wire.packets} == {one.ssrc}
        assert one.sent == Counts(
            packets=len(wire.packets),
            octets=sum(len(p.payload) for p in wire.packets),
            header_octets=one.sent.header_octets,
            frames=FRAMES,
            keyframes=1,
            whole_frames=FRAMES,
        )
        assert one.sent.header_octets >= 12 * len(wire.packets)
        assert one.frame is frames[-1]


@pytest.mark.parametrize("missed", [0, 3, 5, 9])
def test_what_was_sent_before_in_and_after_can_be_repeated(
    missed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, wire = sender(1)
    cohort: Cohort[str] = Cohort(one.form)
    frames = [frame(n, keyframe=n == 0) for n in range(6)]
    alone(one, *frames[:2])
    cohort.add("one", one, frames[1])
    for each in frames[2:4]:
        for burst in bursts(each):
            cohort.send(burst)
    asked: list[int] = []

    def check() -> None:
        if missed < len(wire.packets) and missed not in asked:
            asked.append(missed)
            lost = wire.packets[missed]
            assert one.repeat(lost.sequence_number, 0.0)
            again = wire.packets.pop()
            assert (again.ssrc, again.timestamp) == (RTX_SSRC, lost.timestamp)
            assert again.payload == lost.sequence_number.to_bytes(2, "big") + lost.payload

    check()
    cohort.remove("one")
    asked.clear()
    alone(one, *frames[4:])
    check()
    assert not one.repeat((wire.packets[-1].sequence_number + 1) & 0xFFFF, 0.0)


def test_a_key_frame_makes_what_came_before_superfluous() -> None:
    one, wire = sender(1)
    cohort: Cohort[str] = Cohort(one.form)
    alone(one, frame(0, keyframe=True))
    cohort.add("one", one, one.frame)  # type: ignore[arg-type]
    cohort.send(*bursts(frame(1, keyframe=True)))
    assert not one.repeat(wire.packets[0].sequence_number, 0.0)
    assert one.repeat(wire.packets[2].sequence_number, 0.0)


def test_who_cannot_be_sent_to_falls_out_and_the_others_go_on() -> None:
    senders = [sender(ssrc) for ssrc in range(3)]
    cohort: Cohort[int] = Cohort(senders[0][0].form)
    frames = [frame(n, keyframe=n == 0) for n in range(4)]
    for number, (one, _) in enumerate(senders):
        alone(one, frames[0])
        assert cohort.add(number, one, frames[0])
    error = RuntimeError("this one only")

    def fails() -> bool:
        raise error

    senders[0][1].accepts = lambda: False
    senders[1][1].accepts = fails
    assert cohort.send(*bursts(frames[1])) == [(0, None), (1, error)]
    assert len(cohort) == 1
    senders[0][1].accepts = lambda: True
    assert cohort.send(*bursts(frames[2])) == []
    alone(senders[0][0], frames[2])
    check_order(senders[2][1].packets, frames[:3])
    one, wire = senders[0]
    gap = wire.packets[2].sequence_number - wire.packets[1].sequence_number
    assert gap & 0xFFFF == 3, "what could not be sent has its numbers, and can be asked for"
    assert one.repeat((wire.packets[1].sequence_number + 1) & 0xFFFF, 0.0)
    assert (one.sent.frames, one.sent.whole_frames, one.sent.packets) == (3, 2, 4)


def test_who_is_at_another_frame_is_not_in_step() -> None:
    (one, _), (other, _) = sender(1), sender(2)
    cohort: Cohort[str] = Cohort(one.form)
    alone(one, frame(0))
    later = frame(1)
    alone(other, later)
    assert cohort.add("one", one, one.frame)  # type: ignore[arg-type]
    assert not cohort.add("other", other, later)


def test_a_time_stamp_that_was_moved_is_put_right_first() -> None:
    """The first frame of another encoder may show what the last one did."""
    one, _ = sender(1)
    alone(one, frame(5))
    again = frame(5)
    alone(one, again)
    assert not one.is_at(again)
    later = frame(6)
    alone(one, later)
    assert one.is_at(later)


def test_another_protection_has_another_form() -> None:
    one, wire = sender(1)
    cohort: Cohort[str] = Cohort(one.form)
    first = frame(0, keyframe=True)
    alone(one, first)
    cohort.add("one", one, first)
    wire.trailer = 10
    assert cohort.send(*bursts(frame(1))) == [("one", None)]
    alone(one, frame(2))
    assert one.form.trailer == 10


def test_it_is_known_what_is_still_under_way() -> None:
    one, wire = sender(1)
    cohort: Cohort[str] = Cohort(one.form)
    alone(one, frame(0, keyframe=True))
    cohort.add("one", one, one.frame)  # type: ignore[arg-type]
    for number in (1, 2):
        cohort.send(*bursts(frame(number)))
    newest = [packet.sequence_number for packet in wire.packets]
    assert one.under_way(newest[5], 1.0) == (0, 0.0)
    assert one.under_way(newest[2], 1.0) == (3, 1 - 1 / 30)
    assert one.under_way(newest[0], 1.0) == (5, 1.0)
    assert one.under_way(newest[0] - 1, 1.0) == (6, 1.0)
    assert one.under_way(newest[0] - 9, 1.0) == (14, None), "before the beginning"
    for number in range(3, 60):
        cohort.send(*bursts(frame(number)))
    assert one.under_way(newest[5], 2.0) == (114, pytest.approx(2.0 - 29 / 30)), "at least"
    cohort.send(*bursts(frame(60, keyframe=True)))
    assert one.under_way(newest[5], 2.1) == (116, None), "all that is known is the key frame"
    newest = [packet.sequence_number for packet in wire.packets[-6:]]
    assert one.next_sequence_number == (newest[5] + 1) & 0xFFFF
    cohort.remove("one")
    alone(one, frame(61))
    assert one.under_way(newest[5], 1.0)[0] == 2
    assert one.next_sequence_number == (newest[5] + 3) & 0xFFFF


def test_no_number_is_used_again_by_who_leaves_while_it_is_sent_to() -> None:
    """The same number for something else would be the same key stream of AES for both."""
    one, wire = sender(1)
    cohort: Cohort[str] = Cohort(one.form)
    first = frame(0, keyframe=True)
    alone(one, first)
    cohort.add("one", one, first)

    def leaves() -> bool:
        cohort.remove("one")
        return True

    wire.accepts = leaves
    assert cohort.send(*bursts(frame(1))) == []
    wire.accepts = lambda: True
    alone(one, frame(2))
    numbers = [packet.sequence_number for packet in wire.packets]
    assert len(set(numbers)) == len(numbers) == 6


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_number_of_another_round_is_no_packet_of_this_one(kind: str) -> None:
    """Under a number to come, something else would be sent with the same key stream of AES."""
    wire = Wire()
    one = PacketSender(kind, wire)
    one.configure(parameters(rtx=False))
    cohort: Cohort[str] = Cohort(one.form)
    first = frame(0, keyframe=True)
    alone(one, first)
    cohort.add("one", one, first)
    packets, number = 1000, 0
    while number < 66:
        number += 1
        (burst,) = frame(number, packets).bursts(packets)
        burst.sent_at = number * 0.02
        cohort.send(burst)
    newest = wire.packets[-1].sequence_number
    wire.packets.clear()
    for ahead in (1, 20, 600):
        assert not one.repeat((newest + ahead) & 0xFFFF, 0.0)
    assert wire.packets == []
    cohort.remove("one")
    for ahead in (1, 20, 600):
        assert not one.repeat((newest + ahead) & 0xFFFF, 0.0)
    assert wire.packets == []


def test_who_did_not_agree_to_repetitions_gets_none() -> None:
    wire = Wire()
    one = PacketSender("video", wire)
    agreed = parameters(rtx=False)
    agreed.codec.rtcpFeedback = []
    one.configure(agreed)
    alone(one, frame(0, keyframe=True))
    assert not one.repeat(wire.packets[0].sequence_number, 0.0)
    assert len(wire.packets) == 2


def test_what_was_sent_before_the_others_were_joined_is_not_kept_for_long() -> None:
    one, _ = sender(1)
    cohort: Cohort[str] = Cohort(one.form)
    first = frame(0, keyframe=True)
    alone(one, first)
    cohort.add("one", one, first)
    for number in range(1, 40):
        cohort.send(*bursts(frame(number)))
    assert list(one._own.history.since())
    one.report()
    assert not list(one._own.history.since())


def test_who_could_not_be_sent_the_last_frame_is_not_in_step() -> None:
    one, wire = sender(1)
    wire.accepts = lambda: False
    last = frame(0, keyframe=True)
    [burst] = bursts(last)
    assert not one.send(burst)
    assert not one.is_at(last)


def test_a_newcomer_has_had_a_key_frame_when_he_had_it() -> None:
    (one, _), (other, _) = sender(1), sender(2)
    cohort: Cohort[str] = Cohort(one.form)
    frames = [frame(n, keyframe=n == 0) for n in range(10)]
    alone(one, frames[0])
    cohort.add("one", one, frames[0])
    for each in frames[1:9]:
        cohort.send(*bursts(each))
    alone(other, replace(frames[7], keyframe=True), frames[8])
    assert cohort.add("other", other, frames[8])
    assert (one.keyframe_at, other.keyframe_at) == (0.0, 7 / 30)
    cohort.send(*bursts(frames[9]))
    cohort.remove("other")
    assert other.keyframe_at == 7 / 30
