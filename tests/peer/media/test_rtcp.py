"""What streams and their viewers tell each other, read back by aiortc."""

import pytest
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpSdesPacket, RtcpSrPacket

from peer.media.capture_time import ForeignClock, ntp_time
from peer.media.feedback import ReportBlock
from peer.media.rtcp import ReceiverState, bye, sender_report


def test_a_report_tells_time_counts_and_name() -> None:
    data = sender_report(7, "me", now=10.0, rtp_timestamp=5, packets=3, octets=(1 << 32) + 4)
    report, description, end = RtcpPacket.parse(data + bye(7))
    assert isinstance(report, RtcpSrPacket)
    info = report.sender_info
    assert (report.ssrc, info.rtp_timestamp, info.packet_count, info.octet_count) == (7, 5, 3, 4)
    assert info.ntp_timestamp == ntp_time(10.0)
    assert isinstance(description, RtcpSdesPacket)
    assert [(c.ssrc, c.items) for c in description.chunks] == [(7, [(1, b"me")])]
    assert end == RtcpByePacket(sources=[7])


def report(lsr: int, dlsr: int, lost: int = 0) -> ReportBlock:
    return ReportBlock(7, lost, 3, 90, lsr, dlsr, 0)


def test_round_trips_are_measured() -> None:
    state = ReceiverState()
    sent = ntp_time(10.0) >> 16 & 0xFFFFFFFF
    state.update(report(sent, round(0.5 * 65536), 64), 10.6)
    assert state.round_trip_time == pytest.approx(0.1, abs=1e-3)
    assert (state.fraction_lost, state.packets_lost, state.jitter) == (0.25, 3, 90)
    state.update(report(sent, round(0.5 * 65536)), 10.8)
    assert state.last_round_trip_time == pytest.approx(0.3, abs=1e-3)
    assert state.round_trip_time == pytest.approx(0.1 + 0.15 * 0.2, abs=1e-3)
    assert state.total_round_trip_time == pytest.approx(0.4, abs=1e-3)
    assert (state.reports, state.round_trip_time_measurements) == (2, 2)


def test_reports_about_what_was_never_sent_measure_nothing() -> None:
    state = ReceiverState()
    state.update(report(0, 0), 10.0)
    later = ntp_time(20.0) >> 16 & 0xFFFFFFFF
    state.update(report(later, 0), 10.0)
    assert state.round_trip_time is None
    assert state.reports == 2


def test_foreign_time_stamps_are_taken_for_what_they_say() -> None:
    clock = ForeignClock()
    assert clock.capture_time(5.0, 100.0) == 100.0
    assert clock.capture_time(5.5, 100.7) == 100.5, "it was late"
    assert clock.capture_time(6.0, 100.9) == 100.9, "the first was late, too"
    assert clock.capture_time(6.5, 101.5) == pytest.approx(101.4)
    assert clock.capture_time(0.0, 101.0) == 101.0, "they have begun anew"
    assert clock.capture_time(0.1, 101.1) == pytest.approx(101.1)
    assert clock.capture_time(None, 102.0) == 102.0
