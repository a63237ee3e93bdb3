"""A reader of pictures as the camera compressed them: no decoding, no encoding."""

from typing import Any

from av import Packet

from ..devices.backend import Captured
from .clock import VIDEO_TIME_BASE, video_time
from .media_stream_track import MediaStreamTrack


class EncodedReader:
    """One reader's place among the H.264 pictures of a track.

    It begins with a key frame: the latest one that the camera made, so that a picture is there at
    once. One that falls too far behind goes on at the next key frame.
    """

    def __init__(self, track: MediaStreamTrack) -> None:
        self._track = track
        self._number: int | None = None  # of the picture handed out last
        self._asked = False

    @property
    def available(self) -> bool:
        """Whether the camera's own pictures are what the track shows: it is live and enabled,
        unmuted, and has the camera's size and rate."""
        track = self._track
        return (
            track.readyState == "live"
            and track.enabled
            and not track.muted
            and track._sink.passes_through
        )

    async def read(self) -> "Packet[Any] | None":
        """The next picture, in Annex B with time stamps of the tracks' clock; None when the
        pictures are not available any more."""
        samples = self._track._sink.encoded
        while self.available:
            if self._number is None:
                newest = samples.newest(_is_keyframe)
                if newest is None:
                    self._ask()
                    await samples.changed(samples.count)
                    continue
                self._number, self._asked = newest - 1, False
            entry = samples.newer(self._number)
            if entry is None:
                await samples.changed(self._number)
            elif entry[0] == self._number + 1:
                self._number = entry[0]
                return _packet(entry[1])
            else:
                self._number = None  # the ones between are gone
        self._number = None
        return None

    def request_keyframe(self) -> None:
        """Ask the camera for a key frame; not every one can be asked."""
        self._track._device.request_keyframe()

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self.request_keyframe()


def _is_keyframe(captured: Captured) -> bool:
    return captured.encoded is not None and captured.encoded.keyframe


def _packet(captured: Captured) -> "Packet[Any]":
    assert captured.encoded is not None, "only compressed pictures are read here"
    packet = Packet(captured.encoded.data)
    packet.pts = packet.dts = video_time(captured.at)
    packet.time_base = VIDEO_TIME_BASE
    packet.is_keyframe = captured.encoded.keyframe
    return packet
