"""What a virtual line does to packets is what its path says, and the same each time."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.connection.rtc_peer_connection import RTCPeerConnection
from peer.testing.network import OVERHEAD, Direction, Line, Path, VirtualNetwork

WAIT = 30.0  # seconds; nothing here takes one

paths = st.builds(
    Path,
    rate=st.none() | st.floats(1e4, 1e8),
    delay=st.floats(0, 1),
    jitter=st.floats(0, 1),
    loss=st.floats(0, 1),
    queue=st.floats(0, 1),
)
packets = st.lists(st.tuples(st.integers(1, 1500), st.floats(0, 0.1)), max_size=100)


def arrivals(path: Path, sent: list[tuple[int, float]], seed: int = 1) -> list[float | None]:
    """When packets arrive, each with the time since the one before."""
    direction, now, found = Direction(path, seed), 0.0, []
    for size, after in sent:
        now += after
        found.append(direction.send(size, now))
    return found


@given(paths, packets)
def test_packets_keep_their_order_and_take_their_time(
    path: Path, sent: list[tuple[int, float]]
) -> None:
    found = arrivals(path, sent)
    kept = [at for at in found if at is not None]
    assert kept == sorted(kept)
    now = 0.0
    for (size, after), at in zip(sent, found, strict=True):
        now += after
        if at is not None:
            assert at >= now + path.delay
            if path.rate:
                assert at >= now + path.delay + 8 * size / path.rate


@given(paths, packets, st.integers())
def test_a_seed_decides_everything(path: Path, sent: list[tuple[int, float]], seed: int) -> None:
    assert arrivals(path, sent, seed) == arrivals(path, sent, seed)


def test_loss_is_what_it_says() -> None:
    direction = Direction(Path(loss=0.05), 1)
    missing = [direction.send(1000, n / 100) for n in range(10_000)].count(None)
    assert 400 < missing < 600
    assert missing == direction.lost
    direction.path = Path(loss=1)
    assert [direction.send(1000, 101) for _ in range(100)] == [None] * 100, "an outage"


def test_a_slow_line_carries_its_rate_and_drops_the_rest() -> None:
    direction = Direction(Path(rate=1_000_000, queue=0.1), 1)
    found = [direction.send(1000 - OVERHEAD, n / 250) for n in range(2500)]  # 2 Mbit/s
    assert 1250 <= sum(at is not None for at in found) <= 1250 + 14
    assert direction.dropped == found.count(None)
    waited = max(at - n / 250 for n, at in enumerate(found) if at is not None)
    assert 0.1 <= waited <= 0.11


def test_a_change_holds_for_what_is_sent_from_then_on() -> None:
    direction = Direction(Path(delay=0.5), 1)
    assert direction.send(100, 0) == 0.5
    direction.path = Path(delay=0.1)
    assert direction.send(100, 0.1) == 0.5, "nothing overtakes"
    assert direction.send(100, 1) == 1.1


async def test_peers_meet_over_a_line() -> None:
    async with VirtualNetwork(seed=1) as network:
        line = await network.line(Path(delay=0.01, loss=0.1))
        first, second = RTCPeerConnection(), RTCPeerConnection()
        heard = asyncio.get_running_loop().create_future()
        second.on("datachannel", lambda channel: channel.on("message", heard.set_result))
        channel = first.createDataChannel("talk")
        channel.on("open", lambda: channel.send("hello"))
        await _negotiate(first, second, line)
        try:
            async with asyncio.timeout(WAIT):
                assert await heard == "hello"
        finally:
            await first.close()
            await second.close()
        assert line.here.direction.packets > 0
        assert line.there.direction.packets > 0


async def _negotiate(first: RTCPeerConnection, second: RTCPeerConnection, line: Line) -> None:
    for speaker, listener, end in ((first, second, line.here), (second, first, line.there)):
        await speaker.setLocalDescription()
        described = speaker.localDescription
        assert described is not None
        sdp = end.hide(described.sdp)
        assert str(end.other.address[1]) in sdp
        await listener.setRemoteDescription({"type": described.type, "sdp": sdp})


async def test_nobody_learns_where_the_other_is() -> None:
    async with VirtualNetwork() as network:
        line = await network.line()
        sdp = "\r\n".join((
            "v=0", "a=candidate:1 1 UDP 1 192.0.2.7 4000 typ host", "a=mid:0",
            "a=candidate:1 2 udp 1 192.0.2.7 4001 typ host", "a=end-of-candidates",
            "a=candidate:2 1 tcp 1 192.0.2.7 9 typ host tcptype active",
            "a=candidate:3 1 udp 1 192.0.2.8 4000 typ host",
            "a=candidate:4 1 udp 1 2001:db8::7 4000 typ host", "",
        ))  # fmt: skip
        port = line.there.address[1]
        assert line.here.hide(sdp).splitlines() == [
            "v=0",
            f"a=candidate:line 1 udp 2130706431 127.0.0.1 {port} typ host",
            "a=mid:0",
            "a=end-of-candidates",
        ]
        again = "candidate:1 1 UDP 1 192.0.2.7 4000 typ host"
        assert line.here.hide_candidate(again) is not None
        assert line.here.hide_candidate(again.replace("4000", "4002")) is None


@pytest.mark.parametrize("known", ["127.0.0.1", "hidden.local", None])
async def test_strangers_are_not_let_in(known: str | None) -> None:
    async with VirtualNetwork() as network:
        line = await network.line()
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
        ):
            for one, end in ((here, line.here), (there, line.there)):
                one.bind(("127.0.0.1", 0))
                one.setblocking(False)
                host = known if end is line.here else "127.0.0.1"
                if host is not None:
                    port = one.getsockname()[1]
                    end.hide_candidate(f"candidate:1 1 udp 1 {host} {port} typ host")
            here.sendto(b"one", line.here.address)
            if known:
                loop = asyncio.get_running_loop()
                assert await loop.sock_recv(there, 100) == b"one"
        assert line.here.direction.packets == (known is not None)
