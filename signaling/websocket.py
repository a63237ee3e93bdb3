"""WebSockets as peers of the hub: who may connect, how fast they may talk, and connect again."""

import asyncio
import contextlib
import logging
import secrets
from dataclasses import dataclass, field, replace

from aiohttp import WebSocketError, WSMsgType, web

from .auth import Grant, Tokens, bearer
from .errors import OfferMalformed, Overloaded, SignalingError, TooManyRequests, Unauthorized
from .fields import MessageInvalid
from .hub import Hub
from .limits import Limits, Pace, party
from .protocol import (
    SUBPROTOCOL,
    TOKEN_SUBPROTOCOL,
    Authenticate,
    ClientMessage,
    PeerMessage,
    Resume,
    ServerMessage,
    SetPeerStatus,
    StartSession,
    Welcome,
    parse_client_message,
    serialise,
)
from .resumption import Line, Overflow
from .sdp_guard import check_description, filter_candidates, is_acceptable
from .session import Candidate, Description, EndReason
from .switchboard import new_peer_id, refusal

logger = logging.getLogger(__name__)

CLOSE_NORMAL, CLOSE_GOING_AWAY, CLOSE_UNSUPPORTED, CLOSE_POLICY = 1000, 1001, 1003, 1008
"""RFC 6455 section 7.4.1; aiohttp sends 1009 for messages that are too big."""
CLOSE_TRY_AGAIN = 1013
"""From the registry of that section."""
_COUNTED = (WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG)
CLOSE_TIMEOUT = 1.0
"""Seconds that a client has to answer a close frame; one that does not read never will."""


@dataclass
class _Place:
    """A peer's place at the hub, which outlasts its socket for a while."""

    peer_id: str
    line: Line
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    received: int = 0
    connection: "_Connection | None" = None
    expiry: asyncio.TimerHandle | None = None


class WebSocketPeers:
    """All WebSockets of one server.

    :param starts: counts session starts by address, together with those over HTTP.
    :param allow_loopback: whether candidates may be loopback addresses.
    """

    def __init__(self, hub: Hub, tokens: Tokens, starts: Pace, *, allow_loopback: bool) -> None:
        self.hub = hub
        self.tokens = tokens
        self.starts = starts
        self.allow_loopback = allow_loopback
        self._places: dict[str, _Place] = {}
        self._connections: set[_Connection] = set()
        self._written: tuple[ServerMessage, str] | None = None

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one socket until it is closed."""
        limits = self.hub.limits
        socket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT,
            heartbeat=limits.heartbeat,
            protocols=(SUBPROTOCOL,),
            max_msg_size=limits.body,
            compress=False,
            # Pings are counted like all that a client sends.
            autoping=False,
        )
        grant = self._shown_grant(request)
        await socket.prepare(request)
        connection = _Connection(self, socket, request)
        self._connections.add(connection)
        try:
            await connection.serve(grant)
        finally:
            self._connections.discard(connection)
        return socket

    def _shown_grant(self, request: web.Request) -> Grant | None:
        """What a client may do that showed its token while connecting; None if it must still.

        :raises Unauthorized: the token is wrong.
        """
        token = shown_token(request)
        if token is None and self.tokens.watch is not None:
            return None
        return self.tokens.grant(token)

    async def close(self) -> None:
        """Close every socket in order; nobody gets a place back, or hears that others leave."""
        places, self._places = list(self._places.values()), {}
        closing = (
            connection.close(CLOSE_GOING_AWAY, "the server was stopped")
            for connection in self._connections
        )
        await asyncio.gather(*closing)
        for place in places:
            if place.expiry is not None:
                place.expiry.cancel()
            self.hub.leave(place.peer_id)

    # Places.

    def settle(self, peer_id: str, grant: Grant, connection: "_Connection") -> _Place:
        """Give a client a place.

        :raises Overloaded: there is none.
        """
        place = _Place(peer_id, Line(self.hub.limits), connection=connection)

        def deliver(message: ServerMessage) -> None:
            try:
                place.line.put(self._text(message))
            except Overflow:
                asyncio.get_running_loop().call_soon(self._overflowed, place)
            if place.connection is not None:
                place.connection.news.set()

        self.hub.join(deliver, grant, peer_id=peer_id, address=connection.address)
        self._places[place.key] = place
        return place

    def _text(self, message: ServerMessage) -> str:
        """Written once for all who hear the same."""
        if self._written is None or self._written[0] is not message:
            self._written = message, serialise(message)
        return self._written[1]

    def take_over(self, message: Resume, connection: "_Connection") -> _Place | None:
        """A client's former place, if it is still there and nothing is lost."""
        place = self._places.get(message.resume_key)
        if place is None or not place.line.rewind(message.received):
            return None
        if place.expiry is not None:
            place.expiry.cancel()
            place.expiry = None
        if place.connection is not None:
            place.connection.abandon()
        place.connection = connection
        return place

    def keep(self, place: _Place) -> None:
        """Keep a place whose socket broke for as long as somebody may come back."""
        place.connection = None
        if place.key not in self._places:
            return
        place.expiry = asyncio.get_running_loop().call_later(
            self.hub.limits.resume_grace,
            self.vacate, place, EndReason.LOST, "the connection to the signalling server is gone",
        )  # fmt: skip

    def vacate(self, place: _Place, reason: EndReason, detail: str = "") -> None:
        """Give a place up; a second time changes nothing."""
        if place.expiry is not None:
            place.expiry.cancel()
        if self._places.pop(place.key, None) is not None:
            self.hub.leave(place.peer_id, reason, detail)

    def _overflowed(self, place: _Place) -> None:
        logger.warning("peer %s does not read what it is told", place.peer_id)
        self.vacate(place, EndReason.LOST, "the other side does not read what it is told")
        if place.connection is not None:
            place.connection.abandon()


class _Connection:
    """One socket."""

    def __init__(
        self, peers: WebSocketPeers, socket: web.WebSocketResponse, request: web.Request
    ) -> None:
        self.address = party(request.remote)
        self.news = asyncio.Event()
        """The line of the place has something to send."""
        self._peers = peers
        self._limits: Limits = peers.hub.limits
        self._socket = socket
        self._transport = request.transport
        self._pace = Pace(self._limits.messages, self._limits.messages_interval)
        self._peer_id = new_peer_id()
        self._place: _Place | None = None
        self._writer: asyncio.Task[None] | None = None
        self._fresh = True
        """Whether the client has said nothing yet but its token."""

    async def serve(self, grant: Grant | None) -> None:
        """Take messages until the end."""
        try:
            if grant is not None:
                self._admit(grant)
            await self._welcome()
            await self._read()
        except (SignalingError, MessageInvalid) as error:
            # What can't be refused and forgotten: the client is no peer.
            refused = error if isinstance(error, SignalingError) else OfferMalformed(str(error))
            self._left(EndReason.LOST)
            await self._send(refusal(refused))
            code = CLOSE_TRY_AGAIN if isinstance(error, Overloaded) else CLOSE_POLICY
            await self.close(code, str(refused))
        finally:
            if self._writer is not None:
                self._writer.cancel()
            # Whoever has not left may come back.
            if self._place is not None and self._place.connection is self:
                self._peers.keep(self._place)

    async def close(self, code: int, reason: str) -> None:
        """Close the socket in order."""
        await self._socket.close(code=code, message=reason.encode()[:123])

    def abandon(self) -> None:
        """Cut the connection: nobody reads it any more."""
        self._place = None
        if self._writer is not None:
            self._writer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _admit(self, grant: Grant) -> None:
        """:raises Overloaded: there is no place."""
        if self._place is not None:
            self._peers.hub.authorise(self._peer_id, grant)
            return
        self._place = self._peers.settle(self._peer_id, grant, self)
        self._writer = asyncio.create_task(self._write(self._place.line))

    async def _welcome(self, received: int | None = None) -> None:
        """Greet a client, by its id alone while nobody knows who it is."""
        if self._place is None:
            await self._send(Welcome(self._peer_id))
            return
        servers = self._peers.hub.switchboard.ice_servers(self._peer_id)
        await self._send(Welcome(self._peer_id, self._place.key, received, servers))

    async def _read(self) -> None:
        now = asyncio.get_running_loop().time
        deadline: float | None = now() + self._limits.hello_timeout
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    message = await self._socket.receive()
            except TimeoutError:
                self._left(EndReason.LOST)
                return await self.close(CLOSE_POLICY, "nothing was said in time")
            if message.type in _COUNTED and not self._pace.allows(self, now(), self._expected):
                raise TooManyRequests("too many messages")
            match message.type:
                case WSMsgType.TEXT:
                    deadline = None
                    await self._take(message.data)
                case WSMsgType.PING:
                    await self._pong(message.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.BINARY:
                    self._left(EndReason.LOST)
                    return await self.close(CLOSE_UNSUPPORTED, "messages are text")
                case WSMsgType.CLOSE if message.data in (CLOSE_NORMAL, CLOSE_GOING_AWAY):
                    return self._left(EndReason.CLOSED)
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                    logger.info("peer %s: %s", self._peer_id, message.data)
                    return self._left(EndReason.LOST)
                case _:
                    return None

    @property
    def _expected(self) -> int:
        """How many messages of sessions may come at once."""
        peer = self._peers.hub.switchboard.peers.get(self._peer_id)
        return 0 if peer is None else len(peer.sessions) * self._limits.messages_per_session

    async def _take(self, text: str) -> None:
        try:
            message = parse_client_message(text)
        except MessageInvalid as error:
            if self._place is None:
                raise
            self._place.received += 1
            self._peers.hub.refuse(self._peer_id, OfferMalformed(str(error)))
            return
        match message:
            case Authenticate() if self._fresh:
                self._admit(self._peers.tokens.grant(message.token))
                await self._welcome()
                return
            case Resume() if self._fresh and self._place is not None:
                await self._resume(message, self._place)
                return
            case SetPeerStatus() if "token" in message.meta:
                message = self._take_token(message)
        self._fresh = False
        if self._place is None:
            raise Unauthorized("the first message must show a token")
        self._place.received += 1
        try:
            guarded = self._guarded(message)
        except SignalingError as error:
            self._peers.hub.refuse(self._peer_id, error, message)
            return
        if guarded is not None:
            self._peers.hub.receive(self._peer_id, guarded)

    def _take_token(self, status: SetPeerStatus) -> SetPeerStatus:
        """Where a client of another make can put its token; nobody else is shown it."""
        meta = dict(status.meta)
        token = meta.pop("token")
        if self._fresh and isinstance(token, str):
            self._admit(self._peers.tokens.grant(token))
        return replace(status, meta=meta)

    def _guarded(self, message: ClientMessage) -> ClientMessage | None:
        """What of a message others may see.

        :raises SignalingError: nothing.
        """
        loopback = self._peers.allow_loopback
        match message:
            case StartSession(peer_id, offer):
                now = asyncio.get_running_loop().time()
                if not self._peers.starts.allows(self.address, now):
                    raise TooManyRequests("too many sessions were started from this address")
                if offer is not None:
                    check_description(offer, self._limits)
                    return StartSession(peer_id, filter_candidates(offer, allow_loopback=loopback))
            case PeerMessage(session_id, Description(type, sdp)):
                check_description(sdp, self._limits)
                sdp = filter_candidates(sdp, allow_loopback=loopback)
                return PeerMessage(session_id, Description(type, sdp))
            case PeerMessage(_, Candidate(candidate)) if candidate:
                if not is_acceptable(candidate, allow_loopback=loopback):
                    return None
        return message

    async def _resume(self, message: Resume, fresh: _Place) -> None:
        place = self._peers.take_over(message, self)
        if place is None:
            gone = Unauthorized("there is no such place any more")
            self._peers.hub.refuse(self._peer_id, gone)
            return
        if self._writer is not None:
            self._writer.cancel()
        self._peers.vacate(fresh, EndReason.CLOSED)
        self._place, self._peer_id, self._fresh = place, place.peer_id, False
        await self._welcome(place.received)
        self._writer = asyncio.create_task(self._write(place.line))

    def _left(self, reason: EndReason) -> None:
        """The client does not come back."""
        if self._place is not None:
            self._peers.vacate(self._place, reason)

    async def _write(self, line: Line) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                while (text := line.take()) is not None:
                    await self._socket.send_str(text)
                self.news.clear()
                await self.news.wait()

    async def _pong(self, payload: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.pong(payload)

    async def _send(self, message: ServerMessage) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(serialise(message))


def shown_token(request: web.Request) -> str | None:
    """The token in a request's headers: bearer, or a WebSocket's subprotocol.

    :raises OfferMalformed: it is the only subprotocol: nobody may send it back, or log it.
    """
    if (token := bearer(request.headers.get("Authorization"))) is not None:
        return token
    offered = [
        name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    ]
    for name in offered:
        if name.startswith(TOKEN_SUBPROTOCOL):
            if SUBPROTOCOL not in offered:
                raise OfferMalformed(f"{TOKEN_SUBPROTOCOL}… stands beside {SUBPROTOCOL}")
            return name.removeprefix(TOKEN_SUBPROTOCOL)
    return None
