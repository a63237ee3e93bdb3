"""RTCRtpReceiver: receives a track over a connection (WebRTC 5.3)."""

from collections.abc import Sequence
from typing import Any

from aiortc import RTCRtpCapabilities
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import RTCRtpContributingSource, RTCRtpSynchronizationSource
from aiortc.rtp import RtpPacket

from ..capture.media_stream import MediaStream
from .aiortc_seam.dtls import DtlsTransport
from .aiortc_seam.rtp_receiver import ReceivedStream, RtpReceiver
from .codecs import capabilities
from .remote_track import RemoteSource, RemoteTrack
from .rtc_rtp_sender import Negotiator, described_codec
from .stats_report import RTCStatsReport


class RTCRtpReceiver:
    """Receives one m-section's media as a track, which exists from the beginning, muted."""

    def __init__(self, kind: str, transport: DtlsTransport, negotiator: Negotiator) -> None:
        self._transport, self._negotiator = transport, negotiator
        self._source = RemoteSource(kind)
        self._track = RemoteTrack(self._source)
        self._receiver: RtpReceiver | None = None  # made when there is something to receive
        self._receptive = False
        self._parameters: RTCRtpReceiveParameters | None = None
        self._streams: list[MediaStream] = []
        """The streams that the other side says the track belongs to."""

    @property
    def track(self) -> RemoteTrack:
        """What is received."""
        return self._track

    @property
    def transport(self) -> DtlsTransport:
        """The transport that it is received over."""
        return self._transport

    @staticmethod
    def getCapabilities(kind: str) -> RTCRtpCapabilities | None:
        """What can be received; None for an unknown kind."""
        return capabilities(kind, sends=False)

    def getSynchronizationSources(self) -> Sequence[RTCRtpSynchronizationSource]:
        """The sources of the last ten seconds."""
        return self._receiver.getSynchronizationSources() if self._receiver is not None else ()

    def getContributingSources(self) -> Sequence[RTCRtpContributingSource]:
        """Sources that a mixer named: aiortc does not tell."""
        return ()

    def getParameters(self) -> dict[str, Any]:
        """How it is received (WebRTC 5.3.1): codecs and header extensions."""
        received = self._parameters
        return {
            "codecs": [described_codec(codec) for codec in received.codecs] if received else [],
            "headerExtensions": [
                {"uri": one.uri, "id": one.id} for one in received.headerExtensions
            ]
            if received
            else [],
            "rtcp": {"reducedSize": True},
        }

    async def getStats(self) -> RTCStatsReport:
        """What there is to know of what it receives (WebRTC 5.3, getStats)."""
        return await self._negotiator._report(receiver=self)

    # For the connection.

    @property
    def _statistics(self) -> list[ReceivedStream]:
        """Counters of what was received, by source."""
        return self._receiver.streams() if self._receiver is not None else []

    @property
    def _decoded(self) -> dict[str, Any]:
        """What became of it: of pictures the frames, of sound the duration in seconds and the
        energy, by the names of `inbound-rtp`."""
        requests = {}
        if self._receiver is not None:
            requests = {"nackCount": self._receiver.nacks, "pliCount": self._receiver.plis}
        return self._source.decoded() | requests

    async def _start(self, parameters: RTCRtpReceiveParameters, report_as: int) -> None:
        """Receive as it was negotiated; reports are sent as this source."""
        self._parameters = parameters
        if self._receiver is None:
            source = self._source
            self._receiver = RtpReceiver(
                source.kind, self._transport, source, self._arrived, lambda: source.set_muted(True)
            )
        self._receiver.report_as(report_as)
        await self._receiver.configure(parameters)
        self._receptive = True
        self._receiver.enable(True)

    async def _move_to(self, transport: DtlsTransport) -> None:
        """Receive over this transport from now on."""
        self._transport = transport
        if self._receiver is not None:
            assert self._parameters is not None, "it was started"
            self._receiver.setTransport(transport)
            await self._receiver.configure(self._parameters)

    def _pause(self) -> None:
        """Take nothing until `start()`."""
        self._receptive = False
        if self._receiver is not None:
            self._receiver.enable(False)

    def _mute(self) -> None:
        """The other side sends nothing any more."""
        self._source.set_muted(True)

    def _end(self) -> None:
        """End the track, and fire `ended` on it."""
        self._pause()
        self._source.end()

    async def _stop(self) -> None:
        """Let go of the decoder."""
        if self._receiver is not None:
            await self._receiver.stop()

    def _arrived(self, packet: RtpPacket) -> None:
        if self._receptive:
            self._source.set_muted(False)
