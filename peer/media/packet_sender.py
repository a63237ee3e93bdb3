"""The packets of one viewer's stream: numbered, stamped, counted, sent again when one is lost."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from struct import pack

from ..capture.clock import sample_number
from .encoded_frame import Burst, EncodedFrame
from .history import Entry, History, Lost, Repetitions, find
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
        return self._progress.keyframe_at

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
        if not self.transport.send_rtp(batch):
            return False
        own.count(batch, whole=burst.last)
        return True

    # In step with others.

    def is_at(self, frame: EncodedFrame) -> bool:
        """Whether this frame was the last, and what follows it needs nothing but numbers."""
        return self._own.is_at(frame)

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

    def _kept(self) -> Iterator[Entry]:
        """The bursts of the last second as this viewer was sent them, the newest first."""
        progress, own = self._progress, self._own
        if progress is not own:
            for number, timestamp, burst in progress.history.since(self._joined):
                shifted = (timestamp + self._timestamp_offset) & _MASK_32
                yield number + self._number_offset, shifted, burst
            if self._kind == "video" and progress.keyframe_at > own.frame_at:
                return  # what came before is not needed any more
        yield from own.history.since()

    def under_way(self, newest: int, now: float) -> tuple[int, float]:
        """How many packets were sent after the one of this sequence number, and how many seconds
        ago the first of them."""
        following = (newest + 1) & _MASK_16
        count = (self.next_sequence_number - following) & _MASK_16
        try:
            return count, now - find(self._kept(), following).burst.sent_at if count else 0.0
        except LookupError:
            return count, 0.0

    def repeat(self, sequence_number: int, round_trip: float) -> bool:
        """Send a packet again that the viewer misses; False when it will not have it from here.

        :param round_trip: seconds.
        """
        transport = self.transport
        if self._parameters is None or not transport.ready or self._repairs_left() <= 0:
            return False
        try:
            lost = find(self._kept(), sequence_number)
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
        if not transport.send_rtp(batch):
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
