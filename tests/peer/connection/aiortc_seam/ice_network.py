"""What the tests of ICE share: transports that leave nothing, and a network to pull apart."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from typing import Any, cast

from aiortc import RTCIceCandidate, RTCIceParameters

from peer.connection.aiortc_seam.ice import IceTransport

# Far longer than anything that is waited for here.
PATIENCE = 20.0


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """No task, timer or socket is left, once the block is."""
    before = asyncio.all_tasks(), _timers(), _sockets()
    yield
    await asyncio.sleep(0)  # asyncio closes the sockets of closed transports in its next turn
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before[0], "a task is left"
    assert _timers() <= before[1], "a timer is left"
    assert _sockets() <= before[2], "a socket is left"


def _timers() -> set[asyncio.TimerHandle]:
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    # The block may be in a test's own time limit, which is there before it.
    return {timer for timer in scheduled if not timer.cancelled()}


def _sockets() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return {name for name in found if name.startswith("socket:")}


@contextlib.asynccontextmanager
async def transports(
    first: IceTransport | None = None, second: IceTransport | None = None
) -> AsyncIterator[tuple[IceTransport, IceTransport]]:
    """Two transports that leave nothing."""
    async with nothing_left():
        pair = first or IceTransport(), second or IceTransport()
        try:
            yield pair
        finally:
            await asyncio.gather(*(one.stop() for one in pair))


async def introduce(
    one: IceTransport,
    other: IceTransport,
    change: Callable[[RTCIceCandidate], RTCIceCandidate] = lambda candidate: candidate,
) -> None:
    """Give the candidates of each to the other."""
    for here, there in ((one, other), (other, one)):
        await here.gather(complete=True)
        for candidate in here.candidates:
            await there.add_remote_candidate(change(candidate))
        await there.add_remote_candidate(None)


async def start_both(controlling: IceTransport, controlled: IceTransport) -> None:
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(
            controlling.start(controlled.parameters, controlling=True),
            controlled.start(controlling.parameters, controlling=False),
        )


async def join(controlling: IceTransport, controlled: IceTransport) -> None:
    await introduce(controlling, controlled)
    await start_both(controlling, controlled)


async def receive(transport: IceTransport) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await transport._recv()


async def wait_for_state(transport: IceTransport, *states: str) -> None:
    reached = asyncio.Event()

    def look() -> None:
        if transport.state in states:
            reached.set()

    transport.on("statechange", look)
    look()
    try:
        async with asyncio.timeout(PATIENCE):
            await reached.wait()
    finally:
        transport.remove_listener("statechange", look)


class Peer(asyncio.DatagramProtocol):
    """A socket on loopback that keeps what it gets."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.address: tuple[str, int] = transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.received.put_nowait((data, (addr[0], addr[1])))

    async def next(self) -> tuple[bytes, tuple[str, int]]:
        async with asyncio.timeout(PATIENCE):
            return await self.received.get()

    def as_candidate(self) -> RTCIceCandidate:
        host, port = self.address
        return RTCIceCandidate(1, "1", host, port, 2130706431, "udp", "host")


@contextlib.asynccontextmanager
async def peer(host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Peer, local_addr=(host, 0)
    )
    try:
        yield protocol
    finally:
        transport.close()


class Line(asyncio.DatagramProtocol):
    """Passes datagrams on between two addresses, while it is `open`.

    It stands for the second address towards the first, and the other way round.
    """

    def __init__(self, ends: Iterable[tuple[str, int]]) -> None:
        self.open = True
        self.ends = list(ends)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.address: tuple[str, int] = transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if self.open and (addr[0], addr[1]) in self.ends:
            [other] = [end for end in self.ends if end != (addr[0], addr[1])]
            self.transport.sendto(data, other)


@contextlib.asynccontextmanager
async def joined_by_line() -> AsyncIterator[tuple[IceTransport, IceTransport, Line]]:
    """A controlling and a controlled transport that are connected by one line only."""
    async with transports() as (one, other):
        await one.gather(complete=True)
        await other.gather(complete=True)
        near, far = one.candidates[0], other.candidates[0]
        ends = [(near.ip, near.port), (far.ip, far.port)]
        raw, line = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Line(ends), local_addr=(near.ip, 0)
        )
        try:
            ip, port = line.address[:2]
            await one.add_remote_candidate(replace(far, ip=ip, port=port))
            await other.add_remote_candidate(replace(near, ip=ip, port=port))
            await start_both(one, other)
            yield one, other, line
        finally:
            raw.close()


def parameters(transport: IceTransport) -> tuple[str, str]:
    """User name fragment and password."""
    found: RTCIceParameters = transport.parameters
    assert found.usernameFragment is not None
    assert found.password is not None
    return found.usernameFragment, found.password
