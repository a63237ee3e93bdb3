"""What the seam needs of aiortc's DTLS transport: fails when a release changes it."""

import asyncio
import contextlib
import datetime
import inspect
from collections.abc import AsyncIterator

import aiortc
import pytest
from aiortc import RTCCertificate, RTCDtlsParameters
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from peer.connection.aiortc_seam.dtls import DtlsTransport
from peer.connection.aiortc_seam.ice import IceTransport


def new_certificate() -> RTCCertificate:
    return RTCCertificate.generateCertificate()


def test_aiortc_hands_over_what_it_has_decrypted() -> None:
    source = inspect.getsource(aiortc.RTCDtlsTransport._recv_next)
    for name in ("_handle_rtp_data(data, arrival_time_ms=", "_handle_rtcp_data(data)"):
        assert name in source, f"aiortc no longer calls {name} with decrypted packets"
    for name in ("self._rx_srtp.unprotect_rtcp(data)", "self.__rx_bytes +=", "self.__rx_packets"):
        assert name in source, f"aiortc decrypts and counts in another way now: no {name}"


def test_aiortc_writes_what_openssl_says() -> None:
    handshake = inspect.getsource(aiortc.RTCDtlsTransport._do_handshake)
    for name in ("while not self.encrypted:", "await self._write_ssl()"):
        assert name in handshake, f"aiortc shakes hands in another way now: no {name}"
    write = inspect.getsource(aiortc.RTCDtlsTransport._write_ssl)
    for name in (
        "self._ssl.bio_read(1500)",
        "self.transport._send(data)",
        "self.__tx_packets += 1",
    ):
        assert name in write, f"aiortc writes in another way now: no {name}"


async def test_the_private_parts_are_there() -> None:
    ice = IceTransport()
    certificate = new_certificate()
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


def test_reports_go_to_the_stream_that_they_are_about() -> None:
    source = inspect.getsource(aiortc.RTCDtlsTransport._handle_rtcp_data)
    assert "_rtp_router.route_rtcp(packet)" in source, "aiortc routes RTCP in another way now"


class Lossy(IceTransport):
    """Loses some of what it is to send."""

    lost = range(0)
    said = 0

    def send_now(self, data: bytes) -> None:
        self.said += 1
        if self.said - 1 not in self.lost:
            super().send_now(data)


@pytest.mark.parametrize("loser", ["client", "server"])
async def test_what_a_side_says_first_in_the_handshake_is_said_again(loser: str) -> None:
    """The other side may not listen yet, or the packet is gone, and OpenSSL waits for a second."""
    ices = {"client": Lossy(), "server": Lossy()}
    ices[loser].lost = range(2)
    async with connected_ice(*ices.values()):
        sides = {role: DtlsTransport(ice, new_certificate()) for role, ice in ices.items()}
        for role, side in sides.items():
            side.set_role(role)
        client, server = sides.values()
        # OpenSSL by itself says it for the third time after 3 seconds.
        async with asyncio.timeout(2.5):
            await asyncio.gather(
                client.start(RTCDtlsParameters(server.getLocalParameters().fingerprints)),
                server.start(RTCDtlsParameters(client.getLocalParameters().fingerprints)),
            )
        assert (client.state, server.state) == ("connected", "connected")
        assert ices[loser].said > 2
        assert client._repeating is server._repeating is None
        await client.stop()
        await server.stop()


async def test_other_sides_may_have_rsa_certificates() -> None:
    """As GStreamer's webrtcbin has; aiortc by itself offers no cipher for them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rsa")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    async with connected_ice() as (first, second):
        client = DtlsTransport(first, new_certificate())
        server = DtlsTransport(second, RTCCertificate(key, certificate))  # type: ignore[arg-type]
        client.set_role("client")
        server.set_role("server")
        await asyncio.gather(
            client.start(RTCDtlsParameters(server.getLocalParameters().fingerprints)),
            server.start(RTCDtlsParameters(client.getLocalParameters().fingerprints)),
        )
        assert (client.state, server.state) == ("connected", "connected")
        await client.stop()
        await server.stop()


@contextlib.asynccontextmanager
async def connected_ice(
    first: IceTransport | None = None, second: IceTransport | None = None
) -> AsyncIterator[tuple[IceTransport, IceTransport]]:
    first, second = first or IceTransport(), second or IceTransport()
    try:
        await asyncio.gather(first.gather(), second.gather())
        for ours, theirs in ((first, second), (second, first)):
            for candidate in theirs.candidates:
                await ours.add_remote_candidate(candidate)
        await asyncio.gather(
            first.start(second.parameters, controlling=True),
            second.start(first.parameters, controlling=False),
        )
        yield first, second
    finally:
        await first.stop()
        await second.stop()
