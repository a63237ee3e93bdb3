"""ICE candidates as applications see them (WebRTC 4.8.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiortc import RTCIceCandidate

from ..errors import OperationError
from .sdp import SdpError, format_candidate, parse_candidate


@dataclass
class LocalCandidate(RTCIceCandidate):
    """A candidate that this side found: aiortc's, with its text."""

    @property
    def candidate(self) -> str:
        """The text that is sent to the other side."""
        return format_candidate(self)

    def toJSON(self) -> dict[str, Any]:
        """What is sent to the other side."""
        return {
            "candidate": self.candidate,
            "sdpMid": self.sdpMid,
            "sdpMLineIndex": self.sdpMLineIndex,
        }


def read_candidate(
    candidate: RTCIceCandidate | Mapping[str, Any] | None,
) -> RTCIceCandidate | None:
    """A candidate of the other side's; None says that there are no more.

    :raises TypeError: it does not say which section it belongs to.
    :raises OperationError: it can't be understood.
    """
    if candidate is None:
        return None
    if isinstance(candidate, Mapping):
        text = candidate.get("candidate") or ""
        if not text:
            return None
        try:
            read = parse_candidate(text)
        except SdpError as error:
            raise OperationError(str(error)) from error
        read.sdpMid = candidate.get("sdpMid")
        read.sdpMLineIndex = candidate.get("sdpMLineIndex")
    else:
        read = candidate
    if read.sdpMid is None and read.sdpMLineIndex is None:
        raise TypeError("a candidate has an sdpMid or an sdpMLineIndex")
    return read
