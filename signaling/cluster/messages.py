"""What signalling nodes say to each other (pure).

JSON objects with a `type` and the `node` that says it. Each node numbers the changes among its
peers: whoever finds that it missed one asks for all of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..fields import Fields, MessageInvalid
from ..protocol import PeerRole, ServerMessage, parse_server_message, serialise


@dataclass(frozen=True)
class Presence:
    """A peer of one node, as the others see it; without roles it is gone."""

    id: str
    roles: frozenset[PeerRole] = frozenset()
    meta: Mapping[str, Any] = field(default_factory=dict)
    room: str = ""
    may_control: bool = False
    """Whether it may control the cameras that it watches."""
    renegotiates: bool = True


@dataclass(frozen=True)
class Hello:
    """To all, or to one: here is a node that knows nothing of the others, or no longer."""

    type: ClassVar = "hello"
    node: str


@dataclass(frozen=True)
class Alive:
    """To all, at short intervals."""

    type: ClassVar = "alive"
    node: str
    version: int
    """How many changes there were."""


@dataclass(frozen=True)
class Left:
    """To all: the node stops, and its peers are gone."""

    type: ClassVar = "left"
    node: str


@dataclass(frozen=True)
class Changed:
    """To all: a peer came, changed or went."""

    type: ClassVar = "changed"
    node: str
    version: int
    peer: Presence


@dataclass(frozen=True)
class Ask:
    """To one: what are your peers?"""

    type: ClassVar = "ask"
    node: str


@dataclass(frozen=True)
class State:
    """To one, the answer to `Hello` and `Ask`."""

    type: ClassVar = "state"
    node: str
    version: int
    peers: tuple[Presence, ...]
    sessions: frozenset[str]
    """The ids of those between peers of the two nodes."""


@dataclass(frozen=True)
class Said:
    """To one: what its peer is told by a peer of this node, in a session or to begin one."""

    type: ClassVar = "said"
    node: str
    recipient: str
    message: ServerMessage


NodeMessage = Hello | Alive | Left | Changed | Ask | State | Said


def write(message: NodeMessage) -> str:
    """A message as it is published."""
    values = {name: getattr(message, name) for name in message.__dataclass_fields__}
    return json.dumps(
        {"type": message.type, **{name: _plain(value) for name, value in values.items()}},
        separators=(",", ":"),
    )


def read(text: str) -> NodeMessage:
    """What another node published.

    :raises MessageInvalid: it is not of the protocol.
    """
    try:
        fields = Fields(json.loads(text), "a message")
    except (ValueError, RecursionError) as error:
        raise MessageInvalid(f"a message must be a JSON object: {error}") from None
    node = fields.text("node")
    match fields.text("type"):
        case Hello.type:
            return Hello(node)
        case Alive.type:
            return Alive(node, fields.number("version"))
        case Left.type:
            return Left(node)
        case Changed.type:
            return Changed(node, fields.number("version"), _presence(fields.object("peer")))
        case Ask.type:
            return Ask(node)
        case State.type:
            return State(
                node,
                fields.number("version"),
                fields.each("peers", _presence),
                frozenset(fields.each("sessions", lambda session: session.text("id"))),
            )
        case Said.type:
            message = parse_server_message(fields.text("message", limit=None))
            return Said(node, fields.text("recipient"), message)
    raise MessageInvalid("there is no message of this type")


def _plain(value: Any) -> Any:
    match value:
        case str() | int():
            return value
        case Presence():
            return {
                "id": value.id,
                "roles": sorted(value.roles),
                "meta": dict(value.meta),
                "room": value.room,
                "mayControl": value.may_control,
                "renegotiates": value.renegotiates,
            }
        case tuple():
            return [_plain(item) for item in value]
        case frozenset():
            return [{"id": id} for id in sorted(value)]
    return serialise(value)


def _presence(fields: Fields) -> Presence:
    return Presence(
        fields.text("id"),
        fields.all_of("roles", PeerRole),
        fields.json("meta"),
        fields.text("room"),
        fields.flag("mayControl", default=False),
        fields.flag("renegotiates", default=True),
    )
