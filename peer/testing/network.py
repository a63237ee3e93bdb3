"""A virtual network: lines between two peers, slow, far, lossy or cut, the same in each run.

    async with VirtualNetwork(seed=1) as network:
        line = await network.line(Path(rate=300_000, delay=0.02, loss=0.05))
        offer = line.here.hide(publisher.localDescription.sdp)   # for the peer over there
        answer = line.there.hide(viewer.localDescription.sdp)    # for the peer here
        …
        line.outward = Path(loss=1)  # cut

Each end of a line is a UDP socket of this computer that stands for the peer at the other end: what
one peer is told of the other are candidates of the line instead of its own, so that any two peers
who exchange descriptions can be joined by one, browsers and other processes too, without
privileges.
"""

import asyncio
import random
import re
from collections import deque
from dataclasses import dataclass
from typing import Self, cast

Address = tuple[str, int]

OVERHEAD = 28
"""Bytes of the headers of UDP and IPv4, which a real line carries too."""
MOST_IN_FLIGHT = 4096
"""Packets on one way of a line, so that no path holds a flood: four seconds of 10 Mbit/s."""
_CANDIDATE = re.compile(
    r"candidate:\S+ (?P<component>\d+) (?P<transport>\S+) \d+ (?P<host>\S+) (?P<port>\d+) typ host",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Path:
    """What one direction of a line does to packets. They don't overtake each other."""

    rate: float | None = None
    """Bits a second; None for no limit."""
    delay: float = 0.0
    """Seconds."""
    jitter: float = 0.0
    """Seconds that the delay may be longer, each as likely as the other."""
    loss: float = 0.0
    """Of 1; 1 is an outage."""
    queue: float = 0.2
    """Seconds that packets wait for a slow line at most: what would wait longer is dropped."""


class Direction:
    """When packets arrive that are sent over a path (pure). Times are in seconds of one clock."""

    def __init__(self, path: Path, seed: object) -> None:
        self.path = path
        """May be replaced at any time; what is under way arrives as it would have."""
        self.packets = self.octets = self.lost = self.dropped = 0
        """What was sent, with headers; what of it was lost by chance, and dropped by the queue."""
        self._random = random.Random(repr(seed))
        self._free_at = self._last = float("-inf")

    def send(self, size: int, now: float) -> float | None:
        """When a packet of so many bytes arrives that is sent now; None when it never does."""
        path, octets = self.path, size + OVERHEAD
        self.packets += 1
        self.octets += octets
        # Drawn for every packet, so that the fate of one does not hang on the queue before it.
        lost, jitter = self._random.random() < path.loss, self._random.random() * path.jitter
        begins = max(now, self._free_at)
        if begins - now > path.queue:
            self.dropped += 1
            return None
        self._free_at = begins + (8 * octets / path.rate if path.rate else 0.0)
        if lost:
            self.lost += 1
            return None
        self._last = max(self._last, self._free_at + path.delay + jitter)
        return self._last


class End(asyncio.DatagramProtocol):
    """One end of a line: what its peer sends goes to the other end, by way of a direction."""

    other: "End"
    """The end of the other peer."""

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        """Of what this end's peer sends."""
        self.address: Address
        """Where this end's peer finds the other."""
        self._peer: Address | None = None
        self._ports: set[int] = set()
        self._transport: asyncio.DatagramTransport
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def hide(self, sdp: str) -> str:
        """This end's peer's description for the other peer, which finds it over the line only.

        The line leads to its first UDP candidate over IPv4.
        """
        lines = []
        for line in sdp.splitlines():
            if not line.startswith("a=candidate:"):
                lines.append(line)
            elif (hidden := self.hide_candidate(line.removeprefix("a="))) is not None:
                lines.append(f"a={hidden}")
        return "\r\n".join(lines) + "\r\n"

    def hide_candidate(self, candidate: str) -> str | None:
        """The same for a candidate that is trickled; None when the other is not told of it."""
        found = _CANDIDATE.match(candidate)
        if found is None or found["transport"].lower() != "udp" or found["component"] != "1":
            return None
        host, port = found["host"], int(found["port"])
        if ":" in host or self._peer not in (None, (host, port)):
            return None
        if host.endswith(".local"):
            self._ports.add(port)  # a browser that hides its address until it sends
        else:
            self._peer = (host, port)
        host, port = self.other.address
        return f"candidate:line 1 udp 2130706431 {host} {port} typ host"

    # From and to its peer.

    async def open(self, host: str) -> None:
        """Have an address."""
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, (host, 0))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.address = transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, address: Address) -> None:
        if self._peer is None and address[1] in self._ports:
            self._peer = address
        if address != self._peer:
            return  # from another of its sockets, which nobody knows of
        loop = asyncio.get_running_loop()
        arrival = self.direction.send(len(data), loop.time())
        if arrival is None or len(self._under_way) == MOST_IN_FLIGHT:
            return
        self._under_way.append((arrival, data))
        if self._timer is None:
            self._timer = loop.call_at(arrival, self._arrive)

    def error_received(self, error: Exception) -> None:
        """The peer has closed its socket: what is sent to it is lost, as on any line."""

    def _arrive(self) -> None:
        loop = asyncio.get_running_loop()
        while self._under_way and self._under_way[0][0] <= loop.time():
            self.other.deliver(self._under_way.popleft()[1])
        at = self._under_way[0][0] if self._under_way else None
        self._timer = None if at is None else loop.call_at(at, self._arrive)

    def deliver(self, data: bytes) -> None:
        """Give this end's peer what the other has sent."""
        if self._peer is not None:
            self._transport.sendto(data, self._peer)

    def close(self) -> None:
        """Carry nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()


class Line:
    """Joins two peers. Made by `VirtualNetwork.line()`."""

    def __init__(self, here: End, there: End) -> None:
        self.here, self.there = here, there
        """The ends of the two peers."""
        here.other, there.other = there, here

    @property
    def outward(self) -> Path:
        """The way from here to there; may be set at any time."""
        return self.here.direction.path

    @outward.setter
    def outward(self, path: Path) -> None:
        self.here.direction.path = path

    @property
    def back(self) -> Path:
        """The way from there to here; may be set at any time."""
        return self.there.direction.path

    @back.setter
    def back(self, path: Path) -> None:
        self.there.direction.path = path


class VirtualNetwork:
    """Lines, until the block is left.

    :param seed: decides which packets are lost and how long each takes: those of one number on one
        line meet the same in each run.
    :param host: this computer's address that lines are found at: loopback is not for every peer
        (libnice's don't look for others there).
    """

    def __init__(self, seed: int = 0, *, host: str = "127.0.0.1") -> None:
        self._seed = seed
        self._host = host
        self._lines: list[Line] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        for line in self._lines:
            line.here.close()
            line.there.close()
        await asyncio.sleep(0)  # asyncio closes the sockets by then

    async def line(self, outward: Path | None = None, back: Path | None = None) -> Line:
        """A new line; without paths it is as good as loopback.

        :param back: like `outward`, when it is None, but without its loss and its rate.
        """
        outward = outward or Path()
        back = back or Path(delay=outward.delay, jitter=outward.jitter)
        number = len(self._lines)
        line = Line(
            End(Direction(outward, (self._seed, number, "outward"))),
            End(Direction(back, (self._seed, number, "back"))),
        )
        for end in (line.here, line.there):
            await end.open(self._host)
        self._lines.append(line)
        return line
