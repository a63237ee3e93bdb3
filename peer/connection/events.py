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
        self,
        type: str,
        *,
        receiver: "RTCRtpReceiver",
        track: RemoteTrack,
        streams: Sequence[MediaStream],
        transceiver: "RTCRtpTransceiver",
    ) -> None:
        super().__init__(type)
        self.receiver = receiver
        self.track = track
        self.streams = tuple(streams)
        self.transceiver = transceiver


class RTCPeerConnectionIceEvent(Event):
    """A local candidate was found; None when there are no more (WebRTC 4.8.2)."""

    def __init__(self, type: str, candidate: RTCIceCandidate | None) -> None:
        super().__init__(type)
        self.candidate = candidate


class RTCDataChannelEvent(Event):
    """The other side has opened a data channel (WebRTC 6.4)."""

    def __init__(self, type: str, channel: RTCDataChannel) -> None:
        super().__init__(type)
        self.channel = channel


class RTCFailureEvent(Event):
    """A sender or the connection failed, and why; the specification has no event for it."""

    def __init__(self, type: str, error: Exception) -> None:
        super().__init__(type)
        self.error = error
