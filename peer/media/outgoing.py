"""OutgoingStream: one viewer's RTP stream of one track, from encoders that all viewers share."""

import asyncio
import random
import time
from collections.abc import Callable

import aiortc
from aiortc import RTCRtpCodecParameters

from .capabilities import leaves_pauses_out, preferred_codecs, sendable_codecs
from .encoded_frame import Burst, EncodedFrame
from .feedback import ReportBlock
from .lateness import lateness
from .packet_sender import PacketSender
from .rtp_packet import HEADER_EXTENSIONS
from .rungs import BITRATE_PER_RUNG
from .shared_encoder import Encoding, SharedEncoder, shared_encoder
from .steering import Steering
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

KEYFRAME_PATIENCE = 1.0
"""Seconds between the key frames that one viewer can have made: all others get them too."""
HOPELESS_PATIENCE = 2.0
"""Seconds since the last key frame before another is made for who misses what can't be repeated."""
HEAD_START = 2.0
"""Seconds for which an encoder is kept going for a viewer that is about to connect. Who is there at
all is so far by then; who is not may never be."""
REPORT_INTERVAL = 1.0
"""Seconds between sender reports, on average (RFC 3550 6.2: varied by a half)."""
SETTLED_REPORTS = {"video": 1, "audio": 5}
"""How many times as long the interval becomes with time. Two of each kind are needed before sound
and picture can be matched; clocks drift slowly, and there are hundreds of viewers."""


class _Feed:
    """What comes from one shared encoder, for one stream."""

    __slots__ = ("_stream", "begun", "encoder")

    def __init__(self, stream: "OutgoingStream", encoder: SharedEncoder) -> None:
        self._stream = stream
        self.encoder = encoder
        self.begun = False
        encoder.expect(self)

    def begin(self) -> None:
        if not self.begun:
            self.begun = True
            self.encoder.add(self)

    def deliver(self, burst: Burst) -> None:
        stream = self._stream
        if stream._flowing is self:
            stream._send(burst)
        else:
            stream._consider(self, burst)

    def steady_sender(self, frame: EncodedFrame) -> PacketSender | None:
        stream = self._stream
        steady = stream._flowing is self and stream._sender.is_at(frame)
        return stream._sender if steady else None

    def left_out(self, burst: Burst) -> None:
        self._stream._left_out(burst)

    def interrupted(self) -> None:
        if self._stream._flowing is self:
            self._stream._flowing = None

    def source_failed(self, error: Exception) -> None:
        self._stream._source_failed(error)

    def given_up(self, error: Exception) -> None:
        self._stream._drop_feeds()
        self._stream._source_failed(error)

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
        self._codec: RTCRtpCodecParameters | None = None
        self._parameters: StreamParameters | None = None
        self._sending = False
        self._active = True
        self._limits: tuple[int | None, float | None, float | None] = (None, None, None)
        self._sender = PacketSender(kind, transport)
        self._steering = Steering(self._sender, transport, self._encoder, self._turn)
        self._feed: _Feed | None = None
        self._flowing: _Feed | None = None  # that feed, unless the viewer waits for a key frame
        self._next_feed: _Feed | None = None  # takes over with its first key frame
        self._head_start: asyncio.TimerHandle | None = None
        self._asked_at = -KEYFRAME_PATIENCE
        self._last_fir: int | None = None
        self._nacks = self._plis = self._firs = 0
        self._report_timer: asyncio.TimerHandle | None = None
        self._reports = 0

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

    def expect(self, codec: RTCRtpCodecParameters) -> None:
        """Let the encoder get going: `start()` with this codec is likely to come soon."""
        self._codec = codec
        self._choose()

    def start(self, parameters: StreamParameters) -> None:
        """Begin to send, or go on, with these parameters; to be called when they are known, and
        again when the transport is ready."""
        self._stand_aside()
        if self._sender.configure(parameters):
            self._drop_feeds()  # what comes out of them is of the other codec
        self._codec, self._parameters = parameters.codec, parameters
        self._sending = True
        self._end_head_start()  # there is another to come
        waits = self._feed is not None and self._feed.begun and self._flowing is None
        self._choose()
        feed = self._feed
        if waits or (feed is not None and not feed.begun and not feed.encoder.has_beginning):
            self._ask_for_keyframe()

    def pause(self) -> None:
        """Send nothing, until `start()`."""
        self._codec, self._sending = None, False
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
        self._steering.scale_down_by = scale_down_by or 1
        self._choose()

    async def close(self) -> None:
        """End the stream, and tell the viewer so (BYE); the track is left as it is."""
        if self._parameters is not None:
            self._sender.report(leaving=True)
        self.pause()
        self._parameters = None

    # From which encoder.

    def _choose(self) -> None:
        """Take packets from the encoder that the stream's state asks for."""
        if self._track is None or self._codec is None or not self._active:
            self._drop_feeds()
            return
        encoder = shared_encoder(self._track, self._encoding(self._codec))
        newest = self._next_feed or self._feed
        if newest is None or newest.encoder is not encoder:
            self._turn_to(encoder)
        self._begin()

    def _turn_to(self, encoder: SharedEncoder) -> None:
        if self._next_feed is not None:
            self._next_feed.close()
            self._next_feed = None
        if self._feed is not None and not self._feed.begun:
            self._feed.close()
            self._feed = None
        if self._feed is None:
            self._feed = _Feed(self, encoder)
        elif self._feed.encoder is not encoder:
            self._next_feed = _Feed(self, encoder)

    def _begin(self) -> None:
        """Have what is encoded delivered once it can be sent."""
        assert self._feed is not None
        if self._feed.begun or (self._sending and self._transport.ready):
            if self.kind == "video" and not self._feed.begun:
                self._steering.watch()  # by an answer to begin with that nothing is in the way of
            self._feed.begin()
            if self._next_feed is not None and not self._steering.is_draining:
                self._next_feed.begin()
            self._end_head_start()
        elif self._head_start is None:
            loop = asyncio.get_running_loop()
            self._head_start = loop.call_later(HEAD_START, self._drop_feeds)

    def _end_head_start(self) -> None:
        if self._head_start is not None:
            self._head_start.cancel()
            self._head_start = None

    def _encoding(self, codec: RTCRtpCodecParameters) -> Encoding:
        name = codec.name.lower()
        if self.kind == "audio":
            return Encoding(name, dtx=leaves_pauses_out(codec))
        bitrate, frame_rate, scale_down_by = self._limits
        rung = self._steering.adaptation.rung
        if bitrate is not None:
            bitrate = round(bitrate * BITRATE_PER_RUNG**rung)
        return Encoding(name, (scale_down_by or 1) * 2**rung, frame_rate, bitrate)

    def _drop_feeds(self) -> None:
        for feed in (self._feed, self._next_feed):
            if feed is not None:
                feed.close()
        self._feed = self._flowing = self._next_feed = None
        self._end_head_start()
        if self._report_timer is not None:
            self._report_timer.cancel()
            self._report_timer = None
            lateness().stop()
        self._steering.stop()

    def _source_failed(self, error: Exception) -> None:
        if not self._told_failure:
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

    # What is sent.

    def _consider(self, feed: _Feed, burst: Burst) -> None:
        """A burst for who waits for a key frame: of the feed, or of the one that is to follow."""
        if not self._transport.ready or burst.first or feed is not (self._next_feed or self._feed):
            return
        if burst.frame.keyframe:
            if feed is self._next_feed:
                assert self._feed is not None
                self._feed.close()
                self._feed, self._next_feed = feed, None
                self._steering.watch()
            self._flowing = feed
            self._send(burst)
        elif self._flowing is None or feed is self._next_feed:
            self._ask_for_keyframe()

    def _send(self, burst: Burst) -> None:
        if not self._sender.send(burst):
            self._left_out(burst)
        if self._report_timer is None:
            lateness().start()
            self._report()

    def _left_out(self, burst: Burst) -> None:
        if burst.frame.is_picture:
            self._flowing = None  # the others go on meanwhile; this viewer does with a key frame

    def _stand_aside(self) -> None:
        """Be sent nothing in step with others any more."""
        if self._flowing is not None:
            self._flowing.encoder.part(self._flowing)

    def _report(self) -> None:
        self._reports += 1
        interval = REPORT_INTERVAL * min(self._reports, SETTLED_REPORTS[self.kind])
        self._report_timer = asyncio.get_running_loop().call_later(
            interval * random.uniform(0.5, 1.5), self._report
        )
        self._sender.report()
        if self.kind == "video":
            self._steering.look()

    def _encoder(self) -> SharedEncoder | None:
        """What is sent comes from it, if no other is to take over."""
        return self._feed.encoder if self._feed is not None and self._next_feed is None else None

    def _turn(self, is_too_much: bool) -> None:
        """Do as was chosen."""
        self._choose()
        if (newest := self._next_feed or self._feed) is not None:
            newest.encoder.limit_bitrate(newest, self._steering.adaptation.aim)
        if is_too_much:
            self._stand_aside()
            self._flowing = None  # the way is full of larger pictures, and needs a moment

    # What the viewer says.

    def reported(self, report: ReportBlock) -> None:
        """Take up how it arrives."""
        self._steering.adaptation.reported(report, self._sender.sent.packets)
        if self.kind == "video":
            self._steering.arrived(report)

    def estimated(self, bitrate: int) -> None:
        """Take up how many bits a second the way to the viewer can carry."""
        self._steering.adaptation.estimated(bitrate)

    def missed(self, sequence_numbers: list[int]) -> None:
        """Send these packets again, if that is of any use."""
        self._nacks += 1
        if self._flowing is not None:  # else it begins anew, with a key frame
            self._steering.missed(sequence_numbers)
            self._repair(sequence_numbers)

    def picture_lost(self) -> None:
        """Have a key frame made."""
        self._plis += 1
        if self._flowing is not None:  # else one is to come
            self._ask_for_keyframe()

    def full_intra_requested(self, number: int) -> None:
        """Have a key frame made, unless this has been asked for already."""
        if number != self._last_fir:
            self._last_fir = number
            self._firs += 1
            self._ask_for_keyframe()

    def _repair(self, lost: list[int]) -> None:
        sender, adaptation = self._sender, self._steering.adaptation
        round_trip = adaptation.round_trip
        hopeless = [number for number in lost if not sender.repeat(number, round_trip)]
        if not hopeless or self.kind == "audio" or adaptation.is_watching:
            return  # a way that is being watched may be too full for it
        if time.monotonic() - sender.keyframe_at > HOPELESS_PATIENCE:
            # Browsers wait for seconds before they ask.
            self._ask_for_keyframe()

    # What there is to know.

    @property
    def statistics(self) -> OutgoingStatistics:
        """How the stream is doing."""
        sender, feed, parameters = self._sender, self._feed, self._parameters
        sent = sender.sent
        adaptation = self._steering.adaptation
        receiver = adaptation.receiver
        encoder = feed.encoder if feed is not None else None
        frame = sender.frame
        width, height = frame.size if frame is not None else (0, 0)
        level = frame.audio_level if frame is not None else None
        source_width, source_height = encoder.size if encoder is not None else (0, 0)
        return OutgoingStatistics(
            packetsSent=sent.packets + sender.repeated_packets + sender.probe_packets,
            bytesSent=sent.octets + sender.repeated_octets,
            headerBytesSent=sent.header_octets + sender.probe_octets,
            retransmittedPacketsSent=sender.repeated_packets,
            retransmittedBytesSent=sender.repeated_octets,
            framesEncoded=sent.frames,
            keyFramesEncoded=sent.keyframes,
            framesSent=sent.whole_frames,
            frameWidth=width,
            frameHeight=height,
            framesPerSecond=round(1 / sender.frame_interval, 1) if sender.frame_interval else 0.0,
            nackCount=self._nacks,
            pliCount=self._plis,
            firCount=self._firs,
            targetBitrate=encoder.target_bitrate if encoder is not None else 0,
            encoderImplementation=encoder.implementation if encoder is not None else "",
            rung=adaptation.rung,
            qualityLimitationReason="bandwidth" if adaptation.rung else "none",
            active=self._active,
            packetsLost=receiver.packets_lost,
            fractionLost=receiver.fraction_lost,
            jitter=receiver.jitter / parameters.codec.clockRate if parameters else 0.0,
            roundTripTime=receiver.round_trip_time,
            totalRoundTripTime=receiver.total_round_trip_time,
            roundTripTimeMeasurements=receiver.round_trip_time_measurements,
            receiverReports=receiver.reports,
            availableBitrate=adaptation.available_bitrate,
            sourceWidth=source_width,
            sourceHeight=source_height,
            audioLevel=None if level is None else 10 ** (-level / 20),
        )
