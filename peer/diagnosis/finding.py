"""One thing that the doctor found, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]
"""A problem prevents publishing, or something that was asked for; a warning does not."""


@dataclass(frozen=True)
class Finding:
    """One fact about this computer.

    :raises ValueError: for a finding that is not ok and has no remedy, or the other way round.
    """

    subject: str
    """What it is about, in a word or two: `camera`, `network`, `ICE server`."""
    level: Level
    text: str
    """One sentence, with the measured figures. It may quote a device or a server."""
    remedy: str = ""
    """One sentence that says what to do; empty when nothing is to be done."""

    def __post_init__(self) -> None:
        if (self.level == "ok") is bool(self.remedy):
            raise ValueError(f"a finding has a remedy if it is not ok, and only then: {self}")
