"""The clock of what is sent: capture times as RTP and NTP have them."""

import time

from ..capture.clock import sample_time

_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
_JUMP = 1.0
"""Seconds by which a foreign track's time stamps must be off before they are thought to have begun
anew: more than its frames are ever late."""

# Fixed once: a wall clock that is set meanwhile would tear sound and pictures apart.
_WALL_CLOCK = time.time() - time.monotonic()


def ntp_time(at: float) -> int:
    """A `time.monotonic()` as a 64-bit NTP time stamp (RFC 3550 4)."""
    return round((at + _WALL_CLOCK + _NTP_EPOCH) * (1 << 32))


def own_capture_time(pts: int, clock_rate: int) -> float:
    """When a frame of one of this process's own tracks was captured, as `time.monotonic()`."""
    return sample_time(pts, clock_rate)


class ForeignClock:
    """When the frames of a track were captured whose time stamps begin anywhere.

    They are taken to be captured as their time stamps have it, from when the least delayed of them
    arrived.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    def capture_time(self, pts_time: float | None, now: float) -> float:
        """As `time.monotonic()`.

        :param pts_time: the frame's time stamp in seconds, if it has one.
        :param now: when it arrived.
        """
        if pts_time is None:
            return now
        if self._offset is None or abs(now - pts_time - self._offset) > _JUMP:
            self._offset = now - pts_time
        self._offset = min(self._offset, now - pts_time)
        return pts_time + self._offset
