"""RTCRtpTransceiver: a sender and a receiver that share an m-section (WebRTC 5.4)."""

from collections.abc import Awaitable, Callable, Sequence

from aiortc import RTCRtpCodecCapability

from ..errors import InvalidModificationError, InvalidStateError
from .codecs import capabilities, key
from .rtc_rtp_receiver import RTCRtpReceiver
from .rtc_rtp_sender import Negotiator, RTCRtpSender
from .sdp import DIRECTIONS, Direction


class RTCRtpTransceiver:
    """What is sent and what is received on one m-section."""

    def __init__(
        self,
        sender: RTCRtpSender,
        receiver: RTCRtpReceiver,
        direction: Direction,
        negotiator: Negotiator,
        stop: "Callable[[RTCRtpTransceiver], Awaitable[None]]",
    ) -> None:
        self._sender, self._receiver = sender, receiver
        self._direction = direction
        self._negotiator, self._stop = negotiator, stop
        self._associated_mid: str | None = None
        """The mid of the m-section, if it has one."""
        self._current_direction: Direction | None = None
        self._fired_direction: Direction | None = None
        """What the application knows of the other side's direction (WebRTC 5.4)."""
        self._preferred_codecs: list[RTCRtpCodecCapability] = []
        self._by_add_track = False
        """Whether `addTrack()` made or took it: only such a one is matched with an offer's
        section (RFC 8829 5.10)."""
        self._stopped_for_good = False

    @property
    def kind(self) -> str:
        """audio or video."""
        return self._sender._kind

    @property
    def mid(self) -> str | None:
        """The id of the m-section; None before it is negotiated, and after it is stopped."""
        return self._associated_mid

    @property
    def sender(self) -> RTCRtpSender:
        """What sends."""
        return self._sender

    @property
    def receiver(self) -> RTCRtpReceiver:
        """What receives."""
        return self._receiver

    @property
    def _stopping(self) -> bool:
        """Whether `stop()` was called, on either side."""
        return self._sender._stopping

    @property
    def stopped(self) -> bool:
        """As `stopping`, under the name that aiortc has."""
        return self._stopping

    @property
    def direction(self) -> str:
        """What this side wants: sendrecv, sendonly, recvonly, inactive; or stopped."""
        return "stopped" if self._stopping else self._direction

    @direction.setter
    def direction(self, direction: Direction) -> None:
        """:raises InvalidStateError, TypeError: it is stopped; there is no such direction."""
        if direction not in DIRECTIONS:
            raise TypeError(f"a direction is one of {', '.join(DIRECTIONS)}, not {direction!r}")
        if self._stopping:
            raise InvalidStateError("the transceiver is stopped")
        if direction != self._direction:
            self._direction = direction
            self._negotiator._changed()

    @property
    def _wanted(self) -> Direction:
        """What this side wants of a transceiver that is not stopped."""
        return self._direction

    @_wanted.setter
    def _wanted(self, direction: Direction) -> None:
        self._direction = direction

    @property
    def currentDirection(self) -> str | None:
        """What was negotiated; None before, and stopped after the end."""
        return "stopped" if self._stopped_for_good else self._current_direction

    def stop(self) -> Awaitable[None]:
        """End it on both sides: nothing is sent or received any more, the receiver's track ends,
        and the other side's when that is negotiated (WebRTC 5.4, stop).

        It need not be awaited; who does knows that the threads are gone.

        :raises InvalidStateError: the connection is closed.
        """
        if self._negotiator._closed:
            raise InvalidStateError("the connection is closed")
        return self._stop(self)

    def setCodecPreferences(self, codecs: Sequence[RTCRtpCodecCapability]) -> None:
        """Prefer these codecs, in this order, and take no others; an empty list: as it was.

        :raises InvalidModificationError: one of them is not among the capabilities.
        """
        known = {
            key(codec)
            for sends in (True, False)
            for codec in getattr(capabilities(self.kind, sends=sends), "codecs", ())
        }
        for codec in codecs:
            if key(codec) not in known:
                raise InvalidModificationError(f"{codec.mimeType} can't be sent or received here")
        self._preferred_codecs = list(codecs)
