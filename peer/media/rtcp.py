"""RTCP of one outgoing stream: what is told to its viewer, and what it has told of that (pure)."""

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

from aiortc.rtp import RTCP_SR, RtcpByePacket, RtcpSdesPacket, RtcpSourceInfo

from .capture_time import ntp_time
from .feedback import ReportBlock

_REPORT = Struct("!BBHIQIII")  # one is made each second for each stream
_VERSION = 0x80
_CNAME = 1
_MASK_32 = 0xFFFFFFFF
_RTT_SMOOTHING = 0.15
"""What a measurement counts in the round trip time that is reported, as in aiortc."""
_LONGEST_ROUND_TRIP = 60.0
"""Seconds; anything longer is a report about a sender report that this process never sent."""


def sender_report(
    ssrc: int, cname: str, *, now: float, rtp_timestamp: int, packets: int, octets: int
) -> bytes:
    """A compound packet that says which RTP time stamp belongs to `now` (RFC 3550 6.4.1)."""
    counts = (packets & _MASK_32, octets & _MASK_32)
    report = _REPORT.pack(
        _VERSION, RTCP_SR, _REPORT.size // 4 - 1, ssrc, ntp_time(now), rtp_timestamp, *counts
    )
    return report + _source_description(ssrc, cname)


@lru_cache(1024)
def _source_description(ssrc: int, cname: str) -> bytes:
    description = RtcpSourceInfo(ssrc=ssrc, items=[(_CNAME, cname.encode())])
    return bytes(RtcpSdesPacket([description]))


def bye(ssrc: int) -> bytes:
    """That the stream ends (RFC 3550 6.6); it follows a report."""
    return bytes(RtcpByePacket(sources=[ssrc]))


@dataclass
class ReceiverState:
    """What a viewer has reported about the stream."""

    packets_lost: int = 0
    fraction_lost: float = 0.0
    """Of 1, since the report before."""
    jitter: int = 0
    """In units of the codec's clock."""
    round_trip_time: float | None = None
    """Seconds, smoothed."""
    last_round_trip_time: float | None = None
    """Seconds."""
    total_round_trip_time: float = 0.0
    round_trip_time_measurements: int = 0
    reports: int = 0

    def update(self, report: ReportBlock, now: float) -> None:
        """Take up a report block that arrived now (RFC 3550 6.4.1)."""
        self.reports += 1
        self.packets_lost = report.packets_lost
        self.fraction_lost = report.fraction_lost / 256
        self.jitter = report.jitter
        if report.lsr == 0:
            return
        arrival = (ntp_time(now) >> 16) & _MASK_32
        measured = ((arrival - report.lsr - report.dlsr) & _MASK_32) / 65536
        if measured > _LONGEST_ROUND_TRIP:
            return
        self.last_round_trip_time = measured
        before = self.round_trip_time
        smoothed = measured if before is None else before + (measured - before) * _RTT_SMOOTHING
        self.round_trip_time = smoothed
        self.total_round_trip_time += measured
        self.round_trip_time_measurements += 1
