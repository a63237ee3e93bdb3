"""The events of a connection (WebRTC 4.8.2, 5.7, 6.4)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiortc import RTCDataChannel, RTCIceCandidate

from ..capture.media_stream import MediaStream
from ..events import Event
from .remote_track import RemoteTrack

if TYPE_CHECKING:
    from .rtc_rtp_receiver import RTCRtpReceiver
    from .rtc_rtp_transceiver import RTCRtpTransceiver


class RTCTrackEvent(Event):
    """Media of the other side may come (WebRTC 5.7)."""

    def __init__(
        self, type: str, transceiver: "RTCRtpTransceiver", streams: Sequence[MediaStream]
    ) -> None:
        super().__init__(type)
        self._transceiver = transceiver
        self._streams = tuple(streams)

    @property
    def receiver(self) -> "RTCRtpReceiver":
        """What receives it."""
        return self._transceiver.receiver

    @property
    def track(self) -> RemoteTrack:
        """What is received."""
        return self._transceiver.receiver.track

    @property
    def streams(self) -> tuple[MediaStream, ...]:
        """The streams that the other side says the track belongs to."""
        return self._streams

    @property
    def transceiver(self) -> "RTCRtpTransceiver":
        """The transceiver of that receiver."""
        return self._transceiver


class RTCPeerConnectionIceEvent(Event):
    """A local candidate was found (WebRTC 4.8.2)."""

    def __init__(self, type: str, candidate: RTCIceCandidate | None) -> None:
        super().__init__(type)
        self._candidate = candidate

    @property
    def candidate(self) -> RTCIceCandidate | None:
        """The candidate; None when there are no more."""
        return self._candidate


class RTCDataChannelEvent(Event):
    """The other side has opened a data channel (WebRTC 6.4)."""

    def __init__(self, type: str, channel: RTCDataChannel) -> None:
        super().__init__(type)
        self._channel = channel

    @property
    def channel(self) -> RTCDataChannel:
        """The channel."""
        return self._channel


class RTCFailureEvent(Event):
    """A sender failed; the specification has no event for it."""

    def __init__(self, type: str, error: Exception) -> None:
        super().__init__(type)
        self._error = error

    @property
    def error(self) -> Exception:
        """Why."""
        return self._error
