"""STUN and TURN servers: those that work, and why the others don't, asked for real on loopback."""

import pytest
from aiortc import RTCIceServer

from peer.diagnosis.finding import Finding
from peer.diagnosis.ice_servers import examine, judge_nat, take_apart

from .conftest import Coturn, StunServers


async def only(url: str, username: str | None = None, password: str | None = None) -> Finding:
    """The one finding on one server."""
    (finding,) = await examine([RTCIceServer(url, username, password)])
    return finding


async def test_none_is_configured() -> None:
    (finding,) = await examine([])
    assert finding.level == "ok"
    assert finding.text.startswith("None is configured")


async def test_a_stun_server_that_answers(stun_servers: StunServers) -> None:
    server = await stun_servers()
    server.pretended = ("203.0.113.7", 4711)
    finding = await only(f"stun:127.0.0.1:{server.port}")
    assert finding.level == "ok"
    assert finding.text.startswith(f"stun:127.0.0.1:{server.port} answers in ")
    assert finding.text.endswith("sees this computer as 203.0.113.7:4711")


async def test_a_stun_server_that_is_not_there(unused_port: int) -> None:
    finding = await only(f"stun:127.0.0.1:{unused_port}")
    assert finding.level == "problem"
    assert finding.text == f"stun:127.0.0.1:{unused_port} does not work: nothing listens there"
    assert f"port {unused_port}" in finding.remedy


async def test_a_stun_server_that_says_nothing(stun_servers: StunServers) -> None:
    server = await stun_servers()
    server.ignored = 1000
    finding = await only(f"stun:127.0.0.1:{server.port}")
    assert finding.level == "problem"
    assert "no answer came within 2.75 s" in finding.text


async def test_a_server_without_an_address() -> None:
    for url in ("stun:nowhere.invalid", "turn:nowhere.invalid", "turns:nowhere.invalid"):
        finding = await only(url, "user", "secret")
        assert finding.level == "problem"
        assert "nowhere.invalid" in finding.text.removeprefix(url)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_turn_allocates(coturn: Coturn, transport: str) -> None:
    url = f"turn:127.0.0.1:{coturn.port}?transport={transport}"
    finding = await only(url, "user", "secret")
    assert finding.level == "ok", finding
    assert finding.text.startswith(f"{url} gives the relay address 127.0.0.1:")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_turn_with_a_wrong_password(coturn: Coturn, transport: str) -> None:
    finding = await only(f"turn:127.0.0.1:{coturn.port}?transport={transport}", "user", "wrong")
    assert finding.level == "problem"
    assert "answers, but does not accept the password of user (401" in finding.text
    assert "wrong" not in finding.text


async def test_turn_without_a_password(coturn: Coturn) -> None:
    finding = await only(f"turn:127.0.0.1:{coturn.port}")
    assert finding.level == "problem"
    assert "wants a user name and a password (401" in finding.text


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_turn_that_is_not_there(unused_port: int, transport: str) -> None:
    finding = await only(f"turn:127.0.0.1:{unused_port}?transport={transport}", "user", "secret")
    assert finding.level == "problem"
    assert finding.text.endswith("does not work: nothing listens there")
    assert f"{transport.upper()} port {unused_port}" in finding.remedy


async def test_turn_that_says_nothing(stun_servers: StunServers) -> None:
    server = await stun_servers()
    server.ignored = 1000
    finding = await only(f"turn:127.0.0.1:{server.port}", "user", "secret")
    assert finding.level == "problem"
    assert finding.text.endswith("no answer came within 4 s")


async def test_turn_over_tls(coturn: Coturn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(coturn.certificate))
    finding = await only(f"turns:localhost:{coturn.tls_port}", "user", "secret")
    assert finding.level == "ok", finding


async def test_turn_over_tls_with_an_unknown_certificate(coturn: Coturn) -> None:
    finding = await only(f"turns:localhost:{coturn.tls_port}", "user", "secret")
    assert finding.level == "problem"
    assert "its TLS certificate is not accepted (self-signed certificate" in finding.text


async def test_servers_that_can_t_be_used_are_named() -> None:
    urls, findings = take_apart(
        [
            RTCIceServer(["stun:a", "stun:b:99", "stuns:c"]),
            RTCIceServer("turn:d?transport=tcp", "name", "word"),
            RTCIceServer("turns:e?transport=udp"),
            RTCIceServer("http://f"),
        ]
    )
    assert [(url.host, url.port, url.transport) for url in urls] == [
        ("a", 3478, "udp"),
        ("b", 99, "udp"),
        ("d", 3478, "tcp"),
    ]
    assert (urls[2].username, urls[2].password) == ("name", "word")
    assert [(finding.level, finding.text.split()[0]) for finding in findings] == [
        ("warning", "stuns:c"),
        ("warning", "turns:e?transport=udp"),
        ("problem", "http://f"),
        ("ok", "Only"),
    ]
    assert "Only stun:a is used by this computer, not stun:b:99" in findings[3].text


async def test_servers_that_see_different_ports_tell_of_a_symmetric_nat(
    stun_servers: StunServers,
) -> None:
    first, second = await stun_servers(), await stun_servers()
    servers = [RTCIceServer(f"stun:127.0.0.1:{server.port}") for server in (first, second)]

    assert (await examine(servers))[-1].text.startswith("All STUN servers see the same address")

    first.pretended, second.pretended = ("203.0.113.7", 1000), ("203.0.113.7", 2000)
    symmetric = (await examine(servers))[-1]
    assert symmetric.level == "warning"
    assert "(203.0.113.7:1000, 203.0.113.7:2000)" in symmetric.text


def test_one_server_tells_nothing_of_a_nat() -> None:
    assert judge_nat([("203.0.113.7", 1)]) == []
