"""One local candidate's way to the network: what comes from whom, and how much."""

import logging
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from aioice import stun
from aioice.ice import Connection, StunProtocol

from .ice_socket import Address, IceSocket

logger = logging.getLogger(__name__)

# More remote addresses than this have no use (RFC 8445 section 6.1.2.5 limits pairs likewise).
MAX_TRUSTED = 100


@dataclass(slots=True)
class PairStatistics:
    """What has passed between a local and a remote candidate (RTCIceCandidatePairStats).

    Who sends past `IceTransport`, through the socket of `selected_path()`, adds to `bytes_sent`
    and `packets_sent` what it has sent, now and then. Checks are not counted as packets.
    """

    bytes_sent: int = 0
    packets_sent: int = 0
    bytes_received: int = 0
    packets_received: int = 0
    requests_sent: int = 0
    "Connectivity and consent checks, without retransmissions."
    requests_received: int = 0
    responses_sent: int = 0
    responses_received: int = 0
    consent_requests_sent: int = 0
    current_round_trip_time: float | None = None
    "Seconds, of the last check that was answered."
    total_round_trip_time: float = 0.0
    "Seconds, over `responses_received`."
    heard_at: float | None = None
    "When anything came from there last, by `time.monotonic()`."


class IceProtocol(StunProtocol):
    """A socket or a relay of an ICE agent; `local_candidate` is set by whoever opens it.

    A datagram that is not STUN is passed on only if its sender has shown that it knows a password
    of this session, by an answer to a check of ours or by a check of its own: any stranger could
    otherwise end the DTLS handshake before it began.

    :param socket: None for a relay.
    :param deliver: takes the datagrams that are not STUN.
    :param unreachable: is told when the network says that nothing reaches an address.
    """

    def __init__(
        self,
        agent: Connection,
        socket: IceSocket | None,
        deliver: Callable[[bytes], None],
        unreachable: Callable[["IceProtocol", Address], None],
    ) -> None:
        super().__init__(agent)
        self.socket = socket
        self._deliver = deliver
        self._tell_unreachable = unreachable
        self._outstanding: dict[Address, stun.Message] = {}
        self._sent_at: dict[bytes, float] = {}
        self._statistics: dict[Address, PairStatistics] = {}
        self._trusted: dict[Address, PairStatistics] = {}

    def statistics(self, address: Address) -> PairStatistics:
        """What has passed to and from a remote address: the living figures."""
        return self._statistics.setdefault(address, PairStatistics())

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram; what the network cannot take now is lost, as anywhere on the way."""
        statistics = self.statistics(address)
        statistics.bytes_sent += len(data)
        statistics.packets_sent += 1
        if self.socket is None:
            self.transport.sendto(data, address)
            return
        try:
            self.socket.sendto(data, address)
        except BlockingIOError:
            logger.debug("%r: the socket's buffer is full", self)
        except OSError as error:
            logger.debug("%r: %s", self, error)
            self._tell_unreachable(self, address)

    def send_again(self, address: Address) -> None:
        """Repeat the check of an address that is under way, if there is one."""
        if (request := self._outstanding.get(address)) is not None:
            self.send_stun(request, address)

    # What StunProtocol does, and more.

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        datagram = cast(bytes, data)
        if not datagram:
            return
        if datagram[0] < 4:  # STUN (RFC 7983 section 7)
            try:
                super().datagram_received(datagram, addr)
            except struct.error as error:
                logger.debug("%r: a malformed STUN message: %s", self, error)
            return
        if (statistics := self._trusted.get((addr[0], addr[1]))) is None:
            return
        statistics.bytes_received += len(datagram)
        statistics.packets_received += 1
        statistics.heard_at = time.monotonic()
        self._deliver(datagram)

    def error_received(self, exc: Exception) -> None:
        super().error_received(exc)
        if self.socket is not None:
            for address in self.socket.take_unreachable():
                self._tell_unreachable(self, address)

    async def request(
        self,
        request: stun.Message,
        addr: Address,
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> tuple[stun.Message, Address]:
        if integrity_key is None:  # a STUN server, who proves nothing by its answer
            return await super().request(request, addr, None, retransmissions)
        statistics = self.statistics(addr)
        statistics.requests_sent += 1
        self._outstanding[addr] = request
        self._sent_at[request.transaction_id] = time.monotonic()
        try:
            response, source = await super().request(request, addr, integrity_key, retransmissions)
            # Of the last time that it was sent: one that came too early was answered later.
            elapsed = time.monotonic() - self._sent_at[request.transaction_id]
        finally:
            del self._sent_at[request.transaction_id]
            if self._outstanding.get(addr) is request:
                del self._outstanding[addr]
        if source == addr:
            self._trust(addr)
            statistics.responses_received += 1
            statistics.current_round_trip_time = elapsed
            statistics.total_round_trip_time += elapsed
        return response, source

    def send_stun(self, message: stun.Message, addr: Address) -> None:
        if message.transaction_id in self._sent_at:
            self._sent_at[message.transaction_id] = time.monotonic()
        elif message.message_class == stun.Class.RESPONSE:  # to an authenticated check
            self._trust(addr)
            statistics = self.statistics(addr)
            statistics.requests_received += 1
            statistics.responses_sent += 1
        super().send_stun(message, addr)

    def _trust(self, address: Address) -> None:
        statistics = self.statistics(address)
        statistics.heard_at = time.monotonic()
        if len(self._trusted) < MAX_TRUSTED:
            self._trusted[address] = statistics
