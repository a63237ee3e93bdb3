"""Sessions through a signalling server that speaks GStreamer's protocol, ours or another."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Any

from ..errors import SignalingError
from ..protocol import (
    ClientMessage,
    EndSession,
    Error,
    ListProducers,
    PeerMessage,
    PeerRole,
    PeerStatusChanged,
    Producers,
    ServerMessage,
    SessionRequested,
    SessionStarted,
    SetPeerStatus,
    StartSession,
    Welcome,
)
from ..session import Candidate, Description, Ended, EndReason, IceServer, Message
from .backoff import STABLE_AFTER, Backoff
from .http import Refused, Trust
from .inbox import Inbox
from .server_connection import ServerConnection
from .watch import Watch

logger = logging.getLogger(__name__)

MOST_ARRIVALS = 64
"""Sessions that wait to be taken; taking one is a matter of milliseconds."""


class WebSocketSession:
    """One conversation through the server."""

    def __init__(
        self,
        client: "WebSocketClient",
        started: SessionRequested | SessionStarted,
        ice_servers: tuple[IceServer, ...],
    ) -> None:
        requested = isinstance(started, SessionRequested)
        self.id = started.session_id
        self.peer_id = started.peer_id
        self.offers = isinstance(started, SessionRequested) and started.offer is None
        self.polite = not requested
        self.renegotiates = started.renegotiates
        self.may_control = requested and started.may_control
        self.ice_servers = ice_servers
        self.known = True
        """Whether the server still knows it; one that has restarted does not."""
        self.inbox = Inbox()
        self._client = client

    async def send(self, message: Description | Candidate) -> None:
        """Tell the remote peer; lost if the server has forgotten the session."""
        if self.inbox.ended is None and self.known:
            await self._client.tell(PeerMessage(self.id, message))

    async def end(self, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        """End the session, and tell the remote peer why; a second call changes nothing."""
        if self.inbox.end(Ended(reason, detail)):
            self._client.left(self)

    def messages(self) -> AsyncIterator[Message]:
        """What the remote peer says, then the end."""
        return self.inbox.read()


class WebSocketClient:
    """A peer at a signalling server.

    A producer gets a session whenever a consumer asks for one; a consumer that watches asks for one
    itself, and again when that has ended and the producer is there.

    A socket that breaks is replaced; our server then gives back the peer id and the sessions, and
    what either side has missed. If it has forgotten them, or never could, live sessions stay until
    their users end them; but what they send is lost.

    :param url: ws:// or wss://.
    :param token: a bearer token, for the URL's own origin.
    :param name: what others may call this peer by; it becomes `name` in its meta.
    :param roles: what this peer is; one that watches is a listener, too.
    :param meta: what others are told of it.
    :param room: where it meets others; None leaves that to the server.
    :param watch: the id or name of a producer to watch, or `ANY_PRODUCER`; None watches nobody.
    :param instance: the same for all clients of one program, in their meta: so that it does not
        watch itself.
    :param tls: what to trust instead of the usual authorities.
    :raises ValueError: the URL can't be used; the message is for a person.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        name: str | None = None,
        roles: Collection[PeerRole] = (PeerRole.PRODUCER,),
        meta: Mapping[str, Any] | None = None,
        room: str | None = None,
        watch: str | None = None,
        instance: str | None = None,
        tls: Trust | None = None,
    ) -> None:
        self._connection = ServerConnection(
            url, token, tls, introduce=self._introduce, hear=self._hear, refused=self._leave
        )
        self._named = {
            key: value for key, value in (("name", name), ("instance", instance)) if value
        }
        self._roles = frozenset(roles) | (set() if watch is None else {PeerRole.LISTENER})
        self._meta = dict(meta or {})
        self._room = room
        self.peer_id = ""
        """As the server calls this peer; empty before the start."""
        self._ice_servers: tuple[IceServer, ...] = ()
        self._sessions: dict[str, WebSocketSession] = {}
        self._arrivals: deque[WebSocketSession] = deque()
        self._arrived = asyncio.Event()
        self._over = False
        self._refusal: SignalingError | None = None
        self._watch = None if watch is None else Watch(watch, instance)
        self._asked: str | None = None
        self._watched: WebSocketSession | None = None
        self._watched_since = 0.0
        self._watch_backoff = Backoff()
        self._retry: asyncio.TimerHandle | None = None

    # What users do.

    async def start(self) -> None:
        """Connect, and say what this peer is.

        :raises SignalingError: the server can't be reached, or does not let this peer in.
        """
        await self._connection.start()

    async def sessions(self) -> AsyncIterator[WebSocketSession]:
        """Each session as it begins, until the client is closed.

        :raises SignalingError: the server does not let this peer in any more.
        """
        while True:
            while self._arrivals:
                yield self._arrivals.popleft()
            if self._refusal is not None:
                raise self._refusal
            if self._over:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def set_meta(self, meta: Mapping[str, Any]) -> None:
        """What others are told of this peer from now on."""
        self._meta = dict(meta)
        self._connection.say(self._status())

    async def close(self) -> None:
        """End every session in order, and disconnect; a second call changes nothing."""
        self._finish(Ended())
        await self._connection.close()

    # What sessions do.

    async def tell(self, message: PeerMessage) -> None:
        """Say something; when the socket is slow, wait for it."""
        self._connection.say(message)
        await self._connection.drained()

    def left(self, session: WebSocketSession) -> None:
        """A session was ended on this side."""
        assert session.inbox.ended is not None
        ended = session.inbox.ended
        if session.known:
            self._connection.say(EndSession(session.id, ended.reason, ended.detail))
        if session is self._watched and self._watch and ended.reason is EndReason.CLOSED:
            self._watch.forget()
        self._remove(session)

    # What the connection calls.

    def _introduce(self) -> Iterable[ClientMessage]:
        return self._status(), ListProducers()

    def _status(self) -> SetPeerStatus:
        return SetPeerStatus(self._roles, {**self._meta, **self._named}, self._room)

    def _leave(self, error: Refused) -> None:
        self._refusal = error
        self._finish(Ended(error.reason, str(error)))

    def _finish(self, ended: Ended) -> None:
        """No session goes on, and none begins."""
        self._over = True
        self._cancel_retry()
        for session in list(self._sessions.values()):
            if session.inbox.end(ended):
                self.left(session)
        self._arrived.set()

    def _hear(self, message: ServerMessage) -> None:
        """:raises Refused: the server wants us to leave."""
        match message:
            case Welcome():
                self._take_welcome(message)
            case SessionRequested() | SessionStarted():
                self._begin(message)
            case PeerMessage():
                session = self._sessions.get(message.session_id)
                if session is not None:
                    session.inbox.put(message.content)
                    if session.inbox.ended is not None:  # it was too much
                        self.left(session)
            case EndSession():
                self._end(message.session_id, Ended(message.reason, message.detail))
            case Error():
                self._hear_error(message)
            case Producers() if self._watch is not None:
                # Our own peer is listed too, when it produces.
                self._watch.list(p for p in message.producers if p.id != self.peer_id)
                self._look()
            case PeerStatusChanged() if self._watch is not None and message.peer_id != self.peer_id:
                if self._watch.change(message):
                    self._cancel_retry()
                    self._watch_backoff.reset()
                self._look()

    def _take_welcome(self, welcome: Welcome) -> None:
        self.peer_id = welcome.peer_id
        self._ice_servers = welcome.ice_servers or self._ice_servers
        if welcome.received is None:
            self._asked = None
            for session in self._sessions.values():
                session.known = False

    def _hear_error(self, error: Error) -> None:
        session = self._sessions.get(error.session_id or "")
        if session is not None:
            session.inbox.end(Ended(error.reason or EndReason.FAILED, error.details))
            self.left(session)
        elif error.reason is EndReason.UNAUTHORIZED:
            raise self._connection.refusal(error)
        elif self._asked is not None and error.peer_id in (self._asked, None):
            logger.info("the producer can't be watched now: %s", error.details)
            self._asked = None
            self._look_later()
        else:
            logger.warning("%s refused something: %s", self._connection.host, error.details)

    def _begin(self, started: SessionRequested | SessionStarted) -> None:
        requested = isinstance(started, SessionRequested)
        role = PeerRole.PRODUCER if requested else PeerRole.CONSUMER
        asked = not requested and started.peer_id == self._asked
        if not asked and role not in self._roles:
            self._connection.say(
                EndSession(started.session_id, EndReason.REJECTED, f"this is no {role}")
            )
            return
        if self._over or len(self._arrivals) >= MOST_ARRIVALS:
            self._connection.say(EndSession(started.session_id, EndReason.OVERLOADED))
            return
        session = WebSocketSession(self, started, started.ice_servers or self._ice_servers)
        if isinstance(started, SessionRequested) and started.offer is not None:
            session.inbox.put(Description("offer", started.offer))
        self._sessions[session.id] = session
        self._arrivals.append(session)
        self._arrived.set()
        if asked or (not requested and self._watched is None):
            self._asked = None
            self._watched = session
            self._watched_since = asyncio.get_running_loop().time()

    def _end(self, session_id: str, ended: Ended) -> None:
        session = self._sessions.get(session_id)
        if session is not None:
            session.inbox.end(ended)
            self._remove(session)

    def _remove(self, session: WebSocketSession) -> None:
        """Forget a session that has ended."""
        self._sessions.pop(session.id, None)
        if session is self._watched:
            self._watched = None
            if asyncio.get_running_loop().time() - self._watched_since > STABLE_AFTER:
                self._watch_backoff.reset()
            self._look_later()

    # Whom to watch.

    def _look(self) -> None:
        """Ask for a session with a producer that is there, unless there is one."""
        busy = self._watched is not None or self._asked is not None or self._retry is not None
        if self._watch is None or busy or self._over:
            return
        self._asked = self._watch.next
        if self._asked is not None:
            self._connection.say(StartSession(self._asked))

    def _look_later(self) -> None:
        """Not at once: what has just ended or failed might do so again."""
        if self._watch is not None and self._retry is None and not self._over:
            delay = self._watch_backoff.next_delay()
            self._retry = asyncio.get_running_loop().call_later(delay, self._look_again)

    def _look_again(self) -> None:
        self._retry = None
        self._look()

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
