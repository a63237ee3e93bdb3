"""The packets of one viewer's stream: numbered, stamped, counted, sent again when one is lost."""

import random
import time
from dataclasses import replace
from struct import pack

from ..capture.clock import sample_number
from .encoded_frame import Burst, EncodedFrame
from .history import History, Lost
from .rtcp import bye, sender_report
from .rtp_packet import HEADER_EXTENSIONS, PacketBatch, PacketForm, packet_form
from .stream_parameters import PacketTransport, StreamParameters

REPAIRS = 0.3
"""Octets that may be sent again for each one that is sent: where more is lost the way is too
narrow, and repetitions would make it still narrower."""
MOST_REPAIRS = 25_000
"""Octets that may be sent again at one moment."""
_RATE_SMOOTHING = 0.1
_MASK_32 = 0xFFFFFFFF


def _random_sequence_number() -> int:
    """From the lower half: a wrap-around among the first packets would break SRTP when they are
    lost (as aiortc has it)."""
    return random.randrange(1, 1 << 15)


class PacketSender:
    """Sequence numbers and time stamps go on through every change of track, codec and direction."""

    def __init__(self, kind: str, transport: PacketTransport) -> None:
        self._kind = kind
        self._transport = transport
        self._parameters: StreamParameters | None = None
        self._form: PacketForm
        self._ssrc = 0
        self._sequence_number = _random_sequence_number()
        self._rtx_sequence_number = _random_sequence_number()
        self._timestamp_offset = random.getrandbits(32)
        self._timestamp = 0  # of the last frame
        self._frame_at = 0.0
        self._history = History()
        self._repeats = False  # whether the viewer may ask for packets again
        self._repairs = float(MOST_REPAIRS)
        self.packets = self.octets = self.header_octets = 0
        """What was sent, without what was sent again."""
        self.repeated_packets = self.repeated_octets = 0
        self.probe_packets = self.probe_octets = 0
        """What was sent to see whether it gets through, with its headers."""
        self.frames = self.keyframes = self.whole_frames = 0
        """Frames that were begun, those of them that decoders can begin with, and those sent to
        the end."""
        self.keyframe_at = 0.0
        """When the last of these was begun (`time.monotonic()`)."""
        self.frame_interval = 0.0
        """Seconds, smoothed."""
        self.frame: EncodedFrame | None = None
        """The one that was begun last."""

    def configure(self, parameters: StreamParameters) -> bool:
        """Send with these parameters from now on; returns whether it is another format."""
        before, self._parameters = self._parameters, parameters
        self._ssrc = parameters.ssrc
        self._repeats = any(feedback.type == "nack" for feedback in parameters.codec.rtcpFeedback)
        form = self._new_form(parameters, self._transport.trailer)
        if before is not None and form != self._form:
            self._history = History()  # what it has could not be sent again as it was
        another = before is not None and form.payload_type != self._form.payload_type
        self._form = form
        return another

    def _new_form(self, parameters: StreamParameters, trailer: int) -> PacketForm:
        known, negotiated = HEADER_EXTENSIONS[self._kind], parameters.extensions
        extensions = tuple((uri, negotiated[uri]) for uri in known if uri in negotiated)
        return packet_form(parameters.codec.payloadType or 0, parameters.mid, extensions, trailer)

    def send(self, burst: Burst) -> bool:
        """Send what all viewers are sent, as this one's; False when not all of it could be.

        This is done for each viewer and burst: whatever else can be done once, is done elsewhere.
        """
        transport, form = self._transport, self._form
        if form.trailer != transport.trailer:
            form = self._fit()
        if burst.first == 0:
            self._begin(burst.frame, burst.sent_at)
        batch = burst.batches.get(form)
        if batch is None:
            batch = burst.batches[form] = PacketBatch(burst, form)
        first, timestamp = self._sequence_number, self._timestamp
        self._sequence_number = batch.stamp(first, timestamp, self._ssrc)
        if self._repeats:
            self._history.add(first, timestamp, burst)
        if not transport.send_rtp(batch):
            return False
        self.packets += batch.count
        self.octets += batch.payload_octets
        self._repairs = min(MOST_REPAIRS, self._repairs + REPAIRS * batch.payload_octets)
        self.header_octets += batch.header_octets
        self.whole_frames += burst.last
        return True

    def _fit(self) -> PacketForm:
        """The form with the room that the transport's protection needs."""
        form, trailer = self._form, self._transport.trailer
        self._form = packet_form(form.payload_type, form.mid, form.extensions, trailer)
        return self._form

    def _begin(self, frame: EncodedFrame, now: float) -> None:
        timestamp = (frame.timestamp + self._timestamp_offset) & _MASK_32
        if self.frames:
            if not 0 < (timestamp - self._timestamp) & _MASK_32 < 1 << 31:
                # Another encoder's key frame shows what the last picture of the one before did.
                timestamp = (self._timestamp + 1) & _MASK_32
            elapsed = now - self._frame_at
            self.frame_interval += (elapsed - self.frame_interval) * _RATE_SMOOTHING
        self._timestamp, self._frame_at, self.frame = timestamp, now, frame
        self.frames += 1
        if frame.keyframe:
            self.keyframes += 1
            self.keyframe_at = now
            if frame.is_picture:
                self._history = History()  # what came before is not needed any more

    def under_way(self, newest: int, now: float) -> tuple[int, float]:
        """How many packets were sent after the one of this sequence number, and how many seconds
        ago the first of them."""
        following = (newest + 1) & 0xFFFF
        count = (self._sequence_number - following) & 0xFFFF
        try:
            return count, now - self._history.sent_at(following) if count else 0.0
        except LookupError:
            return count, 0.0

    def repeat(self, sequence_number: int, round_trip: float) -> bool:
        """Send a packet again that the viewer misses; False when it will not have it from here.

        :param round_trip: seconds.
        """
        parameters, transport = self._parameters, self._transport
        if parameters is None or not transport.ready or self._repairs <= 0:
            return False
        try:
            lost = self._history.find(sequence_number, time.monotonic(), round_trip)
        except LookupError:
            return False
        if lost is None:
            return True
        self._repairs -= len(lost.burst.payloads[lost.index])
        batch = self._retransmission(sequence_number, lost)
        if batch is None:
            # To the last bit what it was: SRTP encrypts it with the same numbers once more.
            batch = PacketBatch(lost.burst.once_more(lost.index), self._fit())
            batch.stamp(sequence_number, lost.timestamp, self._ssrc)
        if not transport.send_rtp(batch):
            return False
        self.repeated_packets += 1
        self.repeated_octets += batch.payload_octets
        return True

    def _retransmission(self, sequence_number: int, lost: Lost) -> PacketBatch | None:
        """A packet once more, in the stream that is for that (RFC 4588); None without one."""
        parameters = self._parameters
        if parameters is None or parameters.rtx_payload_type is None or parameters.rtx_ssrc is None:
            return None
        burst = lost.burst.once_more(lost.index, pack("!H", sequence_number))
        burst.sent_at = time.monotonic()  # by which viewers see how long packets take
        form = replace(self._fit(), payload_type=parameters.rtx_payload_type)
        batch = PacketBatch(burst, form)
        self._rtx_sequence_number = batch.stamp(
            self._rtx_sequence_number, lost.timestamp, parameters.rtx_ssrc
        )
        return batch

    @property
    def next_sequence_number(self) -> int:
        """That of the packet that is sent next."""
        return self._sequence_number

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
        while octets > 0:
            try:
                number, lost = self._history.another(self.probe_packets)
            except LookupError:
                return
            batch = self._retransmission(number, lost)
            if batch is None or not self._transport.send_rtp(batch):
                return
            size = batch.payload_octets + batch.header_octets
            self.probe_packets += 1
            self.probe_octets += size
            octets -= size

    def report(self, *, leaving: bool = False) -> None:
        """Tell the viewer what time it is in the stream (and that it ends); not before it began."""
        parameters = self._parameters
        if parameters is None or not self.packets:
            return
        now = time.monotonic()
        number = sample_number(now, parameters.codec.clockRate)
        data = sender_report(
            self._ssrc,
            parameters.cname,
            now=now,
            rtp_timestamp=(number + self._timestamp_offset) & _MASK_32,
            packets=self.packets,
            octets=self.octets,
        )
        self._transport.send_rtcp(data + bye(self._ssrc) if leaving else data)
