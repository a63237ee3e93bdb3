"""One signalling node among others: they see its hub's peers, and its hub sees theirs.

A peer of another node sits in this hub as any peer does; what it is to hear is published for its
node, which lets a peer of the same id say it there. So a session that spans two nodes stands in
both hubs, under one id, and either end ends it. What the other node decides, it decides again: its
limits, and its ICE servers, are its own.
"""

import asyncio
import functools
import logging
import secrets

from ..auth import Grant
from ..errors import NoSuchResource, SignalingError
from ..fields import MessageInvalid
from ..hub import Hub
from ..protocol import (
    EndSession,
    PeerMessage,
    PeerRole,
    PeerStatusChanged,
    ServerMessage,
    SessionRequested,
    SessionStarted,
    SetPeerStatus,
    StartSession,
)
from ..session import EndReason
from ..switchboard import LISTED, Peer
from .messages import Alive, Ask, Changed, Hello, Left, NodeMessage, Presence, Said, State
from .messages import read as read_message
from .messages import write as write_message
from .redis_bus import BusError, BusUser, RedisBus
from .roster import (
    HEARTBEAT,
    NODE_TIMEOUT,
    NodeGone,
    NodeUnsure,
    PeerChanged,
    Roster,
    RosterEvent,
)

logger = logging.getLogger(__name__)

NODE_ID_BYTES = 9


class ClusterNode:
    """Shares the peers of a hub with other nodes, from `start()` to `close()`.

    When Redis is away, sessions stand, and what is said in them waits; when another node is away,
    the sessions with its peers end with `EndReason.LOST`. Whoever can publish on Redis is believed
    to be a node.

    :param url: of Redis: `redis://`, `rediss://` or `unix://`.
    :param prefix: of the channels, without spaces; clusters that share a Redis have different ones.
    :raises BusError: the URL is none.
    """

    def __init__(self, hub: Hub, url: str, *, prefix: str = "getusermedia") -> None:
        self.id = secrets.token_urlsafe(NODE_ID_BYTES)
        self._hub = hub
        self._bus = RedisBus(
            url,
            self.id,
            BusUser(self._received, self._undelivered, self._connected, self._disconnected),
            prefix=prefix,
            # This node's own signs of life come back to it.
            silence=NODE_TIMEOUT,
        )
        self._roster = Roster()
        self._remote: dict[str, str] = {}
        """The node of each peer in the hub that is elsewhere."""
        self._announced: dict[str, Presence] = {}
        self._version = 0
        self._asked: dict[str, frozenset[str]] = {}
        """The sessions with a node's peers when it was asked for its state."""
        self._adopting = False
        self._observer: str | None = None
        self._beat: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the other nodes.

        :raises BusError: Redis can't be reached, or refuses.
        :raises Overloaded: there is no place in the hub.
        """
        self._observer = self._hub.join(self._observe, Grant(), room=None)
        self._hub.receive(self._observer, SetPeerStatus(frozenset({PeerRole.LISTENER})))
        for peer_id in list(self._hub.switchboard.peers):
            self._announce(peer_id)
        try:
            await self._bus.start()
        except BusError:
            self._hub.leave(self._observer)
            raise
        self._beat = asyncio.create_task(self._beat_on(), name=f"heart of {self.id}")

    async def close(self) -> None:
        """Leave the others; sessions with their peers end. A second call changes nothing."""
        if self._beat is None or self._observer is None:
            return
        beat, self._beat = self._beat, None
        beat.cancel()
        await asyncio.wait({beat})
        self._hub.leave(self._observer)
        for peer_id in list(self._remote):
            self._drop(peer_id, EndReason.CLOSED, "the signalling server was stopped")
        self._say(Left(self.id))
        await self._bus.close()
        if not beat.cancelled():
            beat.result()

    async def _beat_on(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            if self._bus.connected:
                self._say(Alive(self.id, self._version))
                self._apply(self._roster.expire(_now()))

    # What this node's peers do.

    def _observe(self, message: ServerMessage) -> None:
        """Hear of everybody who comes, changes and goes."""
        if isinstance(message, PeerStatusChanged):
            self._announce(message.peer_id)

    def _announce(self, peer_id: str) -> None:
        """Tell the other nodes of a peer, if there is something new."""
        if peer_id in self._remote:
            return
        peer = self._hub.switchboard.peers.get(peer_id)
        now = Presence(peer_id) if peer is None else _presence(peer)
        if now == self._announced.get(peer_id, Presence(peer_id)):
            return
        if now.roles:
            self._announced[peer_id] = now
        else:
            now = Presence(peer_id)
            del self._announced[peer_id]
        self._version += 1
        self._say(Changed(self.id, self._version, now))

    def _forward(self, node: str, recipient: str, message: ServerMessage) -> None:
        """Take what a peer of another node is to hear there."""
        match message:
            case SessionRequested() | SessionStarted() if self._adopting:
                return  # it has asked for this session itself
            case SessionRequested() | SessionStarted() | PeerMessage():
                self._say(Said(self.id, recipient, message), node)
            case EndSession():
                self._say(Said(self.id, recipient, message), node)
                asyncio.get_running_loop().call_soon(self._release, recipient)
            case _:
                logger.warning("node %s: %s was refused: %s", node, recipient, message)

    def _say(self, message: NodeMessage, node: str | None = None) -> None:
        self._bus.publish(write_message(message), node)

    # What other nodes say.

    def _connected(self) -> None:
        logger.info("node %s is connected to Redis", self.id)
        self._roster.forgive(_now())
        for node in self._roster.nodes():
            self._asked.setdefault(node, self._shared(node))
        self._say(Hello(self.id))

    def _disconnected(self) -> None:
        logger.warning("node %s is cut off: sessions stand, but nothing new is heard", self.id)

    def _received(self, text: str) -> None:
        try:
            message = read_message(text)
        except MessageInvalid as error:
            logger.warning("another node said something strange: %s", error)
            return
        node = message.node
        if node == self.id:
            return
        self._apply(self._roster.receive(message, _now()))
        match message:
            case Hello() | Ask():
                peers = tuple(self._announced.values())
                self._say(State(self.id, self._version, peers, self._shared(node)), node)
            case State():
                ended = self._asked.pop(node, frozenset()) - message.sessions
                for session_id in ended & self._shared(node):
                    self._end(session_id, node, "its end was missed")
            case Said(_, recipient, SessionRequested() | SessionStarted() as begun):
                self._adopt(node, recipient, begun)
            case Said(_, recipient, PeerMessage() | EndSession() as said):
                self._relay(node, recipient, said)

    def _undelivered(self, text: str) -> None:
        match read_message(text):
            case Said(_, _, SessionRequested() | SessionStarted() | PeerMessage() as message):
                session = self._hub.switchboard.sessions.get(message.session_id)
                for peer_id in (session.producer, session.consumer) if session else ():
                    if peer_id in self._remote:
                        node = self._remote[peer_id]
                        self._end(message.session_id, node, "its signalling node does not answer")

    def _apply(self, events: list[RosterEvent]) -> None:
        for event in events:
            match event:
                case PeerChanged(node, peer):
                    self._set_peer(node, peer)
                case NodeGone(node, in_order):
                    logger.info("node %s %s", node, "left" if in_order else "is silent")
                    self._asked.pop(node, None)
                    reason = EndReason.CLOSED if in_order else EndReason.LOST
                    for peer_id in [id for id, of in self._remote.items() if of == node]:
                        self._drop(peer_id, reason, "its signalling node is gone")
                case NodeUnsure(node, is_new):
                    # An answer may be on its way already, to a question with fewer sessions.
                    self._asked.setdefault(node, self._shared(node))
                    # Who is new here may know this node, and have missed that it forgot.
                    self._say(Hello(self.id) if is_new else Ask(self.id), node)

    # Other nodes' peers in this hub.

    def _set_peer(self, node: str, peer: Presence) -> None:
        if not peer.roles:
            if self._remote.get(peer.id) != node:
                return
            if self._hub.switchboard.peers[peer.id].sessions:
                # It may go on watching.
                self._hub.receive(peer.id, SetPeerStatus(frozenset()))
                self._release(peer.id)
            else:
                self._drop(peer.id)
        elif self._seat(node, peer):
            self._authorise(peer.id, peer.may_control)
            self._hub.receive(peer.id, SetPeerStatus(peer.roles, peer.meta, peer.room))
            self._release(peer.id)

    def _seat(self, node: str, peer: Presence) -> bool:
        """Give a peer of another node its place in the hub; False when it can't have one."""
        if self._remote.get(peer.id) == node:
            return True
        try:
            self._hub.join(
                functools.partial(self._forward, node, peer.id),
                Grant(watch=True, publish=True),
                peer_id=peer.id,
                # Its own node counts what comes from one address.
                address=peer.id,
                renegotiates=peer.renegotiates,
                # A peer that is not announced was found by its node to be in the right room.
                room=peer.room if peer.roles else None,
            )
        except (SignalingError, ValueError) as error:
            logger.warning("node %s: %s is not seen here: %s", node, peer.id, error)
            return False
        self._remote[peer.id] = node
        return True

    def _authorise(self, peer_id: str, may_control: bool) -> None:
        """Whether it may publish was for its own node to decide."""
        self._hub.authorise(peer_id, Grant(watch=True, control=may_control, publish=True))

    def _release(self, peer_id: str) -> None:
        """Forget a peer of another node that neither is on the air nor has a session."""
        peer = self._hub.switchboard.peers.get(peer_id)
        if peer_id in self._remote and peer is not None and not (peer.roles or peer.sessions):
            self._drop(peer_id)

    def _drop(self, peer_id: str, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        # The hub's listeners hear of it, the observer too: it is not to be announced.
        self._hub.leave(peer_id, reason, detail)
        del self._remote[peer_id]

    def _adopt(self, node: str, recipient: str, begun: SessionRequested | SessionStarted) -> None:
        """Let a session begin here that a peer of another node has begun there."""
        hub, sender = self._hub, begun.peer_id
        if begun.session_id in hub.switchboard.sessions:
            return
        requested = isinstance(begun, SessionRequested)
        role = PeerRole.PRODUCER if requested else PeerRole.CONSUMER
        peer = hub.switchboard.peers.get(recipient)
        self._adopting = True
        try:
            if peer is None or recipient in self._remote or role not in peer.roles:
                raise NoSuchResource("it has just left")
            if not self._seat(node, Presence(sender, renegotiates=begun.renegotiates)):
                raise NoSuchResource("the id of the peer is taken")
            offer = None
            if isinstance(begun, SessionRequested):
                offer = begun.offer
                self._authorise(sender, begun.may_control)
            hub.start_session(sender, StartSession(recipient, offer), session_id=begun.session_id)
        except SignalingError as error:
            refused = EndSession(begun.session_id, error.reason, str(error))
            self._say(Said(self.id, sender, refused), node)
            self._release(sender)
        finally:
            self._adopting = False

    def _relay(self, node: str, recipient: str, message: PeerMessage | EndSession) -> None:
        """Let a peer of another node say something here in its session."""
        session = self._hub.switchboard.sessions.get(message.session_id)
        if session is None:
            return  # both ended it at once
        sender = session.other(recipient)
        if self._remote.get(sender) != node:
            logger.warning("node %s spoke for a peer that is not its own", node)
            return
        self._hub.receive(sender, message)
        self._release(sender)

    def _shared(self, node: str) -> frozenset[str]:
        """The ids of the sessions with a node's peers."""
        peers = self._hub.switchboard.peers
        return frozenset(
            session_id
            for peer_id, of in self._remote.items()
            if of == node
            for session_id in peers[peer_id].sessions
        )

    def _end(self, session_id: str, node: str, why: str) -> None:
        """End a session with a peer of another node, as if that peer had said so."""
        session = self._hub.switchboard.sessions[session_id]
        for peer_id in (session.producer, session.consumer):
            if self._remote.get(peer_id) == node:
                self._hub.receive(peer_id, EndSession(session_id, EndReason.LOST, why))
                self._release(peer_id)
                return


def _presence(peer: Peer) -> Presence:
    """What others are told of a peer; without roles when it is none of their business."""
    roles = peer.roles & LISTED
    if not roles or peer.room is None:
        return Presence(peer.id)
    return Presence(peer.id, roles, peer.meta, peer.room, peer.grant.control, peer.renegotiates)


def _now() -> float:
    return asyncio.get_running_loop().time()
