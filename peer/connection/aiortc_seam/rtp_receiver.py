"""aiortc's receiver with a track that is muted and ended by the specification's rules.

Needs of `aiortc.RTCRtpReceiver`: `_track`, whose `_queue.put()` gets the decoded frames;
`_handle_rtp_packet(packet, arrival_time_ms)` and `_handle_rtcp_packet(packet)`;
`_handle_disconnect()`; `_enabled`; `_set_rtcp_ssrc(ssrc)`; `_send_rtcp_nack()`,
`_send_rtcp_pli()`; the mangled `__codecs`, `__rtx_ssrc`,
`__nack_generator`, `__decoder_queue`, `__decoder_thread`, `__remote_streams` and
`__stop_decoder()`; of `aiortc.RTCDtlsTransport`: `_register_rtp_receiver(receiver, parameters)`
and `_unregister_rtp_receiver(receiver)`.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aiortc import RTCRtpCodecParameters, RTCRtpReceiver, clock
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import NackGenerator
from aiortc.rtp import AnyRtcpPacket, RtcpByePacket, RtcpSrPacket, RtpPacket

from .dtls import DtlsTransport


class FrameSink(Protocol):
    """Where decoded frames go; called on the loop, in order."""

    async def put(self, frame: Any) -> None:
        """Take a frame; None at the decoder's end."""


@dataclass
class _Track:
    """What aiortc's receiver expects of its track."""

    _queue: FrameSink


@dataclass(frozen=True)
class SenderReport:
    """What the other side said last of a stream that it sends (RFC 3550 6.4.1)."""

    packets_sent: int
    bytes_sent: int
    timestamp: float
    """Seconds since 1970, by the other side's clock."""


@dataclass(frozen=True)
class ReceivedStream:
    """Counters of one source, since it was first heard."""

    ssrc: int
    packets_received: int
    bytes_received: int
    packets_lost: int
    jitter: int
    """In units of the codec's clock."""
    codec: RTCRtpCodecParameters | None
    report: SenderReport | None


class RtpReceiver(RTCRtpReceiver):
    """Receives and decodes one m-section.

    :param frames: gets the decoded frames.
    :param arrived: called for each RTP packet.
    :param left: called when the other side says BYE.
    """

    def __init__(
        self,
        kind: str,
        transport: DtlsTransport,
        frames: FrameSink,
        arrived: Callable[[RtpPacket], None],
        left: Callable[[], None],
    ) -> None:
        super().__init__(kind, transport)
        self._track = _Track(frames)  # type: ignore[assignment]
        self._arrived, self._left = arrived, left
        self._running = False
        self._decoders: list[threading.Thread] = []
        self._reports: dict[int, SenderReport] = {}
        self._heard: dict[int, tuple[int, int]] = {}  # by source: bytes, and the payload type
        self.nacks = self.plis = 0
        """Requests for packets, and for key frames, that were sent."""

    def enable(self, enabled: bool) -> None:
        """Take packets, or drop them."""
        self._enabled = enabled

    def report_as(self, ssrc: int) -> None:
        """The source under which reports to the other side are made."""
        self._set_rtcp_ssrc(ssrc)

    async def configure(self, parameters: RTCRtpReceiveParameters) -> None:
        """Begin to receive, or go on with what was negotiated anew."""
        if not self._running:
            self._running = True
            await self.receive(parameters)
            return
        codecs = self._RTCRtpReceiver__codecs  # type: ignore[attr-defined]
        codecs.clear()
        codecs.update({codec.payloadType: codec for codec in parameters.codecs})
        sources = self._RTCRtpReceiver__rtx_ssrc  # type: ignore[attr-defined]
        known = set(sources.values())
        for encoding in parameters.encodings:
            if encoding.rtx:
                sources[encoding.rtx.ssrc] = encoding.ssrc
        if {encoding.ssrc for encoding in parameters.encodings} - known and not self._is_audio:
            # Another source counts from a number of its own, which is no gap.
            self._RTCRtpReceiver__nack_generator = NackGenerator()
        self.transport._unregister_rtp_receiver(self)
        self.transport._register_rtp_receiver(self, parameters)

    @property
    def _is_audio(self) -> bool:
        return self._RTCRtpReceiver__nack_generator is None

    def streams(self) -> list[ReceivedStream]:
        """What has arrived, by source."""
        repeats = self._RTCRtpReceiver__rtx_ssrc  # type: ignore[attr-defined]
        codecs = self._RTCRtpReceiver__codecs  # type: ignore[attr-defined]
        found = []
        for ssrc, stream in self._RTCRtpReceiver__remote_streams.items():  # type: ignore[attr-defined]
            if ssrc in repeats:
                continue
            received, payload_type = self._heard.get(ssrc, (0, -1))
            found.append(ReceivedStream(
                ssrc, stream.packets_received, received, stream.packets_lost, stream.jitter,
                codecs.get(payload_type), self._reports.get(ssrc),
            ))  # fmt: skip
        return found

    async def stop(self) -> None:
        """Receive no more; the decoder's thread is gone when it returns."""
        if self._running:
            self._running = False
            await super().stop()
            for decoder in self._decoders:
                await asyncio.to_thread(decoder.join)
            self._decoders.clear()

    def _RTCRtpReceiver__stop_decoder(self) -> None:
        # aiortc joins the thread here, on the loop, whatever is still to be decoded.
        thread = self._RTCRtpReceiver__decoder_thread  # type: ignore[has-type]
        if thread is not None:
            self._RTCRtpReceiver__decoder_queue.put(None)  # type: ignore[attr-defined]
            self._RTCRtpReceiver__decoder_thread = None
            self._decoders.append(thread)

    def _handle_disconnect(self) -> None:
        """aiortc stops decoding for good here: the end is the connection's to say."""

    async def _handle_rtp_packet(self, packet: RtpPacket, arrival_time_ms: int) -> None:
        if self._enabled:
            self._arrived(packet)
            received, _ = self._heard.get(packet.ssrc, (0, 0))
            self._heard[packet.ssrc] = (received + len(packet.payload), packet.payload_type)
        await super()._handle_rtp_packet(packet, arrival_time_ms)

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpByePacket):
            self._left()  # aiortc ends the track; WebRTC 5.3 mutes it
            return
        if isinstance(packet, RtcpSrPacket):
            sent = packet.sender_info
            self._reports[packet.ssrc] = SenderReport(
                sent.packet_count,
                sent.octet_count,
                clock.datetime_from_ntp(sent.ntp_timestamp).timestamp(),
            )
        await super()._handle_rtcp_packet(packet)

    async def _send_rtcp_nack(self, media_ssrc: int, lost: list[int]) -> None:
        self.nacks += 1
        await super()._send_rtcp_nack(media_ssrc, lost)

    async def _send_rtcp_pli(self, media_ssrc: int) -> None:
        self.plis += 1
        await super()._send_rtcp_pli(media_ssrc)
