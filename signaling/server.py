"""The signalling server: the page, WebSockets, WHIP and WHEP on one hub (aiohttp's shell)."""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from aiohttp import web

from . import auth, whip
from .connection_guard import ConnectionGuard
from .errors import NoSuchResource, SignalingError
from .http_sessions import HttpSessions, methods
from .hub import Hub
from .ice import IceConfiguration
from .limits import Limits, Pace
from .metrics import render
from .protocol import PeerRole
from .static import SECURITY_HEADERS, load_page
from .websocket import WebSocketPeers, shown_token

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
    publish_token: str | None = None
    """What others must present who send through this server."""
    watchers_publish: bool = False
    """Whether everybody who may watch may send through this server, where no token is set for
    that."""
    open_to_all: bool = False
    """Must be said to serve without a token on an address that others can reach."""
    names: frozenset[str] = frozenset()
    """Host names of this server beside the machine's own."""
    origins: frozenset[str] = frozenset()
    """Origins of other sites' pages that may use the server."""
    tls: ssl.SSLContext | None = None
    strict: bool = False
    """Whether a PATCH of a WHIP or WHEP session needs If-Match, as RFC 9725 has it and many
    players don't."""
    metrics: bool = False
    """Whether there is `/metrics`, for whoever has the token."""
    limits: Limits = field(default_factory=Limits)
    ice: IceConfiguration = field(default_factory=IceConfiguration)
    """What peers are told to use."""


class SignalingServer:
    """Serves the page and the peers of a hub.

    :param hub: with peers of this process; one of its own when None.
    """

    def __init__(self, config: ServerConfig, hub: Hub | None = None) -> None:
        self.config = config
        self.hub = hub or Hub(config.limits)
        self.hub.switchboard.ice_servers = lambda peer_id: config.ice.servers(peer_id, time.time())
        self._limits = config.limits
        hostname = socket.gethostname().lower()
        self._names = auth.LOOPBACK_NAMES | {hostname, f"{hostname}.local"} | config.names
        self._tokens = auth.Tokens(
            config.token, config.control_token, config.publish_token, config.watchers_publish
        )
        starts = Pace(config.limits.starts_per_address, config.limits.starts_interval)
        loopback = auth.is_loopback(config.host)
        self._websockets = WebSocketPeers(self.hub, self._tokens, starts, allow_loopback=loopback)
        self._http = HttpSessions(
            self.hub, self._tokens, starts, allow_loopback=loopback, strict=config.strict
        )
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    @property
    def warnings(self) -> list[str]:
        """What a person should know about this configuration."""
        if auth.is_loopback(self.config.host):
            return []
        found = []
        if self.config.tls is None:
            found.append("serving without TLS: the token and the page can be read on the network")
        if self.config.token is None:
            publishes = self.config.publish_token is None and self.config.watchers_publish
            can = "watch and publish" if publishes else "watch"
            found.append(f"serving without a token: anybody on the network can {can}")
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
            host = own_address()
        host = f"[{host}]" if ":" in host else host
        fragment = f"#t={quote(token, safe='')}" if token is not None else ""
        scheme = "http" if self.config.tls is None else "https"
        return f"{scheme}://{host}:{self.port}/{fragment}"

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
            if path != "/":
                app.router.add_get(path, _static(file.content, file.content_type))
        start_page = page["/"]
        app.router.add_get("/", self._websocket_or(_static(*start_page)))
        app.router.add_get("/ws", self._websocket_or(_no_websocket))
        app.router.add_get("/healthz", _healthz)
        app.router.add_get("/api/producers", self._producers)
        if config.metrics:
            app.router.add_get("/metrics", self._metrics)
        self._http.add_routes(app.router)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None,
                                     shutdown_timeout=SHUTDOWN_TIMEOUT)  # fmt: skip
        await self._runner.setup()
        guard = ConnectionGuard(self._runner, self._limits)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                guard.connection, config.host, config.port, ssl=config.tls
            )
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            raise ServerStartError(_start_failure(config, error)) from error

    async def stop(self) -> None:
        """Stop serving; a server that is not started is no error."""
        if self._server is not None:
            self._server.close()
        # Calls go on without it: only who is in this process, or waits for an answer, is told.
        await self._websockets.close()
        self.hub.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # What every request passes.

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        ConnectionGuard.request_came(request)
        try:
            auth.check_host(request.headers.get("Host"), self._names)
            if self._changes_something(request):
                auth.check_origin(
                    request.headers.get("Origin"),
                    request.headers.get("Host"),
                    token_shown=self._token_shown(request),
                    allowed=self.config.origins,
                )
            response = await handler(request)
        except SignalingError as error:
            body, headers = whip.problem(error, self._limits)
            response = web.Response(status=error.status, text=body, headers=headers)
            self.hub.counts[f"refusals.{error.status}"] += 1
        except web.HTTPException as error:
            response = error
        if response.prepared:
            return response
        response.headers.update(SECURITY_HEADERS)
        origin = request.headers.get("Origin")
        host = request.headers.get("Host")
        if origin is not None and auth.is_allowed_origin(origin, host, self.config.origins):
            response.headers.update(whip.cors_headers(origin, methods(request)))
        if isinstance(response, web.HTTPException):
            raise response
        return response

    @staticmethod
    def _changes_something(request: web.Request) -> bool:
        # A program's WebSocket has no Origin; a page's always has one (Fetch standard).
        if _is_upgrade(request):
            return "Origin" in request.headers
        return request.method not in ("GET", "HEAD", "OPTIONS")

    def _token_shown(self, request: web.Request) -> bool:
        """:raises Unauthorized: a token is needed, and was not shown."""
        token = shown_token(request)
        if not _is_upgrade(request):
            self._tokens.grant(token)
        return self._tokens.proves(token)

    # Handlers.

    def _websocket_or(self, otherwise: _Handler) -> _Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            if _is_upgrade(request):
                return await self._websockets.handle(request)
            return await otherwise(request)

        return handler

    async def _producers(self, request: web.Request) -> web.Response:
        grant = self._tokens.grant(shown_token(request))
        listed = self.hub.switchboard.listed(PeerRole.PRODUCER)
        producers = [{**peer.meta, "id": peer.id} for peer in listed]
        return web.json_response({"producers": producers, "mayControl": grant.control})

    async def _metrics(self, request: web.Request) -> web.Response:
        self._tokens.grant(shown_token(request))
        return web.Response(text=render(self.hub))


def _static(content: bytes, content_type: str) -> _Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=content, headers={"Content-Type": content_type})

    return handler


async def _healthz(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _no_websocket(request: web.Request) -> web.Response:
    raise NoSuchResource("here is a WebSocket only")


def _is_upgrade(request: web.Request) -> bool:
    return request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"


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


def own_address() -> str:
    """The address by which others on the network reach this computer; nothing is sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # a documentation address (RFC 5737)
        address: str = probe.getsockname()[0]
        return address
    return "127.0.0.1"
