"""The signalling server: the page, and WHEP for whatever is on the air (aiohttp's shell)."""

import asyncio
import collections
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from . import auth, whep
from .connection_guard import ConnectionGuard
from .errors import (
    BodyTimeout,
    OfferTooLarge,
    SignalingError,
    TooManyRequests,
    WrongContentType,
)
from .limits import Limits
from .sdp_guard import check_offer, filter_candidates
from .static import SECURITY_HEADERS, load_page
from .switchboard import Switchboard

logger = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Until a stop has told the viewers and closed their connections; a browser that does not read
# must not hold the process.
SHUTDOWN_TIMEOUT = 2.0


class ServerStartError(Exception):
    """The server can't start; the message is one line for a person."""


@dataclass(frozen=True)
class ServerConfig:
    """Where and for whom to serve.

    :raises ValueError: never; a host that needs a token and has none is refused by `start()`.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    """0 for any free one."""
    token: str | None = None
    """What viewers must present; None lets everybody watch."""
    control_token: str | None = None
    """What viewers must present who may control the cameras, too; None lets nobody."""
    open_to_all: bool = False
    """Must be said to serve without a token on an address that others can reach."""
    names: frozenset[str] = frozenset()
    """Host names of this server beside the machine's own."""
    origins: frozenset[str] = frozenset()
    """Origins of other sites' pages that may use the server."""
    limits: Limits = field(default_factory=Limits)


class SignalingServer:
    """Serves the page and the producers of a switchboard."""

    def __init__(self, config: ServerConfig, switchboard: Switchboard) -> None:
        self.config = config
        self.switchboard = switchboard
        self._limits = config.limits
        hostname = socket.gethostname().lower()
        self._names = auth.LOOPBACK_NAMES | {hostname, f"{hostname}.local"} | config.names
        self._starts: dict[str, collections.deque[float]] = {}
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    @property
    def warnings(self) -> list[str]:
        """What a person should know about this configuration."""
        if auth.is_loopback(self.config.host):
            return []
        found = ["serving without TLS: the token and the page can be read on the network"]
        if self.config.token is None:
            found.append("serving without a token: anybody on the network can watch")
        return found

    @property
    def port(self) -> int:
        """The port that it really serves on."""
        assert self._server is not None, "the server is not started"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The address for a person, token included: in the fragment, which no log ever sees."""
        return self._url(self.config.token)

    @property
    def control_url(self) -> str:
        """The address for a person who may control the cameras."""
        return self._url(self.config.control_token)

    def _url(self, token: str | None) -> str:
        host = self.config.host
        if host in ("0.0.0.0", "::", ""):
            host = _own_address()
        host = f"[{host}]" if ":" in host else host
        fragment = f"#t={token}" if token is not None else ""
        return f"http://{host}:{self.port}/{fragment}"

    async def start(self) -> None:
        """Begin to serve.

        :raises ServerStartError: the address can't be had, or would be open to everybody.
        """
        config = self.config
        if config.token is None and not config.open_to_all and not auth.is_loopback(config.host):
            raise ServerStartError(f"{config.host} is not loopback: serving there needs a token")
        try:
            page = await asyncio.to_thread(load_page)
        except FileNotFoundError as error:
            raise ServerStartError(str(error)) from error
        app = web.Application(middlewares=[self._guard])
        for path, file in page.items():
            app.router.add_get(path, _static(file.content, file.content_type))
        app.router.add_get("/healthz", _healthz)
        app.router.add_get("/api/producers", self._producers)
        endpoint, session = "/whep/{producer}", "/whep/{producer}/{session}"
        app.router.add_options(endpoint, self._options)
        app.router.add_get(endpoint, self._look)
        app.router.add_post(endpoint, self._start_session)
        app.router.add_options(session, self._options)
        app.router.add_get(session, self._look)
        app.router.add_delete(session, self._end_session)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None,
                                     shutdown_timeout=SHUTDOWN_TIMEOUT)  # fmt: skip
        await self._runner.setup()
        guard = ConnectionGuard(self._runner, self._limits)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                guard.connection, config.host, config.port
            )
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            raise ServerStartError(_start_failure(config, error)) from error

    async def stop(self) -> None:
        """End every session and stop serving; a server that is not started is no error."""
        if self._server is not None:
            self._server.close()
        await self.switchboard.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # What every request passes.

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        ConnectionGuard.request_came(request)
        try:
            auth.check_host(request.headers.get("Host"), self._names)
            if request.method not in ("GET", "HEAD", "OPTIONS"):
                auth.check_origin(
                    request.headers.get("Origin"),
                    request.headers.get("Host"),
                    token_shown=self._token_shown(request),
                    allowed=self.config.origins,
                )
            response = await handler(request)
        except SignalingError as error:
            body, headers = whep.problem(error, self._limits)
            response = web.Response(status=error.status, text=body, headers=headers)
        except web.HTTPException as error:
            response = error
        response.headers.update(SECURITY_HEADERS)
        origin = request.headers.get("Origin")
        host = request.headers.get("Host")
        if origin is not None and auth.is_allowed_origin(origin, host, self.config.origins):
            response.headers.update(whep.cors_headers(origin, _methods(request)))
        if isinstance(response, web.HTTPException):
            raise response
        return response

    def _token_shown(self, request: web.Request) -> bool:
        if self.config.token is None:
            return self._may_control(request)
        self._check_token(request)
        return True

    def _check_token(self, request: web.Request) -> None:
        header, config = request.headers.get("Authorization"), self.config
        auth.check_token(header, config.token, config.control_token)

    def _may_control(self, request: web.Request) -> bool:
        return auth.may_control(request.headers.get("Authorization"), self.config.control_token)

    # Handlers.

    async def _producers(self, request: web.Request) -> web.Response:
        self._check_token(request)
        producers = [{**p.meta, "id": p.id} for p in self.switchboard.producers()]
        return web.json_response({"producers": producers, "mayControl": self._may_control(request)})

    async def _options(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers=whep.options_headers(_methods(request)))

    async def _look(self, request: web.Request) -> web.Response:
        """GET and HEAD tell whether a resource is there, and nothing else (RFC 9725 4.2)."""
        self._check_token(request)
        producer_id = request.match_info["producer"]
        if "session" in request.match_info:
            session = self.switchboard.session(producer_id, request.match_info["session"])
            return web.Response(status=204, headers={"ETag": session.etag})
        self.switchboard.producer(producer_id)
        if request.method == "HEAD":
            return web.Response(status=200, headers={"Content-Type": whep.SDP})
        return web.Response(status=204)

    async def _start_session(self, request: web.Request) -> web.Response:
        self._check_token(request)
        if request.content_type != whep.SDP:
            raise WrongContentType(f"an offer is {whep.SDP}, not {request.content_type}")
        self.switchboard.producer(request.match_info["producer"])
        self._count_start(request.remote or "")
        offer = check_offer(await self._body(request), self._limits)
        offer = filter_candidates(offer, allow_loopback=auth.is_loopback(self.config.host))
        session = await self.switchboard.start_session(
            request.match_info["producer"], offer, may_control=self._may_control(request)
        )
        return web.Response(status=201, text=session.answer, headers=whep.created_headers(session))

    async def _end_session(self, request: web.Request) -> web.Response:
        self._check_token(request)
        producer_id, id = request.match_info["producer"], request.match_info["session"]
        self.switchboard.session(producer_id, id)
        await self.switchboard.end_session(id)
        return web.Response(status=200)

    async def _body(self, request: web.Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_timeout):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self._limits.body:
                        raise OfferTooLarge(f"an offer has at most {self._limits.body} bytes")
        except TimeoutError:
            raise BodyTimeout("the offer did not come in time") from None
        return bytes(body)

    def _count_start(self, address: str) -> None:
        """:raises TooManyRequests: one address starts sessions faster than people do."""
        now = time.monotonic()
        oldest = now - self._limits.starts_interval
        for known, starts in list(self._starts.items()):
            while starts and starts[0] < oldest:
                starts.popleft()
            if not starts:
                del self._starts[known]
        starts = self._starts.setdefault(address, collections.deque())
        if len(starts) >= self._limits.starts_per_address:
            raise TooManyRequests("too many sessions were started from this address")
        starts.append(now)


def _static(content: bytes, content_type: str) -> _Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=content, headers={"Content-Type": content_type})

    return handler


async def _healthz(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _methods(request: web.Request) -> str:
    return whep.SESSION_METHODS if "session" in request.match_info else whep.ENDPOINT_METHODS


def _start_failure(config: ServerConfig, error: Exception) -> str:
    where = f"{config.host}:{config.port}"
    if isinstance(error, PermissionError):
        return f"can't serve on {where}: ports below 1024 need privileges; choose another --port"
    if isinstance(error, socket.gaierror):
        return f"can't serve on {where}: no such host"
    if isinstance(error, OSError) and error.errno is not None:
        names = {98: "the port is in use; choose another with --port, or 0 for any free one",
                 99: "this computer does not have that address"}  # fmt: skip
        return f"can't serve on {where}: {names.get(error.errno, error.strerror)}"
    return f"can't serve on {where}: {error}"


def _own_address() -> str:
    """The address by which others on the network reach this computer; nothing is sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # a documentation address (RFC 5737)
        address: str = probe.getsockname()[0]
        return address
    return "127.0.0.1"
