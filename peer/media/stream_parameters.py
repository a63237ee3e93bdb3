"""What an outgoing stream is given, and what it has to tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiortc import RTCRtpCodecParameters

from .rtp_packet import PacketBatch


@dataclass(frozen=True)
class StreamParameters:
    """What was negotiated for one stream."""

    codec: RTCRtpCodecParameters
    ssrc: int
    cname: str
    mid: str
    rtx_ssrc: int | None = None
    rtx_payload_type: int | None = None
    """Retransmissions go out in a stream of their own (RFC 4588) when both are given."""
    extensions: Mapping[str, int] = field(default_factory=dict)
    """The ids of the header extensions that were negotiated, by URI."""


class PacketTransport(Protocol):
    """Where packets go: a connected peer. Nothing here blocks."""

    @property
    def ready(self) -> bool:
        """Whether packets can be sent at the moment."""

    @property
    def trailer(self) -> int:
        """Bytes that protection appends to an RTP packet."""

    def send_rtp(self, batch: PacketBatch) -> bool:
        """Protect the packets in the batch's buffer, and send them.

        :return: False when not all could be sent: not ready, or the system's buffers are full.
        """

    def open_row(self) -> "PacketRow | None":
        """A new row for transports like this one; None where there are none."""

    def send_rtcp(self, data: bytes) -> bool:
        """Protect and send a compound RTCP packet; False when it could not be sent."""

    def measure_round_trip(self, measured: Callable[[float], None]) -> None:
        """Have told how many seconds an answer of the peer's takes, if one comes."""


class PacketRow(Protocol):
    """Transports that are sent the same bursts side by side, for less than one by one."""

    def add(self, transport: Any, sequence_number: int, timestamp: int, ssrc: int) -> None:
        """Take a transport in, at the end.

        :param sequence_number: what is added for it to those that are sent.
        :param timestamp: likewise.
        """

    def remove(self, place: int) -> None:
        """Leave one out; the last takes its place."""

    def send(self, batch: PacketBatch, sequence_number: int, timestamp: int) -> list[int]:
        """Send a burst to all; returns the places of those who are to be sent it one by one.

        :param sequence_number: of the first packet.
        """


@dataclass(frozen=True)
class OutgoingStatistics:
    """A snapshot, by the names of WebRTC's statistics: `outbound-rtp` and, where it is said,
    `remote-inbound-rtp` and `media-source`."""

    packetsSent: int = 0
    bytesSent: int = 0
    """Payload only."""
    headerBytesSent: int = 0
    retransmittedPacketsSent: int = 0
    retransmittedBytesSent: int = 0
    framesEncoded: int = 0
    """Those of the shared encoder that were meant for this viewer."""
    keyFramesEncoded: int = 0
    framesSent: int = 0
    frameWidth: int = 0
    frameHeight: int = 0
    framesPerSecond: float = 0.0
    nackCount: int = 0
    pliCount: int = 0
    firCount: int = 0
    targetBitrate: int = 0
    """Bits a second; 0 when a camera compresses the pictures itself."""
    encoderImplementation: str = ""
    rung: int = 0
    """Which size the viewer gets: 0 is the full one, each one below halves it."""
    qualityLimitationReason: str = "none"
    """`none`, or `bandwidth` below the full size."""
    active: bool = True
    packetsLost: int = 0
    """remote-inbound-rtp."""
    fractionLost: float = 0.0
    """remote-inbound-rtp."""
    jitter: float = 0.0
    """remote-inbound-rtp: seconds."""
    roundTripTime: float | None = None
    """remote-inbound-rtp: seconds."""
    totalRoundTripTime: float = 0.0
    """remote-inbound-rtp: seconds."""
    roundTripTimeMeasurements: int = 0
    """remote-inbound-rtp."""
    receiverReports: int = 0
    """How many there have been; without any, there is no remote-inbound-rtp."""
    availableBitrate: int | None = None
    """Bits a second that the viewer thinks its way can carry (REMB)."""
    sourceWidth: int = 0
    """media-source."""
    sourceHeight: int = 0
    """media-source."""
    audioLevel: float | None = None
    """media-source: 0 to 1."""
