"""The connection to a signalling server: kept up, and resumed where the server can."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import aiohttp

from ..auth import is_loopback
from ..fields import MessageInvalid
from ..protocol import (
    ClientMessage,
    Error,
    Producers,
    Resume,
    ServerMessage,
    Welcome,
    parse_server_message,
    serialise,
)
from ..session import EndReason
from .backoff import STABLE_AFTER, Backoff
from .http import Refused, Trust, Unavailable, failure
from .outbox import Outbox

logger = logging.getLogger(__name__)

HEARTBEAT = 10.0
"""Seconds between pings; a server that is dead is noticed after one and a half of them."""
HELLO_TIMEOUT = 10.0
"""Seconds for connecting and being let in."""
CLOSE_TIMEOUT = 1.0
"""Seconds to say what is left, and then to say goodbye: twice this, who pressed Ctrl-C waits."""
LARGEST_MESSAGE = 1024 * 1024
"""Bytes: a list of a thousand producers."""
MOST_UNSENT = 64
"""Messages that a slow socket is behind before whoever says more has to wait."""

_FRAMES = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)


class ServerConnection:
    """What is said and heard over one socket after another.

    :param introduce: what to say to a server that knows nothing; the last is `ListProducers`,
        whose answer shows that the rest was taken.
    :param hear: called with each message. A `Welcome` without `received` says that the server
        knows nothing, and all that was said before is void. It may raise `Refused` to leave.
    :param refused: called when the server does not let us in any more.
    :raises ValueError: the URL can't be used; the message is for a person.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        tls: Trust | None,
        *,
        introduce: Callable[[], Iterable[ClientMessage]],
        hear: Callable[[ServerMessage], None],
        refused: Callable[[Refused], None],
    ) -> None:
        self._url, self.host = _check_url(url, token)
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._tls = tls
        self._introduce = introduce
        self._hear = hear
        self._refused = refused
        self._resume_key: str | None = None
        self._received = 0
        self._outbox = Outbox()
        self._to_send = asyncio.Event()
        self._progress = asyncio.Event()
        self._backoff = Backoff()
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and stay connected.

        :raises Unavailable: the server can't be reached, or has no place.
        :raises Refused: it does not let us in.
        """
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls or True))
        try:
            self._socket = await self._connect(self._http)
        except BaseException:
            await self._http.close()
            raise
        self._task = asyncio.create_task(self._stay(self._http, self._socket))

    def say(self, message: ClientMessage) -> None:
        """Say something now, or when there is a connection again; lost if the server forgets us."""
        self._outbox.say(serialise(message))
        self._to_send.set()

    async def drained(self, most: int = MOST_UNSENT) -> None:
        """Wait until the socket is not further behind than this, or broken."""
        while self._socket is not None and self._outbox.unsent > most:
            self._progress.clear()
            await self._progress.wait()

    async def close(self) -> None:
        """Say what is still to be said, and disconnect; a second call changes nothing."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self.drained(0)
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._socket is not None:  # the task was cancelled before it began
            await self._socket.close()
        if self._http is not None:
            await self._http.close()

    def refusal(self, message: ServerMessage) -> Refused:
        """What it means that the server says this instead of letting us in."""
        if not isinstance(message, Error):
            return Unavailable(f"{self.host} speaks another protocol")
        text = f"{self.host} does not let us in: {message.details}"
        for_good = message.reason is EndReason.UNAUTHORIZED
        return Refused(text, 401) if for_good else Unavailable(text)

    # Connecting.

    async def _connect(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        """:raises Unavailable: for now. :raises Refused: for good."""
        try:
            async with asyncio.timeout(HELLO_TIMEOUT):
                socket = await http.ws_connect(
                    self._url,
                    headers=self._headers,
                    heartbeat=HEARTBEAT,
                    max_msg_size=LARGEST_MESSAGE,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT),
                )
                try:
                    await self._greet(socket)
                except BaseException:
                    # Not in order: a server that has just given us our place must keep it.
                    await socket.close(code=aiohttp.WSCloseCode.TRY_AGAIN_LATER)
                    raise
                return socket
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                text = f"{self.host} does not let us in ({error.status}): "
                text += "the token is missing, wrong, or not for this"
                raise Refused(text, error.status) from error
            text = f"{self.host} does not begin a WebSocket at this path: it said {error.status}"
            raise Unavailable(text, error.status) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"can't reach {self.host}: {failure(error)}") from error

    async def _greet(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take the former place at the server, or a new one."""
        welcome, _ = await self._next(socket)
        if not isinstance(welcome, Welcome):
            raise self.refusal(welcome)
        heard = 0
        if self._resume_key is not None:
            await socket.send_str(serialise(Resume(self._resume_key, self._received)))
            answer, heard = await self._next(socket)
            if isinstance(answer, Welcome):
                if answer.received is None or not self._outbox.resume(answer.received):
                    self._resume_key = None
                    raise Unavailable(f"{self.host} has missed what nobody remembers")
                self._resume_key = answer.resume_key or self._resume_key
                self._hear(answer)
                return
            logger.info("%s has forgotten this peer; live sessions go on without it", self.host)
        self._resume_key, self._received = welcome.resume_key, heard
        self._outbox.clear()
        self._hear(welcome)
        for introduction in self._introduce():
            self._outbox.say(serialise(introduction))
        while (text := self._outbox.take()) is not None:
            await socket.send_str(text)
        while True:
            message, heard = await self._next(socket)
            self._received += heard
            if isinstance(message, Error):
                raise self.refusal(message)
            self._hear(message)
            if isinstance(message, Producers):
                return

    async def _stay(
        self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while True:
                began = clock()
                try:
                    await self._converse(socket)
                except Unavailable as error:
                    logger.warning("%s; live sessions go on", error)
                if clock() - began > STABLE_AFTER:
                    self._backoff.reset()
                socket = await self._reconnect(http)
                logger.info("connected to %s again", self.host)
        except Refused as error:
            logger.error("%s", error)
            self._refused(error)

    async def _reconnect(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        while True:
            await asyncio.sleep(self._backoff.next_delay())
            try:
                return await self._connect(http)
            except Unavailable as error:
                logger.info("%s", error)

    # Connected.

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Hear and say, until the socket breaks.

        :raises Unavailable: it broke.
        :raises Refused: we are to leave.
        """
        self._socket = socket
        self._to_send.set()
        writer = asyncio.create_task(self._write(socket))
        try:
            while True:
                message, heard = await self._next(socket)
                self._received += heard
                self._hear(message)
        finally:
            self._socket = None
            self._progress.set()
            writer.cancel()
            await asyncio.wait({writer})
            await socket.close()

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while not self._outbox.overflown:
                if (text := self._outbox.take()) is not None:
                    await socket.send_str(text)
                    self._progress.set()
                    continue
                self._to_send.clear()
                await self._to_send.wait()
        except ConnectionError as error:
            # Whoever reads finds the socket broken as well, and says so.
            logger.debug("what was said last may be lost: %s", error)
        else:
            logger.warning("%s does not read what we say", self.host)
            await socket.close()

    async def _next(self, socket: aiohttp.ClientWebSocketResponse) -> tuple[ServerMessage, int]:
        """What comes next, and how much it adds to the count of what was received.

        :raises Unavailable: the socket broke.
        """
        heard = 0
        while (frame := await socket.receive()).type in _FRAMES:
            try:
                message = parse_server_message(str(frame.data))
            except MessageInvalid as error:
                heard += 1
                logger.warning("%s said what we don't understand: %s", self.host, error)
                continue
            return message, heard + (not isinstance(message, Welcome))
        if frame.type is aiohttp.WSMsgType.ERROR:
            raise Unavailable(f"the connection to {self.host} broke: {failure(frame.data)}")
        reason = f", {frame.extra}" if frame.extra else ""
        raise Unavailable(f"{self.host} closed the connection ({socket.close_code}{reason})")


def _check_url(url: str, token: str | None) -> tuple[str, str]:
    """The URL without its fragment, and the server's name in messages.

    :raises ValueError: it is none; the message is for a person.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no URL: {error}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{url!r} is no ws:// or wss:// URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"the URL of {parts.hostname} has a user in it: give a token instead")
    if token is not None and parts.scheme == "ws" and not is_loopback(parts.hostname):
        logger.warning("ws://%s: the token can be read on the way; wss:// hides it", parts.netloc)
    return parts._replace(fragment="").geturl(), parts.netloc
