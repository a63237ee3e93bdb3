"""The ICE transport of a connection: generations of ICE behind one stream of datagrams."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from aioice.ice import CandidatePair
from aiortc import InvalidStateError, RTCIceCandidate, RTCIceParameters, RTCIceServer
from aiortc.rtcicetransport import candidate_from_aioice
from pyee.asyncio import AsyncIOEventEmitter

from .ice_agent import IceAgent
from .ice_gathering import GatheringConnection, Owner
from .ice_protocol import IceProtocol, PairStatistics
from .ice_servers import servers
from .ice_socket import Address, IceSocket

logger = logging.getLogger(__name__)

# A key frame at 30 Mbit/s and what comes while it is read; the oldest goes when there is no room.
RECEIVE_QUEUE = 1024

# What the remote side sent before it knew of the new pair is still on its way.
RETIRE_SECONDS = 1.0

_SENDING = ("connected", "completed", "disconnected")


class IceTransport(AsyncIOEventEmitter):
    """Datagrams over whichever pair of candidates works (RTCIceTransport).

    It has one generation of ICE, or while it is restarted two: data goes over the old one until
    the new one has a pair. It can be given to aiortc's `RTCDtlsTransport`.

    Events: `statechange`, `gatheringstatechange`, `selectedcandidatepairchange`, `pathchange` when
    `selected_path()` has become another, and `candidate` with each local `RTCIceCandidate`, then
    with None.

    :param relay_only: gather and use only candidates of TURN servers.
    :param allow_remote: whether checks may be sent to a remote candidate. Asked before each is
        used, for a `.local` name once more with its address, and for a sender of checks that was
        no candidate (type `prflx`); everything is allowed by default.
    :raises ValueError: a URL of a server is malformed.
    """

    def __init__(
        self,
        ice_servers: Sequence[RTCIceServer] = (),
        *,
        relay_only: bool = False,
        allow_remote: Callable[[RTCIceCandidate], bool] | None = None,
    ) -> None:
        super().__init__()
        self._servers = servers(ice_servers)
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(RECEIVE_QUEUE)
        self.take_first: Callable[[bytes], bool] | None = None
        """Is shown each datagram as it comes, and takes it by saying so; others wait in a queue."""
        self._owner = Owner(
            self._deliver, self._on_candidate, self._on_changed, allow_remote, relay_only
        )
        self._current = IceAgent(self._owner)
        self._next: IceAgent | None = None
        self._starting: dict[IceAgent, asyncio.Task[None]] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._state = "new"
        self._gathering_state = "new"
        self._selected: CandidatePair | None = None
        self._usable: CandidatePair | None = None  # that pair, while it may be used

    @property
    def state(self) -> str:
        """`new`, `checking`, `connected`, `completed`, `disconnected`, `failed` or `closed`."""
        return self._state

    @property
    def role(self) -> str:
        """`controlling` or `controlled`; the latter before `start()`."""
        return "controlling" if self._newest_started.ice_controlling else "controlled"

    @property
    def gathering_state(self) -> str:
        """`new`, `gathering` or `complete`, of the newest generation."""
        return self._gathering_state

    @property
    def parameters(self) -> RTCIceParameters:
        """What the remote side must know, of the newest generation."""
        return self._newest.parameters

    @property
    def candidates(self) -> list[RTCIceCandidate]:
        """The local candidates so far, of the newest generation."""
        return self._newest.candidates

    @property
    def remote_candidates(self) -> list[RTCIceCandidate]:
        """Those that were added and those that were learnt, of the newest generation."""
        return self._newest.remotes

    @property
    def selected_pair(self) -> tuple[RTCIceCandidate, RTCIceCandidate] | None:
        """The local and the remote candidate that are in use."""
        if (pair := self._current.selected) is None:
            return None
        return candidate_from_aioice(pair.local_candidate), candidate_from_aioice(
            pair.remote_candidate
        )

    def selected_path(self) -> tuple[IceSocket, Address] | None:
        """The UDP socket in use and the remote address, for who sends by itself.

        None without a pair, over a relay, and when nothing may be sent (the remote side's consent
        has run out: RFC 7675 5.1). Ask again after `pathchange`.
        """
        pair = self._current.selected
        if pair is None or self._current.state not in _SENDING:
            return None
        assert isinstance(pair.protocol, IceProtocol)
        if pair.protocol.socket is None:
            return None
        return pair.protocol.socket, pair.remote_addr

    def pair_statistics(self) -> PairStatistics:
        """The living figures of the pair in use, without what was not added to them yet by who
        sends past this transport; empty ones without a pair."""
        return self._current.statistics

    def use_servers(self, ice_servers: Sequence[RTCIceServer]) -> None:
        """Ask other servers when gathering next."""
        self._servers = servers(ice_servers)

    async def gather(self, *, complete: bool = False) -> None:
        """Gather local candidates; returns when those of the interfaces are there.

        :param complete: return when no more will come, from servers either: within
            `ice_gathering.SERVER_TIMEOUT` seconds.
        :raises InvalidStateError: the transport is closed.
        """
        self._check_open()
        agent = self._newest
        await agent.gather(self._servers)
        if complete:
            await agent.gathered()

    def take_role(self, *, controlling: bool) -> None:
        """Be of this role towards checks that come before `start()`: the remote side may have this
        one's parameters long before its own arrive, and a conflict of roles costs time."""
        self._newest.ice_controlling = controlling

    async def start(self, remote: RTCIceParameters, *, controlling: bool) -> None:
        """Connect to the remote side; returns when a pair of candidates is chosen.

        Gathers first, if that was not done. A second call for the same generation waits for the
        first.

        :raises ConnectionError: no pair works, or the transport or the generation was closed.
        :raises InvalidStateError: the transport is closed.
        """
        self._check_open()
        agent = self._newest
        if agent not in self._starting:
            self._starting[agent] = asyncio.create_task(self._start(agent, remote, controlling))
            # Also when nobody waits any more.
            self._starting[agent].add_done_callback(
                lambda task: task.cancelled() or task.exception()
            )
        await asyncio.shield(self._starting[agent])

    async def _start(self, agent: IceAgent, remote: RTCIceParameters, controlling: bool) -> None:
        await agent.gather(self._servers)
        await agent.start(remote, controlling=controlling)

    async def add_remote_candidate(self, candidate: RTCIceCandidate | None) -> None:
        """Add a remote candidate of the newest generation, or None after the last.

        Before `start()` too. What cannot be used is dropped: names other than `.local`, which
        is resolved meanwhile, TCP, ports that are none, and what `allow_remote` refuses.
        """
        if self._stopping is None:
            await self._newest.add(candidate)

    def restart(self) -> None:
        """Begin a new generation: `gather()` and `start()` again.

        :raises InvalidStateError: the transport is closed.
        """
        self._check_open()
        self.rollback_restart()
        self._next = IceAgent(self._owner)
        self._update()

    def rollback_restart(self) -> None:
        """Give up the new generation, if it has not taken over."""
        if self._next is not None:
            given_up, self._next = self._next, None
            self._retire(given_up, 0)
            self._update()

    async def stop(self) -> None:
        """Close everything. Any number of calls, at any time."""
        if self._stopping is None:
            self.rollback_restart()
            self._stopping = asyncio.create_task(self._stop())
            self._update()
            self.remove_all_listeners()
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        self._ending.set()
        await asyncio.gather(self._current.close(), *self._retiring)
        if self._starting:
            await asyncio.wait(self._starting.values())
        self._deliver(None)

    # Datagrams

    def send_now(self, data: bytes) -> None:
        """Send a datagram over the pair in use.

        :raises ConnectionError: there is none, or the remote side's consent has run out.
        """
        pair = self._current.selected
        if pair is None or self._stopping is not None or self._current.state not in _SENDING:
            raise ConnectionError("ICE is not connected")
        assert isinstance(pair.protocol, IceProtocol)
        pair.protocol.send(data, pair.remote_addr)

    def measure_round_trip(self, measured: Callable[[float], None]) -> None:
        """Have told how many seconds the remote side's answer takes, over the pair in use; nothing
        is told when none comes."""
        if self._current.selected is not None and self._stopping is None:
            self._current.measure_round_trip(measured)

    async def _send(self, data: bytes) -> None:
        """As aiortc's DTLS transport sends.

        :raises ConnectionError: the transport is closed. Without a usable pair a datagram is only
            lost: a restart may bring one, and aiortc's senders end for good when this fails.
        """
        if self._stopping is not None:
            raise ConnectionError("the ICE transport is closed")
        with contextlib.suppress(ConnectionError):
            self.send_now(data)

    async def _recv(self) -> bytes:
        """As aiortc's DTLS transport receives.

        :raises ConnectionError: the transport is closed.
        """
        if (data := await self._queue.get()) is None:
            self._deliver(None)  # for the next call
            raise ConnectionError("the ICE transport is closed")
        return data

    def _deliver(self, data: bytes | None) -> None:
        take = self.take_first
        if data is not None and take is not None and self._queue.empty() and take(data):
            return
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(data)

    # Generations

    @property
    def _newest(self) -> IceAgent:
        return self._next or self._current

    @property
    def _newest_started(self) -> IceAgent:
        return self._newest if self._newest in self._starting else self._current

    def _on_candidate(self, agent: GatheringConnection, candidate: RTCIceCandidate | None) -> None:
        if agent is self._newest and self._stopping is None:
            self.emit("candidate", candidate)

    def _on_changed(self, agent: GatheringConnection) -> None:
        if self._next is not None and agent is self._next and agent.selected is not None:
            old, self._current, self._next = self._current, self._next, None
            self._retire(old, RETIRE_SECONDS)
        self._update()

    def _retire(self, agent: IceAgent, seconds: float) -> None:
        async def close() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._ending.wait()
            await agent.close()
            self._starting.pop(agent, None)

        task = asyncio.create_task(close())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _update(self) -> None:
        """Take over what the generations say, and tell of what is new."""
        if self._selected is not self._current.selected and self._stopping is None:
            self._selected = self._current.selected
            self.emit("selectedcandidatepairchange")
        # While another generation is tried, the state does not say that this one has failed.
        usable = self._current.selected if self._current.state in _SENDING else None
        if self._usable is not usable:
            self._usable = usable
            self.emit("pathchange")
        begun = self._newest if self._newest.gathering_state != "new" else self._current
        if self._gathering_state != begun.gathering_state and self._stopping is None:
            self._gathering_state = begun.gathering_state
            self.emit("gatheringstatechange")
        state = self._state_of_generations()
        if self._state != state:
            logger.debug("ICE transport: %s -> %s", self._state, state)
            self._state = state
            self.emit("statechange")

    def _state_of_generations(self) -> str:
        if self._stopping is not None:
            return "closed"
        old = self._current.state
        if self._next is None or self._next.state == "new":
            return old
        # "An ICE restart causes [...] a transition to connected if begun in the completed state.
        # If begun in the transient disconnected state, it causes [...] checking" (webrtc-pc 5.6).
        if old in ("connected", "completed"):
            return "connected"
        if self._next.state == "failed" and old in _SENDING:
            return old
        return self._next.state

    def _check_open(self) -> None:
        if self._stopping is not None:
            raise InvalidStateError("the ICE transport is closed")
