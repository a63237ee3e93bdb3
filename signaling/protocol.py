"""The messages of the WebSocket: GStreamer's signalling protocol, with optional fields (pure).

The protocol is that of `webrtcsink`, `webrtcsrc` and the npm package `gstwebrtc-api`: JSON objects
with a `type`. What is added here stands in optional fields, which those clients never send and
never read:

* A server that wants a token says `welcome` at once, but only with a peer id; the first message
  must then carry the token: `authenticate`, or `setPeerStatus` with `meta.token` (which nobody else
  is shown). Whoever has shown it while connecting, in `Authorization: Bearer …` or as subprotocol
  `token.…` beside `webrtc-signaling`, need not. A `welcome` to somebody who is known carries
  `resumeKey` and `iceServers`; `authenticate` is answered by such a one.
* A client whose socket broke connects again, shows its token, and sends `resume` with the key, and
  with how many messages it had `received`; the answer is a `welcome` with the former peer id and
  with how many the server had `received`, and then each side sends again what the other has missed.
  Counted are the messages in one direction since the first `welcome` of that peer, all but
  `welcome`, `authenticate` and `resume`.
* `setPeerStatus` may name a `room`: peers see, and call, those of their own.
* `startSession` and `sessionStarted` say `mayControl` (whether the consumer may control the
  producer's cameras), `renegotiates` (false when the other peer is a WHIP or WHEP client) and
  `iceServers`; `endSession` says `reason` and `detail`; `error` says `reason`, and the `peerId` or
  `sessionId` that it is about.

In every session the consumer is the polite one ("perfect negotiation"), whoever offers first.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, TypeVar

from .fields import MAX_NAME, Fields, MessageInvalid
from .session import Candidate, Description, EndReason, IceServer

SUBPROTOCOL = "webrtc-signaling"
TOKEN_SUBPROTOCOL = "token."
"""Before the token, in a subprotocol beside `SUBPROTOCOL`."""

_T = TypeVar("_T")


class PeerRole(StrEnum):
    """What a peer has said that it is."""

    PRODUCER = "producer"
    """It sends to whoever asks."""
    CONSUMER = "consumer"
    """It takes what others send to it."""
    LISTENER = "listener"
    """It is told who comes and goes."""


@dataclass(frozen=True)
class PeerInfo:
    """One entry of a list of peers."""

    id: str
    meta: Mapping[str, Any] = field(default_factory=dict)


# From a client.


@dataclass(frozen=True)
class SetProtocolVersion:
    """What GStreamer's newer clients may say first; there is one version."""

    type: ClassVar = "setProtocolVersion"
    version: str


@dataclass(frozen=True)
class Authenticate:
    """The token of a client that could not show it while connecting."""

    type: ClassVar = "authenticate"
    token: str = field(repr=False)


@dataclass(frozen=True)
class Resume:
    """A client that was connected before takes its place again."""

    type: ClassVar = "resume"
    resume_key: str = field(repr=False)
    received: int = 0


@dataclass(frozen=True)
class SetPeerStatus:
    """What a client is; None as room leaves it where it is."""

    type: ClassVar = "setPeerStatus"
    roles: frozenset[PeerRole]
    meta: Mapping[str, Any] = field(default_factory=dict)
    room: str | None = None


@dataclass(frozen=True)
class ListProducers:
    """Asks for `Producers`."""

    type: ClassVar = "list"


@dataclass(frozen=True)
class ListConsumers:
    """Asks for `Consumers`."""

    type: ClassVar = "listConsumers"


@dataclass(frozen=True)
class StartSession:
    """Asks for a session with a producer, or with a consumer that is to take this client's media.

    Without an offer the producer makes it.
    """

    type: ClassVar = "startSession"
    peer_id: str
    offer: str | None = None


# In both directions.


@dataclass(frozen=True)
class EndSession:
    """A session is over."""

    type: ClassVar = "endSession"
    session_id: str
    reason: EndReason = EndReason.CLOSED
    detail: str = ""


@dataclass(frozen=True)
class PeerMessage:
    """What one peer of a session says to the other."""

    type: ClassVar = "peer"
    session_id: str
    content: Description | Candidate


# From the server.


@dataclass(frozen=True)
class Welcome:
    """A client's own id; `received` stands in the answer to `Resume` only."""

    type: ClassVar = "welcome"
    peer_id: str
    resume_key: str | None = field(default=None, repr=False)
    received: int | None = None
    ice_servers: tuple[IceServer, ...] = ()


@dataclass(frozen=True)
class PeerStatusChanged:
    """To listeners, of producers, consumers and themselves; without roles the peer is gone."""

    type: ClassVar = "peerStatusChanged"
    peer_id: str
    roles: frozenset[PeerRole]
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Producers:
    """Who sends to whoever asks."""

    type: ClassVar = "list"
    producers: tuple[PeerInfo, ...]


@dataclass(frozen=True)
class Consumers:
    """Who takes what others send to it."""

    type: ClassVar = "listConsumers"
    consumers: tuple[PeerInfo, ...]


@dataclass(frozen=True)
class SessionRequested:
    """To the producer: `startSession` with the consumer, which it answers, or offers to."""

    type: ClassVar = "startSession"
    peer_id: str
    session_id: str
    offer: str | None = None
    may_control: bool = False
    renegotiates: bool = True
    ice_servers: tuple[IceServer, ...] = ()


@dataclass(frozen=True)
class SessionStarted:
    """To the consumer: the session that it asked for, or that a producer began, with its peer."""

    type: ClassVar = "sessionStarted"
    peer_id: str
    session_id: str
    may_control: bool = False
    renegotiates: bool = True
    ice_servers: tuple[IceServer, ...] = ()


@dataclass(frozen=True)
class Error:
    """A message was refused."""

    type: ClassVar = "error"
    details: str
    reason: EndReason | None = None
    peer_id: str | None = None
    """Of the `StartSession` that was refused."""
    session_id: str | None = None


ClientMessage = (
    SetProtocolVersion
    | Authenticate
    | Resume
    | SetPeerStatus
    | ListProducers
    | ListConsumers
    | StartSession
    | EndSession
    | PeerMessage
)
ServerMessage = (
    Welcome
    | PeerStatusChanged
    | Producers
    | Consumers
    | SessionRequested
    | SessionStarted
    | EndSession
    | PeerMessage
    | Error
)


def parse_client_message(text: str) -> ClientMessage:
    """What a client sent.

    :raises MessageInvalid: it is not of the protocol.
    """
    return _parse(text, _FROM_CLIENT)


def parse_server_message(text: str) -> ServerMessage:
    """What a server sent.

    :raises MessageInvalid: it is not of the protocol.
    """
    return _parse(text, _FROM_SERVER)


def serialise(message: ClientMessage | ServerMessage) -> str:
    """A message as it is sent; optional fields that say nothing are left out."""
    return json.dumps({"type": message.type, **_written(message)}, separators=(",", ":"))


def _written(message: ClientMessage | ServerMessage) -> dict[str, Any]:
    match message:
        case PeerMessage(session_id, Description() as description):
            sdp = {"type": description.type, "sdp": description.sdp}
            return {"sessionId": session_id, "sdp": sdp}
        case PeerMessage(session_id, Candidate() as candidate):
            # GStreamer wants an index; where everything is bundled the first section is right.
            ice: dict[str, Any] = {
                "candidate": candidate.candidate,
                "sdpMLineIndex": candidate.sdp_m_line_index or 0,
            }
            if candidate.sdp_mid is not None:
                ice["sdpMid"] = candidate.sdp_mid
            return {"sessionId": session_id, "ice": ice}
    values = ((name, getattr(message, name)) for name in message.__dataclass_fields__)
    return {_camel(name): _plain(value) for name, value in values if value is not None}


def _plain(value: Any) -> Any:
    match value:
        case IceServer():
            fields = {"urls": value.urls, "username": value.username}
            fields["credential"] = value.credential
            return {name: text for name, text in fields.items() if text is not None}
        case PeerInfo():
            return {"id": value.id, "meta": dict(value.meta)}
        case frozenset():
            return sorted(value)
        case tuple():
            return [_plain(item) for item in value]
        case Mapping():
            return dict(value)
    return value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _parse(text: str, readers: Mapping[str, Callable[[Fields], _T]]) -> _T:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise MessageInvalid("a message must be JSON") from None
    fields = Fields(value, "a message")
    type = fields.text("type")
    if type not in readers:
        raise MessageInvalid("there is no message of this type")
    return readers[type](fields)


def _read_end_session(f: Fields) -> EndSession:
    reason = EndReason.CLOSED
    if "reason" in f:
        reason = f.one_of("reason", EndReason)
    # However long the explanation, the session is over.
    detail = f.optional("detail", lambda name: f.text(name, limit=None)) or ""
    return EndSession(f.text("sessionId"), reason, detail[:MAX_NAME])


def _read_peer(f: Fields) -> PeerMessage:
    session_id = f.text("sessionId")
    if "sdp" in f:
        sdp = f.object("sdp")
        kind: Literal["offer", "answer"]
        match sdp.text("type"):
            case "offer":
                kind = "offer"
            case "answer":
                kind = "answer"
            case _:
                raise MessageInvalid("a description's type must be offer or answer")
        return PeerMessage(session_id, Description(kind, sdp.text("sdp", limit=None)))
    ice = f.object("ice")
    candidate = Candidate(
        ice.text("candidate", limit=4 * MAX_NAME),
        ice.optional("sdpMid", ice.text),
        ice.optional("sdpMLineIndex", ice.number),
    )
    return PeerMessage(session_id, candidate)


def _read_ice_server(f: Fields) -> IceServer:
    username, credential = f.optional("username", f.text), f.optional("credential", f.text)
    return IceServer(f.text("urls"), username, credential)


def _read_peer_info(f: Fields) -> PeerInfo:
    return PeerInfo(f.text("id"), f.json("meta"))


def _offer(f: Fields) -> str | None:
    return f.optional("offer", lambda name: f.text(name, limit=None))


_FROM_CLIENT: Mapping[str, Callable[[Fields], ClientMessage]] = {
    "setProtocolVersion": lambda f: SetProtocolVersion(f.text("version")),
    "authenticate": lambda f: Authenticate(f.text("token")),
    "resume": lambda f: Resume(f.text("resumeKey"), f.optional("received", f.number) or 0),
    "setPeerStatus": lambda f: SetPeerStatus(
        f.all_of("roles", PeerRole), f.json("meta"), f.optional("room", f.text)
    ),
    "list": lambda f: ListProducers(),
    "listConsumers": lambda f: ListConsumers(),
    "startSession": lambda f: StartSession(f.text("peerId"), _offer(f)),
    "endSession": _read_end_session,
    "peer": _read_peer,
}
_FROM_SERVER: Mapping[str, Callable[[Fields], ServerMessage]] = {
    "welcome": lambda f: Welcome(
        f.text("peerId"),
        f.optional("resumeKey", f.text),
        f.optional("received", f.number),
        f.each("iceServers", _read_ice_server),
    ),
    "peerStatusChanged": lambda f: PeerStatusChanged(
        f.text("peerId"), f.all_of("roles", PeerRole), f.json("meta")
    ),
    "list": lambda f: Producers(f.each("producers", _read_peer_info)),
    "listConsumers": lambda f: Consumers(f.each("consumers", _read_peer_info)),
    "startSession": lambda f: SessionRequested(
        f.text("peerId"),
        f.text("sessionId"),
        _offer(f),
        f.flag("mayControl", default=False),
        f.flag("renegotiates", default=True),
        f.each("iceServers", _read_ice_server),
    ),
    "sessionStarted": lambda f: SessionStarted(
        f.text("peerId"),
        f.text("sessionId"),
        f.flag("mayControl", default=False),
        f.flag("renegotiates", default=True),
        f.each("iceServers", _read_ice_server),
    ),
    "endSession": _read_end_session,
    "peer": _read_peer,
    "error": lambda f: Error(
        f.text("details", limit=None),
        f.optional("reason", lambda name: f.one_of(name, EndReason)),
        f.optional("peerId", f.text),
        f.optional("sessionId", f.text),
    ),
}
