"""Clients and our own server: every way from one to another, and connections that break."""

import asyncio
import contextlib
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from signaling import (
    Candidate,
    Description,
    Ended,
    EndReason,
    IceServer,
    Limits,
    Message,
    PeerRole,
    ServerConfig,
    SignalingError,
    SignalingServer,
    SignalingSession,
)
from signaling.clients import (
    WebSocketClient,
    WhepClient,
    WhipClient,
    backoff,
    client_for,
    server_connection,
)
from signaling.ice import IceConfiguration
from signaling.tls import own_tls

from ...processes import send_signal
from ..conftest import TOKEN, answer
from ..test_sdp_guard import OFFER as ASKING
from .relay import Relay

SENDING = ASKING.replace("recvonly", "sendonly")
HOST = Candidate("candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host", "0", 0)
OTHER = Candidate("candidate:2 1 udp 2130706175 192.0.2.2 5001 typ host", "0", 0)
NO_MORE = Candidate("", "0", 0)

Client = Callable[..., Awaitable[WebSocketClient]]


@pytest.fixture(autouse=True)
def short_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff.Backoff, "next_delay", lambda self: 0.02)


@pytest.fixture
def config() -> ServerConfig:
    return ServerConfig(
        port=0,
        token=TOKEN,
        watchers_publish=True,
        limits=Limits(gathering_wait=0.1, resume_grace=5.0),
        ice=IceConfiguration((IceServer("stun:stun.example.org"),)),
    )


@pytest.fixture
async def relay(server: SignalingServer) -> AsyncIterator[Relay]:
    relay = Relay(server.port)
    await relay.start()
    yield relay
    await relay.stop()


@pytest.fixture
async def connect(server: SignalingServer) -> AsyncIterator[Client]:
    """Makes clients of the server, which are closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(port: int = 0, **arguments: Any) -> WebSocketClient:
            url = f"ws://127.0.0.1:{port or server.port}/ws"
            client = WebSocketClient(url, **{"token": TOKEN} | arguments)
            stack.push_async_callback(client.close)
            await client.start()
            return client

        yield connect


async def session_of(client: WebSocketClient) -> Any:
    return await asyncio.wait_for(anext(client.sessions()), 30)


async def next_message(session: SignalingSession) -> Message:
    return await asyncio.wait_for(anext(session.messages()), 30)


async def exchange(one: SignalingSession, other: SignalingSession, *messages: Any) -> None:
    """What one says is what the other hears, and nothing else."""
    for message in messages:
        await one.send(message)
    for message in messages:
        assert await next_message(other) == message


async def test_a_conversation(connect: Client) -> None:
    producer_client = await connect(name="camera", meta={"label": "Camera"})
    consumer_client = await connect(roles=(), watch="camera")
    producer, consumer = await session_of(producer_client), await session_of(consumer_client)
    assert (producer.offers, consumer.offers) == (True, False)
    assert (producer.polite, consumer.polite) == (False, True)
    assert (producer.peer_id, consumer.peer_id) == (
        consumer_client.peer_id,
        producer_client.peer_id,
    )
    assert producer.renegotiates
    assert not producer.may_control
    assert consumer.ice_servers == (IceServer("stun:stun.example.org"),)
    await exchange(producer, consumer, Description("offer", SENDING), HOST, NO_MORE)
    await exchange(consumer, producer, Description("answer", answer()), OTHER, NO_MORE)
    await exchange(consumer, producer, Description("offer", ASKING))
    await exchange(producer, consumer, Description("answer", answer(1)))
    await producer.end(EndReason.NOT_LIVE, "the camera was unplugged")
    assert await next_message(consumer) == Ended(EndReason.NOT_LIVE, "the camera was unplugged")


async def test_rooms_do_not_see_each_other(connect: Client) -> None:
    await connect(name="camera", room="kitchen")
    consumer = await connect(roles=(), watch="camera", room="garden")
    producer = await connect(name="camera", room="garden")
    assert (await session_of(consumer)).peer_id == producer.peer_id


@pytest.mark.parametrize(("token", "said"), [("x" * 20, "401"), (None, "token")])
async def test_a_start_without_the_token(connect: Client, token: str | None, said: str) -> None:
    with pytest.raises(SignalingError, match=f"does not let us in.*{said}"):
        await connect(token=token)


# Connections that break.


async def test_a_cut_connection_is_resumed(connect: Client, relay: Relay) -> None:
    producer_client = await connect(port=relay.port)
    consumer_client = await connect(roles=(), watch="")
    producer, consumer = await session_of(producer_client), await session_of(consumer_client)
    peer_id = producer_client.peer_id
    for _ in range(3):
        relay.cut()
        await exchange(producer, consumer, Description("offer", SENDING))
        await exchange(consumer, producer, Description("answer", answer()))
    assert producer_client.peer_id == peer_id


async def test_what_a_broken_socket_swallowed_is_said_again_and_once(
    connect: Client, relay: Relay
) -> None:
    producer_client = await connect(port=relay.port)
    consumer_client = await connect(roles=(), watch="")
    producer, consumer = await session_of(producer_client), await session_of(consumer_client)
    await exchange(producer, consumer, HOST)
    await exchange(consumer, producer, OTHER)
    relay.up_swallowed = relay.down_swallowed = True
    for message in (Description("offer", SENDING), HOST):
        await producer.send(message)
    for message in (OTHER, NO_MORE):
        await consumer.send(message)
    await asyncio.sleep(0.1)  # all of it is on its way to nowhere
    relay.up_swallowed = relay.down_swallowed = False
    relay.cut()
    await producer.send(NO_MORE)
    for message in (Description("offer", SENDING), HOST, NO_MORE):
        assert await next_message(consumer) == message
    for message in (OTHER, NO_MORE):
        assert await next_message(producer) == message
    await exchange(producer, consumer, OTHER)
    await exchange(consumer, producer, HOST)


async def test_a_session_that_began_while_the_socket_was_broken(
    connect: Client, relay: Relay
) -> None:
    producer_client = await connect(port=relay.port, name="camera")
    relay.refuses = True
    relay.cut()
    consumer_client = await connect(roles=(), watch="camera")
    consumer = await session_of(consumer_client)
    relay.refuses = False
    producer = await session_of(producer_client)
    assert producer.id == consumer.id
    await exchange(producer, consumer, Description("offer", SENDING))


async def test_a_connection_that_breaks_while_it_is_resumed(connect: Client, relay: Relay) -> None:
    producer_client = await connect(port=relay.port)
    consumer_client = await connect(roles=(), watch="")
    producer, consumer = await session_of(producer_client), await session_of(consumer_client)
    peer_id = producer_client.peer_id
    for pause in (0.0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04):
        relay.cut()
        await asyncio.sleep(pause)
    await exchange(producer, consumer, Description("offer", SENDING))
    assert producer_client.peer_id == peer_id


async def test_a_client_that_is_gone_too_long_is_forgotten_but_keeps_its_session(
    server: SignalingServer, connect: Client, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    object.__setattr__(server.hub.limits, "resume_grace", 0.05)
    producer_client = await connect(port=relay.port, name="camera")
    consumer_client = await connect(roles=(), watch="camera")
    producer, consumer = await session_of(producer_client), await session_of(consumer_client)
    relay.refuses = True
    relay.cut()
    ended = await next_message(consumer)
    assert isinstance(ended, Ended)
    assert ended.reason is EndReason.LOST
    relay.refuses = False
    again = await session_of(consumer_client)
    assert again.peer_id == producer_client.peer_id
    assert producer.inbox.ended is None, "its media may still flow"
    await producer.send(Description("offer", SENDING))
    await producer.end(EndReason.FAILED)
    again_producer = await session_of(producer_client)
    await exchange(again_producer, again, Description("offer", ASKING))
    object.__setattr__(server.hub.limits, "resume_grace", 5.0)
    relay.cut()
    await exchange(again_producer, again, Description("offer", ASKING))
    await exchange(again, again_producer, Description("answer", answer()))


async def test_a_server_that_says_nothing_any_more_is_noticed(
    connect: Client, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connection, "HEARTBEAT", 0.2)
    producer_client = await connect(port=relay.port)
    consumer_client = await connect(roles=(), watch="")
    producer, consumer = await session_of(producer_client), await session_of(consumer_client)
    relay.accepted.clear()
    relay.up_swallowed = relay.down_swallowed = True
    await producer.send(HOST)
    await asyncio.wait_for(relay.accepted.wait(), 30)
    relay.up_swallowed = relay.down_swallowed = False
    assert await next_message(consumer) == HOST


SERVER = """
import asyncio, sys
from signaling import ServerConfig, SignalingServer

async def main():
    server = SignalingServer(ServerConfig(
        port=int(sys.argv[1]), token=sys.argv[2], watchers_publish=True))
    await server.start()
    print(server.port, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def server_process(port: int = 0) -> AsyncIterator[tuple[int, Callable[[], None]]]:
    """A server in a process of its own: its port, and what kills it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(port), TOKEN, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline()), partial(send_signal, process, signal.SIGKILL)
    finally:
        send_signal(process, signal.SIGKILL)
        await process.wait()


async def test_a_server_that_is_killed_and_started_again(connect: Client) -> None:
    async with server_process() as (port, kill):
        producer_client = await connect(port=port, name="camera")
        consumer_client = await connect(port=port, roles=(), watch="camera")
        producer, consumer = await session_of(producer_client), await session_of(consumer_client)
        kill()
    peer_id = producer_client.peer_id
    await producer.send(Description("offer", SENDING))
    await producer_client.set_meta({"label": "new"})
    async with server_process(port):
        watcher = await connect(port=port, roles=(), watch="camera")
        third = await session_of(watcher)
        assert third.peer_id == producer_client.peer_id != peer_id
        assert producer.inbox.ended is None
        assert consumer.inbox.ended is None, "live sessions outlast the server"
        await exchange(await session_of(producer_client), third, Description("offer", SENDING))
        await consumer.end(EndReason.FAILED)
        await exchange(
            await session_of(producer_client),
            await session_of(consumer_client),
            Description("offer", ASKING),
        )
        await producer_client.close()
        assert await next_message(producer) == Ended()


# From WHIP and WHEP to WebSocket.


async def test_publishing_by_whip_to_a_consumer(server: SignalingServer, connect: Client) -> None:
    consumer_client = await connect(roles=(PeerRole.CONSUMER,), name="recorder")
    whip = WhipClient(f"http://127.0.0.1:{server.port}/whip/recorder", TOKEN)
    await whip.start()
    sending = await anext(whip.sessions())
    await sending.send(HOST)
    offering = asyncio.create_task(sending.send(Description("offer", SENDING)))
    consumer = await session_of(consumer_client)
    assert not consumer.renegotiates
    assert await next_message(consumer) == Description("offer", SENDING)
    await consumer.send(Description("answer", answer()))
    await offering
    assert await next_message(sending) == Description("answer", answer())
    assert sending.ice_servers == (IceServer("stun:stun.example.org"),)
    heard = await next_message(consumer)
    assert isinstance(heard, Candidate)
    assert heard.candidate == HOST.candidate
    await whip.close()
    assert await next_message(consumer) == Ended()


async def test_watching_by_whep(server: SignalingServer, connect: Client) -> None:
    producer_client = await connect(name="camera")
    whep = WhepClient(f"http://127.0.0.1:{server.port}/whep/camera", TOKEN)
    await whep.start()
    watching = await anext(whep.sessions())
    asking = asyncio.create_task(watching.send(Description("offer", ASKING)))
    producer = await session_of(producer_client)
    assert not producer.offers
    assert await next_message(producer) == Description("offer", ASKING)
    await producer.send(Description("answer", answer()))
    await asking
    assert await next_message(watching) == Description("answer", answer())
    await whep.close()
    assert await next_message(producer) == Ended()


async def test_the_other_side_says_why_not(server: SignalingServer, connect: Client) -> None:
    producer_client = await connect(name="camera")
    whep = WhepClient(f"http://127.0.0.1:{server.port}/whep/camera", TOKEN)
    await whep.start()
    watching = await anext(whep.sessions())
    asking = asyncio.create_task(watching.send(Description("offer", ASKING)))
    producer = await session_of(producer_client)
    await producer.end(EndReason.REJECTED, "no codec in common")
    with pytest.raises(SignalingError, match="said 422, no codec in common"):
        await asking
    assert isinstance(ended := await next_message(watching), Ended)
    assert ended.reason is EndReason.REJECTED
    await whep.close()


# TLS.


@pytest.mark.parametrize("scheme", ["wss", "https"])
async def test_a_certificate_is_trusted_or_not(tmp_path: Path, scheme: str) -> None:
    certificate = tmp_path / "tls.pem"
    tls = await asyncio.to_thread(own_tls, path=certificate)
    server = SignalingServer(ServerConfig(port=0, token=TOKEN, tls=tls.context))
    await server.start()
    url = f"{scheme}://127.0.0.1:{server.port}/#t={TOKEN}"
    stranger = client_for(url, offer=False)
    with pytest.raises(SignalingError, match="its certificate is not trusted"):
        await stranger.start()
    trusted = ssl.create_default_context(cafile=str(certificate))
    friend = client_for(url, offer=False, tls=trusted)
    await friend.start()
    await friend.close()
    await stranger.close()
    await server.stop()
