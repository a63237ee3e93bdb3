"""WebSockets over real sockets: GStreamer's protocol, who may connect, and connecting again."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from signaling import Candidate, Description, EndReason, ServerConfig, SignalingServer
from signaling.ice import IceConfiguration, parse_ice_server
from signaling.protocol import (
    Authenticate,
    ClientMessage,
    EndSession,
    Error,
    ListProducers,
    PeerInfo,
    PeerMessage,
    PeerRole,
    PeerStatusChanged,
    Producers,
    Resume,
    ServerMessage,
    SessionRequested,
    SessionStarted,
    SetPeerStatus,
    StartSession,
    Welcome,
    parse_server_message,
    serialise,
)

from .conftest import CONTROL_TOKEN, LIMITS, META, PUBLISH_TOKEN, TOKEN, StubPeer, answer
from .test_sdp_guard import OFFER, candidate

PRODUCER = frozenset({PeerRole.PRODUCER})
LISTENER = frozenset({PeerRole.LISTENER})
STUN = parse_ice_server("stun:192.0.2.3:3478")


@pytest.fixture
def config(config: ServerConfig) -> ServerConfig:
    return replace(config, ice=IceConfiguration((STUN,)))


class Client:
    """One socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, *messages: ClientMessage) -> None:
        for message in messages:
            await self.socket.send_str(serialise(message))

    async def hear(self) -> ServerMessage:
        return parse_server_message(await self.socket.receive_str())

    async def welcomed(self) -> Welcome:
        message = await self.hear()
        assert isinstance(message, Welcome)
        return message

    async def refused(self) -> Error:
        message = await self.hear()
        assert isinstance(message, Error)
        return message

    async def closed(self) -> int | None:
        """The code with which the server closes."""
        while not self.socket.closed:
            await self.socket.receive()
        return self.socket.close_code

    def cut(self) -> None:
        """Break the connection as a network does."""
        transport = self.socket.get_extra_info("socket")
        assert transport is not None
        connection = self.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()


@contextlib.asynccontextmanager
async def connected(
    server: SignalingServer, token: str | None = TOKEN, path: str = "/ws", **options: Any
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= options.pop("headers", {})
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"http://127.0.0.1:{server.port}{path}", headers=headers, **options) as ws,
    ):
        yield Client(ws)


async def refused_handshake(server: SignalingServer, **options: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with connected(server, **options):
            pass
    return caught.value.status


# The protocol.


@pytest.mark.parametrize("path", ["/", "/ws"])
async def test_a_viewer_offers_and_both_talk(
    server: SignalingServer, producer: StubPeer, path: str
) -> None:
    async with connected(server, path=path) as viewer:
        welcome = await viewer.welcomed()
        assert welcome.ice_servers == (STUN,)
        assert welcome.resume_key
        await viewer.say(SetPeerStatus(LISTENER), ListProducers())
        assert await viewer.hear() == PeerStatusChanged(welcome.peer_id, LISTENER)
        assert await viewer.hear() == Producers((PeerInfo("camera", META),))
        await viewer.say(StartSession("camera", OFFER))
        started = await viewer.hear()
        assert isinstance(started, SessionStarted)
        assert (started.peer_id, started.ice_servers) == ("camera", (STUN,))
        answered = PeerMessage(started.session_id, Description("answer", answer()))
        assert await viewer.hear() == answered
        await viewer.say(EndSession(started.session_id, EndReason.FAILED, "no route"))
        await viewer.say(ListProducers())
        await viewer.hear()
        assert producer.ended[started.session_id].reason is EndReason.FAILED
        [session] = producer.sessions.values()
        assert (session.offers, session.polite, session.renegotiates) == (False, False, True)


async def test_a_producer_elsewhere_offers_and_both_renegotiate(server: SignalingServer) -> None:
    async with connected(server, PUBLISH_TOKEN) as camera, connected(server) as viewer:
        await camera.welcomed()
        welcome = await viewer.welcomed()
        await viewer.say(SetPeerStatus(LISTENER))
        await viewer.hear()
        await camera.say(SetPeerStatus(PRODUCER, {"name": "garden"}))
        there = await viewer.hear()
        assert isinstance(there, PeerStatusChanged)
        assert there.meta == {"name": "garden"}
        await viewer.say(StartSession(there.peer_id))
        asked, started = await camera.hear(), await viewer.hear()
        assert isinstance(asked, SessionRequested)
        assert isinstance(started, SessionStarted)
        assert (asked.peer_id, asked.offer) == (welcome.peer_id, None)
        for sender, receiver in ((camera, viewer), (viewer, camera)):
            for content in (
                Description("offer", OFFER),
                Description("answer", answer()),
                Candidate("candidate:1 1 udp 1 192.0.2.1 5000 typ host", "0", 0),
                Candidate("", "0", 0),
            ):
                await sender.say(PeerMessage(asked.session_id, content))
                assert await receiver.hear() == PeerMessage(asked.session_id, content)


async def test_a_data_channel_alone_may_be_offered(
    server: SignalingServer, producer: StubPeer
) -> None:
    offer = OFFER.replace("m=video 9 UDP/TLS/RTP/SAVPF 96", "m=application 9 UDP/DTLS/SCTP x")
    async with connected(server) as viewer:
        await viewer.welcomed()
        await viewer.say(StartSession("camera", offer))
        assert isinstance(await viewer.hear(), SessionStarted)


async def test_candidates_are_filtered_on_every_way(
    server: SignalingServer, producer: StubPeer
) -> None:
    metadata, good = candidate("169.254.169.254"), candidate("192.0.2.1")
    async with connected(server) as viewer:
        await viewer.welcomed()
        await viewer.say(StartSession("camera", f"{OFFER}{metadata}\r\n{good}\r\n"))
        started = await viewer.hear()
        assert isinstance(started, SessionStarted)
        await viewer.hear()
        for line in (metadata, good):
            content = Candidate(line.removeprefix("a="), "0", 0)
            await viewer.say(PeerMessage(started.session_id, content))
        again = Description("offer", f"{OFFER}{metadata}\r\n{good}\r\n")
        await viewer.say(PeerMessage(started.session_id, again))
        await viewer.hear()
    assert producer.candidates == [good.removeprefix("a=")]
    [offers] = producer.offers.values()
    assert offers == [f"{OFFER}{good}\r\n"] * 2


async def test_descriptions_that_no_parser_should_see_are_refused(
    server: SignalingServer, producer: StubPeer
) -> None:
    async with connected(server) as viewer:
        await viewer.welcomed()
        await viewer.say(StartSession("camera", "hello"))
        refusal = await viewer.refused()
        assert (refusal.reason, refusal.peer_id) == (EndReason.MALFORMED, "camera")
        await viewer.say(StartSession("camera", OFFER))
        started = await viewer.hear()
        assert isinstance(started, SessionStarted)
        await viewer.hear()
        many = "".join(f"{candidate('192.0.2.1', port)}\r\n" for port in range(5000, 5033))
        bomb = Description("answer", OFFER + many)
        await viewer.say(PeerMessage(started.session_id, bomb))
        refusal = await viewer.refused()
        assert refusal.session_id == started.session_id
        assert len(next(iter(producer.offers.values()))) == 1


async def test_starts_are_counted_with_those_over_http(
    server: SignalingServer, producer: StubPeer
) -> None:
    async with connected(server) as viewer:
        await viewer.welcomed()
        for _ in range(LIMITS.starts_per_address):
            await viewer.say(StartSession("nobody"))
            assert (await viewer.refused()).reason is EndReason.NOT_LIVE
        await viewer.say(StartSession("camera"))
        refusal = await viewer.refused()
        assert (refusal.reason, refusal.peer_id) == (EndReason.OVERLOADED, "camera")


# Who may connect.


@pytest.mark.parametrize(
    "options",
    [
        {"token": "wrong"},
        {"token": None, "protocols": ["webrtc-signaling", "token.wrong"]},
    ],
)
async def test_a_wrong_token_is_refused_at_once(
    server: SignalingServer, options: dict[str, Any]
) -> None:
    assert await refused_handshake(server, **options) == 401


async def test_a_token_can_be_a_subprotocol(server: SignalingServer) -> None:
    protocols = ["webrtc-signaling", f"token.{TOKEN}"]
    async with connected(server, None, protocols=protocols) as client:
        assert client.socket.protocol == "webrtc-signaling", "the token is not sent back"
        assert (await client.welcomed()).resume_key


async def test_a_token_is_in_no_log(
    server: SignalingServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    assert await refused_handshake(server, token=None, protocols=[f"token.{TOKEN}"]) == 400
    async with connected(server, None) as client:
        await client.welcomed()
        await client.say(Authenticate(TOKEN))
        await client.welcomed()
    assert TOKEN not in caplog.text


async def test_a_token_can_be_the_first_message(server: SignalingServer) -> None:
    async with connected(server, None) as client:
        bare = await client.welcomed()
        assert (bare.resume_key, bare.ice_servers) == (None, ()), "nothing for strangers"
        await client.say(Authenticate(TOKEN))
        welcome = await client.welcomed()
        assert welcome.peer_id == bare.peer_id
        assert welcome.resume_key
        assert welcome.ice_servers == (STUN,)


async def test_a_token_can_stand_in_meta_where_nobody_else_sees_it(
    server: SignalingServer,
) -> None:
    async with connected(server, None) as client, connected(server) as other:
        await other.welcomed()
        await other.say(SetPeerStatus(LISTENER))
        await other.hear()
        await client.welcomed()
        await client.say(SetPeerStatus(PRODUCER, {"token": PUBLISH_TOKEN, "name": "garden"}))
        news = await other.hear()
        assert isinstance(news, PeerStatusChanged)
        assert news.meta == {"name": "garden"}


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"list"}',
        '{"type":"authenticate","token":"wrong"}',
        '{"type":"setPeerStatus","roles":["listener"],"meta":{"token":"wrong"}}',
        '{"type":"setPeerStatus","roles":["listener"],"meta":{"token":["wrong"]}}',
        '{"type":"resume","resumeKey":"guessed"}',
        "hello",
    ],
)
async def test_strangers_are_told_nothing(server: SignalingServer, message: str) -> None:
    async with connected(server, None) as client:
        await client.welcomed()
        assert server.hub.switchboard.peers == {}
        await client.socket.send_str(message)
        await client.refused()
        assert await client.closed() == 1008
    assert server.hub.switchboard.peers == {}


async def test_a_page_of_another_site_can_not_connect(server: SignalingServer) -> None:
    assert await refused_handshake(server, headers={"Origin": "http://evil.example"}) == 403
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    async with connected(server, headers=own) as client:
        await client.welcomed()


async def test_a_host_name_that_is_not_ours_is_misdirected(server: SignalingServer) -> None:
    assert await refused_handshake(server, headers={"Host": "rebound.example"}) == 421


async def test_without_a_token_programs_may_connect_and_other_sites_not() -> None:
    server = SignalingServer(ServerConfig(port=0, token=None))
    await server.start()
    evil = {"Origin": "http://evil.example"}
    assert await refused_handshake(server, token=None, headers=evil) == 403
    async with connected(server, None) as client:
        await client.welcomed()
        await client.say(SetPeerStatus(PRODUCER))
        assert (await client.refused()).reason is EndReason.UNAUTHORIZED, "not told to let publish"
    await server.stop()


@pytest.mark.parametrize(
    ("token", "may_publish", "may_control"),
    [(TOKEN, False, False), (CONTROL_TOKEN, False, True), (PUBLISH_TOKEN, True, False)],
)
async def test_each_token_says_who_may_do_what(
    server: SignalingServer, producer: StubPeer, token: str, may_publish: bool, may_control: bool
) -> None:
    async with connected(server, token) as client:
        await client.welcomed()
        await client.say(SetPeerStatus(PRODUCER | LISTENER))
        assert isinstance(await client.hear(), PeerStatusChanged) is may_publish
        await client.say(StartSession("camera"))
        started = await client.hear()
        assert isinstance(started, SessionStarted)
        assert started.may_control is may_control
    assert producer.may_control == [may_control]


# How much, and how fast.


async def test_silence_after_connecting_is_cut_off(server: SignalingServer) -> None:
    async with connected(server) as client:
        await client.welcomed()
        assert await client.closed() == 1008
    assert server.hub.switchboard.peers == {}


async def test_pings_are_not_taken_for_a_greeting(server: SignalingServer) -> None:
    async with connected(server) as client:
        await client.welcomed()
        closed = asyncio.create_task(client.closed())
        async with asyncio.timeout(10 * LIMITS.hello_timeout):
            while not client.socket.closed:
                await client.socket.ping()
                await asyncio.sleep(LIMITS.hello_timeout / 10)
        assert await closed == 1008


async def test_a_big_message_is_1009(server: SignalingServer) -> None:
    async with connected(server) as client:
        await client.welcomed()
        await client.say(ListProducers())
        await client.hear()
        await client.socket.send_str("x" * (LIMITS.body + 1))
        assert await client.closed() == 1009
    assert server.hub.switchboard.peers == {}


async def test_binary_messages_are_1003(server: SignalingServer) -> None:
    async with connected(server) as client:
        await client.welcomed()
        await client.socket.send_bytes(b"hello")
        assert await client.closed() == 1003


async def test_too_many_messages_are_1008(server: SignalingServer) -> None:
    async with connected(server) as client:
        await client.welcomed()
        for _ in range(LIMITS.messages):
            await client.say(ListProducers())
            assert isinstance(await client.hear(), Producers)
        await client.say(ListProducers())
        await client.refused()
        assert await client.closed() == 1008
    assert server.hub.switchboard.peers == {}


async def test_pings_are_answered_and_counted(server: SignalingServer) -> None:
    async with connected(server) as client:
        await client.welcomed()
        await client.socket.ping(b"hello")
        await client.say(ListProducers())
        assert isinstance(await client.hear(), Producers)
        for _ in range(LIMITS.messages):
            await client.socket.ping()
        await client.refused()
        assert await client.closed() == 1008


async def test_compression_is_not_agreed_upon(server: SignalingServer) -> None:
    async with connected(server, compress=15) as client:
        assert client.socket.compress == 0


async def test_what_is_not_understood_is_refused_and_forgotten(server: SignalingServer) -> None:
    async with connected(server) as client:
        await client.welcomed()
        for text in ("hello", '{"type":"shout"}', '{"type":"setPeerStatus","roles":["king"]}'):
            await client.socket.send_str(text)
            assert (await client.refused()).reason is EndReason.MALFORMED
        await client.say(ListProducers())
        assert isinstance(await client.hear(), Producers)


async def test_a_slow_reader_is_cut_off(config: ServerConfig) -> None:
    few = replace(LIMITS, send_queue=20, messages=10_000, heartbeat=60.0)
    server = SignalingServer(replace(config, limits=few))
    await server.start()
    async with connected(server) as slow, connected(server, PUBLISH_TOKEN) as busy:
        await slow.welcomed()
        await slow.say(SetPeerStatus(LISTENER))
        await slow.hear()
        await busy.welcomed()
        connection = slow.socket._response.connection
        assert connection is not None
        assert isinstance(connection.transport, asyncio.Transport)
        connection.transport.pause_reading()
        number = 0
        while len(server.hub.switchboard.peers) > 1:
            number += 1
            meta = {"number": number, "filling": "x" * 8000}
            await busy.say(SetPeerStatus(PRODUCER, meta), ListProducers())
            await busy.hear()
        connection.transport.resume_reading()
        assert await slow.closed() == 1006
    await server.stop()


async def test_a_dead_connection_is_noticed(config: ServerConfig) -> None:
    impatient = replace(LIMITS, heartbeat=0.2, resume_grace=0.0)
    server = SignalingServer(replace(config, limits=impatient))
    await server.start()
    producer = StubPeer(server.hub, "camera")
    await producer.start()
    async with connected(server, autoping=False) as dead, watching(server, dead) as (_, started):
        assert await producer.reason(started.session_id) is EndReason.LOST
    await producer.close()
    await server.stop()


# Leaving, and connecting again.


@contextlib.asynccontextmanager
async def watching(
    server: SignalingServer, viewer: Client
) -> AsyncIterator[tuple[Welcome, SessionStarted]]:
    welcome = await viewer.welcomed()
    await viewer.say(StartSession("camera", OFFER))
    started = await viewer.hear()
    assert isinstance(started, SessionStarted)
    await viewer.hear()
    yield welcome, started


@pytest.mark.parametrize("code", [1000, 1001])
async def test_who_closes_in_order_leaves_at_once(config: ServerConfig, code: int) -> None:
    server = SignalingServer(replace(config, limits=replace(LIMITS, resume_grace=60.0)))
    await server.start()
    producer = StubPeer(server.hub, "camera")
    await producer.start()
    async with connected(server) as viewer, watching(server, viewer) as (_, started):
        await viewer.socket.close(code=code)
        assert await producer.reason(started.session_id) is EndReason.CLOSED
    await producer.close()
    await server.stop()


async def test_who_does_not_come_back_in_time_is_lost(
    server: SignalingServer, producer: StubPeer
) -> None:
    async with connected(server) as viewer, watching(server, viewer) as (_, started):
        viewer.cut()
        assert await producer.reason(started.session_id) is EndReason.LOST
    assert set(server.hub.switchboard.peers) == {"camera"}


async def test_who_comes_back_goes_on(server: SignalingServer, producer: StubPeer) -> None:
    """What was said meanwhile, and what the broken socket swallowed, is heard."""
    async with connected(server) as viewer, watching(server, viewer) as (welcome, started):
        session = producer.sessions[started.session_id]
        await session.send(Candidate("1"))
        viewer.cut()
        assert welcome.resume_key is not None
    await session.send(Candidate("2"))
    async with connected(server) as again:
        fresh = await again.welcomed()
        assert fresh.peer_id != welcome.peer_id
        await again.say(Resume(welcome.resume_key, received=2))
        resumed = await again.welcomed()
        assert resumed.peer_id == welcome.peer_id
        assert resumed.received == 1, "the server has the offer"
        for text in "12":
            message = PeerMessage(started.session_id, Candidate(text, None, 0))
            assert await again.hear() == message
        assert set(server.hub.switchboard.peers) == {"camera", welcome.peer_id}
        await again.say(PeerMessage(started.session_id, Candidate("", "0", 0)), ListProducers())
        await again.hear()
        assert producer.candidates == [""]
    assert await producer.reason(started.session_id) is EndReason.CLOSED


async def test_a_half_open_connection_gives_its_place_up(
    server: SignalingServer, producer: StubPeer
) -> None:
    async with connected(server) as old, watching(server, old) as (welcome, started):
        assert welcome.resume_key is not None
        async with connected(server) as new:
            await new.welcomed()
            await new.say(Resume(welcome.resume_key, received=2))
            assert (await new.welcomed()).peer_id == welcome.peer_id
            assert await old.closed() == 1006
            await producer.sessions[started.session_id].send(Candidate("1", "0", 0))
            assert await new.hear() == PeerMessage(started.session_id, Candidate("1", "0", 0))


@pytest.mark.parametrize("received", [7, None])
async def test_a_place_that_is_not_there_is_not_given(
    server: SignalingServer, producer: StubPeer, received: int | None
) -> None:
    async with connected(server) as viewer, watching(server, viewer) as (welcome, _):
        key = welcome.resume_key if received else "guessed"
        async with connected(server) as other:
            fresh = await other.welcomed()
            await other.say(Resume(key or "", received or 2))
            await other.refused()
            await other.say(SetPeerStatus(LISTENER))
            assert await other.hear() == PeerStatusChanged(fresh.peer_id, LISTENER)


async def test_a_key_needs_a_token_as_well(server: SignalingServer, producer: StubPeer) -> None:
    async with (
        connected(server) as viewer,
        watching(server, viewer) as (welcome, _),
        connected(server, None) as thief,
    ):
        await thief.welcomed()
        await thief.say(Resume(welcome.resume_key or ""))
        await thief.refused()
        assert await thief.closed() == 1008


async def test_resuming_comes_first_or_not_at_all(server: SignalingServer) -> None:
    async with connected(server) as client:
        welcome = await client.welcomed()
        await client.say(ListProducers(), Resume(welcome.resume_key or ""))
        await client.hear()
        assert "first" in (await client.refused()).details


async def test_a_stopping_server_says_so(server: SignalingServer, producer: StubPeer) -> None:
    async with connected(server) as viewer, watching(server, viewer) as (_, started):
        await asyncio.gather(server.stop(), viewer.closed())
        assert viewer.socket.close_code == 1001
        assert await producer.reason(started.session_id) is EndReason.CLOSED


async def test_what_gstwebrtc_api_says_in_its_first_second_is_answered(
    server: SignalingServer, producer: StubPeer
) -> None:
    """Its exact messages: a status with null as meta, both lists, a session without an offer."""
    async with connected(server, path="/") as client:
        await client.welcomed()
        for sent, answered in (
            ({"type": "setPeerStatus", "roles": ["listener"], "meta": None}, "peerStatusChanged"),
            ({"type": "list"}, "list"),
            ({"type": "listConsumers"}, "listConsumers"),
            ({"type": "startSession", "peerId": "camera"}, "sessionStarted"),
        ):
            await client.socket.send_str(json.dumps(sent))
            assert json.loads(await client.socket.receive_str())["type"] == answered
    [session] = producer.sessions.values()
    assert session.offers
