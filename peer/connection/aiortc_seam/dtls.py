"""The DTLS transport, with RTP and RTCP routed as BUNDLE wants it.

Needs of `aiortc.RTCDtlsTransport`: `_handle_rtp_data(data, arrival_time_ms)` and
`_handle_rtcp_data(data)`, which get what has been decrypted; `_do_handshake()`, after which it is
`encrypted`; `_write_ssl()`, which sends what OpenSSL wants to say; `_role`;
`_rtp_header_extensions_map`; `_rtp_router` with `route_rtp()`, `route_rtcp()`, `ssrc_table` and
`mid_table`; `_set_role(role)`; `_ssl`, whose peer has a certificate after the handshake;
`_rx_srtp`, which decrypts from then on; the counters `__tx_bytes`, `__tx_packets`, `__rx_bytes` and
`__rx_packets`; and of `RTCCertificate`: `_cert`, `_key` and `_create_ssl_context(srtp_profiles)`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pylibsrtp
from aiortc import RTCCertificate, RTCDtlsTransport
from aiortc.rtcdtlstransport import SRTPProtectionProfile
from aiortc.rtp import RtcpPacket, RtpPacket, is_rtcp
from cryptography import x509
from OpenSSL import SSL

from ...media.feedback import StreamFeedback, take_apart
from .ice import IceTransport

logger = logging.getLogger(__name__)

MAX_SOURCES = 256
"""Synchronisation sources of the other side that are listened to: a track has two, and each is
remembered."""
FLIGHT_REPEATS = (0.05, 0.1, 0.2, 0.4)
"""Seconds between repetitions of what a side says first in the handshake and is not answered: the
other side may not listen yet, or a packet is lost, and OpenSSL waits for a second, where browsers
wait for 50 ms. Of what follows only OpenSSL makes sure: FFmpeg's whip, whose GnuTLS takes longer
than that for its part, never ends a handshake in which a client's last words come twice."""


@dataclass(frozen=True)
class Traffic:
    """Packets of any kind, and their bytes."""

    bytes_sent: int
    packets_sent: int
    bytes_received: int
    packets_received: int


_LONGEST_DATAGRAM = 1500
_COUNTERS = tuple(
    f"_RTCDtlsTransport__{name}" for name in ("tx_bytes", "tx_packets", "rx_bytes", "rx_packets")
)
_TX_BYTES, _TX_PACKETS, _RX_BYTES, _RX_PACKETS = _COUNTERS


CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA"
)
"""aiortc's, and the same for the RSA certificates that GStreamer has."""


class _Certificate(RTCCertificate):
    """A certificate whose DTLS takes other sides' RSA certificates, too."""

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS)
        return context


class DtlsTransport(RTCDtlsTransport):
    """One DTLS association, over which everything of a connection goes."""

    def __init__(self, ice: IceTransport, certificate: RTCCertificate) -> None:
        own = _Certificate(certificate._key, certificate._cert)
        super().__init__(ice, [own])  # type: ignore[arg-type]  # it uses what both have
        self._certificate = certificate
        self._streams: dict[int, StreamFeedback] = {}
        self._has_spoken = False
        self._repeating: asyncio.TimerHandle | None = None
        ice.take_first = self._take_rtcp

    @property
    def ice(self) -> IceTransport:
        """The ICE transport below."""
        return self.transport  # type: ignore[return-value]

    @property
    def local_certificate(self) -> x509.Certificate:
        """This side's certificate."""
        return self._certificate._cert

    @property
    def remote_certificate(self) -> x509.Certificate | None:
        """The other side's, once the handshake has shown it."""
        if self._ssl is None:
            return None
        return self._ssl.get_peer_certificate(as_cryptography=True)

    @property
    def traffic(self) -> Traffic:
        """What went over it so far."""
        private = vars(self)
        return Traffic(*(private[name] for name in _COUNTERS))

    def set_role(self, role: str) -> None:
        """Be `client` or `server` of the handshake, which must not have begun."""
        self._set_role(role)

    def listen(self, ssrc: int, stream: StreamFeedback | None) -> None:
        """Tell this what the other side says of the stream that is sent as `ssrc`; None ends it."""
        if stream is None:
            self._streams.pop(ssrc, None)
        else:
            self._streams[ssrc] = stream

    async def _do_handshake(self) -> None:
        try:
            await super()._do_handshake()
        finally:
            self._stop_repeating()
        if self.state == "failed" and self.traffic.packets_received:
            # OpenSSL's reason does not get through pyOpenSSL.
            logger.warning(
                "the DTLS handshake failed: the other side may have a certificate that is not on "
                "the curve P-256, as FFmpeg's whip has with GnuTLS (give it one by -cert_file and "
                "-key_file), or none of our ciphers"
            )

    async def _write_ssl(self) -> None:
        # What is read from OpenSSL is gone for good; of a flight it is all, in one datagram.
        assert self._ssl is not None
        try:
            data = self._ssl.bio_read(_LONGEST_DATAGRAM)
        except SSL.Error:  # there is nothing
            return
        await self.transport._send(data)
        private = vars(self)
        private[_TX_BYTES] += len(data)
        private[_TX_PACKETS] += 1
        self._stop_repeating()  # it was answered
        if not self._has_spoken:
            self._has_spoken = True
            self._repeat(data, FLIGHT_REPEATS)

    def _repeat(self, flight: bytes, delays: Sequence[float]) -> None:
        """Send a flight again, until there is another or the handshake is over."""
        self._repeating = None
        if delays:
            loop = asyncio.get_running_loop()
            self._repeating = loop.call_later(delays[0], self._say_again, flight, delays[1:])

    def _say_again(self, flight: bytes, delays: Sequence[float]) -> None:
        with contextlib.suppress(ConnectionError):  # ICE has lost its pair, and may find another
            self.ice.send_now(flight)
        self._repeat(flight, delays)

    async def stop(self) -> None:
        await super().stop()
        self._stop_repeating()

    def _stop_repeating(self) -> None:
        if self._repeating is not None:
            self._repeating.cancel()
            self._repeating = None

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        try:
            packet = RtpPacket.parse(data, self._rtp_header_extensions_map)
        except ValueError as error:
            logger.debug("malformed RTP: %s", error)
            return
        # RFC 8843 9.2: the mid counts for more than what a source was thought to belong to.
        router, mid = self._rtp_router, packet.extensions.mid
        if packet.ssrc not in router.ssrc_table and len(router.ssrc_table) >= MAX_SOURCES:
            return
        if mid is not None and mid in router.mid_table:
            router.ssrc_table[packet.ssrc] = router.mid_table[mid]
        receiver = router.route_rtp(packet)
        if receiver is not None:
            await receiver._handle_rtp_packet(packet, arrival_time_ms=arrival_time_ms)

    def _take_rtcp(self, data: bytes) -> bool:
        """Take what viewers say as it comes, while nothing is received whose order matters: by way
        of aiortc's task it is three times the work, and there may be hundreds of viewers."""
        session = self._rx_srtp
        if (
            session is None
            or self._rtp_router.receivers
            or not (data[0] >> 6 == 2 and is_rtcp(data))
        ):
            return False
        counters = vars(self)
        counters[_RX_BYTES] += len(data)
        counters[_RX_PACKETS] += 1
        try:
            take_apart(session.unprotect_rtcp(data), self._streams)
        except (pylibsrtp.Error, ValueError) as error:
            logger.debug("RTCP that is of no use: %s", error)
        return True

    async def _handle_rtcp_data(self, data: bytes) -> None:
        try:
            take_apart(data, self._streams)
            packets = RtcpPacket.parse(data)
        except ValueError as error:
            logger.debug("malformed RTCP: %s", error)
            return
        for packet in packets:
            for receiver in self._rtp_router.route_rtcp(packet):
                await receiver._handle_rtcp_packet(packet)
