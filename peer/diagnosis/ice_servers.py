"""Whether the configured STUN and TURN servers work, and if not, why."""

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aioice import stun, turn
from aiortc import RTCIceServer
from aiortc.rtcicetransport import parse_stun_turn_uri

from .addresses import Address, Unresolved, resolve
from .finding import Finding
from .network import GATHER_STALL
from .stun_client import NoAnswer, Unreachable, stun_client

TURN_TIMEOUT = 4.0
"""Seconds for an allocation: two round trips, and two more each for TCP and TLS. A server that
takes longer would not be used, for aioice gives up after five."""

RELEASE_TIMEOUT = 0.5
"""Seconds for the server to confirm that the allocation is given back; it expires by itself."""

_SUBJECT = "ICE server"
_UNAUTHORIZED = 401
_WRONG_CREDENTIALS = 441


@dataclass(frozen=True)
class IceUrl:
    """One URL of a configured server, taken apart."""

    url: str
    scheme: str
    host: str
    port: int
    transport: str
    """`udp` or `tcp`."""
    username: str | None
    password: str | None

    @property
    def secure(self) -> bool:
        return self.scheme in ("stuns", "turns")


async def examine(ice_servers: Sequence[RTCIceServer] = ()) -> list[Finding]:
    """Try every URL, side by side: a binding request for STUN, an allocation for TURN."""
    urls, findings = take_apart(ice_servers)
    if not ice_servers:
        return [
            Finding(
                _SUBJECT,
                "ok",
                "None is configured: viewers in the same network can connect, those elsewhere "
                "only if this computer has a public address",
            )
        ]
    stuns = [url for url in urls if url.scheme == "stun"]
    tried, nat = await asyncio.gather(
        asyncio.gather(*(_try_stun(u) if u.scheme == "stun" else _try_turn(u) for u in urls)),
        _nat(stuns),
    )
    return [*findings, *tried, *nat]


def take_apart(servers: Sequence[RTCIceServer]) -> tuple[list[IceUrl], list[Finding]]:
    """The URLs that aiortc can use, and what is to be said of the others."""
    urls: list[IceUrl] = []
    findings: list[Finding] = []
    for server in servers:
        for text in [server.urls] if isinstance(server.urls, str) else server.urls:
            try:
                parsed = parse_stun_turn_uri(text)
            except ValueError:
                findings.append(
                    Finding(
                        _SUBJECT,
                        "problem",
                        f"{text} is no URL of a STUN or TURN server",
                        "Write stun:HOST:PORT, turn:HOST:PORT?transport=udp (or tcp), "
                        "or turns:HOST:PORT",
                    )
                )
                continue
            url = IceUrl(
                text,
                parsed["scheme"],
                parsed["host"],
                parsed["port"],
                parsed.get("transport", "udp"),
                server.username,
                server.credential,
            )
            if unsupported := _unsupported(url):
                findings.append(unsupported)
            else:
                urls.append(url)
    return urls, findings + _beyond_the_first(urls)


def _unsupported(url: IceUrl) -> Finding | None:
    known = {"stun": ("udp",), "turn": ("udp", "tcp"), "turns": ("tcp",)}
    if url.transport in known.get(url.scheme, ()):
        return None
    return Finding(
        _SUBJECT,
        "warning",
        f"{url.url} is left out: STUN works over UDP, TURN over UDP, TCP or TLS",
        "Write stun: for stuns:, and turns:HOST:PORT?transport=tcp for TURN over TLS",
    )


def _beyond_the_first(urls: Sequence[IceUrl]) -> list[Finding]:
    findings = []
    for schemes in (("stun",), ("turn", "turns")):
        of_sort = [url.url for url in urls if url.scheme in schemes]
        if len(of_sort) > 1:
            findings.append(
                Finding(
                    _SUBJECT,
                    "ok",
                    f"Only {of_sort[0]} is used by this computer, not {', '.join(of_sort[1:])}: "
                    f"aiortc takes the first {schemes[0].upper()} server",
                )
            )
    return findings


async def _try_stun(url: IceUrl) -> Finding:
    try:
        server = (await resolve(url.host, url.port, socket.SOCK_DGRAM, socket.AF_INET))[0]
        async with stun_client(server=server) as client:
            answer = await client.ask(server)
    except (NoAnswer, Unresolved) as error:
        return Finding(
            _SUBJECT,
            "problem",
            f"{url.url} does not work: {error}",
            f"Check its name and port, and that the firewall lets UDP out to port {url.port}; "
            f"or take it away, for every connection can wait {GATHER_STALL} s for it",
        )
    return Finding(
        _SUBJECT,
        "ok",
        f"{url.url} answers in {answer.seconds * 1000:.0f} ms and sees this computer as "
        f"{_written(answer.address)}",
    )


async def _try_turn(url: IceUrl) -> Finding:
    kind = socket.SOCK_DGRAM if url.transport == "udp" else socket.SOCK_STREAM
    started = time.perf_counter()
    try:
        address = (await resolve(url.host, url.port, kind))[0]
        if url.transport == "udp":
            relayed = await _allocate_unless_refused(url, address)
        else:
            relayed = await _allocate(url, address)
    except (Unresolved, Unreachable, stun.TransactionError, OSError) as error:
        return turn_failure(url, error)
    seconds = time.perf_counter() - started
    return Finding(
        _SUBJECT,
        "ok",
        f"{url.url} gives the relay address {_written(relayed)} after {seconds * 1000:.0f} ms",
    )


async def _allocate_unless_refused(url: IceUrl, address: Address) -> Address:
    """Over UDP: asks for a binding at the same time, for a request for an allocation goes on
    waiting when nothing listens there.

    :raises Unreachable: nothing listens, or there is no way to the server.
    """
    async with stun_client(server=address) as client:
        probe = asyncio.create_task(client.ask(address))
        allocation = asyncio.create_task(_allocate(url, address))
        try:
            await asyncio.wait({probe, allocation}, return_when=asyncio.FIRST_COMPLETED)
            if not allocation.done() and isinstance(probe.exception(), Unreachable):
                await probe
            return await allocation
        finally:
            probe.cancel()
            allocation.cancel()
            await asyncio.gather(probe, allocation, return_exceptions=True)


async def _allocate(url: IceUrl, address: Address) -> Address:
    """Ask for a relay address, and give it back."""
    receiver = _Receiver()
    async with asyncio.timeout(TURN_TIMEOUT):
        transport, _ = await turn.create_turn_endpoint(
            lambda: receiver,
            # A certificate is for the name.
            server_addr=(url.host, url.port) if url.secure else address,
            username=url.username,
            password=url.password,
            ssl=url.secure,
            transport=url.transport,
        )
    relayed: Address = transport.get_extra_info("sockname")
    transport.close()
    await asyncio.wait({receiver.lost}, timeout=RELEASE_TIMEOUT)
    return relayed


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)


def turn_failure(url: IceUrl, error: Exception) -> Finding:
    """Why there is no allocation: the name, the way there, TLS, or what the server says."""
    where = f"{url.transport.upper()} port {url.port}"
    remedy = f"Check its name and port, that it runs, and that firewalls let {where} through"
    if isinstance(error, stun.TransactionFailed):
        code, reason = error.response.attributes.get("ERROR-CODE", (0, "no reason given"))
        if code in (_UNAUTHORIZED, _WRONG_CREDENTIALS):
            return _refused_credentials(url, code, reason)
        said = f"it answers, but refuses a relay address ({code}: {reason})"
        remedy = "See the server's own log, and its quotas and allowed users"
    elif isinstance(error, ssl.SSLCertVerificationError):
        said = f"its TLS certificate is not accepted ({error.verify_message})"
        remedy = (
            "Give the server a certificate for this name from a known authority, or let "
            "SSL_CERT_FILE name yours; check this computer's clock, too"
        )
    elif isinstance(error, ssl.SSLError):
        said = f"what listens there does not speak TLS ({error.reason})"
        remedy = "Write turn: for turns:, or use the server's TLS port (usually 5349 or 443)"
    elif isinstance(error, ConnectionRefusedError):
        said = "nothing listens there"
    elif isinstance(error, TimeoutError | stun.TransactionTimeout):
        said = f"no answer came within {TURN_TIMEOUT:g} s"
    else:
        said = str(error) or type(error).__name__
    return Finding(_SUBJECT, "problem", f"{url.url} does not work: {said}", remedy)


def _refused_credentials(url: IceUrl, code: int, reason: str) -> Finding:
    if url.username is None or url.password is None:
        text = f"{url.url} answers, but wants a user name and a password ({code}: {reason})"
        return Finding(_SUBJECT, "problem", text, "Configure the server's user name and password")
    return Finding(
        _SUBJECT,
        "problem",
        f"{url.url} answers, but does not accept the password of {url.username} ({code}: {reason})",
        "Correct the user name or the password; one that is made for a limited time may have ended",
    )


async def _nat(urls: Sequence[IceUrl]) -> list[Finding]:
    """Asks several STUN servers from one socket: the ports that they see tell the sort of NAT."""
    if len(urls) < 2:
        return []
    seen: list[Address] = []
    try:
        resolved = await asyncio.gather(
            *(resolve(url.host, url.port, socket.SOCK_DGRAM, socket.AF_INET) for url in urls)
        )
        servers = list(dict.fromkeys(addresses[0] for addresses in resolved))
        async with stun_client(local=("0.0.0.0", 0)) as client:
            answers = await asyncio.gather(*(client.ask(server) for server in servers))
            seen = [answer.address for answer in answers]
    except (Unresolved, NoAnswer):  # which one, and why, is found for each server
        return []
    return judge_nat(seen)


def judge_nat(seen: Sequence[Address]) -> list[Finding]:
    """What the addresses that several servers saw of one socket say of the NAT between.

    :param seen: one address a server; fewer than two say nothing.
    """
    if len(seen) < 2:
        return []
    ports = ", ".join(_written(address) for address in seen)
    if len(set(seen)) == 1:
        text = (
            f"All STUN servers see the same address, {_written(seen[0])}: "
            "direct connections work through most networks"
        )
        return [Finding("NAT", "ok", text)]
    return [
        Finding(
            "NAT",
            "warning",
            f"The network's NAT is symmetric, for each STUN server sees another address ({ports}): "
            "direct connections to viewers elsewhere often fail",
            "Configure a TURN server",
        )
    ]


def _written(address: Address) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
