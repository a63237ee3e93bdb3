"""Peers, and the sessions between them: what each message of one makes others hear (pure).

The rules are those of GStreamer's signalling server. Nothing here does any I/O: a message goes in,
and messages for peers come out, to be delivered in order.
"""

import json
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .auth import Grant
from .errors import (
    Forbidden,
    NoSuchResource,
    OfferRejected,
    OfferTooLarge,
    Overloaded,
    SignalingError,
)
from .limits import Limits
from .protocol import (
    ClientMessage,
    Consumers,
    EndSession,
    Error,
    ListConsumers,
    ListProducers,
    PeerInfo,
    PeerMessage,
    PeerRole,
    PeerStatusChanged,
    Producers,
    ServerMessage,
    SessionRequested,
    SessionStarted,
    SetPeerStatus,
    SetProtocolVersion,
    StartSession,
)
from .session import Description, EndReason, IceServer

Delivery = tuple[str, ServerMessage]
"""A peer's id, and what it is to hear."""

LISTED = frozenset({PeerRole.PRODUCER, PeerRole.CONSUMER})


@dataclass
class Peer:
    """Somebody at the switchboard."""

    id: str
    grant: Grant
    address: str = ""
    """What its sessions are counted by."""
    renegotiates: bool = True
    room: str | None = ""
    """None sees every room, and is in none."""
    roles: frozenset[PeerRole] = frozenset()
    meta: Mapping[str, Any] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)

    def sees(self, other: "Peer") -> bool:
        """Whether the other is in this one's room."""
        return self.room is None or self.room == other.room


@dataclass(frozen=True)
class Session:
    """A conversation of two peers."""

    id: str
    """Unguessable."""
    producer: str
    consumer: str
    address: str
    """Of the peer that asked for it."""

    def other(self, peer_id: str) -> str:
        """The peer that is not this one."""
        return self.consumer if peer_id == self.producer else self.producer


class Switchboard:
    """Who is there, and who talks to whom.

    :param ice_servers: what a peer of this id is told to use for one more session.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        ice_servers: Callable[[str], tuple[IceServer, ...]] = lambda peer_id: (),
    ) -> None:
        self.limits = limits or Limits()
        self.ice_servers = ice_servers
        self.peers: dict[str, Peer] = {}
        self.sessions: dict[str, Session] = {}

    # Who is there.

    def join(self, peer: Peer) -> None:
        """Let a peer in, which hears and says nothing yet.

        :raises Overloaded: there is no place.
        :raises ValueError: its id is taken.
        """
        if peer.id in self.peers:
            raise ValueError(f"there is a peer {peer.id!r} already")
        if len(self.peers) >= self.limits.peers:
            raise Overloaded("every place is taken")
        self.peers[peer.id] = peer

    def leave(
        self, peer_id: str, reason: EndReason = EndReason.CLOSED, detail: str = ""
    ) -> list[Delivery]:
        """End a peer's sessions and forget it; one that is gone already is no error."""
        peer = self.peers.get(peer_id)
        if peer is None:
            return []
        del self.peers[peer_id]
        return self._end_sessions(peer, peer.sessions, reason, detail) + self._announce_end(peer)

    def listed(self, role: PeerRole, viewer: Peer | None = None) -> Iterator[Peer]:
        """The peers of a role, all or those that one sees."""
        for peer in self.peers.values():
            if role in peer.roles and (viewer is None or viewer.sees(peer)):
                yield peer

    def find(self, role: PeerRole, name: str) -> Peer:
        """The peer of a role with this id, or else the only one that calls itself so in its meta.

        :raises NoSuchResource: there is none, or more than one.
        """
        peer = self.peers.get(name)
        if peer is not None and role in peer.roles:
            return peer
        named = [peer for peer in self.listed(role) if peer.meta.get("name") == name]
        if len(named) != 1:
            raise NoSuchResource("nothing of this name is on the air")
        return named[0]

    # What they say.

    def receive(self, peer_id: str, message: ClientMessage) -> list[Delivery]:
        """What a peer's message makes others, or itself, hear; a refusal is an `Error` for it."""
        try:
            return self._receive(self.peers[peer_id], message)
        except SignalingError as error:
            return [(peer_id, refusal(error, message))]

    def _receive(self, peer: Peer, message: ClientMessage) -> list[Delivery]:
        match message:
            case SetPeerStatus():
                return self.set_status(peer.id, message)
            case ListProducers():
                return [(peer.id, Producers(self._infos(PeerRole.PRODUCER, peer)))]
            case ListConsumers():
                return [(peer.id, Consumers(self._infos(PeerRole.CONSUMER, peer)))]
            case StartSession():
                return self.start_session(peer.id, message)[1]
            case EndSession():
                return self._end_sessions(
                    peer, peer.sessions & {message.session_id}, message.reason, message.detail
                )
            case PeerMessage():
                # Two peers may end a session at once: what the slower one says is no error.
                if message.session_id not in peer.sessions:
                    return []
                return [(self.sessions[message.session_id].other(peer.id), message)]
            case SetProtocolVersion():
                return []
        raise OfferRejected("this must be the first message")

    def _infos(self, role: PeerRole, viewer: Peer) -> tuple[PeerInfo, ...]:
        return tuple(PeerInfo(peer.id, peer.meta) for peer in self.listed(role, viewer))

    def set_status(self, peer_id: str, status: SetPeerStatus) -> list[Delivery]:
        """Say what a peer is; a role that it gives up ends the sessions that it has in it.

        :raises SignalingError: Forbidden, OfferRejected, OfferTooLarge, Overloaded.
        """
        peer = self.peers[peer_id]
        self._check_status(peer, status)
        heard: list[Delivery] = []
        for role in (peer.roles - status.roles) & LISTED:
            heard += self._end_sessions(
                peer, {id for id in peer.sessions if self._plays(peer, id, role)}
            )
        if status.room is not None and status.room != peer.room:
            heard += self._announce_end(peer)
            peer.room = status.room
        elif (peer.roles, peer.meta) == (status.roles, status.meta):
            return heard
        is_news = bool((peer.roles | status.roles) & LISTED)
        peer.roles, peer.meta = status.roles, status.meta
        news = PeerStatusChanged(peer.id, peer.roles, peer.meta)
        if PeerRole.LISTENER in peer.roles:
            heard.append((peer.id, news))
        return heard + (self._announce(news, peer) if is_news else [])

    def _check_status(self, peer: Peer, status: SetPeerStatus) -> None:
        if PeerRole.PRODUCER in status.roles and not peer.grant.publish:
            raise Forbidden("the token does not let publish")
        if status.roles >= LISTED:
            raise OfferRejected("a peer is a producer or a consumer, not both")
        if len(json.dumps(dict(status.meta), separators=(",", ":"))) > self.limits.meta:
            raise OfferTooLarge(f"meta has at most {self.limits.meta} bytes")
        others = sum(bool(one.roles & LISTED) for one in self.peers.values() if one is not peer)
        if status.roles & LISTED and others >= self.limits.producers:
            raise Overloaded("there is no place for another producer")

    def _plays(self, peer: Peer, session_id: str, role: PeerRole) -> bool:
        session = self.sessions[session_id]
        return peer.id == (session.producer if role is PeerRole.PRODUCER else session.consumer)

    def _announce(self, news: PeerStatusChanged, peer: Peer) -> list[Delivery]:
        return [
            (listener.id, news)
            for listener in self.peers.values()
            if PeerRole.LISTENER in listener.roles and listener.sees(peer) and listener is not peer
        ]

    def _announce_end(self, peer: Peer) -> list[Delivery]:
        # Viewers come and go without the other viewers hearing: there may be hundreds.
        if not peer.roles & LISTED:
            return []
        return self._announce(PeerStatusChanged(peer.id, frozenset(), peer.meta), peer)

    # Sessions.

    def start_session(
        self, peer_id: str, message: StartSession, session_id: str | None = None
    ) -> tuple[Session, list[Delivery]]:
        """Begin a session; with a consumer the peer is the producer, with a producer the consumer.

        :raises SignalingError: Forbidden, NoSuchResource, OfferRejected, Overloaded.
        """
        peer, other = self.peers[peer_id], self.peers.get(message.peer_id)
        if other is None or not peer.sees(other) or not other.roles & LISTED:
            raise NoSuchResource("nothing of this name is on the air")
        if other is peer:
            raise OfferRejected("a session needs two peers")
        pushed = PeerRole.CONSUMER in other.roles
        if pushed and not peer.grant.publish:
            raise Forbidden("the token does not let publish")
        self._check_place(peer.address)
        producer, consumer = (peer, other) if pushed else (other, peer)
        session = Session(session_id or new_session_id(), producer.id, consumer.id, peer.address)
        self.sessions[session.id] = session
        producer.sessions.add(session.id)
        consumer.sessions.add(session.id)
        started = SessionStarted(
            producer.id,
            session.id,
            may_control=consumer.grant.control,
            renegotiates=producer.renegotiates,
            ice_servers=self.ice_servers(consumer.id),
        )
        requested = SessionRequested(
            consumer.id,
            session.id,
            None if pushed else message.offer,
            may_control=consumer.grant.control,
            renegotiates=consumer.renegotiates,
            ice_servers=self.ice_servers(producer.id),
        )
        heard: list[Delivery] = [(consumer.id, started), (producer.id, requested)]
        if pushed and message.offer is not None:
            offer = PeerMessage(session.id, Description("offer", message.offer))
            heard.append((consumer.id, offer))
        return session, heard

    def end_all(self, reason: EndReason, detail: str) -> list[Delivery]:
        """End every session; both sides of each hear it."""
        heard: list[Delivery] = []
        for session in self.sessions.values():
            ended = EndSession(session.id, reason, detail)
            heard += [(session.producer, ended), (session.consumer, ended)]
        self.sessions.clear()
        for peer in self.peers.values():
            peer.sessions.clear()
        return heard

    def _check_place(self, address: str) -> None:
        if len(self.sessions) >= self.limits.sessions:
            raise Overloaded("every place is taken")
        of_address = sum(session.address == address for session in self.sessions.values())
        if of_address >= self.limits.sessions_per_address:
            raise Overloaded("every place for this address is taken")

    def _end_sessions(
        self,
        peer: Peer,
        session_ids: Collection[str],
        reason: EndReason = EndReason.CLOSED,
        detail: str = "",
    ) -> list[Delivery]:
        heard: list[Delivery] = []
        for id in sorted(session_ids):
            session = self.sessions.pop(id)
            other = self.peers[session.other(peer.id)]
            peer.sessions.discard(id)
            other.sessions.discard(id)
            heard.append((other.id, EndSession(id, reason, detail)))
        return heard


def refusal(error: SignalingError, message: ClientMessage | None = None) -> Error:
    """What the sender of a refused message hears."""
    peer_id = message.peer_id if isinstance(message, StartSession) else None
    session_id = message.session_id if isinstance(message, EndSession | PeerMessage) else None
    return Error(str(error), error.reason, peer_id, session_id)


def new_peer_id() -> str:
    """An id that stands in URLs, and that nobody else has: 96 bits."""
    return secrets.token_urlsafe(12)


def new_session_id() -> str:
    """An id that nobody guesses (RFC 9725 section 4.9 on session URLs): 256 bits."""
    return secrets.token_urlsafe(32)
