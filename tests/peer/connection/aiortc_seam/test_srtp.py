"""What sending needs of aiortc's and pylibsrtp's private parts."""

import asyncio
import errno
import sys

import pytest
from aiortc import RTCCertificate, rtcdtlstransport
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtpPacket

from peer.connection.aiortc_seam import srtp
from peer.connection.aiortc_seam.dtls import DtlsTransport
from peer.connection.aiortc_seam.ice import IceTransport
from peer.connection.aiortc_seam.srtp import SrtpTransport
from peer.media.encoded_frame import EncodedFrame
from peer.media.rtp_packet import PacketBatch, PacketForm

from ...media.loopback import connected_pair


def batch(transport: SrtpTransport, sequence_number: int = 7) -> PacketBatch:
    payloads = [b"a" * 1000, b"b" * 1000, b"c" * 500]
    [burst] = EncodedFrame(b"", payloads, 0, 0.0, is_picture=True).bursts(12)
    made = PacketBatch(burst, PacketForm(96, "0", (), transport.trailer))
    made.stamp(sequence_number, 8, 9)
    return made


class Received:
    """What has come out of a transport, decrypted."""

    def __init__(self, transport: DtlsTransport) -> None:
        self.rtp: asyncio.Queue[RtpPacket] = asyncio.Queue()
        self.rtcp: asyncio.Queue[object] = asyncio.Queue()
        transport._handle_rtp_data = self._rtp  # type: ignore[method-assign]
        transport._handle_rtcp_data = self._rtcp  # type: ignore[method-assign]
        transport.ice.take_first = None

    async def _rtp(self, data: bytes, arrival_time_ms: int) -> None:
        self.rtp.put_nowait(RtpPacket.parse(data))

    async def _rtcp(self, data: bytes) -> None:
        for packet in RtcpPacket.parse(data):
            self.rtcp.put_nowait(packet)


@pytest.mark.parametrize(
    "profile", [b"SRTP_AEAD_AES_256_GCM", b"SRTP_AEAD_AES_128_GCM", b"SRTP_AES128_CM_SHA1_80"]
)
async def test_packets_arrive_as_they_were(profile: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = [p for p in rtcdtlstransport.SRTP_PROFILES if p.openssl_profile == profile]
    monkeypatch.setattr(rtcdtlstransport, "SRTP_PROFILES", profiles)
    async with connected_pair() as (sending, receiving):
        received = Received(receiving)
        transport = SrtpTransport(sending)
        assert transport.ready, (
            "aiortc keeps the nominated pair elsewhere now: see RTCIceTransport._connection"
        )
        assert transport.send_rtp(batch(transport))
        async with asyncio.timeout(30):
            for number, payload in enumerate((b"a" * 1000, b"b" * 1000, b"c" * 500)):
                packet = await received.rtp.get()
                assert (packet.sequence_number, packet.timestamp, packet.ssrc) == (7 + number, 8, 9)
                assert packet.payload == payload
        transport.settle()
        assert sending.ice.pair_statistics().packets_sent >= 3
        statistics = sending._get_stats()[sending._stats_id]
        assert statistics.packetsSent >= 3
        assert statistics.bytesSent > 2500


async def test_reports_arrive_as_they_were() -> None:
    async with connected_pair() as (sending, receiving):
        received = Received(receiving)
        assert SrtpTransport(sending).send_rtcp(bytes(RtcpByePacket(sources=[9])))
        async with asyncio.timeout(30):
            assert await received.rtcp.get() == RtcpByePacket(sources=[9])


async def test_a_packet_too_old_to_be_repeated_is_no_error() -> None:
    async with connected_pair() as (sending, _):
        transport = SrtpTransport(sending)
        assert transport.send_rtp(batch(transport, 20000))
        assert transport.send_rtp(batch(transport, 20000)), "a repetition"
        assert not transport.send_rtp(batch(transport, 10000))


async def test_nothing_is_sent_after_the_end() -> None:
    async with connected_pair() as (sending, receiving):
        transport = SrtpTransport(sending)
        made = batch(transport)
        await receiving.stop()
        await sending.stop()
        async with asyncio.timeout(30):
            while sending.state != "closed":  # noqa: ASYNC110 - its event comes before the end
                await asyncio.sleep(0.01)
        assert not transport.ready
        assert not transport.send_rtp(made)
        assert not transport.send_rtcp(bytes(RtcpByePacket(sources=[9])))


async def test_nothing_is_sent_before_the_beginning() -> None:
    ice = IceTransport()
    transport = SrtpTransport(DtlsTransport(ice, RTCCertificate.generateCertificate()))
    assert not transport.ready
    assert not transport.send_rtcp(bytes(RtcpByePacket(sources=[9])))
    await ice.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is always done so")
async def test_where_the_kernel_does_not_cut_packets_they_are_sent_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with connected_pair() as (sending, receiving):
        received = Received(receiving)
        transport = SrtpTransport(sending)
        with monkeypatch.context() as patched:
            patched.setattr(srtp, "_UDP_SEGMENT", 0x7FFF)  # refused, as by some interfaces
            assert transport.send_rtp(batch(transport))
        assert transport.send_rtp(batch(transport, 10))
        async with asyncio.timeout(30):
            numbers = [(await received.rtp.get()).sequence_number for _ in range(6)]
        assert numbers == [7, 8, 9, 10, 11, 12]


async def test_a_full_socket_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback empties the sender's buffer at once: a real one is never full."""

    def full(*arguments: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "the buffer is full")

    async with connected_pair() as (sending, _):
        transport = SrtpTransport(sending)
        with monkeypatch.context() as patched:
            patched.setattr(srtp, "_sendmsg", full)
            assert not transport.send_rtp(batch(transport))
        assert transport.send_rtp(batch(transport, 10))
