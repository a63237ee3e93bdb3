"""The candidates of one ICE generation: local ones, as they are found, and remote ones.

aioice gathers from one STUN and one TURN server, and is done when both have answered. Here any
number is asked side by side, and the checks begin meanwhile.
"""

import asyncio
import dataclasses
import ipaddress
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from aioice import Candidate, Connection, TransportPolicy, mdns, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, get_or_create_mdns_protocol
from aioice.turn import TurnTransport
from aioice.utils import random_string
from aiortc import RTCIceCandidate
from aiortc.rtcicetransport import candidate_from_aioice, candidate_to_aioice

from .host_addresses import host_addresses
from .ice_protocol import IceProtocol
from .ice_servers import Server, reflexive_candidate, relayed_protocol, resolve
from .ice_socket import Address, IceSocket

logger = logging.getLogger(__name__)

# Three transmissions of a STUN request (0, 0.5 and 1.5 s), or the five round trips of an
# allocation over TLS on a slow line. A server that is silent for longer does without.
SERVER_TIMEOUT = 2.0

# One multicast query; a browser on the same network answers within milliseconds.
MDNS_TIMEOUT = 1.0

# An offer has at most 32; the rest is for those that are trickled or learnt from checks.
MAX_REMOTE_CANDIDATES = 64

# A TURN server that does not confirm lets its allocation expire by itself.
CLOSE_TIMEOUT = 1.0

_TURN_CLOSE_TASK = "_TurnTransport__close_task"
_TURN_SEND_TASKS = "_TurnTransport__send_tasks"


@dataclass(frozen=True)
class Owner:
    """What a generation of ICE is told, and whom it tells."""

    deliver: Callable[[bytes], None]
    "Takes the datagrams that are not STUN."
    candidate_found: Callable[["GatheringConnection", RTCIceCandidate | None], None]
    "Takes each local candidate, and None after the last."
    changed: Callable[["GatheringConnection"], None]
    "Is called when anything has changed that can be asked for."
    allow_remote: Callable[[RTCIceCandidate], bool] | None = None
    """Whether checks may be sent to a remote candidate. Asked about `.local` names and about the
    addresses that they stand for, and about those who send checks."""
    relay_only: bool = False


class GatheringConnection(Connection):
    """An aioice connection whose candidates come one by one, and which leaves nothing when closed.

    Needs: `Connection._protocols`, `._check_list`, `._nominated`, `._local_candidates`,
    `._local_candidates_end`, `._remote_candidates`, `._remote_candidates_end`, `._closing`,
    `._early_checks_done`, `._add_remote_candidate()`, `._pair_remote_candidate()`,
    `._check_periodic()`, and `._remote_candidates_expected()`, called by its name.
    """

    def __init__(self, owner: Owner) -> None:
        super().__init__(
            ice_controlling=False,
            local_username=random_string(8),
            local_password=random_string(24),
            transport_policy=TransportPolicy.RELAY if owner.relay_only else TransportPolicy.ALL,
        )
        self.gathering_state = "new"
        self._owner = owner
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers_left = 0
        self._opened = asyncio.Event()
        self._gathered = asyncio.Event()
        self._remote_end = False
        self._resolving = 0
        self._unreachable = asyncio.Event()

    @property
    def candidates(self) -> list[RTCIceCandidate]:
        """Local ones, so far."""
        return [candidate_from_aioice(one) for one in self._local_candidates]

    @property
    def remotes(self) -> list[RTCIceCandidate]:
        """Those that were added, and those that were learnt from checks."""
        return [candidate_from_aioice(one) for one in self._remote_candidates]

    @property
    def selected(self) -> CandidatePair | None:
        """The pair in use."""
        return self._nominated.get(1)

    # Gathering

    async def gather(self, servers: Sequence[Server]) -> None:
        """Open a socket on every address; returns when these are there.

        Reflexive and relayed candidates follow.
        """
        if self.gathering_state != "new":
            await self._opened.wait()
            return
        self.gathering_state = "gathering"
        self._owner.changed(self)
        if not self._owner.relay_only:
            # Nothing in this waits for the network, so that no limit of time is needed.
            opening = [self._open(address, rank) for rank, address in enumerate(host_addresses())]
            await asyncio.gather(*opening)
        self._opened.set()
        if self._closing:
            return
        self._local_candidates_end = True  # as far as connect() is concerned
        hosts = [one for one in self._protocols if isinstance(one, IceProtocol)]
        asking = [server for server in servers if server.transport is not None or hosts]
        self._servers_left = len(asking)
        for server in asking:
            self._spawn(self._ask(server, hosts))
        self._end_when_all_are_done()

    async def gathered(self) -> None:
        """Returns when no more local candidates will come."""
        await self._gathered.wait()

    async def _open(self, address: str, rank: int) -> None:
        try:
            sock = IceSocket(address)
        except OSError as error:
            logger.debug("%r: cannot bind to %s: %s", self, address, error)
            return
        protocol = self._new_protocol(sock)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: protocol, sock=sock
        )
        if self._closing:
            transport.close()
            return
        host, port = sock.getsockname()[:2]
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", host),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "host", 65535 - rank),
            host=host,
            port=port,
            type="host",
        )
        self._protocols.append(protocol)
        self._found(protocol.local_candidate)

    def _new_protocol(self, sock: IceSocket | None = None) -> IceProtocol:
        return IceProtocol(self, sock, self._owner.deliver, self._on_unreachable)

    def _on_unreachable(self, protocol: IceProtocol, address: Address) -> None:
        pair = self.selected
        if pair is not None and pair.protocol is protocol and pair.remote_addr == address:
            self._unreachable.set()

    def _found(self, candidate: Candidate) -> None:
        self._local_candidates.append(candidate)
        self._owner.candidate_found(self, candidate_from_aioice(candidate))

    async def _ask(self, server: Server, hosts: Sequence[IceProtocol]) -> None:
        try:
            async with asyncio.timeout(SERVER_TIMEOUT):
                if server.transport is not None:
                    await self._relay(server)
                else:
                    await self._reflect(server, hosts)
        # What no host can be called is a UnicodeError.
        except (OSError, UnicodeError, TimeoutError, stun.TransactionError) as error:
            logger.debug("%r: no candidate from %s: %r", self, server.host, error)
        finally:
            self._servers_left -= 1
            self._end_when_all_are_done()

    def _end_when_all_are_done(self) -> None:
        if self._servers_left == 0 and not self._closing:
            self.gathering_state = "complete"
            self._gathered.set()
            self._owner.changed(self)
            self._owner.candidate_found(self, None)

    async def _reflect(self, server: Server, protocols: Sequence[IceProtocol]) -> None:
        addresses = await resolve(server)

        async def one(protocol: IceProtocol, address: Address) -> None:
            candidate = await reflexive_candidate(protocol, address)
            if candidate is not None and not any(
                (known.host, known.port) == (candidate.host, candidate.port)
                for known in self._local_candidates
            ):
                self._found(candidate)

        asked = [
            one(protocol, address)
            for protocol in protocols
            for address in addresses
            if (":" in address[0]) == (":" in protocol.local_candidate.host)
        ]
        for result in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(result, stun.TransactionError):
                logger.debug("%r: %s does not help: %s", self, server.host, result)
            elif isinstance(result, BaseException):
                raise result

    async def _relay(self, server: Server) -> None:
        protocol = await relayed_protocol(
            server, self._new_protocol, hide_address=self._owner.relay_only
        )
        self._protocols.append(protocol)
        self._found(protocol.local_candidate)
        if self.selected is None:
            for candidate in self._remote_candidates:
                self._pair_remote_candidate(candidate)
            self.sort_check_list()

    # Remote candidates

    async def add(self, candidate: RTCIceCandidate | None) -> None:
        """Add a remote candidate, or None for the last. Those that cannot be used are dropped."""
        if candidate is None:
            self._remote_end = True
            await self._end_remote()
        elif not self._acceptable(candidate):
            logger.debug("%r: the remote candidate %s is not used", self, candidate.ip)
        elif mdns.is_mdns_hostname(candidate.ip):
            self._resolving += 1
            self._spawn(self._resolve(candidate))
        else:
            self._add(candidate, candidate.ip)

    def _acceptable(self, candidate: RTCIceCandidate) -> bool:
        if mdns.is_mdns_hostname(candidate.ip):
            # To a relay it would give away what the name hides.
            if self._owner.relay_only:
                return False
        elif not _is_address(candidate.ip):
            return False
        return (
            candidate.component == 1
            and candidate.protocol.lower() == "udp"
            and 0 < candidate.port < 65536
            and len(self._remote_candidates) + self._resolving < MAX_REMOTE_CANDIDATES
            and (self._owner.allow_remote is None or self._owner.allow_remote(candidate))
        )

    def _add(self, candidate: RTCIceCandidate, address: str) -> None:
        self._add_remote_candidate(candidate_to_aioice(candidate), address)
        if self._early_checks_done:
            super()._check_periodic()

    async def _resolve(self, candidate: RTCIceCandidate) -> None:
        try:
            protocol = await get_or_create_mdns_protocol(self)
            address = await protocol.resolve(candidate.ip, MDNS_TIMEOUT)
        except OSError as error:
            logger.debug("%r: mDNS does not work here: %s", self, error)
            address = None
        finally:
            self._resolving -= 1
        if address is not None and self._acceptable(dataclasses.replace(candidate, ip=address)):
            self._add(candidate, address)
        else:
            logger.debug("%r: the remote candidate %s is not used", self, candidate.ip)
        await self._end_remote()

    async def _end_remote(self) -> None:
        if self._remote_end and not self._resolving and not self._remote_candidates_end:
            await self.add_remote_candidate(None)
            self._owner.changed(self)

    def _remote_candidates_expected(self) -> bool:
        # Of a remote side that names no candidates checks may come (RFC 8863), and a relay of
        # ours makes new pairs.
        return (
            not self._check_list
            or self.gathering_state == "gathering"
            or super()._remote_candidates_expected()
        )

    # The end

    async def close(self) -> None:
        """Close every socket; nothing is left of the agent."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        protocols, self._protocols = self._protocols, []
        candidates = self._local_candidates[:]
        await super().close()
        self._local_candidates += candidates
        if protocols:
            closing = [asyncio.create_task(protocol.close()) for protocol in protocols]
            _, slow = await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
            if slow:
                for protocol in protocols:
                    _abandon(protocol.transport)
                await asyncio.wait(slow)
        self._opened.set()
        self._gathered.set()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _abandon(transport: asyncio.DatagramTransport | TurnTransport) -> None:
    """Give up a relay without waiting for its server.

    Needs: `TurnTransport.__close_task`, whose cancellation closes the socket, and
    `TurnTransport.__send_tasks`.
    """
    if isinstance(transport, TurnTransport):
        for task in (getattr(transport, _TURN_CLOSE_TASK), *getattr(transport, _TURN_SEND_TASKS)):
            task.cancel()
