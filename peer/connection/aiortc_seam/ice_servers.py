"""STUN and TURN servers: their URLs, and the candidates that they give."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from aioice import Candidate, ice, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aiortc import RTCIceServer

from .ice_protocol import IceProtocol
from .ice_socket import Address

# RFC 7064 and RFC 7065, with the hosts of RFC 3986.
_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:?@/\[\]]+)"
    r"(:(?P<port>[0-9]{1,5}))?(\?transport=(?P<transport>udp|tcp))?",
    re.IGNORECASE,
)
_PORT = 3478
_TLS_PORT = 5349


@dataclass(frozen=True)
class Server:
    """A STUN server, or a TURN server if it has a `transport`."""

    host: str
    port: int
    transport: str | None = None
    "How a TURN server is reached: `udp` or `tcp`."
    tls: bool = False
    username: str | None = None
    credential: str | None = None


def servers(configured: Iterable[RTCIceServer]) -> list[Server]:
    """All servers that can be used; STUN over TLS and TURN over DTLS cannot, and are left out.

    :raises ValueError: a URL is none of a STUN or TURN server.
    """
    found = []
    for entry in configured:
        for url in [entry.urls] if isinstance(entry.urls, str) else entry.urls:
            if (match := _URL.fullmatch(url)) is None:
                raise ValueError(f"{url!r} is not the URL of a STUN or TURN server")
            scheme = match["scheme"].lower()
            tls = scheme.endswith("s")
            transport = (match["transport"] or ("tcp" if tls else "udp")).lower()
            host = match["host"].strip("[]")
            port = int(match["port"] or (_TLS_PORT if tls else _PORT))
            if scheme == "stun":
                found.append(Server(host, port))
            elif scheme == "turn" or (scheme == "turns" and transport == "tcp"):
                found.append(Server(host, port, transport, tls, entry.username, entry.credential))
    return found


async def reflexive_candidate(protocol: IceProtocol, address: Address) -> Candidate | None:
    """The address that a STUN server sees, or None if it is the local one.

    :raises aioice.stun.TransactionError: the server does not answer, or refuses.
    """
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    response, _ = await protocol.request(request, address)
    if (mapped := response.attributes.get("XOR-MAPPED-ADDRESS")) is None:
        return None
    local = protocol.local_candidate
    if mapped == (local.host, local.port):
        return None
    return Candidate(
        foundation=candidate_foundation("srflx", "udp", local.host),
        component=local.component,
        transport=local.transport,
        priority=candidate_priority(local.component, "srflx"),
        host=mapped[0],
        port=mapped[1],
        type="srflx",
        related_address=local.host,
        related_port=local.port,
    )


async def relayed_protocol(
    server: Server, protocol_factory: Callable[[], IceProtocol], *, hide_address: bool
) -> IceProtocol:
    """A relay on a TURN server.

    Needs: `aioice.ice.relayed_candidate()`.

    :raises OSError: the server cannot be reached.
    :raises aioice.stun.TransactionError: it does not answer, or refuses.
    """
    assert server.transport is not None
    _, protocol = await ice.relayed_candidate(
        component=1,
        hide_related_address=hide_address,
        protocol_factory=protocol_factory,
        turn_server=(server.host, server.port),
        turn_username=server.username,
        turn_password=server.credential,
        turn_ssl=server.tls,
        turn_transport=server.transport,
    )
    return cast(IceProtocol, protocol)


async def resolve(server: Server) -> list[Address]:
    """The addresses of a STUN server, each with its family's first.

    :raises OSError: its name is not known.
    """
    try:
        ipaddress.ip_address(server.host)
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(
            server.host, server.port, type=socket.SOCK_DGRAM
        )
        by_family = {family: address for family, _, _, _, address in reversed(found)}
        return [(str(address[0]), int(address[1])) for address in by_family.values()]
    return [(server.host, server.port)]
