"""getUserMedia for Python: this computer's cameras, microphones and screens as WebRTC tracks."""

from .capture.blob import Blob
from .capture.capture_controller import CaptureController
from .capture.device_info import DeviceChangeEvent, InputDeviceInfo, MediaDeviceInfo
from .capture.image_bitmap import ImageBitmap
from .capture.image_capture import ImageCapture
from .capture.media_devices import MediaDevices
from .capture.media_stream import MediaStream, MediaStreamTrackEvent
from .capture.media_stream_track import FrameReader, MediaStreamTrack
from .capture.navigator import mediaDevices, navigator
from .capture.permissions import Permissions, PermissionStatus
from .capture.track_stats import MediaStreamTrackAudioStats, MediaStreamTrackVideoStats
from .connection.events import (
    RTCDataChannelEvent,
    RTCPeerConnectionIceEvent,
    RTCTrackEvent,
)
from .connection.rtc_peer_connection import RTCPeerConnection
from .connection.rtc_rtp_receiver import RTCRtpReceiver
from .connection.rtc_rtp_sender import RTCRtpSender
from .connection.rtc_rtp_transceiver import RTCRtpTransceiver
from .errors import (
    AbortError,
    DOMException,
    InvalidAccessError,
    InvalidModificationError,
    InvalidStateError,
    NotAllowedError,
    NotFoundError,
    NotReadableError,
    NotSupportedError,
    OperationError,
    OverconstrainedError,
    RTCError,
    SecurityError,
    UnknownError,
)
from .events import Event, EventTarget
from .media.encoded_track import EncodedTrack

__all__ = [
    "AbortError",
    "Blob",
    "CaptureController",
    "DOMException",
    "DeviceChangeEvent",
    "EncodedTrack",
    "Event",
    "EventTarget",
    "FrameReader",
    "ImageBitmap",
    "ImageCapture",
    "InputDeviceInfo",
    "InvalidAccessError",
    "InvalidModificationError",
    "InvalidStateError",
    "MediaDeviceInfo",
    "MediaDevices",
    "MediaStream",
    "MediaStreamTrack",
    "MediaStreamTrackAudioStats",
    "MediaStreamTrackEvent",
    "MediaStreamTrackVideoStats",
    "NotAllowedError",
    "NotFoundError",
    "NotReadableError",
    "NotSupportedError",
    "OperationError",
    "OverconstrainedError",
    "PermissionStatus",
    "Permissions",
    "RTCDataChannelEvent",
    "RTCError",
    "RTCPeerConnection",
    "RTCPeerConnectionIceEvent",
    "RTCRtpReceiver",
    "RTCRtpSender",
    "RTCRtpTransceiver",
    "RTCTrackEvent",
    "SecurityError",
    "UnknownError",
    "mediaDevices",
    "navigator",
]
