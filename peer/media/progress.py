"""How far a stream of bursts has come: numbers, time stamps, counts (pure)."""

from dataclasses import dataclass

from .encoded_frame import Burst, EncodedFrame
from .history import History
from .rtp_packet import PacketBatch

_RATE_SMOOTHING = 0.1
_MASK_32 = 0xFFFFFFFF


@dataclass(slots=True)
class Counts:
    """What was sent, without what was sent again."""

    packets: int = 0
    octets: int = 0
    """Of payloads."""
    header_octets: int = 0
    frames: int = 0
    """Those that were begun."""
    keyframes: int = 0
    """Those of them that decoders can begin with."""
    whole_frames: int = 0
    """Those that were sent to the end."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.packets + other.packets,
            self.octets + other.octets,
            self.header_octets + other.header_octets,
            self.frames + other.frames,
            self.keyframes + other.keyframes,
            self.whole_frames + other.whole_frames,
        )

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(
            self.packets - other.packets,
            self.octets - other.octets,
            self.header_octets - other.header_octets,
            self.frames - other.frames,
            self.keyframes - other.keyframes,
            self.whole_frames - other.whole_frames,
        )


class Progress:
    """Of one viewer's stream, or of many that go in step: they differ by offsets alone.

    :param number: of the first packet; numbers go on for ever.
    :param shift: what is added to the frames' time stamps.
    """

    __slots__ = (
        "frame",
        "frame_at",
        "frame_interval",
        "history",
        "keyframe_at",
        "number",
        "sent",
        "shift",
        "timestamp",
    )

    def __init__(self, number: int = 0, shift: int = 0) -> None:
        self.number = number
        """Of the next packet."""
        self.shift = shift
        self.timestamp: int | None = None
        """Of the last frame, as it was sent: 32 bits."""
        self.frame: EncodedFrame | None = None
        """The one that was begun last."""
        self.frame_at = 0.0
        """When that was (`time.monotonic()`)."""
        self.frame_interval = 0.0
        """Seconds, smoothed."""
        self.keyframe_at = 0.0
        """When the last key frame was begun (`time.monotonic()`)."""
        self.sent = Counts()
        self.history = History()

    def is_at(self, frame: EncodedFrame) -> bool:
        """Whether the last frame was this one, under the time stamp that is to be expected."""
        return self.frame is frame and self.timestamp == (frame.timestamp + self.shift) & _MASK_32

    def begin(self, frame: EncodedFrame, now: float) -> None:
        """Go on to a frame."""
        timestamp = (frame.timestamp + self.shift) & _MASK_32
        if self.timestamp is not None:
            if not 0 < (timestamp - self.timestamp) & _MASK_32 < 1 << 31:
                # Another encoder's key frame shows what the last picture of the one before did.
                timestamp = (self.timestamp + 1) & _MASK_32
            elapsed = now - self.frame_at
            before = self.frame_interval or elapsed
            self.frame_interval = before + (elapsed - before) * _RATE_SMOOTHING
        self.timestamp, self.frame_at, self.frame = timestamp, now, frame
        self.sent.frames += 1
        if frame.keyframe:
            self.sent.keyframes += 1
            self.keyframe_at = now
            if frame.is_picture:
                self.history = History()  # what came before is not needed any more

    def pass_by(self, burst: Burst) -> None:
        """Go on behind a burst, whether it could be sent or not: it may be asked for."""
        assert self.timestamp is not None
        self.history.add(self.number, self.timestamp, burst)
        self.number += len(burst.payloads)

    def count(self, batch: PacketBatch, *, whole: bool) -> None:
        """Count what was sent of a frame.

        :param whole: whether it ends with that.
        """
        sent = self.sent
        sent.packets += batch.count
        sent.octets += batch.payload_octets
        sent.header_octets += batch.header_octets
        sent.whole_frames += whole

    def go_on_from(self, other: "Progress", number_offset: int, timestamp_offset: int) -> None:
        """Be where another is, by its numbers and time stamps with something added to them; counts
        and history stay as they are."""
        assert other.timestamp is not None
        self.number = other.number + number_offset
        self.timestamp = (other.timestamp + timestamp_offset) & _MASK_32
        self.frame, self.frame_at = other.frame, other.frame_at
        self.frame_interval = other.frame_interval
        self.keyframe_at = max(self.keyframe_at, other.keyframe_at)
