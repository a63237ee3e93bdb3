"""Who takes part in the fan-out benchmark: how each is run, and with how many viewers."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


def on_core(number: int) -> tuple[str, ...]:
    """The beginning of a command that is to run on one core, where there are several."""
    return ("taskset", "-c", str(number)) if (os.cpu_count() or 1) > 1 else ()


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module of this package."""
    return (sys.executable, "-m", f"{__package__}.{name}", *arguments)


@dataclass(frozen=True)
class Contender:
    """A publisher, in a process of its own that speaks as fanout_publisher.py does."""

    name: str
    encodes: str
    """How often its process encodes."""
    viewers: tuple[int, ...]
    """How many it is measured with, one first; those after one that it can't hold are left out."""
    command: tuple[str, ...]


CONTENDERS = {
    "this": Contender("this", "once", (1, 64, 150, 300, 500), module("fanout_publisher", "this")),
    "packets": Contender(
        "aiortc, packets of one encoder", "once", (1, 32), module("fanout_publisher", "packets")
    ),
    "relay": Contender(
        "aiortc, MediaRelay", "for each", (1, 2), module("fanout_publisher", "relay")
    ),
    "wrtc": Contender("wrtc (libwebrtc)", "for each", (1, 2), module("fanout_publisher", "wrtc")),
    "webrtcbin": Contender(
        "GStreamer, webrtcbin by a tee",
        "once",
        (1, 32),
        # Debian's own Python has GStreamer's bindings.
        ("/usr/bin/python3", str(HERE / "fanout_webrtcbin.py")),
    ),
    "node-datachannel": Contender(
        "node-datachannel, fed RTP",
        "never",
        (1, 64),
        (
            "node", str(HERE / "fanout_node_datachannel.mjs"),
            *on_core(1), *module("fanout_encoder"),
        ),
    ),
}  # fmt: skip
