"""What a signalling client gives its user: sessions, and what is said in them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol


class EndReason(StrEnum):
    """Why a session ended, or was not begun; what a WHEP player gets is in brackets."""

    CLOSED = "closed"
    """One side left in order."""
    FAILED = "failed"
    """Media could not get through, or no longer."""
    LOST = "lost"
    """The signalling connection of the other side is gone, and did not come back in time."""
    NOT_LIVE = "not-live"
    """There is nothing to send at the moment (409)."""
    MALFORMED = "malformed"
    """A description could not be understood (400)."""
    REJECTED = "rejected"
    """A description was understood, but nothing in it can be answered (422)."""
    OVERLOADED = "overloaded"
    """There is no place for another session (503)."""
    UNAUTHORIZED = "unauthorized"
    """The permission was withdrawn (401)."""


@dataclass(frozen=True)
class Description:
    """An offer or an answer."""

    type: Literal["offer", "answer"]
    sdp: str


@dataclass(frozen=True)
class Candidate:
    """A candidate for ICE (WebRTC 4.8.1); an empty one says that there are no more."""

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


@dataclass(frozen=True)
class Ended:
    """The session is over."""

    reason: EndReason = EndReason.CLOSED
    detail: str = ""
    """For a person."""


Message = Description | Candidate | Ended


@dataclass(frozen=True)
class IceServer:
    """A STUN or TURN server (RFC 7064, 7065), as `RTCIceServer` has it."""

    urls: str
    username: str | None = None
    credential: str | None = None


class SignalingSession(Protocol):
    """A conversation with one remote peer, about one connection."""

    id: str
    """Unguessable."""
    peer_id: str
    """The remote peer; empty where the protocol has no names."""
    offers: bool
    """Whether this side makes the first offer."""
    polite: bool
    """Whether this side gives way when offers collide (WebRTC, "perfect negotiation")."""
    renegotiates: bool
    """Whether this side can make further offers; over WHIP, WHEP and copy and paste it can't."""
    may_control: bool
    """Whether the remote peer may control this one's cameras."""
    ice_servers: tuple[IceServer, ...]
    """What the signalling server has to offer for this session."""

    async def send(self, message: Description | Candidate) -> None:
        """Tell the remote peer; after the end it is dropped without an error.

        :raises SignalingError: the server refused the session's first description.
        """

    async def end(self, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        """End the session, and tell the remote peer why; a second call changes nothing."""

    def messages(self) -> AsyncIterator[Message]:
        """What the remote peer says, in order; `Ended` is the last, and is never missing."""


class SignalingClient(Protocol):
    """A source of sessions. It reconnects by itself; live sessions outlast that."""

    async def start(self) -> None:
        """Connect.

        :raises SignalingError: the server can't be reached, or refuses; a person can read why.
        """

    def sessions(self) -> AsyncIterator[SignalingSession]:
        """Each session as it begins, until the client is closed."""

    async def set_meta(self, meta: Mapping[str, Any]) -> None:
        """What others are told of this peer, ready for JSON; dropped where nobody can be told."""

    async def close(self) -> None:
        """End every session in order, and disconnect; a second call changes nothing."""
