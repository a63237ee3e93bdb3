"""A frame that is encoded and cut into payloads, ready for any number of viewers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False, slots=True)
class EncodedFrame:
    """One picture, or 20 ms of sound."""

    data: bytes
    """As the encoder made it."""
    payloads: list[bytes]
    """Of its RTP packets."""
    timestamp: int
    """On the codec's clock; a stream adds an offset of its own."""
    at: float
    """`time.monotonic()` at capture."""
    is_picture: bool
    keyframe: bool = True
    """Whether a decoder can begin with it; that is always so for sound."""
    size: tuple[int, int] = (0, 0)
    """Width and height of a picture, if they are known."""
    audio_level: int | None = None
    """Of sound, if it is known: how far it is below the loudest possible, in dB (RFC 6464)."""
    tells_capture_time: bool = False
    """Whether its packets carry the time of capture."""
    resumes: bool = False
    """Whether it is sound after a pause."""

    def bursts(self, size: int) -> Iterator["Burst"]:
        """Its packets, so many each time."""
        for first in range(0, len(self.payloads), size):
            yield Burst(self, first, self.payloads[first : first + size])


@dataclass(eq=False, slots=True)
class Burst:
    """Packets of one frame that are sent in one go."""

    frame: EncodedFrame
    first: int
    """Which of the frame's packets is the first."""
    payloads: list[bytes]
    sent_at: float = 0.0
    """`time.monotonic()`, the same for all viewers."""
    batches: dict[Any, Any] = field(default_factory=dict)
    """Packets by their form, made once for all viewers whose packets have the same."""
    last: bool = field(init=False)
    """Whether the frame ends with it."""

    def __post_init__(self) -> None:
        self.last = self.first + len(self.payloads) == len(self.frame.payloads)

    def once_more(self, index: int, prefix: bytes = b"") -> "Burst":
        """One of its packets alone, with something before its payload."""
        payload = prefix + self.payloads[index]
        return Burst(self.frame, self.first + index, [payload], self.sent_at)
