"""Descriptions as applications hand them over: read, and checked (WebRTC 4.6; pure)."""

from collections.abc import Mapping
from typing import Any

from aiortc import RTCIceCandidate, RTCSessionDescription

from ..errors import InvalidAccessError, RTCError
from .sdp import Sdp, SdpError, parse

Description = RTCSessionDescription | Mapping[str, Any]


def read_description(description: Description | None) -> tuple[str | None, str]:
    """The type and text of a description.

    :raises TypeError: it has no known type.
    """
    if description is None:
        return None, ""
    if isinstance(description, Mapping):
        type_, text = description.get("type"), description.get("sdp") or ""
    else:
        type_, text = description.type, description.sdp
    if type_ not in ("offer", "answer", "rollback"):
        raise TypeError(f"a description is an offer, an answer or a rollback, not {type_!r}")
    return type_, text


def parse_description(text: str) -> Sdp:
    """A description of the other side's that can be connected with.

    :raises RTCError: it can't be understood.
    :raises InvalidAccessError: it lacks what a connection needs.
    """
    try:
        sdp = parse(text)
    except SdpError as error:
        raise RTCError("sdp-syntax-error", str(error)) from error
    transport = sdp.transport
    if transport is not None:
        if not (transport.ice.usernameFragment and transport.ice.password):
            raise InvalidAccessError("the description has no ice-ufrag and ice-pwd")
        if not transport.fingerprints:
            raise InvalidAccessError("the description has no fingerprint")
        if transport.setup is None:
            raise InvalidAccessError("the description has no setup")
    return sdp


def is_of_transport(candidate: RTCIceCandidate, sdp: Sdp) -> bool:
    """Whether a candidate is of the section that describes the transport."""
    transport = sdp.transport
    if transport is None:
        return False
    if candidate.sdpMid is not None:
        return candidate.sdpMid == transport.mid
    return candidate.sdpMLineIndex == sdp.sections.index(transport)
