"""One generation of ICE: its candidates, its checks and the pair that they choose.

aioice's Connection does the checks. Here they become fast, local candidates may come while they
run, strangers are not answered, and the remote side is missed within seconds.
"""

import asyncio
import contextlib
import dataclasses
import logging
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aioice import Candidate, Connection, TransportPolicy, mdns, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol, get_or_create_mdns_protocol
from aioice.turn import TurnTransport
from aioice.utils import random_string
from aiortc import RTCIceCandidate, RTCIceParameters
from aiortc.rtcicetransport import candidate_from_aioice, candidate_to_aioice

from .host_addresses import host_addresses
from .ice_protocol import IceProtocol, PairStatistics
from .ice_servers import Server, reflexive_candidate, relayed_protocol, resolve
from .ice_socket import Address, IceSocket

logger = logging.getLogger(__name__)

# Binding a socket takes well under a millisecond; a network driver that hangs must not hang us.
INTERFACES_TIMEOUT = 0.2

# Three transmissions of a STUN request (0, 0.5 and 1.5 s), or the five round trips of an
# allocation over TLS on a slow line. A server that is silent for longer does without.
SERVER_TIMEOUT = 2.0

# One multicast query; a browser on the same network answers within milliseconds.
MDNS_TIMEOUT = 1.0

# "Patiently awaiting connectivity" (RFC 8863): the remote side may start its checks late.
CONNECT_TIMEOUT = 40.0

# aioice starts checks every 20 ms; this many each time are one every 5 ms (RFC 8445 section 14.2).
CHECKS_A_TICK = 4

# An offer has at most 32; the rest is for those that are trickled or learnt from checks.
MAX_REMOTE_CANDIDATES = 64

# Consent (RFC 7675). Asked every 4 to 6 s of a remote side that is heard, and of a silent one
# sooner.
CONSENT_INTERVAL = 5.0
SILENCE = 1.5

# An unanswered check is repeated after half a second and given up after another whole: a longer
# round trip is no conversation. Two in a row are a remote side that is missed (a browser waits for
# 8 s, and its people wonder), seven one that is gone (aioice waits for 30).
CHECK_SECONDS = 1.5
DISCONNECTED_AFTER = 3.0
FAILED_AFTER = 10.0

# Whatever the network says, consent is asked no more often.
CONSENT_GAP = 0.5

# A TURN server that does not confirm lets its allocation expire by itself.
CLOSE_TIMEOUT = 1.0

_TURN_CLOSE_TASK = "_TurnTransport__close_task"
_TURN_SEND_TASKS = "_TurnTransport__send_tasks"


class IceAgent(Connection):
    """The sockets, candidates, credentials and checks of one ICE generation.

    :param deliver: takes the datagrams that are not STUN.
    :param candidate_found: takes each local candidate, and None after the last.
    :param changed: is called when `state`, `gathering_state` or `selected` has changed.
    :param allow_remote: whether a remote candidate may be sent checks; asked about names
        (`.local`) and about the addresses that they stand for, and about senders of checks.

    Needs, of aioice: `Connection._nominated`, `._check_list`, `._protocols`,
    `._remote_candidates`, `._local_candidates`, `._local_candidates_end`, `._closing`,
    `._early_checks_done`, `._remote_candidates_end`,
    `._add_remote_candidate()`, `._pair_remote_candidate()`, `._find_pair()`, `._check_periodic()`
    and `._remote_candidates_expected()`, called by name; `Candidate._network_host`.
    """

    def __init__(
        self,
        *,
        deliver: Callable[[bytes], None],
        candidate_found: Callable[["IceAgent", RTCIceCandidate | None], None],
        changed: Callable[["IceAgent"], None],
        allow_remote: Callable[[RTCIceCandidate], bool] | None = None,
        relay_only: bool = False,
    ) -> None:
        super().__init__(
            ice_controlling=False,
            local_username=random_string(8),
            local_password=random_string(24),
            transport_policy=TransportPolicy.RELAY if relay_only else TransportPolicy.ALL,
        )
        self.gathering_state = "new"
        self._relay_only = relay_only
        self._deliver = deliver
        self._candidate_found = candidate_found
        self._changed = changed
        self._allow_remote = allow_remote
        self._state = "new"
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers_left = 0
        self._opened = asyncio.Event()
        self._gathered = asyncio.Event()
        self._remote_end = False
        self._resolving = 0
        self._chosen = asyncio.Event()
        self._unreachable = asyncio.Event()

    @property
    def state(self) -> str:
        """`completed` is `connected` with no more candidates to come, from either side."""
        if self._state == "connected" and not self._remote_candidates_expected():
            return "completed"
        return self._state

    @property
    def parameters(self) -> RTCIceParameters:
        return RTCIceParameters(self.local_username, self.local_password)

    @property
    def candidates(self) -> list[RTCIceCandidate]:
        return [candidate_from_aioice(one) for one in self._local_candidates]

    @property
    def remote(self) -> list[RTCIceCandidate]:
        return [candidate_from_aioice(one) for one in self._remote_candidates]

    @property
    def selected(self) -> CandidatePair | None:
        return self._nominated.get(1)

    @property
    def statistics(self) -> PairStatistics:
        """Of the selected pair."""
        if (pair := self.selected) is None:
            return PairStatistics()
        return _protocol(pair).statistics(pair.remote_addr)

    # Gathering

    async def gather(self, servers: Sequence[Server]) -> None:
        """Open a socket on every address; returns when these are there.

        Reflexive and relayed candidates follow.
        """
        if self.gathering_state != "new":
            await self._opened.wait()
            return
        self.gathering_state = "gathering"
        self._changed(self)
        if not self._relay_only:
            opening = [self._open(address, rank) for rank, address in enumerate(host_addresses())]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERFACES_TIMEOUT):
                    await asyncio.gather(*opening)
        self._opened.set()
        if self._closing:
            return
        self._local_candidates_end = True  # as far as connect() is concerned
        hosts = [one for one in self._protocols if isinstance(one, IceProtocol)]
        for server in servers:
            if server.transport is not None:
                self._ask_server(self._relay(server))
            elif hosts:
                self._ask_server(self._reflect(server, hosts))
        self._server_done(0)

    async def gathered(self) -> None:
        """Returns when no more local candidates will come."""
        await self._gathered.wait()

    async def _open(self, address: str, rank: int) -> None:
        try:
            sock = IceSocket(address)
        except OSError as error:
            logger.info("%r: cannot bind to %s: %s", self, address, error)
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
        return IceProtocol(self, sock, self._deliver, self._on_unreachable)

    def _found(self, candidate: Candidate) -> None:
        self._local_candidates.append(candidate)
        self._candidate_found(self, candidate_from_aioice(candidate))

    def _ask_server(self, asking: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            try:
                async with asyncio.timeout(SERVER_TIMEOUT):
                    await asking
            except (OSError, TimeoutError, stun.TransactionError) as error:
                logger.info("%r: no candidate from a server: %r", self, error)
            finally:
                self._server_done(1)

        self._servers_left += 1
        self._spawn(bounded())

    def _server_done(self, count: int) -> None:
        self._servers_left -= count
        if self._servers_left == 0 and self.gathering_state == "gathering":
            self.gathering_state = "complete"
            self._gathered.set()
            self._changed(self)
            self._candidate_found(self, None)

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
            if isinstance(result, BaseException):
                logger.info("%r: %s does not answer: %r", self, server.host, result)

    async def _relay(self, server: Server) -> None:
        protocol = await relayed_protocol(server, self._new_protocol, hide_address=self._relay_only)
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
            logger.info("%r: the remote candidate %s is not used", self, candidate.ip)
        elif not mdns.is_mdns_hostname(candidate.ip):
            self._add(candidate, candidate.ip)
        elif not self._relay_only:
            self._resolving += 1
            self._spawn(self._resolve(candidate))

    def _acceptable(self, candidate: RTCIceCandidate) -> bool:
        return (
            candidate.component == 1
            and candidate.protocol.lower() == "udp"
            and 0 < candidate.port < 65536
            and len(self._remote_candidates) + self._resolving < MAX_REMOTE_CANDIDATES
            and (self._allow_remote is None or self._allow_remote(candidate))
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
            logger.info("%r: mDNS does not work here: %s", self, error)
            address = None
        finally:
            self._resolving -= 1
        if address is not None and self._acceptable(dataclasses.replace(candidate, ip=address)):
            self._add(candidate, address)
        else:
            logger.info("%r: the remote candidate %s is not used", self, candidate.ip)
        await self._end_remote()

    async def _end_remote(self) -> None:
        if self._remote_end and not self._resolving and not self._remote_candidates_end:
            await self.add_remote_candidate(None)
            self._changed(self)

    def _remote_candidates_expected(self) -> bool:
        # Of a remote side that names no candidates checks may come (RFC 8863), and a relay of
        # ours makes new pairs.
        return (
            not self._check_list
            or self.gathering_state == "gathering"
            or super()._remote_candidates_expected()
        )

    # Checks

    async def start(self, remote: RTCIceParameters, *, controlling: bool) -> None:
        """Connect.

        :raises ConnectionError: no pair of candidates works, or the agent was closed.
        """
        if self._closing:
            raise ConnectionError("ICE was stopped")
        self.ice_controlling = controlling
        self.remote_is_lite = remote.iceLite
        self.remote_username = remote.usernameFragment
        self.remote_password = remote.password
        self._set_state("checking")
        checks = self._spawn(self._check())
        chosen = self._spawn(self._wait_until_chosen())
        await asyncio.wait(
            {checks, chosen}, timeout=CONNECT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
        )
        chosen.cancel()
        if not self._chosen.is_set():
            for task in (checks, *(pair.task for pair in self._check_list)):
                if task is not None:
                    task.cancel()
            self._set_state("failed")
            raise ConnectionError("no pair of ICE candidates works")

    async def _wait_until_chosen(self) -> None:
        await self._chosen.wait()

    async def _check(self) -> None:
        try:
            # It goes on for as much as 20 ms after the pair is chosen.
            await self.connect()
        except ConnectionError as error:
            logger.info("%r: %s", self, error)

    def _check_periodic(self) -> bool:
        going_on = False
        for _ in range(CHECKS_A_TICK):
            going_on = super()._check_periodic()
        return going_on

    def check_start_task(self, pair: CandidatePair) -> None:
        super().check_start_task(pair)
        # Not only when the task runs, so that the next one of this tick is another pair.
        self.check_state(pair, CandidatePair.State.IN_PROGRESS)

    def request_received(
        self, message: stun.Message, addr: Address, protocol: StunProtocol
    ) -> None:
        if not self._knows(addr) and not self._acceptable(_candidate_of(message, addr)):
            return
        super().request_received(message, addr, protocol)

    def _knows(self, address: Address) -> bool:
        return any((one._network_host, one.port) == address for one in self._remote_candidates)

    def respond_error(
        self,
        request: stun.Message,
        addr: Address,
        protocol: StunProtocol,
        error_code: tuple[int, str],
    ) -> None:
        # Who does not know the password is not answered; a role conflict is between friends.
        if error_code[0] == 487:
            super().respond_error(request, addr, protocol, error_code)

    def check_incoming(self, message: stun.Message, addr: Address, protocol: StunProtocol) -> None:
        if "PRIORITY" not in message.attributes:
            return
        pair = self._pair_of(protocol, addr)
        if pair is not None and pair.state == CandidatePair.State.IN_PROGRESS:
            if pair.task is None or pair.task.done():  # cancelled when another pair was chosen
                pair.task = None
                self.check_state(pair, CandidatePair.State.WAITING)
            elif isinstance(protocol, IceProtocol):
                # The triggered check (RFC 8445 section 7.3.1.4), which aioice leaves out here.
                protocol.send_again(addr)
        super().check_incoming(message, addr, protocol)
        if pair is None or self.selected is not None or self.ice_controlling:
            return
        # A controlling side may nominate only when it is checked once more.
        if pair.state == CandidatePair.State.SUCCEEDED and self.remote_password is not None:
            request = self.build_request(pair, nominate=False)
            request.add_message_integrity(self.remote_password.encode())
            protocol.send_stun(request, addr)

    def _pair_of(self, protocol: StunProtocol, address: Address) -> CandidatePair | None:
        for pair in self._check_list:
            if pair.protocol is protocol and pair.remote_addr == address:
                return pair
        return None

    def check_complete(self, pair: CandidatePair) -> None:
        before = self.selected
        if before is not None and before is not pair and self.ice_controlling:
            # aioice asks for every pair; the first one that works stays.
            pair.nominated = False
        super().check_complete(pair)
        if (selected := self.selected) is not None and selected is not before:
            logger.info("%r: %r is chosen", self, selected)
            if (sock := _protocol(selected).socket) is not None:
                sock.watch_errors()
            self._chosen.set()
            if self._state == "checking":
                self._state = "connected"
            self._changed(self)

    # Liveness

    def data_received(self, data: bytes, component: int) -> None:
        """What begins like STUN and is not: nobody's."""

    def protocol_lost(self, protocol: StunProtocol) -> None:
        if self.selected is not None and self.selected.protocol is protocol:
            self._unreachable.set()

    def _on_unreachable(self, protocol: IceProtocol, address: Address) -> None:
        if (pair := self.selected) is None:
            return
        if pair.protocol is protocol and pair.remote_addr == address:
            self._unreachable.set()

    async def query_consent(self) -> None:
        """Ask the remote side whether it is there, for as long as it is (RFC 7675).

        ICMP errors are a hint, which anybody can forge: they make us ask at once, and call the
        remote side missing after one check instead of two.
        """
        while True:
            await self._until_consent_is_due()
            begun = time.monotonic()
            while not await self._ask_consent():
                elapsed = time.monotonic() - begun
                if elapsed >= FAILED_AFTER:
                    self._set_state("failed")
                    return
                if elapsed >= DISCONNECTED_AFTER or self._unreachable.is_set():
                    self._set_state("disconnected")
            self._unreachable.clear()
            self._set_state("connected")

    async def _until_consent_is_due(self) -> None:
        asked = time.monotonic()
        latest = asked + CONSENT_INTERVAL * random.uniform(0.8, 1.2)
        await asyncio.sleep(CONSENT_GAP)
        while not self._unreachable.is_set():
            heard = self.statistics.heard_at or 0.0
            left = min(latest, max(asked, heard) + SILENCE) - time.monotonic()
            if left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._unreachable.wait()

    async def _ask_consent(self) -> bool:
        """Whether the remote side of the selected pair answers within `CHECK_SECONDS`."""
        pair = self.selected
        assert pair is not None
        assert self.remote_password is not None
        self.statistics.consent_requests_sent += 1
        hinted = self._unreachable.is_set()
        begun = time.monotonic()
        try:
            await pair.protocol.request(
                self.build_request(pair, nominate=False),
                pair.remote_addr,
                integrity_key=self.remote_password.encode(),
                retransmissions=0 if hinted else 1,
            )
        except stun.TransactionFailed:
            await asyncio.sleep(begun + CHECK_SECONDS - time.monotonic())
        except stun.TransactionTimeout:
            pass
        else:
            return True
        return False

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
        self._state = "closed"
        self._opened.set()
        self._gathered.set()

    def _set_state(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._changed(self)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _protocol(pair: CandidatePair) -> IceProtocol:
    assert isinstance(pair.protocol, IceProtocol)
    return pair.protocol


def _abandon(transport: asyncio.DatagramTransport | TurnTransport) -> None:
    """Give up a relay without waiting for its server.

    Needs: `TurnTransport.__close_task`, whose cancellation closes the socket, and
    `TurnTransport.__send_tasks`.
    """
    if isinstance(transport, TurnTransport):
        for task in (getattr(transport, _TURN_CLOSE_TASK), *getattr(transport, _TURN_SEND_TASKS)):
            task.cancel()


def _candidate_of(message: stun.Message, address: Address) -> RTCIceCandidate:
    """The peer-reflexive candidate of a check's sender."""
    return RTCIceCandidate(
        component=1,
        foundation="",
        ip=address[0],
        port=address[1],
        priority=message.attributes.get("PRIORITY", 0),
        protocol="udp",
        type="prflx",
    )
