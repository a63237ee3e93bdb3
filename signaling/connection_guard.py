"""Connections that do not get on: caps on their number, and a deadline for their first request.

aiohttp has neither: idle connections and dripped headers stand for ever.
"""

import asyncio
import collections

from aiohttp import web

from .limits import Limits, party


class ConnectionGuard:
    """Makes the protocol object of each connection of one server."""

    def __init__(self, runner: web.AppRunner, limits: Limits) -> None:
        assert runner.server is not None, "the runner must be set up"
        self._runner_server = runner.server
        self.limits = limits
        self.per_address: collections.Counter[str] = collections.Counter()

    def connection(self) -> web.RequestHandler:
        """The protocol of a new connection, for `loop.create_server()`."""
        return _Connection(self, self._runner_server, asyncio.get_running_loop())

    @staticmethod
    def request_came(request: web.Request) -> None:
        """Headers have come in time; to be called for each request."""
        if isinstance(request.protocol, _Connection):
            request.protocol.request_came()


class _Connection(web.RequestHandler):
    def __init__(
        self,
        guard: ConnectionGuard,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's word for "none"
            keepalive_timeout=guard.limits.header_timeout,
        )
        self._guard = guard
        self._address: str | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        guard = self._guard
        self._address = party(str((transport.get_extra_info("peername") or ("?",))[0]))
        guard.per_address[self._address] += 1
        if (
            guard.per_address.total() > guard.limits.connections
            or guard.per_address[self._address] > guard.limits.connections_per_address
        ):
            transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(guard.limits.header_timeout, transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.request_came()
        if self._address is not None:
            self._guard.per_address[self._address] -= 1
            self._guard.per_address += collections.Counter()  # drops the zeros
            self._address = None

    def request_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
