"""What a viewer says of the streams that it gets: RTCP, taken apart as it comes (pure)."""

from collections.abc import Iterator, Mapping
from itertools import islice
from struct import Struct, iter_unpack
from typing import NamedTuple, Protocol

from aiortc.rtp import (
    RTCP_PSFB,
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RR,
    RTCP_RTPFB,
    RTCP_RTPFB_NACK,
    RTCP_SR,
)

_HEADER = Struct("!BBH")
_BLOCK = Struct("!6I")  # RFC 3550 6.4.1
_SOURCES = Struct("!II")  # who says it, and of which stream
_SENDER_INFORMATION = 20
_VERSION, _PADDED, _COUNT = 2, 0x20, 0x1F
MOST_MISSED = 256
"""Packets that are told of in one datagram: who misses more needs a key frame, and may do it on
purpose."""
_NACK_BITS = 16
"""Packets after the first that one entry of a NACK can name (RFC 4585 6.2.1)."""


class ReportBlock(NamedTuple):
    """How a stream arrives (RFC 3550 6.4.1)."""

    ssrc: int
    fraction_lost: int
    """In 256ths, since the block before."""
    packets_lost: int
    """Altogether; fewer than none when some came twice."""
    jitter: int
    """In units of the codec's clock."""
    lsr: int
    """The middle of the NTP time of the last sender report, 0 before the first."""
    dlsr: int
    """Units of 1/65536 second since that came."""
    highest: int
    """The extended sequence number of the newest packet that has come."""


class StreamFeedback(Protocol):
    """Who listens to what is said of a stream."""

    def reported(self, report: ReportBlock) -> None:
        """How it arrives."""

    def estimated(self, bitrate: int) -> None:
        """How many bits a second the way here can carry (draft-alvestrand-rmcat-remb)."""

    def missed(self, sequence_numbers: list[int]) -> None:
        """These packets have not come (RFC 4585 6.2.1)."""

    def picture_lost(self) -> None:
        """Too much has been lost to go on with (RFC 4585 6.3.1)."""

    def full_intra_requested(self, number: int) -> None:
        """A key frame is wanted; the same number again is a repetition (RFC 5104 4.3.1.1)."""


def take_apart(data: bytes, streams: Mapping[int, StreamFeedback]) -> None:
    """Tell the streams, by their SSRCs, what a compound packet says of them.

    Hundreds of viewers say something several times a second: only what is wanted is looked at.

    :raises ValueError: it is malformed; what it said before that has been told.
    """
    position, length, missed = 0, len(data), 0
    while position < length:
        if length - position < _HEADER.size:
            raise ValueError("RTCP that ends within a header")
        first, kind, words = _HEADER.unpack_from(data, position)
        body = position + _HEADER.size
        position = body + 4 * words
        if first >> 6 != _VERSION or position > length:
            raise ValueError("RTCP of another version, or cut short")
        end = position - data[position - 1] if first & _PADDED else position
        if kind == RTCP_RR:
            _tell_reports(data, body + 4, end, first & _COUNT, streams)
        elif kind == RTCP_SR:
            _tell_reports(data, body + 4 + _SENDER_INFORMATION, end, first & _COUNT, streams)
        elif kind in (RTCP_PSFB, RTCP_RTPFB):
            most = MOST_MISSED - missed
            missed += _tell_feedback(data, kind, first & _COUNT, body, end, streams, most)


def _tell_reports(
    data: bytes, position: int, end: int, count: int, streams: Mapping[int, StreamFeedback]
) -> None:
    if position + count * _BLOCK.size > end:
        raise ValueError("an RTCP report with fewer blocks than it says")
    for _ in range(count):
        ssrc, losses, highest, jitter, lsr, dlsr = _BLOCK.unpack_from(data, position)
        position += _BLOCK.size
        if (stream := streams.get(ssrc)) is not None:
            lost = (losses & 0xFFFFFF) - ((losses & 0x800000) << 1)
            stream.reported(ReportBlock(ssrc, losses >> 24, lost, jitter, lsr, dlsr, highest))


def _tell_feedback(
    data: bytes,
    kind: int,
    format: int,
    body: int,
    end: int,
    streams: Mapping[int, StreamFeedback],
    most: int,
) -> int:
    """Returns how many packets are told to be missed: no more than the last argument says."""
    numbers: list[int] = []
    control = body + _SOURCES.size
    if control > end:
        raise ValueError("RTCP feedback that is cut short")
    stream = streams.get(_SOURCES.unpack_from(data, body)[1])
    if kind == RTCP_RTPFB:
        if format == RTCP_RTPFB_NACK and stream is not None:
            numbers = list(islice(_missed(data[control:end]), most))
            stream.missed(numbers)
    elif format == RTCP_PSFB_PLI:
        if stream is not None:
            stream.picture_lost()
    elif format == RTCP_PSFB_FIR:  # its entries name the streams
        for ssrc, number in iter_unpack("!IBxxx", data[control : end - (end - control) % 8]):
            if (wanted := streams.get(ssrc)) is not None:
                wanted.full_intra_requested(number)
    elif format == RTCP_PSFB_APP and data[control : control + 4] == b"REMB":
        _tell_estimate(data[control + 4 : end], streams)
    return len(numbers)


def _missed(entries: bytes) -> Iterator[int]:
    if len(entries) % 4:
        raise ValueError("a NACK that is cut short")
    for number, following in iter_unpack("!HH", entries):
        yield number
        for bit in range(_NACK_BITS):
            if following >> bit & 1:
                yield (number + bit + 1) & 0xFFFF


def _tell_estimate(message: bytes, streams: Mapping[int, StreamFeedback]) -> None:
    if len(message) < 4 or len(message) < 4 + 4 * message[0]:
        raise ValueError("an estimate that is cut short")
    bitrate = int.from_bytes(message[1:4], "big")
    bitrate = (bitrate & 0x3FFFF) << (bitrate >> 18)
    for (ssrc,) in iter_unpack("!I", message[4 : 4 + 4 * message[0]]):
        if (stream := streams.get(ssrc)) is not None:
            stream.estimated(bitrate)
