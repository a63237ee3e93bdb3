"""The packets of one viewer's stream: numbered, stamped, counted, sent again when one is lost."""

import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from struct import pack

from ..capture.clock import sample_number
from .encoded_frame import Burst, EncodedFrame
from .history import HISTORY, Entry, History, Lost, Repetitions
from .progress import Counts, Progress
from .rtcp import bye, sender_report
from .rtp_packet import HEADER_EXTENSIONS, PacketBatch, PacketForm, batch_of, packet_form
from .stream_parameters import PacketTransport, StreamParameters

REPAIRS = 0.3
"""Octets that may be sent again for each one that is sent: where more is lost the way is too
narrow, and repetitions would make it still narrower."""
MOST_REPAIRS = 25_000
"""Octets that may be sent again at one moment."""
_MASK_16, _MASK_32 = 0xFFFF, 0xFFFFFFFF


def _random_sequence_number() -> int:
    """From the lower half: a wrap-around among the first packets would break SRTP when they are
    lost (as aiortc has it)."""
    return random.randrange(1, 1 << 15)


class PacketSender:
    """Sequence numbers and time stamps go on through every change of track, codec and direction.

    It numbers and counts by itself, or in step with others: then a `Cohort` sends and counts for
    all of them, and what is this one's own is what it adds to the common numbers.
    """

    def __init__(self, kind: str, transport: PacketTransport) -> None:
        self._kind = kind
        self.transport = transport
        self._parameters: StreamParameters | None = None
        self.form: PacketForm
        """What its packets have in common with those of others; after `configure()`."""
        self.ssrc = 0
        self._own = Progress(_random_sequence_number(), random.getrandbits(32))
        self._progress = self._own
        self._number_offset = self._timestamp_offset = 0
        self._is_steady = False  # whether the last burst could be sent
        self._joined = 0  # the first of the common numbers that is this one's too
        self._before = Counts()  # what is not counted in the progress
        self._rtx_sequence_number = _random_sequence_number()
        self._repeats = False  # whether the viewer may ask for packets again
        self._repetitions = Repetitions()
        self._repairs, self._repairs_at = float(MOST_REPAIRS), 0
        self.repeated_packets = self.repeated_octets = 0
        self.probe_packets = self.probe_octets = 0
        """What was sent to see whether it gets through, with its headers."""

    @property
    def sent(self) -> Counts:
        """Counts of what was sent, without what was sent again."""
        return self._before + self._progress.sent

    @property
    def keyframe_at(self) -> float:
        """When the last key frame was begun (`time.monotonic()`)."""
        return max(self._own.keyframe_at, self._progress.keyframe_at)

    @property
    def frame_interval(self) -> float:
        """Seconds between frames, smoothed; 0 when it is not known."""
        return self._progress.frame_interval

    @property
    def frame(self) -> EncodedFrame | None:
        """The one that was begun last."""
        return self._progress.frame

    def configure(self, parameters: StreamParameters) -> bool:
        """Send with these parameters from now on, by itself; returns whether it is another
        format."""
        before, self._parameters = self._parameters, parameters
        self.ssrc = parameters.ssrc
        self._repeats = any(feedback.type == "nack" for feedback in parameters.codec.rtcpFeedback)
        form = self._new_form(parameters, self.transport.trailer)
        if before is not None and form != self.form:
            self._own.history = History()  # what it has could not be sent again as it was
        another = before is not None and form.payload_type != self.form.payload_type
        self.form = form
        return another

    def _new_form(self, parameters: StreamParameters, trailer: int) -> PacketForm:
        known, negotiated = HEADER_EXTENSIONS[self._kind], parameters.extensions
        extensions = tuple((uri, negotiated[uri]) for uri in known if uri in negotiated)
        return packet_form(parameters.codec.payloadType or 0, parameters.mid, extensions, trailer)

    # By itself.

    def send(self, burst: Burst) -> bool:
        """Send what all viewers are sent, as this one's; False when not all of it could be."""
        own, form = self._own, self._fit()
        if burst.first == 0:
            own.begin(burst.frame, burst.sent_at)
        assert own.timestamp is not None
        batch = batch_of(burst, form)
        batch.stamp(own.number & _MASK_16, own.timestamp, self.ssrc)
        own.pass_by(burst)
        self._is_steady = self.transport.send_rtp(batch)
        if self._is_steady:
            own.count(batch, whole=burst.last)
        return self._is_steady

    # In step with others.

    def is_at(self, frame: EncodedFrame) -> bool:
        """Whether this frame was sent last, and what follows it needs nothing but numbers."""
        return self._is_steady and self._own.is_at(frame)

    def lead(self) -> Progress:
        """Where this one is, by the frames' own time stamps: what others can go in step with."""
        progress = Progress()
        progress.go_on_from(self._own, 0, -self._own.shift)
        return progress

    def fall_in(self, progress: Progress) -> tuple[int, int]:
        """Go in step with others, who are at the same frame.

        :return: what is to be added to their numbers and time stamps.
        """
        own = self._own
        self._number_offset, self._timestamp_offset = own.number - progress.number, own.shift
        self._joined = progress.number
        self._before = own.sent - progress.sent
        self._progress = progress
        return self._number_offset, self._timestamp_offset

    def fall_out(self) -> None:
        """Go on by itself."""
        own = self._own
        own.sent = self.sent
        own.history = History(reversed(list(self._kept())))
        own.go_on_from(self._progress, self._number_offset, self._timestamp_offset)
        self._progress, self._before = own, Counts()
        self._number_offset = self._timestamp_offset = 0

    def _fit(self) -> PacketForm:
        """The form, with the room that the transport's protection needs."""
        form, trailer = self.form, self.transport.trailer
        if form.trailer != trailer:
            self.form = packet_form(form.payload_type, form.mid, form.extensions, trailer)
        return self.form

    # What is missed.

    def _number_of(self, sequence_number: int) -> int:
        """The number, which goes on for ever, of the last packet that had this sequence number."""
        newest = self._progress.number + self._number_offset - 1
        return newest - ((newest - sequence_number) & _MASK_16)

    def _find(self, number: int) -> Lost:
        """A packet as it was sent.

        :raises LookupError: it is not kept any more.
        """
        progress, own = self._progress, self._own
        if number - self._number_offset >= self._joined or progress is own:
            lost = progress.history.find(number - self._number_offset)
            lost.timestamp = (lost.timestamp + self._timestamp_offset) & _MASK_32
            return lost
        if self._is_over:
            raise LookupError(number)
        return own.history.find(number)

    @property
    def _is_over(self) -> bool:
        """Whether what was sent before the others were joined is of no use any more."""
        progress, own = self._progress, self._own
        has_keyframe = self._kind == "video" and progress.keyframe_at > own.frame_at
        return has_keyframe or progress.frame_at - own.frame_at > HISTORY

    def _kept(self) -> Iterator[Entry]:
        """The bursts that are kept, as this viewer was sent them, the newest first."""
        progress, own = self._progress, self._own
        if progress is not own:
            for number, timestamp, burst in progress.history.since(self._joined):
                shifted = (timestamp + self._timestamp_offset) & _MASK_32
                yield number + self._number_offset, shifted, burst
            if self._is_over:
                return
        yield from own.history.since()

    def under_way(self, newest: int, now: float) -> tuple[int, float | None]:
        """How many packets were sent after the last of this sequence number, and how many seconds
        ago the first of them: at least, where it is not kept any more. None if that says little."""
        number = self._number_of(newest)
        count = self._progress.number + self._number_offset - 1 - number
        if not count:
            return 0, 0.0
        try:
            return count, now - self._find(number + 1).burst.sent_at
        except LookupError:
            pass
        oldest = deque(self._kept(), 1)
        least = now - oldest[0][2].sent_at if oldest and count <= self.sent.packets else 0.0
        return count, least if least > HISTORY / 2 else None

    def repeat(self, sequence_number: int, round_trip: float) -> bool:
        """Send a packet again that the viewer misses; False when it will not have it from here.

        :param round_trip: seconds.
        """
        if self._parameters is None or not self._repeats or not self.transport.ready:
            return False
        try:
            lost = self._find(self._number_of(sequence_number))
            if self._repairs_left() <= 0:
                return False
            if not self._repetitions.allow(sequence_number, time.monotonic(), round_trip):
                return True
        except LookupError:
            return False
        self._repairs -= len(lost.burst.payloads[lost.index])
        batch = self._retransmission(sequence_number, lost)
        if batch is None:
            # To the last bit what it was: SRTP encrypts it with the same numbers once more.
            batch = PacketBatch(lost.burst.once_more(lost.index), self._fit())
            batch.stamp(sequence_number, lost.timestamp, self.ssrc)
        if not self.transport.send_rtp(batch):
            return False
        self.repeated_packets += 1
        self.repeated_octets += batch.payload_octets
        return True

    def _repairs_left(self) -> float:
        octets = self.sent.octets
        earned = REPAIRS * (octets - self._repairs_at)
        self._repairs, self._repairs_at = min(MOST_REPAIRS, self._repairs + earned), octets
        return self._repairs

    def _retransmission(self, sequence_number: int, lost: Lost) -> PacketBatch | None:
        """A packet once more, in the stream that is for that (RFC 4588); None without one."""
        parameters = self._parameters
        if parameters is None or parameters.rtx_payload_type is None or parameters.rtx_ssrc is None:
            return None
        burst = lost.burst.once_more(lost.index, pack("!H", sequence_number))
        burst.sent_at = time.monotonic()  # by which viewers see how long packets take
        form = replace(self._fit(), payload_type=parameters.rtx_payload_type)
        batch = PacketBatch(burst, form)
        batch.stamp(self._rtx_sequence_number, lost.timestamp, parameters.rtx_ssrc)
        self._rtx_sequence_number = (self._rtx_sequence_number + 1) & _MASK_16
        return batch

    @property
    def next_sequence_number(self) -> int:
        """That of the packet that is sent next."""
        return (self._progress.number + self._number_offset) & _MASK_16

    @property
    def can_probe(self) -> bool:
        """Whether a viewer can be sent what it has already: it takes repetitions apart from the
        stream, and drops them."""
        parameters = self._parameters
        if parameters is None or not self._repeats:
            return False
        return None not in (parameters.rtx_payload_type, parameters.rtx_ssrc)

    def probe(self, octets: float) -> None:
        """Send about so many octets that the viewer has already."""
        newest = next(self._kept(), None)
        while octets > 0 and newest is not None:
            number, timestamp, burst = newest
            index = self.probe_packets % len(burst.payloads)
            lost = Lost(burst, index, timestamp)
            batch = self._retransmission((number + index) & _MASK_16, lost)
            if batch is None or not self.transport.send_rtp(batch):
                return
            size = batch.payload_octets + batch.header_octets
            self.probe_packets += 1
            self.probe_octets += size
            octets -= size

    def report(self, *, leaving: bool = False) -> None:
        """Tell the viewer what time it is in the stream (and that it ends); not before it began."""
        parameters, sent = self._parameters, self.sent
        if parameters is None or not sent.packets:
            return
        if self._progress is not self._own and self._is_over:
            self._own.history = History()  # which others don't share
        now = time.monotonic()
        number = sample_number(now, parameters.codec.clockRate)
        data = sender_report(
            self.ssrc,
            parameters.cname,
            now=now,
            rtp_timestamp=(number + self._own.shift) & _MASK_32,
            packets=sent.packets,
            octets=sent.octets,
        )
        self.transport.send_rtcp(data + bye(self.ssrc) if leaving else data)
