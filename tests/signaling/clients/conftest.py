"""A server on loopback that does what a test tells it, rightly or wrongly."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request, as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class ScriptedServer:
    """Answers with a handler of the test's for each method."""

    handlers: dict[str, Handler] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def was_asked(self, method: str) -> None:
        """Wait for the first request of a method."""
        async with self._news:
            await self._news.wait_for(lambda: bool(self.of(method)))

    def methods(self) -> list[str]:
        return [asked.method for asked in self.asked]

    def of(self, method: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.method == method]

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade") != "websocket":
            body = await request.text()
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.asked.append(Asked(request.method, request.path, headers, body))
            async with self._news:
                self._news.notify_all()
        handler = self.handlers.get(request.method)
        return web.Response(status=404) if handler is None else await handler(request)


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def elsewhere() -> AsyncIterator[ScriptedServer]:
    """Another origin."""
    server = ScriptedServer()
    await server.start()
    yield server
    await server.stop()
