"""Writes docs/ends.md from runs of the tests of ends: `python -m tests.e2e.ends_page [RUNS]`."""

import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from .ends import BROWSERS, Cell, cells

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "ends.md"

HEAD = """# The table of ends

What one side sees when the other one ends something: the events in their order, and the
milliseconds after which each was seen. Written by `scripts/ends` from a run of
`tests/e2e/test_ends.py`, which asserts the events and their order; another test fails when this
page has others. Where events come by different ways (sound and picture, media and signalling),
their order is left open. What takes seconds is waited for side by side, all else measured alone.

| what is written | what it is |
|---|---|
| video …, audio … | an event of the `MediaStreamTrack`, or of its `MediaStream` |
| connection … | `connectionState` |
| transport closed | `state` of the DTLS transport: the other side has closed |
| session ended (…) | `endSession` with this reason |
| socket closed (…) | the WebSocket of the signalling is closed with this code |
| black picture | no event: the video element shows black |
| no picture for a second | no event: `getStats()` counts no more video packets |
"""

PAGE = """## This side ends something, and a page watches

The page watches a camera and a microphone (the file has a picture only), as a viewer over the
WebSocket and as a WHEP player. A WHEP session can't be renegotiated: a camera that has ended is
black there, and a session whose last track has ended is over. The first four rows and the last
three are a `Publisher`'s; the others are of a program that uses `RTCPeerConnection` itself.

Of a process that was killed a browser's connection tells after five to ten seconds; a page that
counts packets knows after one, and the socket of a server that dies with it at once. "The server
lives": the signalling server is another process, which keeps the place of a peer that may come back
for ten seconds.
"""

PYTHON = """## A page ends something, and this side receives

The page sends its camera and microphone, over the WebSocket or by WHIP, to an `RTCPeerConnection`
of this side. `track.stop()` is seen by nobody, as specified. Firefox says BYE when it stops a
transceiver or leaves, which mutes a track. Chromium leaves a page in order, but not a tab that is
closed: this side then misses it as it misses a browser that is killed, within two seconds.
"""

_TIME = re.compile(r" \d+ ms")
_MEASURED = re.compile(r"^Measured.*\n\n", re.MULTILINE)

Measured = Mapping[Cell, list[int]]
"""Milliseconds of each event."""


class Collected:
    """A pytest plugin: what the tests saw, the slowest of all runs."""

    def __init__(self) -> None:
        self.slowest: dict[Cell, list[int]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" or not report.passed:
            return
        for name, value in report.user_properties:
            if name == "end":
                self._take(value)

    def _take(self, value: Any) -> None:
        fields, seen = value
        cell, times = Cell(*fields), [milliseconds for _, milliseconds in seen]
        former = self.slowest.get(cell, times)
        self.slowest[cell] = [max(pair) for pair in zip(former, times, strict=True)]


def page(measured: Measured, runs: int = 0) -> str:
    """The page, with the times that there are."""
    lines = [HEAD]
    if runs:
        which = "in one run" if runs == 1 else f"the slowest of {runs} runs"
        lines += [f"Measured on one machine, {which}.", ""]
    for seen_by, text in (("page", PAGE), ("python", PYTHON)):
        rows: dict[str, list[Cell]] = defaultdict(list)
        for cell in cells(seen_by):
            rows[cell.action].append(cell)
        vias = list(dict.fromkeys(cell.via for cell in cells(seen_by)))
        names = [f"{via}, {browser.capitalize()}" for via in vias for browser in BROWSERS]
        lines += [text, f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for action, row in rows.items():
            told = " | ".join(_described(cell, measured.get(cell)) for cell in row)
            lines.append(f"| {action} | {told} |")
        lines.append("")
    return "\n".join(lines)


def _described(cell: Cell, times: list[int] | None) -> str:
    if not cell.expected:
        return "nothing"
    if times is None:
        return "<br>".join(cell.expected)
    return "<br>".join(f"{what} {time} ms" for what, time in zip(cell.expected, times, strict=True))


def without_times(text: str) -> str:
    """What of a page the tests assert."""
    return _MEASURED.sub("", _TIME.sub("", text))


def main(arguments: list[str]) -> int:
    """Run the tests so many times, and write the page."""
    runs = int(arguments[0]) if arguments else 1
    collected = Collected()
    tests = str(Path(__file__).with_name("test_ends.py"))
    for _ in range(runs):
        status = pytest.main(["--quiet", tests, "-k", "not up_to_date"], plugins=[collected])
        if status != pytest.ExitCode.OK:
            return int(status)
    TARGET.write_text(page(collected.slowest, runs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
