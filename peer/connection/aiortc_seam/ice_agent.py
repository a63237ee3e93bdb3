"""One generation of ICE: the checks that choose a pair of candidates, and keep an eye on it.

aioice's Connection does the checks. Here they are fast, strangers are not answered, and a remote
side that is gone is missed within seconds.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable

from aioice import stun
from aioice.ice import CandidatePair, StunProtocol
from aiortc import RTCIceCandidate, RTCIceParameters

from .ice_gathering import GatheringConnection, Owner
from .ice_protocol import IceProtocol, PairStatistics
from .ice_socket import Address

logger = logging.getLogger(__name__)

# "Patiently awaiting connectivity" (RFC 8863): the remote side may start its checks late.
CONNECT_TIMEOUT = 40.0

# aioice starts checks every 20 ms; this many each time are one every 5 ms (RFC 8445 section 14.2).
CHECKS_A_TICK = 4

# Consent (RFC 7675). Asked every 4 to 6 s of a remote side that is heard, and of a silent one
# sooner.
CONSENT_INTERVAL = 5.0
SILENCE = 1.5

# An unanswered check is repeated after half a second and given up after another whole: a longer
# round trip is no conversation. After two in a row the remote side is missed (a browser takes 8 s,
# and people wonder), after seven it is gone (aioice takes 30 s).
CHECK_SECONDS = 1.5
DISCONNECTED_AFTER = 3.0
FAILED_AFTER = 10.0

# Whatever the network says, consent is asked no more often.
CONSENT_GAP = 0.5


class IceAgent(GatheringConnection):
    """The checks of one ICE generation, before it is connected and after.

    Needs: `Connection._nominated`, `._check_list`, `._remote_candidates`, and `._check_periodic()`,
    called by its name; `Candidate._network_host`.
    """

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._state = "new"
        self._chosen = asyncio.Event()
        self._nominated_last: CandidatePair | None = None

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
    def statistics(self) -> PairStatistics:
        """Of the selected pair."""
        if (pair := self.selected) is None:
            return PairStatistics()
        return _protocol(pair).statistics(pair.remote_addr)

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
            logger.debug("%r: %s", self, error)

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
            elif isinstance(protocol, IceProtocol) and self.selected is None:
                # The triggered check (RFC 8445 section 7.3.1.4), which aioice leaves out here.
                protocol.send_again(addr)
        nominated = "USE-CANDIDATE" in message.attributes
        if nominated and pair is not None:
            self._nominated_last = pair
        super().check_incoming(message, addr, protocol)
        if nominated and pair is None:  # it is new
            self._nominated_last = self._pair_of(protocol, addr)
        # A controlling side may nominate only when it is checked once more.
        if (
            pair is not None
            and pair.state == CandidatePair.State.SUCCEEDED
            and self.selected is None
            and not self.ice_controlling
        ):
            self._check_once(pair, nominate=False)

    def _check_once(self, pair: CandidatePair, *, nominate: bool) -> None:
        """Send a check whose answer does not matter."""
        assert self.remote_password is not None
        request = self.build_request(pair, nominate)
        request.add_message_integrity(self.remote_password.encode())
        pair.protocol.send_stun(request, pair.remote_addr)

    def _pair_of(self, protocol: StunProtocol, address: Address) -> CandidatePair | None:
        for pair in self._check_list:
            if pair.protocol is protocol and pair.remote_addr == address:
                return pair
        return None

    def build_request(self, pair: CandidatePair, nominate: bool) -> stun.Message:
        return super().build_request(pair, nominate and self.selected in (None, pair))

    def check_complete(self, pair: CandidatePair) -> None:
        # aioice nominates with every check, and takes what was nominated and works last. Here the
        # controlling side stays with the first that works and says so once more, and the
        # controlled side follows the last word: both use the same pair.
        before = self.selected
        if before not in (None, pair) and (
            self.ice_controlling or pair is not self._nominated_last
        ):
            pair.nominated = False
        super().check_complete(pair)
        if (selected := self.selected) is None or selected is before:
            return
        logger.debug("%r: %r is chosen", self, selected)
        if self.ice_controlling:
            self._check_once(selected, nominate=True)
        if (sock := _protocol(selected).socket) is not None:
            sock.watch_errors()
        self._chosen.set()
        if self._state == "checking":
            self._state = "connected"
        self._owner.changed(self)

    # Liveness

    def measure_round_trip(self, measured: Callable[[float], None]) -> None:
        """Check the selected pair once; the answer, if there is one, tells the seconds it took."""
        self._spawn(self._measure_round_trip(measured))

    async def _measure_round_trip(self, measured: Callable[[float], None]) -> None:
        with contextlib.suppress(stun.TransactionError):
            await self._check_selected(retransmissions=0)
            if (elapsed := self.statistics.current_round_trip_time) is not None:
                measured(elapsed)

    async def _check_selected(self, retransmissions: int) -> None:
        pair = self.selected
        assert pair is not None
        assert self.remote_password is not None
        await pair.protocol.request(
            self.build_request(pair, nominate=True),
            pair.remote_addr,
            integrity_key=self.remote_password.encode(),
            retransmissions=retransmissions,
        )

    def data_received(self, data: bytes, component: int) -> None:
        """What begins like STUN and is not: nobody's."""

    def protocol_lost(self, protocol: StunProtocol) -> None:
        if self.selected is not None and self.selected.protocol is protocol:
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
        self.statistics.consent_requests_sent += 1
        hinted = self._unreachable.is_set()
        begun = time.monotonic()
        try:
            await self._check_selected(retransmissions=0 if hinted else 1)
        except stun.TransactionFailed:
            await asyncio.sleep(begun + CHECK_SECONDS - time.monotonic())
        except stun.TransactionTimeout:
            pass
        else:
            return True
        return False

    def _set_state(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._owner.changed(self)


def _protocol(pair: CandidatePair) -> IceProtocol:
    assert isinstance(pair.protocol, IceProtocol)
    return pair.protocol


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
