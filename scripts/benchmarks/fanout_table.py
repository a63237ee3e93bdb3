"""The table of the fan-out benchmark, made from what was measured: pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .fanout_media import HEIGHT, RATE, WIDTH

HELD = RATE - 0.5
"""Pictures a second from which on a viewer has them all, but for those at the edges."""
HEAD = f"""\
{WIDTH}x{HEIGHT} at {RATE}, VP8 and Opus. Encodes: how often the publisher's process does.
Core: what that process takes of its core; theirs: what its viewers, all in one process, take of
another (near 1, it is they who can't keep up). Worst: pictures a second of the viewer who got
fewest, marked ! where that is fewer than were sent. Lost: packets. Age: ms from capture to a
picture's last packet in the viewer's socket, median, where packets tell. Per added viewer: ms of
CPU a second, us a packet, kB of memory. Joining: ms of CPU for each, what others are sent meanwhile
included. Floor: ms of CPU a second for each viewer of a loop that does nothing but protect() and
sendto(), one by one, as many packets, as large, to the same sockets, right after.
"""
COLUMNS = ("viewers", "core", "theirs", "worst", "lost", "kbit/s", "age", "ms/s", "us/pkt", "kB",
           "joining", "floor")  # fmt: skip
NAME, ENCODES, CELL = 31, 9, 8


@dataclass(frozen=True)
class Row:
    """One contender with so many viewers."""

    viewers: int
    core: float
    """Seconds of CPU a second that the publisher took."""
    theirs: float
    """And those of its viewers."""
    worst: float
    """Pictures a second of the viewer who got fewest."""
    lost: int
    packets: float
    """To all viewers, a second."""
    kbps: float
    """To one of them, of pictures."""
    age: float | None
    """Seconds."""
    memory: float
    """Bytes."""
    joining: float
    """Seconds of CPU for each viewer."""
    protection: str
    """The SRTP profile."""
    floor: float
    """Seconds of CPU a second for each viewer; not a number where it was not measured."""

    @property
    def held(self) -> bool:
        """Whether each viewer had its pictures."""
        return self.worst >= HELD


@dataclass(frozen=True)
class Result:
    """What is known of one contender."""

    name: str
    encodes: str
    rows: Sequence[Row] = ()
    failed: str = ""
    """Why there are no more rows."""
    missing: str = ""
    """Why there are none: it is not installed."""


def table(results: Sequence[Result]) -> str:
    """All of it: what the columns mean, the rows, and what can't be in them."""
    head = "".join(f"{name:>{CELL}}" for name in COLUMNS)
    lines = [HEAD, f"{'':<{NAME}}{'encodes':<{ENCODES}}{head}"]
    notes = []
    protections: dict[str, list[str]] = {}
    for result in results:
        for row in result.rows:
            cells = "".join(f"{cell:>{CELL}}" for cell in _cells(row, result.rows[0]))
            lines.append(f"{result.name:<{NAME}}{result.encodes:<{ENCODES}}{cells}".rstrip())
        if result.rows:
            protections.setdefault(result.rows[0].protection, []).append(result.name)
        if result.failed:
            notes.append(f"{result.name} failed: {result.failed}")
        if result.missing:
            notes.append(
                f"{result.name} is not in the table, since it can't run here: {result.missing}"
            )
    lines += ["", *_protected(protections), *notes]
    return "\n".join(lines)


def _cells(row: Row, first: Row) -> list[str]:
    cells = [
        f"{row.viewers}", f"{row.core:.2f}", f"{row.theirs:.2f}",
        f"{'' if row.held else '!'}{row.worst:.1f}", f"{row.lost}", f"{row.kbps:.0f}",
        "-" if row.age is None else f"{row.age * 1000:.1f}",
    ]  # fmt: skip
    if row is first:
        return cells
    more = row.viewers - first.viewers
    spent = row.core - first.core
    packet = spent / (row.packets - first.packets) if row.packets > first.packets else math.nan
    return [
        *cells, f"{spent / more * 1000:.2f}", f"{packet * 1e6:.2f}",
        f"{(row.memory - first.memory) / more / 1000:.0f}", f"{row.joining * 1000:.1f}",
        f"{row.floor * 1000:.2f}",
    ]  # fmt: skip


def _protected(protections: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{profile}: {'; '.join(names)}." for profile, names in protections.items()]
