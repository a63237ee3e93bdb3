"""A server on loopback with one producer that sends nothing: signalling without media."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from signaling import (
    Candidate,
    Description,
    Ended,
    EndReason,
    Hub,
    Limits,
    LocalClient,
    Message,
    PeerRole,
    ServerConfig,
    SignalingServer,
    SignalingSession,
)

TOKEN = "0123456789abcdef0123456789"
CONTROL_TOKEN = "abcdef0123456789abcdef0123"
PUBLISH_TOKEN = "fedcba9876543210fedcba9876"
META = {"label": "Camera", "live": True, "tracks": []}

# Short enough to wait for, and nothing in the tests is slower than this for honest reasons.
LIMITS = Limits(
    sessions=3,
    starts_per_address=8,
    connections=12,
    connections_per_address=6,
    header_timeout=1.0,
    body_timeout=1.0,
    hello_timeout=1.0,
    answer_timeout=2.0,
    gathering_wait=0.1,
    resume_grace=1.0,
    messages=50,
    messages_interval=60.0,
)


def answer(generation: int = 0) -> str:
    """A complete answer; each generation has ICE credentials of its own."""
    return (
        "v=0\r\no=- 2 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\n"
        f"a=ice-ufrag:srv{generation}\r\na=ice-pwd:abcdefghijklmnopqrstuv{generation}\r\n"
        "a=fingerprint:sha-256 AA:BB\r\na=setup:active\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"
        "a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host\r\na=end-of-candidates\r\n"
    )


class StubPeer:
    """A peer of the server's process that answers every offer with the same text."""

    def __init__(self, hub: Hub, id: str, role: PeerRole = PeerRole.PRODUCER) -> None:
        self.client = LocalClient(hub, id, roles={role}, meta=META)
        self.sessions: dict[str, SignalingSession] = {}
        self.offers: dict[str, list[str]] = {}
        self.candidates: list[str] = []
        self.ended: dict[str, Ended] = {}
        self.refusal: Ended | None = None
        """Ends each session with it."""
        self.silent = False
        """Answers nothing."""
        self.says: list[Message] | None = None
        """Instead of a complete answer, once."""
        self._news = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def may_control(self) -> list[bool]:
        return [session.may_control for session in self.sessions.values()]

    async def start(self) -> None:
        await self.client.start()
        self._tasks.append(asyncio.create_task(self._take_sessions()))

    async def _take_sessions(self) -> None:
        async for session in self.client.sessions():
            self.sessions[session.id] = session
            self._tasks.append(asyncio.create_task(self._serve(session)))

    async def _serve(self, session: SignalingSession) -> None:
        async for message in session.messages():
            match message:
                case Description("offer", sdp):
                    seen = self.offers.setdefault(session.id, [])
                    seen.append(sdp)
                    await self._answer(session, sdp, len(seen) - 1)
                case Candidate(candidate):
                    self.candidates.append(candidate)
                case Ended():
                    self.ended[session.id] = message
                    async with self._news:
                        self._news.notify_all()

    async def reason(self, session_id: str) -> EndReason:
        """Why a session ended, once it has."""
        async with self._news:
            await self._news.wait_for(lambda: session_id in self.ended)
        return self.ended[session_id].reason

    async def _answer(self, session: SignalingSession, offer: str, generation: int) -> None:
        if self.refusal is not None:
            await session.end(self.refusal.reason, self.refusal.detail)
        elif "a=refuse-me" in offer:
            await session.end(EndReason.REJECTED, "no")
        elif not self.silent:
            says, self.says = self.says, None
            for message in says or [Description("answer", answer(generation))]:
                if isinstance(message, Ended):
                    await session.end(message.reason, message.detail)
                else:
                    await session.send(message)

    async def close(self) -> None:
        await self.client.close()
        await asyncio.gather(*self._tasks)


@pytest.fixture
def config() -> ServerConfig:
    """Overridden by modules that need another."""
    return ServerConfig(
        port=0,
        token=TOKEN,
        control_token=CONTROL_TOKEN,
        publish_token=PUBLISH_TOKEN,
        metrics=True,
        limits=LIMITS,
    )


@pytest.fixture
async def server(config: ServerConfig) -> AsyncIterator[SignalingServer]:
    server = SignalingServer(config)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def producer(server: SignalingServer) -> AsyncIterator[StubPeer]:
    producer = StubPeer(server.hub, "camera")
    await producer.start()
    yield producer
    await producer.close()


@pytest.fixture
async def http(server: SignalingServer, producer: StubPeer) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that shows the token, of a server with a camera."""
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{server.port}", headers={"Authorization": f"Bearer {TOKEN}"}
    ) as session:
        yield session
