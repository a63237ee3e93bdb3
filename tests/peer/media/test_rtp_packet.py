"""Packets of a burst, read back by aiortc."""

from collections.abc import Sequence

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpSendParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unpack_header_extensions

from peer.media.capture_time import ntp_time
from peer.media.encoded_frame import Burst, EncodedFrame
from peer.media.rtp_packet import (
    ABS_CAPTURE_TIME,
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    HEADER_EXTENSIONS,
    MID,
    PLAYOUT_DELAY,
    PacketBatch,
    PacketForm,
    packet_form,
)

IDS = {MID: 1, ABS_SEND_TIME: 2, ABS_CAPTURE_TIME: 3, PLAYOUT_DELAY: 4, AUDIO_LEVEL: 5}
PAYLOADS = [b"first" * 100, b"second" * 80, b"third"]


def frame(payloads: Sequence[bytes] = PAYLOADS, **more: object) -> EncodedFrame:
    values: dict[str, object] = {"is_picture": True, "keyframe": False}
    return EncodedFrame(b"", list(payloads), 0, 1000.0, **(values | more))  # type: ignore[arg-type]


def form(kind: str = "video", *, ids: dict[str, int] = IDS, trailer: int = 16) -> PacketForm:
    extensions = tuple((uri, ids[uri]) for uri in HEADER_EXTENSIONS[kind])
    return packet_form(96, "0", extensions, trailer)


def packets(batch: PacketBatch) -> list[RtpPacket]:
    ids = HeaderExtensionsMap()
    ids.configure(
        RTCRtpSendParameters(
            headerExtensions=[RTCRtpHeaderExtensionParameters(i, u) for u, i in IDS.items()]
        )
    )
    return [
        RtpPacket.parse(bytes(batch.buffer[start : start + length]), ids)
        for start, length in zip(batch.starts, batch.lengths, strict=True)
    ]


def extensions(batch: PacketBatch) -> dict[int, bytes]:
    data = bytes(batch.buffer[: batch.lengths[0]])
    profile, length = int.from_bytes(data[12:14], "big"), int.from_bytes(data[14:16], "big") * 4
    return dict(unpack_header_extensions(profile, data[16 : 16 + length]))


def test_packets_are_stamped_for_one_viewer_after_another() -> None:
    [burst] = frame().bursts(12)
    batch = PacketBatch(burst, form())
    batch.stamp(65534, 7, 0xABCD)
    found = packets(batch)
    assert [packet.sequence_number for packet in found] == [65534, 65535, 0], "they wrap around"
    assert {(p.timestamp, p.ssrc, p.payload_type) for p in found} == {(7, 0xABCD, 96)}
    assert [packet.payload for packet in found] == PAYLOADS
    assert [packet.marker for packet in found] == [0, 0, 1]
    assert [packet.extensions.mid for packet in found] == ["0", "0", "0"]
    batch.buffer[:] = bytes(len(batch.buffer))  # as protecting it would change it
    batch.stamp(5, 9, 0x1234)
    assert [(p.sequence_number, p.timestamp, p.ssrc) for p in packets(batch)] == [
        (5, 9, 0x1234),
        (6, 9, 0x1234),
        (7, 9, 0x1234),
    ]
    assert [packet.payload for packet in packets(batch)] == PAYLOADS


def test_there_is_room_for_what_protection_appends() -> None:
    [burst] = frame().bursts(12)
    batch = PacketBatch(burst, form(trailer=16))
    ends = [s + n + 16 for s, n in zip(batch.starts, batch.lengths, strict=True)]
    assert [*batch.starts[1:], len(batch.buffer)] == ends, "and none is between the packets"


def test_large_frames_are_several_bursts_and_only_the_last_packet_is_marked() -> None:
    large = frame([bytes([number]) for number in range(25)])
    bursts = list(large.bursts(12))
    assert [len(burst.payloads) for burst in bursts] == [12, 12, 1]
    marks = [p.marker for b in bursts for p in packets(PacketBatch(b, form()))]
    assert marks == [0] * 24 + [1]


def test_times_are_told() -> None:
    [burst] = frame(tells_capture_time=True, keyframe=True).bursts(12)
    burst.sent_at = 1000.25
    batch = PacketBatch(burst, form())
    found = extensions(batch)
    assert int.from_bytes(found[IDS[ABS_CAPTURE_TIME]], "big") == ntp_time(1000.0)
    assert found[IDS[PLAYOUT_DELAY]] == bytes(3), "as soon as possible"
    sent = int.from_bytes(found[IDS[ABS_SEND_TIME]], "big") / (1 << 18)
    captured = (ntp_time(1000.0) >> 14 & 0xFFFFFF) / (1 << 18)
    assert (sent - captured) % 64 == pytest.approx(0.25, abs=1e-5)


def test_what_need_not_be_told_again_takes_no_room() -> None:
    [burst] = frame().bursts(12)
    found = extensions(PacketBatch(burst, form()))
    assert set(found) == {IDS[MID], IDS[ABS_SEND_TIME]}


def test_sound_tells_its_level_and_is_marked_after_a_pause() -> None:
    [burst] = frame([b"sound"], is_picture=False, keyframe=True, audio_level=42).bursts(12)
    [packet] = packets(PacketBatch(burst, form("audio")))
    assert packet.extensions.audio_level == (False, 42)
    assert packet.marker == 0
    [burst] = frame([b"sound"], is_picture=False, keyframe=True, resumes=True).bursts(12)
    [packet] = packets(PacketBatch(burst, form("audio")))
    assert packet.marker == 1


def test_ids_beyond_14_take_the_other_form_of_header() -> None:
    [burst] = frame().bursts(12)
    batch = PacketBatch(burst, form(ids={**IDS, MID: 20}))
    assert batch.buffer[12:14] == b"\x10\x00"
    assert extensions(batch)[20] == b"0"


def test_without_extensions_there_is_no_block_for_them() -> None:
    [burst] = frame().bursts(12)
    batch = PacketBatch(burst, packet_form(96, "0", (), 16))
    assert [packet.payload for packet in packets(batch)] == PAYLOADS
    assert batch.header_octets == 3 * 12
    assert batch.payload_octets == sum(map(len, PAYLOADS))


def test_forms_that_say_the_same_are_one_object() -> None:
    assert form() is form()
    assert len({form(), form(), form(trailer=10)}) == 2


def test_packets_of_one_size_are_given_to_the_kernel_as_one() -> None:
    sizes = [100, 100, 50, 100, 100, 100, 100, 120]
    [burst] = frame([bytes(size) for size in sizes]).bursts(12)
    batch = PacketBatch(
        burst,
        packet_form(96, "0", (), 16),
    )
    segments = [size + 12 + 16 for size in sizes]
    assert [(end - start, segment) for start, end, segment in batch.runs] == [
        (sum(segments[:3]), 128),
        (sum(segments[3:7]), 128),
        (148, 148),
    ]
    assert [start for start, _, _ in batch.runs] == [0, sum(segments[:3]), sum(segments[:7])]


def test_a_packet_once_more() -> None:
    [burst] = frame().bursts(12)
    [again] = packets(PacketBatch(burst.once_more(2, b"\x12\x34"), form()))
    assert (again.payload, again.marker) == (b"\x12\x34third", 1)
    [again] = packets(PacketBatch(burst.once_more(1), form()))
    assert (again.payload, again.marker) == (PAYLOADS[1], 0)


def test_bursts_are_told_apart_by_identity() -> None:
    one = frame()
    assert Burst(one, 0, PAYLOADS) != Burst(one, 0, PAYLOADS), "else a history would compare bytes"
