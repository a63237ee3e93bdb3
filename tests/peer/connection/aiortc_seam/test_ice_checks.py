"""The checks of an ICE generation, seen from a remote side that does them by hand."""

import asyncio
from collections.abc import Callable

import pytest
from aioice import stun
from aiortc import RTCIceParameters

from peer.connection.aiortc_seam.ice import IceTransport

from .ice_network import PATIENCE, Peer, join, parameters, peer, receive, transports

THEIRS = RTCIceParameters("them", "their+password+is+long+")


@pytest.fixture(autouse=True)
def no_retransmissions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is sent is sent for a reason."""
    monkeypatch.setattr(stun, "RETRY_RTO", 1000.0)


class Remote:
    """The remote side of a transport, which has the given role."""

    def __init__(self, transport: IceTransport, socket: Peer, *, controlling: bool) -> None:
        self.transport = transport
        self.socket = socket
        self.controlling = controlling

    async def next(
        self, wanted: Callable[[stun.Message], bool]
    ) -> tuple[stun.Message, tuple[str, int]]:
        while True:
            datagram, source = await self.socket.next()
            if wanted(message := stun.parse_message(datagram)):
                return message, source

    async def next_check(self) -> tuple[stun.Message, tuple[str, int]]:
        return await self.next(lambda message: message.message_class == stun.Class.REQUEST)

    def check(self, address: tuple[str, int], *, nominate: bool = False) -> stun.Message:
        user, password = parameters(self.transport)
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{user}:{THEIRS.usernameFragment}"
        request.attributes["PRIORITY"] = 1
        role = "ICE-CONTROLLING" if self.controlling else "ICE-CONTROLLED"
        request.attributes[role] = 2**64 - 1  # who has the larger number keeps its role
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(password.encode())
        self.socket.transport.sendto(bytes(request), address)
        return request

    def answer(self, request: stun.Message, source: tuple[str, int]) -> None:
        response = stun.Message(
            stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=request.transaction_id
        )
        response.attributes["XOR-MAPPED-ADDRESS"] = source
        assert THEIRS.password is not None
        response.add_message_integrity(THEIRS.password.encode())
        self.socket.transport.sendto(bytes(response), source)


async def test_a_check_during_ours_makes_us_check_at_once() -> None:
    async with transports() as (one, _), peer() as socket:
        remote = Remote(one, socket, controlling=True)
        await one.add_remote_candidate(socket.as_candidate())
        starting = asyncio.create_task(one.start(THEIRS, controlling=False))
        first, source = await remote.next_check()  # lost
        remote.check(source)
        again, _source = await remote.next(
            lambda message: message.transaction_id == first.transaction_id
        )
        assert again.message_class == stun.Class.REQUEST
        await one.stop()
        with pytest.raises(ConnectionError):
            await starting


async def test_who_may_nominate_is_checked_once_more() -> None:
    async with transports() as (one, _), peer() as socket:
        remote = Remote(one, socket, controlling=True)
        await one.add_remote_candidate(socket.as_candidate())
        starting = asyncio.create_task(one.start(THEIRS, controlling=False))
        first, source = await remote.next_check()
        remote.answer(first, source)
        mine = remote.check(source)
        second, _source = await remote.next(
            lambda message: (
                message.message_class == stun.Class.REQUEST
                and message.transaction_id != first.transaction_id
            )
        )
        assert second.transaction_id != mine.transaction_id
        assert not starting.done()
        remote.check(source, nominate=True)
        async with asyncio.timeout(PATIENCE):
            await starting
        assert one.state == "connected"


async def test_the_controlling_side_stays_with_one_pair_and_says_so() -> None:
    async with transports() as (one, _), peer() as first, peer() as second:
        one_by_one = [Remote(one, socket, controlling=False) for socket in (first, second)]
        for socket in (first, second):
            await one.add_remote_candidate(socket.as_candidate())
        starting = asyncio.create_task(one.start(THEIRS, controlling=True))
        checks = [await remote.next_check() for remote in one_by_one]
        one_by_one[1].answer(*checks[1])
        async with asyncio.timeout(PATIENCE):
            await starting
        confirmed, source = await one_by_one[1].next_check()
        assert "USE-CANDIDATE" in confirmed.attributes
        one_by_one[0].answer(*checks[0])
        remote = one_by_one[0]
        mine = remote.check(source)
        await remote.next(lambda message: message.transaction_id == mine.transaction_id)
        assert one.selected_pair is not None
        assert one.selected_pair[1].port == second.address[1]


async def test_the_controlled_side_follows_the_last_nomination() -> None:
    async with transports() as (one, _), peer() as first, peer() as second:
        remotes = [Remote(one, socket, controlling=True) for socket in (first, second)]
        for socket in (first, second):
            await one.add_remote_candidate(socket.as_candidate())
        starting = asyncio.create_task(one.start(THEIRS, controlling=False))
        checks = [await remote.next_check() for remote in remotes]
        source = checks[0][1]
        for remote in (*remotes, remotes[1]):
            mine = remote.check(source, nominate=True)
            await remote.next(
                lambda message, mine=mine: message.transaction_id == mine.transaction_id  # type: ignore[misc]
            )
        changed = asyncio.Event()
        one.on("selectedcandidatepairchange", changed.set)
        remotes[1].answer(*checks[1])
        async with asyncio.timeout(PATIENCE):
            await starting
        remotes[0].answer(*checks[0])
        second.transport.sendto(b"\x80", source)
        assert await receive(one) == b"\x80"
        assert one.selected_pair is not None
        assert one.selected_pair[1].port == second.address[1]
        remotes[0].check(source, nominate=True)
        changed.clear()
        async with asyncio.timeout(PATIENCE):
            await changed.wait()
        assert one.selected_pair[1].port == first.address[1]


async def test_checks_are_answered_before_the_remote_side_is_known() -> None:
    async with transports() as (one, _), peer() as socket:
        remote = Remote(one, socket, controlling=False)
        one.take_role(controlling=True)
        await one.gather()
        [address, *_] = [(its.ip, its.port) for its in one.candidates if ":" not in its.ip]
        mine = remote.check(address)
        await remote.next(lambda message: message.transaction_id == mine.transaction_id)
        socket.transport.sendto(b"\x80 early", address)
        assert await receive(one) == b"\x80 early"
        starting = asyncio.create_task(one.start(THEIRS, controlling=True))
        remote.answer(*await remote.next_check())
        async with asyncio.timeout(PATIENCE):
            await starting


async def test_a_role_may_be_taken_before_the_remote_side_is_known() -> None:
    async with transports() as (one, _), peer() as socket:
        remote = Remote(one, socket, controlling=False)
        one.take_role(controlling=True)
        await one.gather()
        [address, *_] = [(its.ip, its.port) for its in one.candidates if ":" not in its.ip]
        mine = remote.check(address)
        answer, _source = await remote.next(
            lambda message: message.transaction_id == mine.transaction_id
        )
        assert answer.message_class == stun.Class.RESPONSE


async def test_with_many_addresses_both_use_the_same_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = [f"127.0.0.{number}" for number in range(1, 5)]
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: addresses)
    async with transports() as (one, other):
        await join(one, other)
        for here, there in ((one, other), (other, one)):
            here.send_now(b"\x80")
            await receive(there)
        assert one.selected_pair is not None
        assert other.selected_pair is not None
        (near, far), (their_near, their_far) = one.selected_pair, other.selected_pair
        assert (near.port, far.port) == (their_far.port, their_near.port)
