"""What a connection's sender gets instead of the track itself.

aiortc's sender stops its track when it ends, so that closing one viewer's connection would close
the camera for all, and it never sends again once its track has ended. It gets one of these
instead: it reads the track, at a place of its own, stops nothing but itself, and goes on when the
track ends (WebRTC 5.2: a sender whose track has ended sends black, and no sound).
"""

import asyncio
import time
from typing import Any

import aiortc
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet, VideoFrame

from ..capture.clock import stamp_video
from ..capture.encoded_reader import EncodedReader
from ..capture.media_stream_track import MediaStreamTrack
from ..capture.processing import black
from .aiortc_seam import force_keyframe, take_keyframe_request

BLACK_INTERVAL = 1.0
"""Seconds between the black pictures of an ended track: enough for who looks, and costs nothing."""


class ViewerTrack(aiortc.MediaStreamTrack):
    """One viewer's view of a track, or of another one that takes its place.

    :param sender: the sender that reads it.
    """

    def __init__(self, track: MediaStreamTrack, sender: aiortc.RTCRtpSender) -> None:
        self.kind = track.kind
        super().__init__()
        self._sender = sender
        self._replaced = asyncio.Event()
        self._size = (640, 480)
        self._passing = False
        self.takes_h264 = False
        """Whether the viewer is sent H.264, and so can have a camera's own."""
        self._read_from(track)

    def _read_from(self, track: MediaStreamTrack) -> None:
        self.track = track
        self._frames = track.reader()
        self._encoded = EncodedReader(track)

    def replace(self, track: MediaStreamTrack) -> None:
        """Go on with another track of the same kind, without the viewer's doing."""
        self._read_from(track)
        self._replaced.set()

    async def recv(self) -> "VideoFrame | AudioFrame | Packet[Any]":
        """The next frame of the track, or its next picture in H.264.

        :raises MediaStreamError: this view of it has ended.
        """
        while self.readyState == "live":
            track = self.track
            if track.readyState == "ended":
                blank = await self._blank()
                if blank is not None:
                    return blank
            elif self.takes_h264 and self._encoded.available:
                if (packet := await self._pass_through()) is not None:
                    return packet
            else:
                try:
                    return self._encodable(await self._frames.read())
                except MediaStreamError:
                    continue  # the track has ended meanwhile
        raise MediaStreamError("this viewer has left")

    async def _pass_through(self) -> "Packet[Any] | None":
        if take_keyframe_request(self._sender):
            self._encoded.request_keyframe()
        packet = await self._encoded.read()
        self._passing = self._passing or packet is not None
        return packet

    def _encodable(self, frame: VideoFrame | AudioFrame) -> VideoFrame | AudioFrame:
        if isinstance(frame, VideoFrame):
            self._size = (frame.width, frame.height)
        if self._passing:
            # The viewer's last picture was the camera's own, which the encoder knows nothing of.
            self._passing = False
            force_keyframe(self._sender)
        return frame

    async def _blank(self) -> VideoFrame | AudioFrame | None:
        """A black picture after a while; None when another track is there before."""
        wait = BLACK_INTERVAL if self.kind == "video" else None  # of sound, nothing is sent
        self._replaced.clear()
        try:
            async with asyncio.timeout(wait):
                await self._replaced.wait()
        except TimeoutError:
            picture = black(*self._size)
            stamp_video(picture, time.monotonic())
            return self._encodable(picture)
        return None
