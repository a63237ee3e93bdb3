"""The table of ends: what one side sees when the other one ends something.

What is seen is written as `first, second | third`: in this order, but those with a bar between them
come by different ways, and so in either order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Noted = tuple[str, float]
"""What was seen, and when, in seconds."""

BROWSERS = ("chromium", "firefox")

STOPPED = {"chromium": "video ended, video removetrack", "firefox": "video ended"}
GOODBYE = {
    "chromium": "audio ended | video ended, audio removetrack | video removetrack",
    "firefox": "audio ended | video ended",
}
NOTHING = ""

Seen = str | Mapping[str, str]
"""By browser, where they differ."""

PAGE_SEES: Mapping[str, Mapping[str, Seen]] = {
    "the device is unplugged": {"WebSocket": STOPPED, "WHEP": "black picture"},
    "`track.stop()`": {"WebSocket": STOPPED, "WHEP": "black picture"},
    "the permission is revoked": {"WebSocket": STOPPED, "WHEP": "black picture"},
    "the file has ended": {"WebSocket": STOPPED, "WHEP": "transport closed"},
    "`transceiver.stop()`": {"WebSocket": STOPPED, "WHEP": "no picture for a second"},
    "`removeTrack()`": {
        "WebSocket": "video mute, video removetrack",
        "WHEP": "no picture for a second",
    },
    "`pc.close()`": {"WebSocket": "transport closed", "WHEP": "transport closed"},
    "Ctrl-C": {
        "WebSocket": {
            name: f"{goodbye}, session ended (closed) | transport closed | socket closed (1001)"
            for name, goodbye in GOODBYE.items()
        },
        "WHEP": "transport closed",
    },
    "kill -9": {
        "WebSocket": "socket closed (1006), no picture for a second, connection disconnected",
        "WHEP": "no picture for a second, connection disconnected",
    },
    "kill -9, the server lives": {
        "WebSocket": "no picture for a second, connection disconnected | session ended (lost)",
        "WHEP": "no picture for a second, connection disconnected",
    },
}
"""What a page sees of what this side does."""

CLOSED = {
    "chromium": "connection closed, audio ended | video ended",
    "firefox": "audio mute | video mute, connection closed, audio ended | video ended",
}
GONE = "connection disconnected, connection failed"
LEFT = {
    name: "session ended (closed) | " + seen.replace(", ", " | ") for name, seen in CLOSED.items()
}

PYTHON_SEES: Mapping[str, Mapping[str, Seen]] = {
    "`track.stop()`": {"WebSocket": NOTHING, "WHIP": NOTHING},
    "`removeTrack()`": {"WebSocket": "video mute, video removetrack", "WHIP": NOTHING},
    "`transceiver.stop()`": {
        "WebSocket": {
            "chromium": "video ended, video removetrack",
            "firefox": "video mute, video ended, video removetrack",
        },
        "WHIP": {"chromium": NOTHING, "firefox": "video mute"},
    },
    "`pc.close()`": {"WebSocket": CLOSED, "WHIP": CLOSED},
    "the page is left": {"WebSocket": LEFT, "WHIP": CLOSED},
    "the tab is closed": {
        "WebSocket": {
            "chromium": f"session ended (closed), {GONE}",
            "firefox": LEFT["firefox"],
        },
        "WHIP": {"chromium": GONE, "firefox": CLOSED["firefox"]},
    },
    "the browser is killed": {
        "WebSocket": "connection disconnected, session ended (lost) | connection failed",
        "WHIP": GONE,
    },
}
"""What this side sees of what a page does that sends."""


@dataclass(frozen=True)
class Cell:
    """One place of the table."""

    seen_by: str
    """`page` or `python`."""
    action: str
    via: str
    browser: str

    @property
    def steps(self) -> list[list[str]]:
        """What is to be seen: one after the other, but those of a step in either order."""
        table = PAGE_SEES if self.seen_by == "page" else PYTHON_SEES
        seen = table[self.action][self.via]
        if not isinstance(seen, str):
            seen = seen[self.browser]
        return [step.split(" | ") for step in seen.split(", ")] if seen else []

    @property
    def expected(self) -> list[str]:
        """What is to be seen, in the order of the table."""
        return [what for step in self.steps for what in step]

    def in_order(self, noted: Sequence[Noted]) -> list[Noted]:
        """What was noted, with the events of each step in the order of the table."""
        rest, ordered = list(noted), []
        came = {what for what, _ in noted}
        for step in self.steps:
            order = {what: number for number, what in enumerate(step) if what in came}
            here, rest = rest[: len(order)], rest[len(order) :]
            ordered += sorted(here, key=lambda one: order.get(one[0], len(step)))
        return ordered + rest


def cells(seen_by: str) -> Iterator[Cell]:
    """Every place of one of the two tables, row by row."""
    for action, vias in (PAGE_SEES if seen_by == "page" else PYTHON_SEES).items():
        for via in vias:
            for browser in BROWSERS:
                yield Cell(seen_by, action, via, browser)
