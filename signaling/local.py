"""A signalling client in the process of the server: no socket, the same sessions."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

from .auth import Grant
from .clients.inbox import Inbox
from .errors import SignalingError
from .hub import Hub
from .protocol import (
    ClientMessage,
    EndSession,
    Error,
    PeerMessage,
    PeerRole,
    ServerMessage,
    SessionRequested,
    SessionStarted,
    SetPeerStatus,
)
from .session import Candidate, Description, Ended, EndReason, Message

logger = logging.getLogger(__name__)

PRODUCER = frozenset({PeerRole.PRODUCER})


class LocalSession:
    """A session of a `LocalClient` (`signaling.SignalingSession`)."""

    def __init__(
        self, begun: SessionRequested | SessionStarted, say: Callable[[ClientMessage], None]
    ) -> None:
        self.id = begun.session_id
        self.peer_id = begun.peer_id
        self.renegotiates = begun.renegotiates
        self.ice_servers = begun.ice_servers
        # The consumer is the polite one, and may control the producer: never the other way round.
        self.polite = isinstance(begun, SessionStarted)
        self.may_control = begun.may_control and not self.polite
        self.offers = isinstance(begun, SessionRequested) and begun.offer is None
        self._say = say
        self.inbox = Inbox()
        if isinstance(begun, SessionRequested) and begun.offer is not None:
            self.inbox.put(Description("offer", begun.offer))

    async def send(self, message: Description | Candidate) -> None:
        """Tell the remote peer; after the end it is dropped without an error."""
        self._say(PeerMessage(self.id, message))

    async def end(self, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        """End the session, and tell the remote peer why; a second call changes nothing."""
        if self.inbox.end(Ended(reason, detail)):
            self._say(EndSession(self.id, reason, detail))

    def messages(self) -> AsyncIterator[Message]:
        """What the remote peer says, in order; `Ended` is the last, and is never missing."""
        return self.inbox.read()


class LocalClient:
    """A peer that is attached straight to a hub (`signaling.SignalingClient`).

    It may do everything, and its messages pass no guard: its process is the server's.

    :param hub: the server's.
    :param peer_id: its name in URLs; made up when None.
    :param roles: what it is; `producer` answers whoever asks, `consumer` takes what others send.
    :param meta: what others are told of it, ready for JSON.
    """

    def __init__(
        self,
        hub: Hub,
        peer_id: str | None = None,
        *,
        roles: Collection[PeerRole] = PRODUCER,
        meta: Mapping[str, Any] | None = None,
        room: str = "",
    ) -> None:
        self.peer_id = peer_id
        self._hub = hub
        self._roles = frozenset(roles)
        self._meta = dict(meta or {})
        self._room = room
        self._joined = False
        self._closed = False
        self._sessions: dict[str, LocalSession] = {}
        self._unread: dict[str, LocalSession] = {}
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Take a place at the hub.

        :raises SignalingError: there is none, or the id is taken.
        """
        grant = Grant(watch=True, control=True, publish=True)
        try:
            self.peer_id = self._hub.join(self._hear, grant, peer_id=self.peer_id)
        except ValueError as error:
            raise SignalingError(str(error)) from error
        self._joined = True
        try:
            await self.set_meta(self._meta)
        except SignalingError:
            await self.close()
            raise

    async def sessions(self) -> AsyncIterator[LocalSession]:
        """Each session as it begins, until the client is closed; one that is over before it is
        looked at is left out."""
        while True:
            while self._unread:
                yield self._unread.pop(next(iter(self._unread)))
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()

    async def set_meta(self, meta: Mapping[str, Any]) -> None:
        """What others are told of this peer, ready for JSON.

        :raises SignalingError: it is more than a peer may tell.
        """
        self._meta = dict(meta)
        if self._joined and not self._closed and self.peer_id is not None:
            status = SetPeerStatus(self._roles, self._meta, self._room)
            self._hub.set_status(self.peer_id, status)

    async def close(self) -> None:
        """End every session in order, and give the place up; a second call changes nothing."""
        if self._closed:
            return
        self._closed = True
        for session in list(self._sessions.values()):
            await session.end()
        self._unread.clear()
        self._news.set()
        if self._joined and self.peer_id is not None:
            self._hub.leave(self.peer_id)

    def _say(self, message: ClientMessage) -> None:
        assert self.peer_id is not None, "a session needs a place"
        if isinstance(message, EndSession):
            self._sessions.pop(message.session_id, None)
        self._hub.receive(self.peer_id, message)

    def _hear(self, message: ServerMessage) -> None:
        match message:
            case SessionRequested() | SessionStarted():
                session = LocalSession(message, self._say)
                self._sessions[session.id] = self._unread[session.id] = session
                self._news.set()
            case PeerMessage(session_id, content) if session_id in self._sessions:
                inbox = self._sessions[session_id].inbox
                inbox.put(content)
                if inbox.ended is not None:
                    over = EndSession(session_id, inbox.ended.reason, inbox.ended.detail)
                    asyncio.get_running_loop().call_soon(self._say, over)
            case EndSession(session_id, reason, detail) if session_id in self._sessions:
                self._sessions.pop(session_id).inbox.end(Ended(reason, detail))
                self._unread.pop(session_id, None)
            case Error():
                logger.warning("the switchboard refused: %s", message.details)
