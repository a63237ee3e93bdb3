"""How much of anything one client, and all of them together, may ask for (pure)."""

import collections
import ipaddress
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a signalling server. Each is far above honest use, and far below harm."""

    body: int = 64 * 1024
    """Bytes of an offer, or of a message; a browser's offer has 3 to 10 KiB."""
    sdp_lines: int = 1000
    candidates: int = 32
    """Candidates of one description: five thousand stall the parser for three seconds."""
    media_sections: int = 8
    meta: int = 8 * 1024
    """Bytes of what a peer tells all others of itself."""

    peers: int = 1000
    producers: int = 100
    """Peers that are producers or consumers: those that lists have."""
    sessions: int = 500
    """Sessions of one server."""
    sessions_per_address: int = 100
    """Sessions begun by peers of one address."""
    starts_per_address: int = 20
    """Session starts of one address within `starts_interval`: an office behind one address, or a
    page that somebody keeps reloading, stays below it."""
    starts_interval: float = 10.0
    """Seconds."""

    connections: int = 1000
    """Open TCP connections of one server."""
    connections_per_address: int = 100
    header_timeout: float = 10.0
    """Seconds until the first request's headers must have come, and that an idle connection is
    kept."""
    body_timeout: float = 5.0
    """Seconds until a request's body must have come."""

    hello_timeout: float = 10.0
    """Seconds until the first message on a WebSocket must have come."""
    heartbeat: float = 10.0
    """Seconds between pings on a WebSocket; it is cut when half of them pass without a pong."""
    messages: int = 100
    """Messages that one WebSocket, or one WHIP or WHEP session, may send within
    `messages_interval`."""
    messages_per_session: int = 20
    """Messages beside these for each session that it has: a description, and candidates."""
    messages_interval: float = 1.0
    """Seconds."""
    send_queue: int = 256
    """Messages that wait for a slow reader, or that are kept for one who connects again."""
    send_bytes: int = 1024 * 1024
    """Characters of all these messages; the longest list of producers is shorter."""
    resume_grace: float = 10.0
    """Seconds in which a client whose socket broke gets its peer id and sessions back: Wi-Fi that
    roams, and a phone that changes networks, are back in less."""

    answer_timeout: float = 10.0
    """Seconds that a WHIP or WHEP request waits for the other peer's answer."""
    gathering_wait: float = 0.2
    """Seconds after an answer in which its further candidates are waited for."""
    retry_after: int = 5
    """Seconds that a client is told to wait when there is no place, or no live stream."""


def party(address: str | None) -> str:
    """What an address is counted as: an IPv6 host has all of a /64 (RFC 6177)."""
    try:
        number = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(number, ipaddress.IPv4Address):
        return str(number)
    return str(number.ipv4_mapped or ipaddress.IPv6Network((number, 64), strict=False))


class Pace:
    """Counts what each of some parties does, and says when one does it too often.

    :param count: how often within an interval is allowed.
    :param interval: seconds.
    """

    def __init__(self, count: int, interval: float) -> None:
        self._count = count
        self._interval = interval
        self._times: dict[Hashable, collections.deque[float]] = {}

    def allows(self, party: Hashable, now: float, more: int = 0) -> bool:
        """Whether the party may do it once more; counts it if so.

        :param now: seconds of any clock that does not go back.
        :param more: how often beside `count`.
        """
        if party not in self._times:
            self._forget(now)
        times = self._times.setdefault(party, collections.deque())
        while times and times[0] <= now - self._interval:
            times.popleft()
        if len(times) >= self._count + more:
            return False
        times.append(now)
        return True

    def _forget(self, now: float) -> None:
        """Drop the parties that have been quiet: as many are kept as come in an interval."""
        for party, times in list(self._times.items()):
            if not times or times[-1] <= now - self._interval:
                del self._times[party]
