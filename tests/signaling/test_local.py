"""Clients in the process of the server: the same sessions without a socket."""

import asyncio

import pytest

from signaling import (
    Candidate,
    Description,
    Ended,
    EndReason,
    Hub,
    Limits,
    LocalClient,
    PeerRole,
    SignalingClient,
    SignalingError,
    SignalingSession,
)
from signaling.auth import Grant
from signaling.clients.inbox import CAPACITY
from signaling.protocol import (
    EndSession,
    PeerMessage,
    ServerMessage,
    SessionStarted,
    SetPeerStatus,
    StartSession,
)


class Viewer:
    """A peer of the hub that keeps what it hears."""

    def __init__(self, hub: Hub, grant: Grant | None = None, room: str | None = "") -> None:
        self.heard: list[ServerMessage] = []
        self.hub = hub
        self.id = hub.join(self.heard.append, grant or Grant(), room=room)

    def watch(self, peer_id: str = "camera", offer: str | None = "v=0") -> str:
        return self.hub.start_session(self.id, StartSession(peer_id, offer)).id


@pytest.fixture
def hub() -> Hub:
    return Hub()


async def started(hub: Hub, peer_id: str = "camera") -> LocalClient:
    client: LocalClient = LocalClient(hub, peer_id, meta={"label": "Camera"})
    await client.start()
    return client


async def test_it_is_a_client_and_its_sessions_are_sessions(hub: Hub) -> None:
    client: SignalingClient = await started(hub)
    Viewer(hub).watch()
    session: SignalingSession = await anext(client.sessions())
    assert session.id
    await client.close()


@pytest.mark.parametrize("offer", ["v=0", None])
async def test_a_session_from_begin_to_end(hub: Hub, offer: str | None) -> None:
    client = await started(hub)
    viewer = Viewer(hub, Grant(control=True))
    session_id = viewer.watch(offer=offer)
    session = await anext(client.sessions())
    assert (session.id, session.peer_id) == (session_id, viewer.id)
    assert session.offers is (offer is None)
    assert session.may_control
    assert not session.polite
    messages = session.messages()
    if offer is not None:
        assert await anext(messages) == Description("offer", offer)
    await session.send(Description("answer", "v=0"))
    assert viewer.heard[-1] == PeerMessage(session_id, Description("answer", "v=0"))
    hub.receive(viewer.id, PeerMessage(session_id, Candidate("x")))
    assert await anext(messages) == Candidate("x")
    hub.receive(viewer.id, EndSession(session_id, EndReason.FAILED, "no route"))
    assert [message async for message in messages] == [Ended(EndReason.FAILED, "no route")]
    await session.send(Candidate("too late"))
    assert len(viewer.heard) == 2
    await client.close()


async def test_an_end_of_its_own_is_the_last_message_too(hub: Hub) -> None:
    client = await started(hub)
    viewer = Viewer(hub)
    session_id = viewer.watch(offer=None)
    session = await anext(client.sessions())
    await session.end(EndReason.NOT_LIVE, "unplugged")
    await session.end(EndReason.FAILED)
    assert [message async for message in session.messages()] == [
        Ended(EndReason.NOT_LIVE, "unplugged")
    ]
    assert viewer.heard[1:] == [EndSession(session_id, EndReason.NOT_LIVE, "unplugged")]
    assert client._sessions == {}
    await client.close()


async def test_a_consumer_takes_what_is_sent_to_it(hub: Hub) -> None:
    sink = LocalClient(hub, roles={PeerRole.CONSUMER})
    await sink.start()
    assert sink.peer_id is not None
    publisher = Viewer(hub, Grant(publish=True))
    publisher.watch(sink.peer_id, "v=0")
    session = await anext(sink.sessions())
    assert (session.offers, session.polite, session.may_control) == (False, True, False)
    assert await anext(session.messages()) == Description("offer", "v=0")
    await sink.close()


async def test_closing_ends_every_session_and_the_iteration(hub: Hub) -> None:
    client = await started(hub)
    viewer = Viewer(hub)
    taken: list[SignalingSession] = []

    async def take() -> None:
        async for session in client.sessions():
            taken.append(session)
            seen.set()

    seen = asyncio.Event()
    task = asyncio.create_task(take())
    session_id = viewer.watch()
    await seen.wait()
    await client.close()
    await client.close()
    await task
    assert viewer.heard[-1] == EndSession(session_id)
    assert set(hub.switchboard.peers) == {viewer.id}
    assert [message async for message in taken[0].messages()][-1] == Ended()


async def test_closing_while_a_session_is_taken_ends_the_iteration(hub: Hub) -> None:
    client = await started(hub)
    Viewer(hub).watch()
    async for _ in client.sessions():
        await client.close()


async def test_a_session_that_ends_before_it_is_looked_at_is_left_out(hub: Hub) -> None:
    client = await started(hub)
    viewer = Viewer(hub)
    hub.receive(viewer.id, EndSession(viewer.watch()))
    later = viewer.watch()
    assert (await anext(client.sessions())).id == later
    await client.close()


async def test_who_says_more_than_is_read_is_let_go(hub: Hub) -> None:
    client = await started(hub)
    viewer = Viewer(hub)
    session_id = viewer.watch(offer=None)
    session = await anext(client.sessions())
    for _ in range(CAPACITY + 1):
        hub.receive(viewer.id, PeerMessage(session_id, Candidate("x")))
    await asyncio.sleep(0)
    assert isinstance(viewer.heard[-1], EndSession)
    assert viewer.heard[-1].reason is EndReason.OVERLOADED
    assert hub.switchboard.sessions == {}
    *said, end = [message async for message in session.messages()]
    assert len(said) == CAPACITY
    assert isinstance(end, Ended)
    await client.close()


async def test_meta_is_told_and_its_room_kept(hub: Hub) -> None:
    client = LocalClient(hub, "camera", meta={"live": True}, room="lab")
    await client.start()
    await client.set_meta({"live": False})
    peer = hub.switchboard.peers["camera"]
    assert (peer.meta, peer.room) == ({"live": False}, "lab")
    with pytest.raises(SignalingError):
        Viewer(hub).watch()
    assert Viewer(hub, room=None).watch()
    await client.close()
    await client.set_meta({"live": True})


async def test_a_start_that_fails_leaves_nothing() -> None:
    hub = Hub(Limits(meta=50))
    client = await started(hub)
    with pytest.raises(SignalingError, match="already"):
        await LocalClient(hub, "camera").start()
    with pytest.raises(SignalingError, match="meta"):
        await LocalClient(hub, "other", meta={"a": "x" * 50}).start()
    assert set(hub.switchboard.peers) == {"camera"}
    await client.close()


async def test_the_hub_tells_both_sides_that_it_stops(hub: Hub) -> None:
    client = await started(hub)
    viewer = Viewer(hub)
    session_id = viewer.watch(offer=None)
    session = await anext(client.sessions())
    hub.close()
    [ended] = [message async for message in session.messages()]
    assert ended == Ended(EndReason.CLOSED, "the signalling server was stopped")
    assert isinstance(viewer.heard[0], SessionStarted)
    assert viewer.heard[1:] == [
        EndSession(session_id, EndReason.CLOSED, "the signalling server was stopped")
    ]
    await client.close()


async def test_what_the_dead_say_is_dropped(hub: Hub) -> None:
    viewer = Viewer(hub)
    hub.leave(viewer.id)
    hub.receive(viewer.id, SetPeerStatus(frozenset()))
    assert viewer.heard == []
