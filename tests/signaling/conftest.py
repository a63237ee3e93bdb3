"""A server on loopback with one producer that sends nothing: signalling without media."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from signaling import (
    Limits,
    OfferRejected,
    ServerConfig,
    SignalingError,
    SignalingServer,
    Switchboard,
)

TOKEN = "0123456789abcdef0123456789"
CONTROL_TOKEN = "abcdef0123456789abcdef0123"
ANSWER = "v=0\r\na=answer\r\n"

# Short enough to wait for, and nothing in the tests is slower than this for honest reasons.
LIMITS = Limits(
    sessions=3,
    starts_per_address=8,
    connections=12,
    connections_per_address=6,
    header_timeout=0.3,
    body_timeout=0.3,
)


@dataclass
class StubProducer:
    """A producer that answers every offer with the same text."""

    id: str = "camera"
    offers: dict[str, str] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    failure: SignalingError | None = None
    may_control: list[bool] = field(default_factory=list)

    @property
    def meta(self) -> Mapping[str, Any]:
        return {"label": "Camera", "live": True, "tracks": []}

    async def start_session(self, session_id: str, offer: str, *, may_control: bool = False) -> str:
        if self.failure is not None:
            raise self.failure
        if "a=refuse-me" in offer:
            raise OfferRejected("no")
        self.offers[session_id] = offer
        self.may_control.append(may_control)
        return ANSWER

    async def end_session(self, session_id: str) -> None:
        self.ended.append(session_id)


@pytest.fixture
def producer() -> StubProducer:
    return StubProducer()


@pytest.fixture
async def server(producer: StubProducer) -> AsyncIterator[SignalingServer]:
    switchboard = Switchboard(LIMITS)
    switchboard.add_producer(producer)
    server = SignalingServer(ServerConfig(port=0, token=TOKEN, limits=LIMITS), switchboard)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def http(server: SignalingServer) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that shows the token."""
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{server.port}", headers={"Authorization": f"Bearer {TOKEN}"}
    ) as session:
        yield session
