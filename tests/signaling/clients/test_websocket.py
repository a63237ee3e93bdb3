"""The WebSocket client at a plain GStreamer server, and at servers that misbehave."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from signaling import SignalingError
from signaling.clients import (
    ANY_PRODUCER,
    WebSocketClient,
    backoff,
    inbox,
    server_connection,
    websocket,
)
from signaling.clients.websocket import WebSocketSession
from signaling.protocol import PeerRole
from signaling.session import Candidate, Description, Ended, EndReason, Message

from .conftest import ScriptedServer
from .gst_server import GstServer

OFFER, ANSWER = Description("offer", "v=0\r\n"), Description("answer", "v=0\r\n")
HOST = Candidate("candidate:1 1 udp 1 192.0.2.1 5000 typ host", None, 0)

Client = Callable[..., Awaitable[WebSocketClient]]


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff.Backoff, "next_delay", lambda self: 0.01)


@pytest.fixture
def gst(scripted: ScriptedServer) -> GstServer:
    server = GstServer()
    scripted.handlers["GET"] = server.handle
    return server


@pytest.fixture
async def connect(scripted: ScriptedServer) -> AsyncIterator[Client]:
    """Makes clients of the server, which are closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def connect(**arguments: Any) -> WebSocketClient:
            client = WebSocketClient(f"ws://127.0.0.1:{scripted.port}", **arguments)
            stack.push_async_callback(client.close)
            await client.start()
            return client

        yield connect


async def next_message(session: WebSocketSession) -> Message:
    return await asyncio.wait_for(anext(session.messages()), 30)


async def session_of(client: WebSocketClient) -> WebSocketSession:
    return await asyncio.wait_for(anext(client.sessions()), 30)


async def pair(connect: Client) -> tuple[WebSocketSession, WebSocketSession]:
    producer = await connect(name="camera")
    consumer = await connect(roles=(), watch="camera")
    return await session_of(producer), await session_of(consumer)


async def test_sessions_through_a_plain_gstreamer_server(gst: GstServer, connect: Client) -> None:
    producer, consumer = await pair(connect)
    assert producer.id == consumer.id
    assert (producer.offers, producer.polite) == (True, False)
    assert (consumer.offers, consumer.polite) == (False, True)
    assert producer.renegotiates
    assert not producer.may_control
    for message in (OFFER, HOST, Candidate("", None, 0)):
        await producer.send(message)
        assert await next_message(consumer) == message
    await consumer.send(ANSWER)
    assert await next_message(producer) == ANSWER
    await consumer.send(OFFER)  # it renegotiates
    assert await next_message(producer) == OFFER
    await producer.end(EndReason.NOT_LIVE)
    assert await next_message(consumer) == Ended()
    assert await next_message(producer) == Ended(EndReason.NOT_LIVE)
    await producer.end()
    await producer.send(OFFER)
    await producer._client.close()
    await gst.until(lambda: producer._client.peer_id not in gst.statuses)
    said = [message["type"] for message in gst.heard]
    assert (said.count("peer"), said.count("endSession")) == (5, 1)
    statuses = [message for message in gst.heard if message["type"] == "setPeerStatus"]
    assert [sorted(status["roles"]) for status in statuses] == [["producer"], ["listener"]]


async def test_a_consumer_that_makes_the_offer(gst: GstServer, connect: Client) -> None:
    producer = await connect()
    other = await connect(roles=(PeerRole.CONSUMER,))
    await gst.start(other.peer_id, {"peerId": producer.peer_id, "offer": "v=0\r\n"})
    session = await session_of(producer)
    assert not session.offers
    assert not session.polite
    assert await next_message(session) == OFFER


async def test_a_producer_that_comes_later_and_comes_back(gst: GstServer, connect: Client) -> None:
    consumer = await connect(roles=(), watch=ANY_PRODUCER)
    for _ in range(2):
        producer = await connect()
        session = await session_of(consumer)
        assert session.peer_id == producer.peer_id
        await producer.close()
        assert await next_message(session) == Ended()


async def test_a_producer_that_comes_back_is_not_kept_waiting(
    gst: GstServer, connect: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff.Backoff, "next_delay", lambda self: 60.0)
    consumer, producer = await connect(roles=(), watch=ANY_PRODUCER), await connect()
    session = await session_of(consumer)
    await producer.close()
    assert await next_message(session) == Ended()
    producer = await connect()
    assert (await session_of(consumer)).peer_id == producer.peer_id


async def test_a_session_that_failed_is_begun_again(gst: GstServer, connect: Client) -> None:
    producer, consumer = await connect(), await connect(roles=(), watch=ANY_PRODUCER)
    first = await session_of(consumer)
    await first.end(EndReason.FAILED)
    second = await session_of(consumer)
    assert second.peer_id == producer.peer_id
    await (await session_of(producer)).end()  # the first, which has ended
    await (await session_of(producer)).end()
    assert await next_message(second) == Ended()
    assert (await session_of(consumer)).id not in (first.id, second.id)


async def test_who_leaves_a_session_in_order_waits_for_another_producer(
    gst: GstServer, connect: Client
) -> None:
    producer, consumer = await connect(), await connect(roles=(), watch=ANY_PRODUCER)
    await (await session_of(consumer)).end()
    assert await next_message(await session_of(producer)) == Ended()
    another = await connect()
    assert (await session_of(consumer)).peer_id == another.peer_id


async def test_a_change_of_meta_is_told_and_is_no_new_producer(
    gst: GstServer, connect: Client
) -> None:
    producer = await connect(name="camera", meta={"label": "old"})
    consumer = await connect(roles=(), watch="camera")
    await session_of(consumer)
    await producer.set_meta({"label": "new"})
    another = await connect(name="camera")
    [*_, changed, _] = [m for m in gst.heard if m["type"] == "setPeerStatus"]
    assert changed["meta"] == {"label": "new", "name": "camera"}
    starts = [message for message in gst.heard if message["type"] == "startSession"]
    assert len(starts) == 1, another.peer_id


async def test_live_sessions_outlast_the_connection(gst: GstServer, connect: Client) -> None:
    client = await connect()
    other = await connect(roles=(PeerRole.CONSUMER,))
    await gst.start(other.peer_id, {"peerId": client.peer_id})
    session = await session_of(client)
    before = client.peer_id
    gst.cut()
    await gst_knows(gst, 2, but_not=before)
    assert session.inbox.ended is None
    await session.send(OFFER)  # nobody is told, and nothing fails
    await gst.start(next(iter(gst.sockets)), {"peerId": client.peer_id})
    assert (await session_of(client)).id != session.id
    await client.close()
    await gst.until(lambda: client.peer_id not in gst.statuses)
    assert not any(message["type"] == "peer" for message in gst.heard)
    assert await next_message(session) == Ended()


@pytest.mark.parametrize(("stable_after", "waits"), [(60.0, [0, 1, 2]), (0.0, [0, 0, 0])])
async def test_a_connection_that_lasted_is_replaced_sooner(
    gst: GstServer,
    connect: Client,
    monkeypatch: pytest.MonkeyPatch,
    stable_after: float,
    waits: list[int],
) -> None:
    failures: list[int] = []

    def delay(self: backoff.Backoff) -> float:
        failures.append(self._failures)
        self._failures += 1
        return 0.0

    monkeypatch.setattr(backoff.Backoff, "next_delay", delay)
    monkeypatch.setattr(server_connection, "STABLE_AFTER", stable_after)
    client = await connect()
    for _ in waits:
        before = client.peer_id
        gst.cut()
        await gst_knows(gst, 1, but_not=before)
    assert failures == waits


async def test_a_watched_session_that_lives_is_not_doubled(gst: GstServer, connect: Client) -> None:
    producer = await connect()
    consumer = await connect(roles=(), watch=ANY_PRODUCER)
    session = await session_of(consumer)
    gst.cut()
    await gst_knows(gst, 2, but_not=producer.peer_id)
    await session.send(OFFER)
    assert len([m for m in gst.heard if m["type"] == "startSession"]) == 1
    await session.end(EndReason.FAILED)
    assert (await session_of(consumer)).id != session.id


async def gst_knows(gst: GstServer, peers: int, *, but_not: str) -> None:
    """Wait until as many have said what they are."""
    await gst.until(lambda: len(gst.statuses) == peers and but_not not in gst.statuses)


async def test_close_ends_the_sessions_in_order(
    scripted: ScriptedServer, gst: GstServer, connect: Client
) -> None:
    other = await connect(roles=(PeerRole.CONSUMER,))
    await other.set_meta({"is": "connected"})
    await gst.until(lambda: gst.heard[-1].get("meta") == {"is": "connected"})
    tasks = asyncio.all_tasks()
    closing = WebSocketClient(f"ws://127.0.0.1:{scripted.port}", name="closing")
    await closing.start()
    await gst.start(other.peer_id, {"peerId": closing.peer_id})
    sessions = closing.sessions()
    session = await anext(sessions)
    await closing.close()
    await closing.close()
    assert await next_message(session) == Ended()
    assert await anext(sessions, None) is None
    assert await next_message(await session_of(other)) == Ended()
    await gst.until(lambda: len(gst.statuses) == 1)
    assert asyncio.all_tasks() <= tasks


async def test_a_close_right_after_the_start_closes_the_socket_in_order(
    scripted: ScriptedServer, gst: GstServer
) -> None:
    client = WebSocketClient(f"ws://127.0.0.1:{scripted.port}")
    await client.start()
    [socket] = gst.sockets.values()
    await client.close()
    await gst.until(lambda: not gst.statuses)
    assert socket.close_code == 1000


async def test_sessions_that_nobody_takes_are_refused(
    gst: GstServer, connect: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MOST_ARRIVALS", 2)
    producer, other = await connect(), await connect(roles=(PeerRole.CONSUMER,))
    for _ in range(3):
        await gst.start(other.peer_id, {"peerId": producer.peer_id})
    await gst.until(lambda: len(gst.sessions) == 2)
    refused = gst.heard[-1]
    assert (refused["type"], refused["reason"]) == ("endSession", "overloaded")


async def test_a_peer_that_says_more_than_is_read_is_left(
    gst: GstServer, connect: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "CAPACITY", 5)
    producer, consumer = await pair(connect)
    for _ in range(6):
        await producer.send(HOST)
    assert await asyncio.wait_for(consumer.inbox.wait_ended(), 30)
    messages = [message async for message in consumer.messages()]
    assert [type(message) for message in messages] == [Candidate] * 5 + [Ended]
    assert await next_message(producer) == Ended()


# Servers that do not let us in, or are none.


def scripted_socket(*said: Any, close: int | None = None) -> Callable[..., Any]:
    """Says these things, whatever it hears, and then reads or closes."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for message in said:
            await socket.send_str(message if isinstance(message, str) else json.dumps(message))
        if close is not None:
            await socket.close(code=close, message=b"go away")
        async for _ in socket:
            pass
        return socket

    return handle


WELCOME = {"type": "welcome", "peerId": "me"}
NOBODY = {"type": "list", "producers": []}


def error(details: str, **fields: str) -> dict[str, str]:
    return {"type": "error", "details": details, **fields}


async def refuse(request: web.Request) -> web.Response:
    return web.Response(status=401)


async def page(request: web.Request) -> web.Response:
    return web.Response(text="hello")


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (refuse, r"does not let us in \(401\): the token"),
        (page, "does not begin a WebSocket at this path: it said 200"),
        (scripted_socket(NOBODY), "another protocol"),
        (scripted_socket(WELCOME, error("show a token", reason="unauthorized")), "show a token"),
        (scripted_socket(WELCOME, error("all is full", reason="overloaded")), "all is full"),
        (scripted_socket(WELCOME, close=1008), r"closed the connection \(1008, go away\)"),
        (scripted_socket("{", "[]", '{"type": "what"}', close=1000), "closed the connection"),
    ],
)
async def test_a_start_that_fails_says_why(
    scripted: ScriptedServer, connect: Client, handler: Any, said: str
) -> None:
    scripted.handlers["GET"] = handler
    with pytest.raises(SignalingError, match=said):
        await connect()


async def test_a_server_that_says_nothing(
    scripted: ScriptedServer, connect: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_connection, "HELLO_TIMEOUT", 0.1)
    scripted.handlers["GET"] = scripted_socket()
    with pytest.raises(SignalingError, match="no answer in time"):
        await connect()


async def test_a_server_that_falls_silent_while_it_gives_the_place_back_may_keep_it(
    scripted: ScriptedServer, connect: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    code: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    heard: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json(WELCOME | {"resumeKey": "key"})
        async for frame in socket:
            heard.append(json.loads(frame.data))
            if heard[-1]["type"] == "list":
                await socket.send_json(NOBODY)
                monkeypatch.setattr(server_connection, "HELLO_TIMEOUT", 0.1)
                await socket.close(code=1011)
        if heard[-1]["type"] == "resume" and not code.done():
            code.set_result(socket.close_code)
        return socket

    scripted.handlers["GET"] = handle
    await connect()
    # Our server takes 1000 and 1001 for good.
    assert await asyncio.wait_for(code, 30) == 1013
    assert heard[-1] == {"type": "resume", "resumeKey": "key", "received": 1}


async def test_a_server_that_is_not_there(scripted: ScriptedServer, connect: Client) -> None:
    await scripted.stop()
    with pytest.raises(SignalingError, match=r"can't reach .*refused"):
        await connect()


@pytest.mark.parametrize("url", ["http://host/", "ws://", "wss://u:p@host/", "ws://h:x/", "ws://["])
async def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        WebSocketClient(url)


async def test_a_permission_that_is_withdrawn_ends_everything(
    scripted: ScriptedServer, connect: Client
) -> None:
    started = {"type": "startSession", "peerId": "you", "sessionId": "1"}
    withdrawn = error("the token was withdrawn", reason="unauthorized")
    scripted.handlers["GET"] = scripted_socket(WELCOME, NOBODY, started, withdrawn)
    client = await connect()
    sessions = client.sessions()
    session = await anext(sessions)
    ended = await next_message(session)
    assert isinstance(ended, Ended)
    assert ended.reason is EndReason.UNAUTHORIZED
    with pytest.raises(SignalingError, match="the token was withdrawn"):
        await anext(sessions)


async def test_a_token_that_is_refused_later_ends_everything(
    scripted: ScriptedServer, gst: GstServer, connect: Client
) -> None:
    client = await connect()
    scripted.handlers["GET"] = refuse
    gst.cut()
    with pytest.raises(SignalingError, match="401"):
        await asyncio.wait_for(anext(client.sessions()), 30)


async def test_nonsense_is_passed_over(scripted: ScriptedServer, connect: Client) -> None:
    started = {"type": "startSession", "peerId": "you", "sessionId": "1"}
    unknown = {"type": "peer", "sessionId": "2", "sdp": {"type": "offer", "sdp": "v=0"}}
    scripted.handlers["GET"] = scripted_socket(
        WELCOME, NOBODY, "", "{}", "null", '{"type": 5}', unknown, error("what?"),
        {"type": "endSession", "sessionId": "3"}, WELCOME | {"peerId": 5}, started,
    )  # fmt: skip
    assert (await session_of(await connect())).id == "1"


@pytest.mark.parametrize("about", [{}, {"peerId": "camera", "reason": "overloaded"}])
async def test_a_refused_start_is_tried_again(
    scripted: ScriptedServer, connect: Client, about: dict[str, str]
) -> None:
    """A plain server does not say what was refused."""
    answers = [error("not now", **about), {"type": "sessionStarted", "sessionId": "1"}]

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json(WELCOME)
        await socket.send_json(NOBODY | {"producers": [{"id": "camera", "meta": None}]})
        async for frame in socket:
            message = json.loads(frame.data)
            if message["type"] == "startSession":
                await socket.send_json({"peerId": message["peerId"]} | answers.pop(0))
        return socket

    scripted.handlers["GET"] = handle
    session = await session_of(await connect(roles=(), watch=ANY_PRODUCER))
    assert (session.id, session.peer_id) == ("1", "camera")
    assert not answers


async def test_who_is_no_producer_does_not_become_one(
    scripted: ScriptedServer, connect: Client
) -> None:
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        started = {"type": "startSession", "peerId": "you", "sessionId": "1"}
        for message in (WELCOME, NOBODY, started):
            await socket.send_json(message)
        async for frame in socket:
            if frame.type is WSMsgType.TEXT and "endSession" in frame.data:
                heard.set_result(frame.data)
        return socket

    scripted.handlers["GET"] = handle
    await connect(roles=(PeerRole.CONSUMER,))
    assert json.loads(await asyncio.wait_for(heard, 30))["reason"] == "rejected"


async def test_the_token_does_not_follow_a_redirect(
    scripted: ScriptedServer, elsewhere: ScriptedServer, connect: Client
) -> None:
    there = GstServer()
    elsewhere.handlers["GET"] = there.handle

    async def redirect(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        return web.Response(status=307, headers={"Location": elsewhere.url})

    scripted.handlers["GET"] = redirect
    with contextlib.suppress(SignalingError):
        await connect(token="secret")
    assert not any("Authorization" in request.headers for request in there.asked)
