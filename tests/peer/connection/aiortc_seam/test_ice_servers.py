"""STUN and TURN servers: their URLs, several at once, silent ones, and a real coturn."""

import asyncio

import pytest
from aiortc import RTCIceCandidate, RTCIceServer

from peer.connection.aiortc_seam import ice_gathering
from peer.connection.aiortc_seam.ice import IceTransport
from peer.connection.aiortc_seam.ice_servers import Server, servers

from ...diagnosis.conftest import Coturn, StunServers
from .ice_network import PATIENCE, introduce, join, nothing_left, peer, receive, transports


def turn(coturn: Coturn, url: str, credential: str = "secret") -> RTCIceServer:
    return RTCIceServer(
        url.format(port=coturn.port, tls=coturn.tls_port), username="user", credential=credential
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("stun:stun.example", Server("stun.example", 3478)),
        ("stun:stun.example:19302", Server("stun.example", 19302)),
        ("STUN:[2001:db8::1]:3479", Server("2001:db8::1", 3479)),
        ("turn:turn.example", Server("turn.example", 3478, "udp", False, "u", "p")),
        ("turn:192.0.2.1:80?transport=tcp", Server("192.0.2.1", 80, "tcp", False, "u", "p")),
        ("turns:turn.example", Server("turn.example", 5349, "tcp", True, "u", "p")),
        ("turns:[2001:db8::1]", Server("2001:db8::1", 5349, "tcp", True, "u", "p")),
    ],
)
def test_urls_are_understood(url: str, expected: Server) -> None:
    assert servers([RTCIceServer(url, username="u", credential="p")]) == [expected]


@pytest.mark.parametrize("url", ["stuns:stun.example", "turns:turn.example?transport=udp"])
def test_servers_that_cannot_be_used_are_left_out(url: str) -> None:
    assert servers([RTCIceServer([url, "stun:stun.example"])]) == [Server("stun.example", 3478)]


@pytest.mark.parametrize(
    "url", ["", "http://stun.example", "stun:", "stun:a b", "turn:u@h", "turn:h?transport=x"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not the URL"):
        IceTransport([RTCIceServer(url)])


async def test_reflexive_candidates_come_from_any_number_of_servers(
    stun_servers: StunServers,
) -> None:
    first, second, same = [await stun_servers() for _ in range(3)]
    first.pretended = "203.0.113.1", 1001
    second.pretended = same.pretended = "203.0.113.2", 1002
    async with nothing_left():
        transport = IceTransport(
            [RTCIceServer([f"stun:127.0.0.1:{one.port}" for one in (first, second, same)])]
        )
        told: list[RTCIceCandidate | None] = []
        transport.on("candidate", told.append)
        await transport.gather(complete=True)
        reflexive = [one for one in transport.candidates if one.type == "srflx"]
        assert {(one.ip, one.port) for one in reflexive} == {
            ("203.0.113.1", 1001),
            ("203.0.113.2", 1002),
        }
        assert len(reflexive) == 2, "one that is known already is not told again"
        host = transport.candidates[0]
        assert (reflexive[0].relatedAddress, reflexive[0].relatedPort) == (host.ip, host.port)
        assert told == [*transport.candidates, None]
        await transport.stop()


async def test_a_restart_may_use_other_servers(stun_servers: StunServers) -> None:
    server = await stun_servers()
    server.pretended = "203.0.113.1", 1001
    async with nothing_left():
        transport = IceTransport()
        await transport.gather(complete=True)
        transport.use_servers([RTCIceServer(f"stun:127.0.0.1:{server.port}")])
        transport.restart()
        await transport.gather(complete=True)
        assert "203.0.113.1" in [one.ip for one in transport.candidates]
        await transport.stop()


async def test_a_server_that_sees_the_own_address_gives_no_candidate(
    stun_servers: StunServers,
) -> None:
    server = await stun_servers()
    async with nothing_left():
        transport = IceTransport([RTCIceServer(f"stun:127.0.0.1:{server.port}")])
        await transport.gather(complete=True)
        assert {one.type for one in transport.candidates} == {"host"}
        await transport.stop()


async def test_a_silent_server_delays_nobody(stun_servers: StunServers) -> None:
    answering = await stun_servers()
    answering.pretended = "203.0.113.1", 1001
    async with peer() as silent, nothing_left():
        transport = IceTransport(
            [
                RTCIceServer(f"stun:127.0.0.1:{silent.address[1]}"),
                RTCIceServer(f"stun:127.0.0.1:{answering.port}"),
                RTCIceServer(f"turn:127.0.0.1:{silent.address[1]}", "user", "secret"),
            ]
        )
        found = asyncio.Event()

        def told(candidate: RTCIceCandidate | None) -> None:
            if candidate is not None and candidate.type == "srflx":
                found.set()

        transport.on("candidate", told)
        await transport.gather()
        assert transport.candidates
        async with asyncio.timeout(PATIENCE):
            await found.wait()
        assert transport.gathering_state == "gathering"
        await transport.stop()


async def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice_gathering, "SERVER_TIMEOUT", 0.2)
    async with peer() as silent, nothing_left():
        port = silent.address[1]
        transport = IceTransport(
            [
                RTCIceServer([f"stun:127.0.0.1:{port}", "stun:no..host"]),
                RTCIceServer(f"turn:127.0.0.1:{port}", "user", "secret"),
                RTCIceServer(f"turn:127.0.0.1:{port}?transport=tcp", "user", "secret"),
            ]
        )
        async with asyncio.timeout(PATIENCE):
            await transport.gather(complete=True)
        assert transport.gathering_state == "complete"
        await transport.stop()


async def test_a_server_that_refuses_is_done_without(stun_servers: StunServers) -> None:
    server = await stun_servers()
    server.refuse = (500, "Not today")
    async with nothing_left():
        transport = IceTransport([RTCIceServer(f"stun:127.0.0.1:{server.port}")])
        await transport.gather(complete=True)
        assert {one.type for one in transport.candidates} == {"host"}
        await transport.stop()


@pytest.mark.parametrize(
    "url",
    [
        "turn:127.0.0.1:{port}",
        "turn:127.0.0.1:{port}?transport=tcp",
        "turns:localhost:{tls}",
    ],
)
async def test_data_goes_over_a_relay(
    coturn: Coturn, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(coturn.certificate))
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.2"])
    relayed = IceTransport([turn(coturn, url)], relay_only=True)
    async with transports(relayed) as (one, other):
        await introduce(one, other)
        assert [candidate.type for candidate in one.candidates] == ["relay"]
        assert one.candidates[0].relatedAddress == "0.0.0.0"
        await join(one, other)
        assert one.selected_path() is None
        one.send_now(b"\x80 over")
        assert await receive(other) == b"\x80 over"
        other.send_now(b"\x80 and back")
        assert await receive(one) == b"\x80 and back"


async def test_a_relay_may_come_after_the_checks_have_begun(
    coturn: Coturn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.2"])
    first = IceTransport([turn(coturn, "turn:127.0.0.1:{port}")], relay_only=True)
    async with transports(first) as (one, other):
        await other.gather(complete=True)
        for candidate in other.candidates:
            await one.add_remote_candidate(candidate)
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(
                one.start(other.parameters, controlling=True),
                other.start(one.parameters, controlling=False),
            )
        assert one.selected_pair is not None
        assert one.selected_pair[0].type == "relay"


async def test_a_wrong_password_gives_no_relay(coturn: Coturn) -> None:
    async with nothing_left():
        transport = IceTransport([turn(coturn, "turn:127.0.0.1:{port}", "wrong")])
        await transport.gather(complete=True)
        assert {one.type for one in transport.candidates} == {"host"}
        await transport.stop()


class Gate(asyncio.DatagramProtocol):
    """Passes what clients send on to a server, and back, until it is shut."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.client: tuple[str, int] | None = None
        self.shut = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.shut:
            return
        if addr == self.server:
            assert self.client is not None
            self.transport.sendto(data, self.client)
        else:
            self.client = addr
            self.transport.sendto(data, self.server)


async def test_a_relay_whose_server_is_gone_does_not_delay_the_end(
    coturn: Coturn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice_gathering, "CLOSE_TIMEOUT", 0.2)
    raw, gate = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Gate(("127.0.0.1", coturn.port)), local_addr=("127.0.0.1", 0)
    )
    try:
        port = raw.get_extra_info("sockname")[1]
        async with nothing_left():
            transport = IceTransport([RTCIceServer(f"turn:127.0.0.1:{port}", "user", "secret")])
            await transport.gather(complete=True)
            assert "relay" in [one.type for one in transport.candidates]
            gate.shut = True
            async with asyncio.timeout(PATIENCE):
                await transport.stop()
    finally:
        raw.close()
