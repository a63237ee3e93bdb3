"""How much of anything one client, and all of them together, may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a signalling server. Each is far above honest use, and far below harm."""

    body: int = 64 * 1024
    """Bytes of an offer; a browser's has 3 to 10 KiB."""
    sdp_lines: int = 1000
    candidates: int = 32
    """Candidates of one offer: five thousand stall the parser for three seconds."""
    media_sections: int = 8
    sessions: int = 500
    """Viewers of one server."""
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
    retry_after: int = 5
    """Seconds that a client is told to wait when there is no place, or no live stream."""
