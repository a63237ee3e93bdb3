"""A track of pictures that are encoded once, for senders that are not of this package."""

import asyncio
import time
from collections import deque
from fractions import Fraction
from typing import Any

import aiortc
from aiortc.mediastreams import MediaStreamError
from av import Packet

from ..capture.clock import VIDEO_TIME_BASE
from .encoded_frame import Burst, EncodedFrame
from .opus_encoder import CLOCK_RATE
from .shared_encoder import Encoding, shared_encoder

KEYFRAME_INTERVAL = 4.0
"""Seconds between key frames: aiortc's sender does not pass on a viewer's requests for one when it
is given packets, so that whoever has lost too much waits for the next."""
BACKLOG = 60
"""Frames that wait for a slow reader; then it goes on at a key frame."""


class EncodedTrack(aiortc.MediaStreamTrack):
    """What aiortc's own `RTCPeerConnection` takes, so that it need not encode for each viewer.

    Make one for each connection, from the same track: they share the encoder, with the viewers of
    `peer.RTCPeerConnection` as well. The codec must be the one that is negotiated first::

        pc = aiortc.RTCPeerConnection()
        pc.addTrack(EncodedTrack(camera, "H264"))

    `recv()` gives `av.Packet`, beginning with a key frame. It ends with the track it is made from.

    :param codec: `VP8`, `H264`, `VP9`, `AV1` or `opus`.
    """

    def __init__(self, track: aiortc.MediaStreamTrack, codec: str) -> None:
        self.kind = track.kind
        super().__init__()
        self._source = track
        self._packets: deque[Packet[Any]] = deque()
        self._changed = asyncio.Event()
        self._awaits_keyframe = True
        self._time_base = VIDEO_TIME_BASE if self.kind == "video" else Fraction(1, CLOCK_RATE)
        self._encoder = shared_encoder(track, Encoding(codec.lower()))
        self._encoder.add(self)
        track.on("ended", self.stop)

    def request_keyframe(self) -> None:
        """Have a key frame made."""
        self._encoder.request_keyframe()

    async def recv(self) -> "Packet[Any]":
        """The next packet.

        :raises MediaStreamError: the track has ended.
        """
        while not self._packets:
            if self.readyState == "ended":
                raise MediaStreamError("the track has ended")
            self._changed.clear()
            await self._changed.wait()
        return self._packets.popleft()

    def stop(self) -> None:
        """End this track, and not the one that it is made from."""
        if self.readyState == "live":
            if self._source.readyState == "live":
                self._source.remove_listener("ended", self.stop)
            self._encoder.remove(self)
            self._packets.clear()
            super().stop()
            self._changed.set()

    # For the encoder.

    def deliver(self, burst: Burst) -> None:
        """Take a frame."""
        frame = burst.frame
        if not burst.last or (self._awaits_keyframe and not frame.keyframe):
            return
        if len(self._packets) == BACKLOG:
            self._packets.clear()
            self.interrupted()
            return
        self._awaits_keyframe = False
        packet = Packet(frame.data)
        packet.pts = packet.dts = frame.timestamp
        packet.time_base, packet.is_keyframe = self._time_base, frame.keyframe
        self._packets.append(packet)
        self._changed.set()
        if frame.is_picture and frame.keyframe:
            self._encoder.request_keyframe(time.monotonic() + KEYFRAME_INTERVAL)

    def steady_sender(self, frame: EncodedFrame) -> None:
        """There is none: packets are made elsewhere."""

    def left_out(self, burst: Burst) -> None:
        """Nothing is."""

    def interrupted(self) -> None:
        """Go on at the next key frame, and have one made."""
        self._awaits_keyframe = self.kind == "video"
        self._encoder.request_keyframe()

    def source_failed(self, error: Exception) -> None:
        """The track has failed: end."""
        self.stop()

    def given_up(self, error: Exception) -> None:
        """A packet could not be made: end."""
        self.stop()
