"""What viewers say, as aiortc writes it, told to the streams that it is about."""

from typing import Any

import pytest
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    pack_remb_fci,
)
from hypothesis import given
from hypothesis import strategies as st

from peer.media.feedback import MOST_MISSED, ReportBlock, take_apart

OURS, OTHER, THEIRS = 7, 8, 1


class Heard:
    """A stream that remembers what it is told."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []

    def reported(self, report: ReportBlock) -> None:
        self.all.append(("reported", report))

    def estimated(self, bitrate: int) -> None:
        self.all.append(("estimated", bitrate))

    def missed(self, sequence_numbers: list[int]) -> None:
        self.all.append(("missed", sequence_numbers))

    def picture_lost(self) -> None:
        self.all.append(("picture lost",))

    def full_intra_requested(self, number: int) -> None:
        self.all.append(("full intra requested", number))


def heard(*packets: Any) -> list[tuple[Any, ...]]:
    """What is told to the stream of SSRC 7."""
    stream = Heard()
    take_apart(b"".join(map(bytes, packets)), {OURS: stream})
    return stream.all


INFO = RtcpReceiverInfo(OURS, 64, -3, 70_000, 90, 11, 12)
BLOCK = ReportBlock(OURS, 64, -3, 90, 11, 12, 70000)


def test_reports_of_who_only_receives_and_of_who_sends_as_well() -> None:
    others = RtcpReceiverInfo(OTHER, 0, 0, 0, 0, 0, 0)
    assert heard(RtcpRrPacket(THEIRS, [others, INFO])) == [("reported", BLOCK)]
    sender = RtcpSenderInfo(1, 2, 3, 4)
    assert heard(RtcpSrPacket(THEIRS, sender, [INFO])) == [("reported", BLOCK)]


def test_a_compound_packet_says_several_things() -> None:
    said = heard(
        RtcpRrPacket(THEIRS, [INFO]),
        RtcpSdesPacket([RtcpSourceInfo(THEIRS, [(1, b"them")])]),
        RtcpPsfbPacket(RTCP_PSFB_APP, THEIRS, 0, pack_remb_fci(2_500_000, [OTHER, OURS])),
        RtcpPsfbPacket(RTCP_PSFB_PLI, THEIRS, OURS),
        RtcpRtpfbPacket(RTCP_RTPFB_NACK, THEIRS, OURS, [5, 6, 21, 22, 90]),
        RtcpByePacket([THEIRS]),
    )
    assert said == [
        ("reported", BLOCK),
        ("estimated", pytest.approx(2_500_000, rel=1e-4)),
        ("picture lost",),
        ("missed", [5, 6, 21, 22, 90]),
    ]


def test_what_is_missed_goes_on_after_the_last_number() -> None:
    entry = b"\xff\xff\x00\x03"
    packet = RtcpPsfbPacket(RTCP_RTPFB_NACK, THEIRS, OURS, entry)
    data = bytearray(bytes(packet))
    data[1] = 205  # the same form, and aiortc writes no wrap
    assert heard(bytes(data)) == [("missed", [0xFFFF, 0, 1])]


def test_a_flood_of_what_is_missed_is_not_listened_to() -> None:
    packet = bytearray(
        bytes(RtcpPsfbPacket(RTCP_RTPFB_NACK, THEIRS, OURS, b"\x01\0\xff\xff" * 360))
    )
    packet[1] = 205
    [(_, missed)] = heard(bytes(packet))
    assert len(missed) == MOST_MISSED


def test_full_intra_requests_name_their_streams() -> None:
    # RFC 5104 4.3.1: the media source of the packet is 0.
    entries = b"".join(s.to_bytes(4, "big") + b"\x05\0\0\0" for s in (OTHER, OURS))
    packet = RtcpPsfbPacket(RTCP_PSFB_FIR, THEIRS, 0, entries + b"\0\0\0\7")
    assert heard(packet) == [("full intra requested", 5)]


def test_what_is_about_other_streams_is_nobodys_business() -> None:
    assert (
        heard(
            RtcpPsfbPacket(RTCP_PSFB_PLI, THEIRS, OTHER),
            RtcpRtpfbPacket(RTCP_RTPFB_NACK, THEIRS, OTHER, [1]),
            RtcpPsfbPacket(RTCP_PSFB_APP, THEIRS, 0, pack_remb_fci(9, [OTHER])),
            RtcpPsfbPacket(RTCP_PSFB_APP, THEIRS, OURS, b"else"),
            RtcpPsfbPacket(RTCP_PSFB_FIR, THEIRS, OURS, OTHER.to_bytes(4, "big") + bytes(4)),
        )
        == []
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\xc9\x00",
        b"\x80\xc9\x00\x02\0\0\0\1",
        b"\x40\xc9\x00\x01\0\0\0\1",
        b"\x81\xc9\x00\x01\0\0\0\1",
        b"\x81\xce\x00\x01\0\0\0\1",
        b"\x8f\xce\x00\x03" + bytes(8) + b"REMB",
        b"\x8f\xce\x00\x04" + bytes(8) + b"REMB\x01\0\0\1",
    ],
    ids=["header", "truncated", "version", "blocks", "sources", "estimate", "estimated streams"],
)
def test_malformed_packets_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"RTCP|estimate"):
        heard(data)


@given(
    st.lists(
        st.tuples(
            st.integers(0x80, 0xBF), st.sampled_from([200, 201, 205, 206]), st.binary(max_size=40)
        ),
        max_size=4,
    )
)
def test_nothing_but_a_value_error_comes_of_any_packet(parts: list[tuple[int, int, bytes]]) -> None:
    data = b"".join(
        bytes([first, kind]) + (len(rest) // 4).to_bytes(2, "big") + rest
        for first, kind, rest in parts
    )
    try:
        said = heard(data)
    except ValueError:
        return
    assert all(number <= 0xFFFF for one in said if one[0] == "missed" for number in one[1])
