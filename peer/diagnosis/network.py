"""The addresses that connections can use, and how long gathering takes on each."""

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import ifaddr
from aioice import Connection, ice
from aiortc import RTCIceServer
from aiortc.rtcicetransport import connection_kwargs

from .addresses import Address, Unresolved, resolve
from .finding import Finding
from .stun_client import NoAnswer, stun_client

GATHER_STALL = 5
"""Seconds that aioice waits, in each connection, for a STUN server that does not answer."""

_SORTS = {
    "a bridge of containers or virtual machines": r"docker|br-|veth|virbr|podman|cni|lxc|lxd|vmnet",
    "a VPN": r"tun|tap|wg|tailscale|zt|ppp|utun|ipsec",
}


@dataclass(frozen=True)
class Route:
    """One local address, and what was measured from it."""

    address: str
    interface: str
    seconds: float
    """To bind a UDP socket."""
    error: str = ""
    """Why none could be bound, as a clause."""
    stun: float | str | None = None
    """Seconds that the STUN server's answer took, or why there was none; None: none was asked."""


async def examine(ice_servers: Sequence[RTCIceServer] = ()) -> list[Finding]:
    """Measure every address that aioice would gather from, side by side."""
    server = await _stun_server(ice_servers)
    names = interface_names()
    addresses = ice.get_host_addresses(use_ipv4=True, use_ipv6=True)
    started = time.perf_counter()
    connection = Connection(ice_controlling=True)
    try:
        await connection.gather_candidates()
        total = time.perf_counter() - started
    finally:
        await connection.close()
    routes = await asyncio.gather(
        *(measure(address, names.get(address, "?"), server) for address in addresses)
    )
    return judge(routes, total)


async def _stun_server(ice_servers: Sequence[RTCIceServer]) -> Address | None:
    """The server that aiortc would ask; None if there is none. That it can't be used is said where
    the servers are examined."""
    try:
        server: Address | None = connection_kwargs(list(ice_servers)).get("stun_server")
        if server is None:
            return None
        host, port = server
        return (await resolve(host, port, socket.SOCK_DGRAM, socket.AF_INET))[0]
    except (ValueError, Unresolved):
        return None


async def measure(address: str, interface: str, server: Address | None) -> Route:
    """Bind a UDP socket to one address as aioice does, and ask a STUN server from it.

    :param interface: the name of the address's interface, for the report.
    :param server: an IPv4 address; None to ask nothing.
    """
    started = time.perf_counter()
    try:
        async with stun_client(local=(address, 0)) as client:
            seconds = time.perf_counter() - started
            # aioice asks STUN servers over IPv4 only.
            if server is None or ipaddress.ip_address(address).version == 6:
                return Route(address, interface, seconds)
            try:
                answer = await client.ask(server)
            except NoAnswer as error:
                return Route(address, interface, seconds, stun=str(error))
            return Route(address, interface, seconds, stun=answer.seconds)
    except NoAnswer as error:
        return Route(address, interface, time.perf_counter() - started, error=str(error))


def interface_names() -> dict[str, str]:
    """The names of the interfaces, by address."""
    return {
        ip.ip if isinstance(ip.ip, str) else ip.ip[0]: adapter.nice_name
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    }


def sort_of(interface: str) -> str:
    """What an interface of this name usually is; empty for an ordinary one."""
    for sort, names in _SORTS.items():
        if re.match(names, interface):
            return sort
    return ""


def judge(routes: Sequence[Route], total: float) -> list[Finding]:
    """What the measurements mean.

    :param total: seconds that gathering host candidates took in all.
    """
    usable = [route for route in routes if not route.error]
    reaching = [route for route in usable if not ipaddress.ip_address(route.address).is_loopback]
    if not reaching:
        first = Finding(
            "network",
            "warning",
            "This computer has no address but loopback: only its own browsers can connect",
            "Connect it to a network, or give the container one, to be watched from elsewhere",
        )
    else:
        first = Finding("network", "ok", _summary(reaching, total))
    return [first, *(_judge_route(route) for route in routes)]


def _summary(routes: Iterable[Route], total: float) -> str:
    versions = [ipaddress.ip_address(route.address).version for route in routes]
    four, six = versions.count(4), versions.count(6)
    sixth = f"{six} of IPv6" if six else "none of IPv6 (which is seldom needed)"
    return (
        f"Gathering host candidates takes {total * 1000:.1f} ms in all, "
        f"from {four} address{'' if four == 1 else 'es'} of IPv4 and {sixth}"
    )


def _judge_route(route: Route) -> Finding:
    sort = sort_of(route.interface)
    where = f"{route.interface} {route.address}" + (f" ({sort})" if sort else "")
    if route.error:
        return Finding(
            "network",
            "warning",
            f"{where} can't be used: {route.error}",
            f"See `ip address show {route.interface}`, or take the interface down; "
            "connections do without it",
        )
    bound = f"{where}: {route.seconds * 1000:.1f} ms to gather"
    if isinstance(route.stun, str):
        return Finding(
            "network",
            "warning",
            f"{bound}, but from the STUN server {route.stun}, which can make every connection "
            f"wait {GATHER_STALL} s",
            "Let UDP out of this interface, take it down if it leads nowhere, "
            "or do without the STUN server",
        )
    asked = "" if route.stun is None else f", {route.stun * 1000:.0f} ms with the STUN server"
    return Finding("network", "ok", bound + asked)
