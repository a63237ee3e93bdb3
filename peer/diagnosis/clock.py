"""The clocks: how fine the one that stamps frames is, and whether the wall clock can be right."""

import ctypes
import struct
import sys
import time

from .finding import Finding

_TIMEX_SIZE = 512
"""Bytes for `struct timex`, which has 208 on 64-bit systems: the kernel fills in its own size."""

_MAXIMAL_ERROR = "@Illl"
"""The beginning of `struct timex`: modes, offset, frequency, and the maximal error in µs."""

_TIME_ERROR = 5
"""What adjtimex() returns while the clock is not synchronised."""

COARSE = 0.001
"""Seconds; frames are 16 to 33 ms apart, and a coarser clock would show in their spacing."""


async def examine() -> list[Finding]:
    """Ask the system; nothing is changed."""
    return judge(time.get_clock_info("monotonic").resolution, system_clock())


def system_clock() -> tuple[bool, float] | None:
    """Whether the system clock is synchronised, and its maximal error in seconds; None where that
    can't be asked."""
    if not sys.platform.startswith("linux"):
        return None
    timex = ctypes.create_string_buffer(_TIMEX_SIZE)  # modes 0: only read
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    if state < 0:
        return None
    microseconds = struct.unpack_from(_MAXIMAL_ERROR, timex)[3]
    return state != _TIME_ERROR, microseconds / 1e6


def judge(resolution: float, clock: tuple[bool, float] | None) -> list[Finding]:
    """What the clocks mean.

    :param resolution: of the monotonic clock, in seconds.
    :param clock: as `system_clock()`.
    """
    fine = f"The monotonic clock has a resolution of {resolution * 1e9:g} ns"
    if resolution <= COARSE:
        findings = [Finding("clock", "ok", fine)]
    else:
        remedy = "Choose a better clock source in /sys/devices/system/clocksource"
        findings = [Finding("clock", "warning", f"{fine}: frames will be unevenly spaced", remedy)]
    if clock is None:
        findings.append(Finding("clock", "ok", "Whether the system clock is right can't be asked"))
    elif clock[0]:
        text = f"The system clock is synchronised, to within {clock[1] * 1000:.0f} ms"
        findings.append(Finding("clock", "ok", text))
    else:
        now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        findings.append(
            Finding(
                "clock",
                "warning",
                f"The system clock ({now} UTC) is not known to be synchronised: if it is wrong, "
                "TLS certificates seem not yet valid or expired",
                "Compare it with a watch; `sudo timedatectl set-ntp true` sets it and keeps it "
                "right (a container has the clock of its host)",
            )
        )
    return findings
