"""OutgoingStream: one viewer's RTP stream of one track, from encoders that all viewers share."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from struct import pack

import aiortc
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)

from ..capture.clock import sample_number
from .capabilities import preferred_codecs, sendable_codecs
from .encoded_frame import Burst
from .history import History
from .rtcp import ReceiverState, bye, full_intra_requests, sender_report
from .rtp_packet import HEADER_EXTENSIONS, PacketBatch, PacketForm, shared_batch
from .rungs import (
    BITRATE_PER_RUNG,
    Choice,
    Conditions,
    next_bitrate,
    next_choice,
    rung_count,
)
from .shared_encoder import Encoding, SharedEncoder, shared_encoder
from .stream_parameters import OutgoingStatistics, PacketTransport, StreamParameters

__all__ = [
    "HEADER_EXTENSIONS",
    "OutgoingStatistics",
    "OutgoingStream",
    "PacketTransport",
    "StreamParameters",
    "preferred_codecs",
    "sendable_codecs",
]

logger = logging.getLogger(__name__)

KEYFRAME_PATIENCE = 1.0
"""Seconds between the key frames that one viewer can have made: all others get them too."""
REPORT_INTERVAL = 1.0
"""Seconds between sender reports, on average (RFC 3550 6.2: varied by a half)."""
ASSUMED_ROUND_TRIP = 0.05
"""Seconds, as long as no viewer's report has told."""
ESTIMATE_LASTS = 5.0
"""Seconds for which a viewer's estimate holds; browsers send one a second at least."""
LOOK_AGAIN = 3 * REPORT_INTERVAL
"""Seconds since the last look at a viewer's way, after which the next only begins to count."""
_RATE_SMOOTHING = 0.1
_MASK_16, _MASK_32 = 0xFFFF, 0xFFFFFFFF


def _random_sequence_number() -> int:
    """From the lower half: a wrap-around among the first packets would break SRTP when they are
    lost (as aiortc has it)."""
    return random.randrange(1, 1 << 15)


class _Feed:
    """What comes from one shared encoder, for one stream."""

    __slots__ = ("_stream", "encoder")

    def __init__(self, stream: "OutgoingStream", encoder: SharedEncoder) -> None:
        self._stream = stream
        self.encoder = encoder
        encoder.add(self)

    def deliver(self, burst: Burst) -> None:
        self._stream._deliver(self, burst)

    def interrupted(self) -> None:
        self._stream._interrupted()

    def source_failed(self, error: Exception) -> None:
        self._stream._source_failed(self, error)

    def close(self) -> None:
        self.encoder.remove(self)


class OutgoingStream:
    """One viewer's RTP stream of one m-section.

    Its track is shared with other viewers and never stopped from here. When the track is muted,
    disabled or has ended, its viewers see black and hear nothing (WebRTC 5.2). All is called on the
    event loop, and nothing blocks.

    :param kind: audio or video.
    :param failed: called once for a track that fails; it goes on as if it had ended.
    """

    def __init__(
        self, kind: str, transport: PacketTransport, *, failed: Callable[[Exception], None]
    ) -> None:
        self.kind = kind
        self._transport = transport
        self._failed = failed
        self._track: aiortc.MediaStreamTrack | None = None
        self._told_failure = False
        self._parameters: StreamParameters | None = None
        self._form: PacketForm | None = None
        self._sending = False
        self._active = True
        self._limits: tuple[int | None, float | None, float | None] = (None, None, None)
        self._feed: _Feed | None = None
        self._next_feed: _Feed | None = None  # takes over with its first key frame
        # What goes on through every change of the track, the codec and the direction.
        self._sequence_number = _random_sequence_number()
        self._rtx_sequence_number = _random_sequence_number()
        self._timestamp_offset = random.getrandbits(32)
        self._last_timestamp = 0
        self._history = History()
        # Key frames.
        self._awaits_keyframe = True
        self._asked_at = -KEYFRAME_PATIENCE
        self._last_fir: int | None = None
        # RTCP.
        self._report_timer: asyncio.TimerHandle | None = None
        self._receiver = ReceiverState()
        self._available_bitrate: int | None = None
        self._estimated_at = 0.0
        # What the viewer's way can carry, and what follows from that.
        self._choice = Choice()
        self._aim: float | None = None  # bits a second, where they are fewer than what is nominal
        self._fraction_lost = 0.0  # the worst since the last look
        self._looked_at, self._looked_bytes = 0.0, 0
        # Counters.
        self._packets = self._bytes = self._header_bytes = 0
        self._repeated_packets = self._repeated_bytes = 0
        self._frames = self._keyframes = self._frames_sent = 0
        self._nacks = self._plis = self._firs = 0
        self._size = (0, 0)
        self._audio_level: int | None = None
        self._frame_interval = 0.0
        self._last_frame_at = 0.0

    # What is sent.

    def set_track(self, track: aiortc.MediaStreamTrack | None) -> None:
        """Go on with another track of the same kind, or with nothing."""
        assert track is None or track.kind == self.kind
        if track is self._track:
            return
        self._track = track
        self._told_failure = False
        self._drop_feeds()  # not one more picture of the other track goes out
        self._choose()

    def start(self, parameters: StreamParameters) -> None:
        """Begin to send, or go on, with these parameters."""
        form = PacketForm(
            payload_type=parameters.codec.payloadType or 0,
            mid=parameters.mid,
            extensions=tuple(
                (uri, parameters.extensions[uri])
                for uri in HEADER_EXTENSIONS[self.kind]
                if uri in parameters.extensions
            ),
            trailer=self._form.trailer if self._form is not None else 0,
        )
        if form != self._form:
            self._history = History()  # what it has could not be sent again as it was
        if self._form is not None and form.payload_type != self._form.payload_type:
            self._drop_feeds()  # what comes out of them is of the other codec
        self._parameters, self._form = parameters, form
        self._sending = True
        self._choose()

    def pause(self) -> None:
        """Send nothing, until `start()`."""
        self._sending = False
        self._choose()

    def set_limits(
        self,
        *,
        active: bool = True,
        max_bitrate: int | None = None,
        max_framerate: float | None = None,
        scale_down_by: float | None = None,
    ) -> None:
        """What the application sets (`RTCRtpSender.setParameters()`).

        :param max_bitrate: bits a second.
        :param max_framerate: frames a second.
        """
        self._active = active
        self._limits = (max_bitrate, max_framerate, scale_down_by)
        self._choose()

    async def close(self) -> None:
        """End the stream, and tell the viewer so (BYE); the track is left as it is."""
        reported = self._report()
        self.pause()
        if reported is not None and self._parameters is not None:
            self._transport.send_rtcp(reported + bye(self._parameters.ssrc))
        self._parameters = None

    # From which encoder.

    def _choose(self) -> None:
        """Take packets from the encoder that the stream's state asks for."""
        if self._track is None or self._parameters is None or not (self._sending and self._active):
            self._drop_feeds()
            return
        encoder = shared_encoder(self._track, self._encoding(self._parameters))
        newest = self._next_feed or self._feed
        if newest is not None and newest.encoder is encoder:
            return
        if self._next_feed is not None:
            self._next_feed.close()
            self._next_feed = None
        if self._feed is None:
            self._awaits_keyframe = True
            self._feed = _Feed(self, encoder)
        elif self._feed.encoder is not encoder:
            self._next_feed = _Feed(self, encoder)

    def _encoding(self, parameters: StreamParameters) -> Encoding:
        name = parameters.codec.name.lower()
        if self.kind == "audio":
            return Encoding(name)
        bitrate, frame_rate, scale_down_by = self._limits
        rung = self._choice.rung
        if bitrate is not None:
            bitrate = round(bitrate * BITRATE_PER_RUNG**rung)
        return Encoding(name, (scale_down_by or 1) * 2**rung, frame_rate, bitrate)

    def _drop_feeds(self) -> None:
        for feed in (self._feed, self._next_feed):
            if feed is not None:
                feed.close()
        self._feed = self._next_feed = None
        self._awaits_keyframe = True
        if self._report_timer is not None:
            self._report_timer.cancel()
            self._report_timer = None

    def _interrupted(self) -> None:
        self._awaits_keyframe = True

    def _source_failed(self, feed: _Feed, error: Exception) -> None:
        if feed in (self._feed, self._next_feed) and not self._told_failure:
            self._told_failure = True
            self._failed(error)

    def _ask_for_keyframe(self) -> None:
        """Have a key frame made, and not too many."""
        now = time.monotonic()
        due = max(now, self._asked_at + KEYFRAME_PATIENCE)
        if self._asked_at < now:
            self._asked_at = due
        feed = self._next_feed or self._feed
        if feed is not None:
            feed.encoder.request_keyframe(due)

    # Packets.

    def _deliver(self, feed: _Feed, burst: Burst) -> None:
        transport, frame = self._transport, burst.frame
        if not transport.ready:
            return
        begins = frame.keyframe and burst.first == 0
        if feed is self._next_feed:
            if not begins:
                return
            assert self._feed is not None
            self._feed.close()
            self._feed, self._next_feed, self._awaits_keyframe = feed, None, False
        elif self._awaits_keyframe:
            if not begins:
                if burst.first == 0:
                    self._ask_for_keyframe()
                return
            self._awaits_keyframe = False
        self._send(burst)

    def _send(self, burst: Burst) -> None:
        parameters, form, frame = self._parameters, self._form, burst.frame
        assert parameters is not None
        assert form is not None
        trailer = self._transport.trailer
        if form.trailer != trailer:
            form = self._form = PacketForm(form.payload_type, form.mid, form.extensions, trailer)
        if burst.first == 0:
            self._begin_frame(burst)
        timestamp = self._last_timestamp
        batch = shared_batch(burst, form)
        first = self._sequence_number
        self._sequence_number = batch.stamp(first, timestamp, parameters.ssrc)
        self._history.add(first, timestamp, burst)
        if not self._transport.send_rtp(batch):
            # The others go on meanwhile; this viewer does with a key frame.
            self._awaits_keyframe = frame.is_picture
            return
        self._packets += len(burst.payloads)
        self._bytes += batch.payload_bytes
        self._header_bytes += batch.header_bytes
        if burst.last:
            self._frames_sent += 1
        if self._report_timer is None:
            self._send_report()

    def _begin_frame(self, burst: Burst) -> None:
        frame, now = burst.frame, burst.sent_at
        timestamp = (frame.timestamp + self._timestamp_offset) & _MASK_32
        if self._frames:
            ahead = (timestamp - self._last_timestamp) & _MASK_32
            if not 0 < ahead < 1 << 31:
                # Another encoder's key frame shows what the last picture of the one before did.
                timestamp = (self._last_timestamp + 1) & _MASK_32
            elapsed = now - self._last_frame_at
            self._frame_interval += (elapsed - self._frame_interval) * _RATE_SMOOTHING
        self._last_timestamp, self._last_frame_at = timestamp, now
        self._frames += 1
        self._keyframes += frame.keyframe
        self._size, self._audio_level = frame.size, frame.audio_level

    # What the viewer's way can carry.

    def _adapt(self) -> None:
        """Choose the size, and where that costs nothing the bitrate, by what is known of the
        viewer's way."""
        feed = self._feed
        now, sent = time.monotonic(), self._bytes + self._header_bytes
        elapsed, more = now - self._looked_at, sent - self._looked_bytes
        self._looked_at, self._looked_bytes = now, sent
        lost, self._fraction_lost = self._fraction_lost, 0.0
        if feed is None or self._next_feed is not None or elapsed > LOOK_AGAIN:
            return
        is_fresh = now - self._estimated_at < ESTIMATE_LASTS
        conditions = Conditions(
            sent=8 * more / elapsed,
            available=self._available_bitrate if is_fresh else None,
            fraction_lost=lost,
            round_trip=self._receiver.last_round_trip_time,
        )
        encoder = feed.encoder
        scale_down_by = self._limits[2] or 1
        rungs = rung_count(*(round(pixels / scale_down_by) for pixels in encoder.size))
        self._choice = next_choice(self._choice, conditions, now, rungs)
        if nominal := encoder.nominal_bitrate:
            aim = next_bitrate(self._aim or nominal, nominal, conditions, self._choice.quickest)
            self._aim = aim if aim < nominal else None
            encoder.limit_bitrate(feed, self._aim)
        self._choose()

    # RTCP.

    def _report(self) -> bytes | None:
        """A sender report; None before the first packet, and while nothing is sent."""
        parameters = self._parameters
        if parameters is None or not self._packets or not self._sending:
            return None
        now = time.monotonic()
        return sender_report(
            parameters.ssrc,
            parameters.cname,
            now=now,
            rtp_timestamp=(sample_number(now, parameters.codec.clockRate) + self._timestamp_offset)
            & _MASK_32,
            packets=self._packets,
            octets=self._bytes,
        )

    def _send_report(self) -> None:
        report = self._report()
        if report is not None:
            self._transport.send_rtcp(report)
        if self.kind == "video":
            self._adapt()
        interval = REPORT_INTERVAL * random.uniform(0.5, 1.5)
        self._report_timer = asyncio.get_running_loop().call_later(interval, self._send_report)

    def handle_rtcp(self, packet: AnyRtcpPacket) -> None:
        """What the viewer says; what is not about this stream is ignored."""
        parameters = self._parameters
        if parameters is None:
            return
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == parameters.ssrc:
                    self._receiver.update(report, time.monotonic())
                    self._fraction_lost = max(self._fraction_lost, self._receiver.fraction_lost)
        elif isinstance(packet, RtcpRtpfbPacket):
            if packet.fmt == RTCP_RTPFB_NACK and packet.media_ssrc == parameters.ssrc:
                self._nacks += 1
                for sequence_number in packet.lost:
                    self._repeat(sequence_number, parameters)
        elif isinstance(packet, RtcpPsfbPacket):
            self._handle_payload_feedback(packet, parameters)

    def _handle_payload_feedback(
        self, packet: RtcpPsfbPacket, parameters: StreamParameters
    ) -> None:
        if packet.fmt == RTCP_PSFB_PLI and packet.media_ssrc == parameters.ssrc:
            self._plis += 1
            self._ask_for_keyframe()
        elif packet.fmt == RTCP_PSFB_APP:
            try:
                bitrate, ssrcs = unpack_remb_fci(packet.fci)
            except ValueError:
                return  # feedback of another application
            if parameters.ssrc in ssrcs:
                self._available_bitrate, self._estimated_at = bitrate, time.monotonic()
        for ssrc, number in full_intra_requests(packet):
            # The same number again is a repetition (RFC 5104 4.3.1.1).
            if ssrc == parameters.ssrc and number != self._last_fir:
                self._last_fir = number
                self._firs += 1
                self._ask_for_keyframe()

    def _repeat(self, sequence_number: int, parameters: StreamParameters) -> None:
        """Send a packet again that the viewer misses."""
        now = time.monotonic()
        round_trip = self._receiver.round_trip_time or ASSUMED_ROUND_TRIP
        lost = self._history.find(sequence_number, now, round_trip)
        form = self._form
        if lost is None or form is None or not self._transport.ready or not self._sending:
            return
        if parameters.rtx_payload_type is not None and parameters.rtx_ssrc is not None:
            burst = lost.burst.once_more(lost.index, pack("!H", sequence_number))
            form = PacketForm(parameters.rtx_payload_type, form.mid, form.extensions, form.trailer)
            batch = PacketBatch(burst, form)
            self._rtx_sequence_number = batch.stamp(
                self._rtx_sequence_number, lost.timestamp, parameters.rtx_ssrc
            )
        else:
            # To the last bit what it was: SRTP encrypts it with the same numbers once more.
            batch = PacketBatch(lost.burst.once_more(lost.index), form)
            batch.stamp(sequence_number, lost.timestamp, parameters.ssrc)
        if self._transport.send_rtp(batch):
            self._repeated_packets += 1
            self._repeated_bytes += batch.payload_bytes

    # What there is to know.

    @property
    def statistics(self) -> OutgoingStatistics:
        """How the stream is doing."""
        receiver, feed, parameters = self._receiver, self._feed, self._parameters
        width, height = self._size
        source_width, source_height = feed.encoder.size if feed is not None else (0, 0)
        level = self._audio_level
        return OutgoingStatistics(
            packetsSent=self._packets + self._repeated_packets,
            bytesSent=self._bytes + self._repeated_bytes,
            headerBytesSent=self._header_bytes,
            retransmittedPacketsSent=self._repeated_packets,
            retransmittedBytesSent=self._repeated_bytes,
            framesEncoded=self._frames,
            keyFramesEncoded=self._keyframes,
            framesSent=self._frames_sent,
            frameWidth=width,
            frameHeight=height,
            framesPerSecond=round(1 / self._frame_interval, 1) if self._frame_interval else 0.0,
            nackCount=self._nacks,
            pliCount=self._plis,
            firCount=self._firs,
            targetBitrate=feed.encoder.target_bitrate if feed is not None else 0,
            encoderImplementation=feed.encoder.implementation if feed is not None else "",
            rung=self._choice.rung,
            qualityLimitationReason="bandwidth" if self._choice.rung else "none",
            active=self._active,
            packetsLost=receiver.packets_lost,
            fractionLost=receiver.fraction_lost,
            jitter=receiver.jitter / parameters.codec.clockRate if parameters else 0.0,
            roundTripTime=receiver.round_trip_time,
            totalRoundTripTime=receiver.total_round_trip_time,
            roundTripTimeMeasurements=receiver.round_trip_time_measurements,
            receiverReports=receiver.reports,
            availableBitrate=self._available_bitrate,
            sourceWidth=source_width,
            sourceHeight=source_height,
            audioLevel=None if level is None else 10 ** (-level / 20),
        )
