"""The interfaces: what is made of their times, and that they are really measured."""

import pytest

from peer.diagnosis.network import Route, examine, interface_names, judge, measure, sort_of

from .conftest import StunServers


@pytest.mark.parametrize(
    ("interface", "sort"),
    [
        ("eth0", ""),
        ("wlp2s0", ""),
        ("docker0", "a bridge of containers or virtual machines"),
        ("br-1a2b3c", "a bridge of containers or virtual machines"),
        ("tailscale0", "a VPN"),
        ("wg0", "a VPN"),
        ("Ethernet 2", ""),
    ],
)
def test_the_sort_of_an_interface(interface: str, sort: str) -> None:
    assert sort_of(interface) == sort


def test_each_address_has_its_time() -> None:
    findings = judge(
        [
            Route("192.168.1.5", "wlp2s0", 0.0002, stun=0.0234),
            Route("fd00::5", "wlp2s0", 0.0001),
            Route("172.17.0.1", "docker0", 0.0003, stun="no answer came within 2.75 s"),
            Route("10.9.9.9", "tun0", 0.0004, error="there is no way to it (No such device)"),
        ],
        0.0012,
    )
    assert [finding.level for finding in findings] == ["ok", "ok", "ok", "warning", "warning"]
    whole, wifi, _, docker, vpn = (finding.text for finding in findings)
    assert "1.2 ms in all, from 2 addresses of IPv4 and 1 of IPv6" in whole
    assert wifi == "wlp2s0 192.168.1.5: 0.2 ms to gather, 23 ms with the STUN server"
    assert "docker0 172.17.0.1 (a bridge" in docker
    assert "no answer came within 2.75 s, which can make every connection wait 5 s" in docker
    assert vpn.startswith("tun0 10.9.9.9 (a VPN) can't be used: there is no way to it")


@pytest.mark.parametrize("routes", [[], [Route("127.0.0.1", "lo", 0.0001)]])
def test_only_loopback_is_a_warning(routes: list[Route]) -> None:
    first = judge(routes, 0.001)[0]
    assert first.level == "warning"
    assert "no address but loopback" in first.text


def test_interfaces_have_names() -> None:
    assert "127.0.0.1" in interface_names()


async def test_an_address_is_measured_with_a_stun_server(stun_servers: StunServers) -> None:
    server = await stun_servers()
    route = await measure("127.0.0.1", "lo", ("127.0.0.1", server.port))
    assert route.error == ""
    assert route.seconds > 0
    assert isinstance(route.stun, float)
    assert server.received >= 1


async def test_a_stun_server_that_says_nothing_is_told(stun_servers: StunServers) -> None:
    server = await stun_servers()
    server.ignored = 1000
    route = await measure("127.0.0.1", "lo", ("127.0.0.1", server.port))
    assert route.stun == "no answer came within 2.75 s"


async def test_an_address_that_is_not_here_is_told() -> None:
    route = await measure("192.0.2.200", "gone0", None)
    assert "there is no way to it" in route.error


async def test_this_computer_is_examined() -> None:
    findings = await examine()
    assert findings[0].text.startswith(("Gathering host candidates takes", "This computer has no"))
    assert {finding.subject for finding in findings} == {"network"}
