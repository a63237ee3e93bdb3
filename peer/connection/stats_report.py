"""RTCStatsReport: what getStats() gives (WebRTC 8.3)."""

import hashlib
import secrets
import time
from typing import Any

_SALT = secrets.token_bytes(16)


class RTCStats(dict[str, Any]):
    """One object of a report: `stats["packetsSent"]`, or, as aiortc has it, `stats.packetsSent`.

    `timestamp` is in milliseconds since 1970; other values are as the specification has them.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{self.get('type')} has no {name}") from None


class RTCStatsReport(dict[str, RTCStats]):
    """Objects by id."""

    def of_type(self, type: str) -> list[RTCStats]:
        """The objects of this type."""
        return [stats for stats in self.values() if stats["type"] == type]

    def add(self, type: str, id: str, **values: Any) -> str:
        """Add an object, without the values that are None; returns its id."""
        known = {name: value for name, value in values.items() if value is not None}
        self[id] = RTCStats(id=id, type=type, timestamp=time.time() * 1000, **known)
        return id


def stats_id(*parts: object) -> str:
    """An id that stays with what it names, and that nobody guesses."""
    named = "\0".join(str(part) for part in parts).encode()
    return hashlib.blake2b(named, key=_SALT, digest_size=9).hexdigest()
