"""What the seam needs of aiortc's DTLS transport: fails when a release changes it."""

import asyncio
import inspect

import aiortc
from aiortc import RTCCertificate, RTCDtlsParameters, rtp

from peer.connection.aiortc_seam.dtls import DtlsTransport, _reported
from peer.connection.aiortc_seam.ice import IceTransport


def test_aiortc_hands_over_what_it_has_decrypted() -> None:
    source = inspect.getsource(aiortc.RTCDtlsTransport._recv_next)
    for name in ("_handle_rtp_data(data, arrival_time_ms=", "_handle_rtcp_data(data)"):
        assert name in source, f"aiortc no longer calls {name} with decrypted packets"


async def test_the_private_parts_are_there() -> None:
    ice = IceTransport()
    certificate = RTCCertificate.generateCertificate()
    dtls = DtlsTransport(ice, certificate)
    try:
        assert dtls.traffic.bytes_sent == 0, "aiortc counts traffic elsewhere now"
        assert dtls.remote_certificate is None
        assert dtls.local_certificate is certificate._cert
        dtls.set_role("server")
        assert dtls._role == "server", "aiortc keeps the DTLS role elsewhere now"
        router = dtls._rtp_router
        for name in ("ssrc_table", "mid_table", "route_rtp", "route_rtcp"):
            assert hasattr(router, name), f"aiortc's RtpRouter has no {name} any more"
        assert hasattr(dtls, "_rtp_header_extensions_map")
    finally:
        await ice.stop()


def test_reports_are_told_apart_by_the_streams_they_are_about() -> None:
    info = rtp.RtcpReceiverInfo(7, 0, 0, 0, 0, 0, 0)
    assert _reported(rtp.RtcpRrPacket(ssrc=1, reports=[info])) == [7]
    assert _reported(rtp.RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=7)) == [7]
    assert _reported(rtp.RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=7)) == [7]
    # RFC 5104 4.3.1: the media source of a full intra request is 0, its entries name the streams.
    entries = b"".join(ssrc.to_bytes(4, "big") + b"\x01\0\0\0" for ssrc in (7, 8))
    assert _reported(rtp.RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=entries)) == [7, 8]
    remb = rtp.pack_remb_fci(100_000, [7, 9])
    assert _reported(rtp.RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=remb)) == [7, 9]
    assert _reported(rtp.RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=b"else")) == []
    assert _reported(rtp.RtcpByePacket(sources=[7])) == []


def test_reports_go_to_the_stream_that_they_are_about() -> None:
    source = inspect.getsource(aiortc.RTCDtlsTransport._handle_rtcp_data)
    assert "_rtp_router.route_rtcp(packet)" in source, "aiortc routes RTCP in another way now"


async def test_the_first_flight_is_said_again() -> None:
    """The other side may not listen yet when it is said first, and OpenSSL waits for a second."""
    heard = asyncio.Event()

    class Deaf(IceTransport):
        """Hears nothing before the first flight has been said three times."""

        said = 0

        async def _send(self, data: bytes) -> None:
            self.said += 1
            if self.said < 3:
                return
            heard.set()
            await super()._send(data)

    first, second = Deaf(), IceTransport()
    client = DtlsTransport(first, RTCCertificate.generateCertificate())
    server = DtlsTransport(second, RTCCertificate.generateCertificate())
    client.set_role("client")
    server.set_role("server")
    try:
        await asyncio.gather(first.gather(), second.gather())
        for candidate in second.candidates:
            await first.add_remote_candidate(candidate)
        for candidate in first.candidates:
            await second.add_remote_candidate(candidate)
        await asyncio.gather(
            first.start(second.parameters, controlling=True),
            second.start(first.parameters, controlling=False),
        )
        # OpenSSL by itself says it for the third time after 3 seconds.
        async with asyncio.timeout(2.5):
            await asyncio.gather(
                client.start(RTCDtlsParameters(server.getLocalParameters().fingerprints)),
                server.start(RTCDtlsParameters(client.getLocalParameters().fingerprints)),
            )
        assert (client.state, server.state) == ("connected", "connected")
        assert heard.is_set()
    finally:
        for dtls, ice in ((client, first), (server, second)):
            await dtls.stop()
            await ice.stop()
