"""Which other nodes there are, and their peers, from what they say and don't say (pure)."""

from collections.abc import Collection
from dataclasses import dataclass, field

from .messages import Alive, Changed, Hello, Left, NodeMessage, Presence, State

HEARTBEAT = 0.75
"""Seconds between two signs of life of a node."""

NODE_TIMEOUT = 3.0
"""Seconds of silence after which a node is gone: three of its signs may be late or lost."""


@dataclass(frozen=True)
class PeerChanged:
    """A peer of another node came, changed or, without roles, went."""

    node: str
    peer: Presence


@dataclass(frozen=True)
class NodeGone:
    """A node is there no longer, nor are its peers."""

    node: str
    in_order: bool
    """Whether it said so; else it is silent for too long."""


@dataclass(frozen=True)
class NodeUnsure:
    """Something that a node said was missed: it should be asked for its state."""

    node: str
    is_new: bool = False


RosterEvent = PeerChanged | NodeGone | NodeUnsure


@dataclass
class _Node:
    heard: float
    version: int | None = None
    """None until its state has come."""
    asked: bool = True
    peers: dict[str, Presence] = field(default_factory=dict)


class Roster:
    """The other nodes of a cluster, and their peers. Times are seconds of any steady clock."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}

    def nodes(self) -> Collection[str]:
        """The other nodes."""
        return self._nodes.keys()

    def peers(self, node: str) -> Collection[Presence]:
        """The peers of another node."""
        return self._nodes[node].peers.values()

    def receive(self, message: NodeMessage, now: float) -> list[RosterEvent]:
        """What follows from a message of another node."""
        name = message.node
        if isinstance(message, Left):
            return self._forget(name, in_order=True)
        events: list[RosterEvent] = []
        known = name in self._nodes
        node = self._nodes.setdefault(name, _Node(now))
        node.heard = now
        match message:
            case State():
                node.version, node.asked = message.version, False
                present = {peer.id for peer in message.peers}
                for id in [id for id in node.peers if id not in present]:
                    events += _set_peer(name, node, Presence(id))
                for peer in message.peers:
                    events += _set_peer(name, node, peer)
                return events
            case Changed() if node.version is not None and message.version == node.version + 1:
                node.version += 1
                events += _set_peer(name, node, message.peer)
                unsure = False
            case Changed():
                # It may be older than the state; if not, and the answer is lost, `Alive` tells.
                unsure = not node.asked and message.version != node.version
            case Alive():
                unsure = message.version != node.version
            case _:
                # A node that says hello again has missed something, and so may this one.
                unsure = isinstance(message, Hello)
        if unsure or not known:
            node.asked = True
            events.append(NodeUnsure(name, is_new=not known))
        return events

    def expire(self, now: float) -> list[RosterEvent]:
        """Give up nodes that are silent; not to be called while nothing can be heard."""
        silent = [n for n, node in self._nodes.items() if now - node.heard > NODE_TIMEOUT]
        return [event for name in silent for event in self._forget(name, in_order=False)]

    def forgive(self, now: float) -> None:
        """Count silence from now on: until now nothing could be heard."""
        for node in self._nodes.values():
            node.heard = now

    def _forget(self, name: str, in_order: bool) -> list[RosterEvent]:
        node = self._nodes.pop(name, None)
        return [] if node is None else [NodeGone(name, in_order)]


def _set_peer(name: str, node: _Node, peer: Presence) -> list[RosterEvent]:
    if peer.roles:
        if node.peers.get(peer.id) == peer:
            return []
        node.peers[peer.id] = peer
    elif node.peers.pop(peer.id, None) is None:
        return []
    return [PeerChanged(name, peer)]
