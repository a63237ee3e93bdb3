"""Hubs that share their peers over a real Redis: what peers at both ends hear."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import pytest
from redis.asyncio import Redis

from signaling.auth import Grant
from signaling.cluster import cluster_node, roster
from signaling.cluster.cluster_node import ClusterNode
from signaling.cluster.messages import Presence, State, write
from signaling.cluster.redis_bus import BusError
from signaling.hub import Hub
from signaling.limits import Limits
from signaling.protocol import (
    ClientMessage,
    EndSession,
    Error,
    PeerMessage,
    PeerRole,
    PeerStatusChanged,
    ServerMessage,
    SessionRequested,
    SessionStarted,
    SetPeerStatus,
    StartSession,
)
from signaling.session import Candidate, Description, EndReason, IceServer

from .redis_server import RedisServer

OFFER, ANSWER = Description("offer", "v=0\r\na=1"), Description("answer", "v=0\r\na=2")
EVERYTHING = Grant(watch=True, control=True, publish=True)

_M = TypeVar("_M")


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path)
    await server.start()
    yield server
    await server.stop()


class Node:
    """A hub in the cluster."""

    def __init__(self, url: str, name: str, limits: Limits | None = None) -> None:
        self.hub = Hub(limits, lambda peer_id: (IceServer(f"stun:{name}"),))
        self.cluster = ClusterNode(self.hub, url)


class Somebody:
    """A peer at one node."""

    def __init__(
        self,
        node: Node,
        peer_id: str,
        *roles: PeerRole,
        room: str | None = "",
        grant: Grant = EVERYTHING,
        renegotiates: bool = True,
    ) -> None:
        self.id = peer_id
        self._hub = node.hub
        self._heard: asyncio.Queue[ServerMessage] = asyncio.Queue()
        self._hub.join(
            self._heard.put_nowait, grant, peer_id=peer_id, room=room, renegotiates=renegotiates
        )
        self.is_now(*roles)

    def is_now(self, *roles: PeerRole, name: str = "") -> None:
        self.say(SetPeerStatus(frozenset(roles), {"name": name or self.id}))

    def say(self, message: ClientMessage) -> None:
        self._hub.receive(self.id, message)

    def leave(self, reason: EndReason = EndReason.CLOSED) -> None:
        self._hub.leave(self.id, reason)

    async def hears(self, kind: type[_M]) -> _M:
        """The next message, which must be of this kind."""
        async with asyncio.timeout(30):
            message = await self._heard.get()
        assert isinstance(message, kind), message
        return message

    async def sees(self, peer_id: str) -> PeerStatusChanged:
        """What a listener is told of a peer, and next of all."""
        news = await self.hears(PeerStatusChanged)
        assert news.peer_id == peer_id
        return news

    @property
    def hears_nothing(self) -> bool:
        return self._heard.empty()


Nodes = Callable[..., Awaitable[Node]]


@pytest.fixture
async def nodes(redis: RedisServer) -> AsyncIterator[Nodes]:
    """Starts one more node whenever it is called."""
    async with AsyncExitStack() as stack:

        async def start(name: str = "a", limits: Limits | None = None) -> Node:
            node = Node(redis.url, name, limits)
            await node.cluster.start()
            stack.push_async_callback(node.cluster.close)
            return node

        yield start


async def pair(nodes: Nodes) -> tuple[Node, Node]:
    """Two nodes that know of each other."""
    a, b = await nodes("a"), await nodes("b")
    for here, there in ((a, b), (b, a)):
        scout = Somebody(here, f"scout of {here.cluster.id}", PeerRole.PRODUCER)
        await seen(there, scout)
        scout.leave()
        await unseen(there, scout)
    return a, b


async def listener(node: Node, peer_id: str, room: str = "") -> Somebody:
    """Somebody who is told of the others; of itself it has heard."""
    somebody = Somebody(node, peer_id, PeerRole.LISTENER, room=room)
    await somebody.sees(peer_id)
    return somebody


async def session(viewer: Somebody, camera: Somebody) -> str:
    """A session that the viewer asks for, with its answer."""
    viewer.say(StartSession(camera.id, OFFER.sdp))
    started = await viewer.hears(SessionStarted)
    requested = await camera.hears(SessionRequested)
    assert started.session_id == requested.session_id
    camera.say(PeerMessage(started.session_id, ANSWER))
    assert (await viewer.hears(PeerMessage)).content == ANSWER
    return started.session_id


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


async def seen(node: Node, camera: Somebody) -> None:
    """Wait until a node knows of a peer of another."""
    await until(lambda: camera.id in node.hub.switchboard.peers)


async def unseen(node: Node, camera: Somebody) -> None:
    await until(lambda: camera.id not in node.hub.switchboard.peers)


async def test_a_viewer_here_watches_a_camera_there(nodes: Nodes) -> None:
    a, b = await pair(nodes)
    camera = Somebody(a, "camera", PeerRole.PRODUCER)
    viewer = await listener(b, "viewer")
    news = await viewer.sees("camera")
    assert (news.roles, news.meta) == (frozenset({PeerRole.PRODUCER}), {"name": "camera"})

    viewer.say(StartSession("camera", OFFER.sdp))
    started = await viewer.hears(SessionStarted)
    requested = await camera.hears(SessionRequested)
    assert requested == SessionRequested(
        "viewer", started.session_id, OFFER.sdp, may_control=True, renegotiates=True,
        ice_servers=(IceServer("stun:a"),),
    )  # fmt: skip
    assert started == SessionStarted(
        "camera", requested.session_id, may_control=True, renegotiates=True,
        ice_servers=(IceServer("stun:b"),),
    )  # fmt: skip
    for sender, other in ((camera, viewer), (viewer, camera)):
        for content in (ANSWER, Candidate("candidate:1", "0", 0), OFFER):
            sender.say(PeerMessage(started.session_id, content))
            assert (await other.hears(PeerMessage)).content == content

    viewer.say(EndSession(started.session_id, EndReason.FAILED, "no way"))
    ended = await camera.hears(EndSession)
    assert ended == EndSession(started.session_id, EndReason.FAILED, "no way")
    assert not a.hub.switchboard.sessions
    assert "viewer" not in a.hub.switchboard.peers, "nothing is left of a guest"


@pytest.mark.parametrize("may_control", [True, False])
async def test_what_a_viewer_may_do_is_decided_where_it_is(nodes: Nodes, may_control: bool) -> None:
    a, b = await pair(nodes)
    camera = Somebody(a, "camera", PeerRole.PRODUCER)
    grant = Grant(watch=True, control=may_control)
    viewer = Somebody(b, "viewer", grant=grant, renegotiates=False)
    await seen(b, camera)
    viewer.say(StartSession("camera", OFFER.sdp))
    requested = await camera.hears(SessionRequested)
    assert (requested.may_control, requested.renegotiates) == (may_control, False)


async def test_a_producer_here_sends_to_a_consumer_there(nodes: Nodes) -> None:
    a, b = await pair(nodes)
    consumer = Somebody(a, "consumer", PeerRole.CONSUMER, grant=Grant(watch=True))
    producer = Somebody(b, "producer", renegotiates=False)
    await seen(b, consumer)
    producer.say(StartSession("consumer", OFFER.sdp))
    requested = await producer.hears(SessionRequested)
    assert (requested.peer_id, requested.may_control) == ("consumer", False)
    started = await consumer.hears(SessionStarted)
    assert started == SessionStarted(
        "producer", requested.session_id, renegotiates=False, ice_servers=(IceServer("stun:a"),)
    )
    assert (await consumer.hears(PeerMessage)).content == OFFER
    consumer.say(PeerMessage(started.session_id, ANSWER))
    assert (await producer.hears(PeerMessage)).content == ANSWER


async def test_rooms_hold_across_nodes(nodes: Nodes) -> None:
    a, b = await pair(nodes)
    camera = Somebody(a, "camera", PeerRole.PRODUCER, room="kitchen")
    cook = await listener(b, "cook", "kitchen")
    guest = await listener(b, "guest", "parlour")
    await cook.sees("camera")
    guest.say(StartSession("camera"))
    assert (await guest.hears(Error)).reason == EndReason.NOT_LIVE

    player = Somebody(b, "WHEP player", room=None)
    await session(player, camera)

    camera.say(SetPeerStatus(frozenset({PeerRole.PRODUCER}), room="parlour"))
    assert (await cook.sees("camera")).roles == frozenset()
    assert (await guest.sees("camera")).roles == {PeerRole.PRODUCER}
    await session(guest, camera)


async def test_nothing_is_left_of_a_guest_that_was_sent_away(nodes: Nodes) -> None:
    a, b = await pair(nodes)
    camera, viewer = Somebody(a, "camera", PeerRole.PRODUCER), Somebody(b, "viewer")
    await seen(b, camera)
    first, second = await session(viewer, camera), await session(viewer, camera)
    camera.say(EndSession(first, EndReason.FAILED, "enough"))
    assert await viewer.hears(EndSession) == EndSession(first, EndReason.FAILED, "enough")
    assert "viewer" in a.hub.switchboard.peers
    camera.say(EndSession(second))
    await viewer.hears(EndSession)
    await unseen(a, viewer)


async def test_changes_are_seen_and_an_end_says_why(nodes: Nodes) -> None:
    a, b = await pair(nodes)
    camera = Somebody(a, "camera", PeerRole.PRODUCER)
    page = await listener(b, "page")
    await page.sees("camera")
    camera.is_now(PeerRole.PRODUCER, name="other")
    assert (await page.sees("camera")).meta == {"name": "other"}
    viewer = Somebody(b, "viewer")
    session_id = await session(viewer, camera)
    camera.leave(EndReason.LOST)
    assert (await viewer.hears(EndSession)).reason == EndReason.LOST
    assert (await page.sees("camera")).roles == frozenset()
    assert session_id not in b.hub.switchboard.sessions
    assert "camera" not in b.hub.switchboard.peers


async def test_a_camera_that_goes_off_the_air_may_still_watch(nodes: Nodes) -> None:
    a, b = await pair(nodes)
    ours, theirs = Somebody(a, "ours", PeerRole.PRODUCER), Somebody(b, "theirs", PeerRole.PRODUCER)
    await seen(a, theirs)
    await seen(b, ours)
    watched, watching = await session(theirs, ours), await session(ours, theirs)
    ours.is_now()
    assert (await theirs.hears(EndSession)).session_id == watched
    ours.say(PeerMessage(watching, OFFER))
    assert (await theirs.hears(PeerMessage)).content == OFFER


async def test_who_comes_later_hears_of_all(nodes: Nodes) -> None:
    a = await nodes("a")
    camera = Somebody(a, "camera", PeerRole.PRODUCER)
    b = await nodes("b")
    viewer = Somebody(b, "viewer")
    await seen(b, camera)
    await session(viewer, camera)


async def test_a_full_node_refuses(nodes: Nodes) -> None:
    a, b = await nodes("a", Limits(sessions=0)), await nodes("b")
    camera, viewer = Somebody(a, "camera", PeerRole.PRODUCER), Somebody(b, "viewer")
    await seen(b, camera)
    viewer.say(StartSession("camera", OFFER.sdp))
    await viewer.hears(SessionStarted)
    assert (await viewer.hears(EndSession)).reason == EndReason.OVERLOADED
    assert camera.hears_nothing
    assert "viewer" not in a.hub.switchboard.peers


async def test_a_node_without_a_place_for_a_camera_says_so(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = await nodes("a"), await nodes("b", Limits(producers=1))
    Somebody(b, "own", PeerRole.PRODUCER)
    first, second = (Somebody(a, name, PeerRole.PRODUCER) for name in ("first", "second"))
    first.leave()
    await until(lambda: "no place for another producer" in caplog.text)
    await until(lambda: second.id not in b.hub.switchboard.peers)


async def test_an_id_that_two_nodes_have_means_ones_own(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = Node(redis.url, "a"), Node(redis.url, "b")
    cameras = [Somebody(node, "camera", PeerRole.PRODUCER) for node in (a, b)]
    others = [Somebody(node, f"other {i}", PeerRole.PRODUCER) for i, node in enumerate((a, b))]
    for node in (a, b):
        await node.cluster.start()
    try:
        await seen(a, others[1])
        await seen(b, others[0])
        for node, camera in zip((a, b), cameras, strict=True):
            await session(Somebody(node, "viewer"), camera)
        assert caplog.text.count("camera is not seen here") >= 2
    finally:
        await a.cluster.close()
        await b.cluster.close()


async def test_a_node_that_stops_in_order_ends_its_sessions(nodes: Nodes) -> None:
    a, b = await pair(nodes)
    camera, viewer = Somebody(a, "camera", PeerRole.PRODUCER), Somebody(b, "viewer")
    await seen(b, camera)
    await session(viewer, camera)
    a.hub.close()
    await a.cluster.close()
    assert (await camera.hears(EndSession)).reason == EndReason.CLOSED
    assert (await viewer.hears(EndSession)).reason == EndReason.CLOSED
    await unseen(b, camera)
    await a.cluster.close()


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds of silence after which a node is gone, fewer than usual."""
    monkeypatch.setattr(cluster_node, "HEARTBEAT", 0.1)
    monkeypatch.setattr(cluster_node, "NODE_TIMEOUT", 1.0)
    monkeypatch.setattr(roster, "NODE_TIMEOUT", 1.0)
    return 1.0


async def test_sessions_outlive_a_restart_of_redis(
    impatience: float, nodes: Nodes, redis: RedisServer
) -> None:
    a, b = await pair(nodes)
    camera, viewer = Somebody(a, "camera", PeerRole.PRODUCER), Somebody(b, "viewer")
    await seen(b, camera)
    session_id = await session(viewer, camera)
    await redis.stop()
    await asyncio.sleep(1.5 * impatience)
    await redis.start()
    for here, there in ((a, b), (b, a)):
        await seen(there, Somebody(here, f"news of {here.cluster.id}", PeerRole.PRODUCER))
    viewer.say(PeerMessage(session_id, OFFER))
    assert (await camera.hears(PeerMessage)).content == OFFER
    assert viewer.hears_nothing


async def test_after_an_outage_a_node_has_time_to_speak(
    impatience: float, nodes: Nodes, redis: RedisServer
) -> None:
    a = await nodes()
    page = await listener(a, "page")
    camera = Presence("camera", frozenset({PeerRole.PRODUCER}))
    await publish(redis, write(State("somebody", 1, (camera,), frozenset())))
    await page.sees("camera")
    await redis.stop()
    await asyncio.sleep(1.5 * impatience)
    await redis.start()
    await until_listening(redis, a)
    await asyncio.sleep(impatience / 2)
    assert page.hears_nothing
    assert (await page.sees("camera")).roles == frozenset()


async def test_an_end_during_an_outage_is_made_up_for(nodes: Nodes, redis: RedisServer) -> None:
    a, b = await pair(nodes)
    camera, viewer = Somebody(a, "camera", PeerRole.PRODUCER), Somebody(b, "viewer")
    await seen(b, camera)
    session_id = await session(viewer, camera)
    await redis.stop()
    viewer.say(EndSession(session_id))
    await redis.start()
    assert (await camera.hears(EndSession)).session_id == session_id


async def test_news_during_an_outage_are_made_up_for(nodes: Nodes, redis: RedisServer) -> None:
    a, b = await pair(nodes)
    gone = Somebody(a, "gone", PeerRole.PRODUCER)
    await seen(b, gone)
    page = await listener(b, "page")
    await redis.stop()
    gone.leave()
    Somebody(a, "came", PeerRole.PRODUCER)
    await redis.start()
    news = [await page.hears(PeerStatusChanged) for _ in range(2)]
    assert {one.peer_id: bool(one.roles) for one in news} == {"gone": False, "came": True}


async def ear(redis: RedisServer, node: Node) -> str | None:
    """The id of the connection by which a node listens."""
    async with Redis.from_url(redis.url, decode_responses=True) as admin:
        name = f"getusermedia:{node.cluster.id}"
        ids = [c["id"] for c in await admin.client_list(_type="pubsub") if c["name"] == name]
        return ids[0] if ids else None


async def until_listening(redis: RedisServer, node: Node) -> None:
    async with asyncio.timeout(30):
        while True:
            if await ear(redis, node) is not None:
                return
            await asyncio.sleep(0.01)


async def cut_off(redis: RedisServer, node: Node) -> None:
    """Let a node hear nothing for a moment: it will connect again."""
    async with Redis.from_url(redis.url) as admin:
        await admin.client_kill_filter(_id=await ear(redis, node))


async def publish(redis: RedisServer, *texts: str) -> None:
    """Say something to all nodes."""
    async with Redis.from_url(redis.url) as stranger:
        for text in texts:
            assert await stranger.publish("getusermedia:all", text) > 0


async def test_an_end_that_was_missed_is_made_up_for(nodes: Nodes, redis: RedisServer) -> None:
    a, b = await pair(nodes)
    camera, viewer = Somebody(a, "camera", PeerRole.PRODUCER), Somebody(b, "viewer")
    await seen(b, camera)
    ended, standing = await session(viewer, camera), await session(viewer, camera)
    await cut_off(redis, a)
    viewer.say(EndSession(ended))
    assert await camera.hears(EndSession) == EndSession(ended, EndReason.LOST, "its end was missed")
    viewer.say(PeerMessage(standing, OFFER))
    assert (await camera.hears(PeerMessage)).session_id == standing


async def test_what_nobody_hears_ends_the_session_on_both_sides(
    nodes: Nodes, redis: RedisServer
) -> None:
    a, b = await pair(nodes)
    camera, viewer = Somebody(a, "camera", PeerRole.PRODUCER), Somebody(b, "viewer")
    await seen(b, camera)
    await session(viewer, camera)
    await cut_off(redis, a)
    viewer.say(PeerMessage(next(iter(b.hub.switchboard.sessions)), OFFER))
    assert (await viewer.hears(EndSession)).reason == EndReason.LOST
    viewer.say(StartSession("camera", OFFER.sdp))
    await viewer.hears(SessionStarted)
    assert (await viewer.hears(EndSession)).reason == EndReason.LOST
    assert (await camera.hears(EndSession)).reason == EndReason.LOST
    await until(lambda: "viewer" not in a.hub.switchboard.peers)


async def test_strange_words_are_told_and_dropped(
    nodes: Nodes, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = await pair(nodes)
    await publish(redis, "", "{}", '{"type":"alive","node":"x"}', "\xff")
    camera = Somebody(a, "camera", PeerRole.PRODUCER)
    await seen(b, camera)
    assert "something strange" in caplog.text


async def test_without_redis_there_is_no_cluster(tmp_path: Path) -> None:
    node = Node(f"unix://{tmp_path}/missing", "a")
    with pytest.raises(BusError, match="Redis can't be used"):
        await node.cluster.start()
    assert not node.hub.switchboard.peers
