"""Tracks that come from the other side of a connection (WebRTC 5.3, "remote source")."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import aiortc
import numpy as np
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from ..capture.processing import black
from ..capture.sound import silence
from ..constraints.parse import parse_constraints
from ..errors import OverconstrainedError
from ..events import Event, EventTarget, event_handler

Frame = VideoFrame | AudioFrame

BACKLOG = {"video": 8, "audio": 50}
"""Frames that wait for a slow reader before the oldest is dropped: a quarter of a second of
pictures, a second of sound."""
FULL_SCALE = 32768
"""The loudest 16-bit sample."""
RATE_WINDOW = 30
"""Pictures from whose times of arrival the frame rate is estimated."""
# WebRTC 5.3: a remote track has no settings to be constrained.
_UNCONSTRAINABLE = ("width", "height", "frameRate", "aspectRatio")


class RemoteSource:
    """What arrives on one receiver, for the receiver's track and its clones.

    It has the `put()` by which aiortc's decoder hands over frames, and never holds it up.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.muted = True
        self.tracks: set[RemoteTrack] = set()
        self._size: tuple[int, int] | None = None
        self._arrivals: deque[float] = deque(maxlen=RATE_WINDOW)
        self._frames = 0
        self._duration = self._energy = 0.0

    async def put(self, frame: Frame | None) -> None:
        """Take a decoded frame; None, at the decoder's end, means nothing here: when a track ends
        is the connection's to say."""
        if frame is None:
            return
        if isinstance(frame, VideoFrame):
            self._size = (frame.width, frame.height)
            self._arrivals.append(time.monotonic())
        else:
            duration = frame.samples / frame.sample_rate
            loudest = float(np.abs(frame.to_ndarray()).max(initial=0)) / FULL_SCALE
            self._duration += duration
            self._energy += loudest**2 * duration
        self._frames += 1
        for track in self.tracks:
            track._take(frame)

    def set_muted(self, muted: bool) -> None:
        """Mute or unmute every track, each of which fires (Media Capture and Streams 4.3.1.2)."""
        if self.muted == muted:
            return
        self.muted = muted
        for track in list(self.tracks):
            track.dispatchEvent(Event("mute" if muted else "unmute"))

    def end(self) -> None:
        """End every track, each of which fires."""
        for track in list(self.tracks):
            track._source_ended()

    def decoded(self) -> dict[str, Any]:
        """Counters of what was decoded, by the names of `inbound-rtp`."""
        if self.kind == "audio":
            return {"totalSamplesDuration": self._duration, "totalAudioEnergy": self._energy}
        width, height = self._size or (None, None)
        return {
            "framesReceived": self._frames,
            "framesDecoded": self._frames,
            "framesDropped": 0,
            "frameWidth": width,
            "frameHeight": height,
            "framesPerSecond": self.settings().get("frameRate"),
        }

    def settings(self) -> dict[str, Any]:
        """Of pictures: those of the latest one."""
        if self._size is None:
            return {}
        width, height = self._size
        settings = {"width": width, "height": height, "aspectRatio": round(width / height, 10)}
        if len(self._arrivals) > 1 and self._arrivals[-1] > self._arrivals[0]:
            duration = self._arrivals[-1] - self._arrivals[0]
            settings["frameRate"] = round((len(self._arrivals) - 1) / duration, 1)
        return settings


class RemoteTrack(EventTarget, aiortc.MediaStreamTrack):
    """The track of a receiver, or a clone of it.

    It is muted until media arrives, while the other side sends none, and after the other side
    said BYE; it ends when its transceiver is stopped or the connection is closed. `recv()` gives
    the frames in order; who reads too slowly loses the oldest.
    """

    onended = event_handler("ended")
    onmute = event_handler("mute")
    onunmute = event_handler("unmute")

    def __init__(self, source: RemoteSource) -> None:
        super().__init__()
        self.kind = source.kind
        self.enabled = True
        self._source = source
        self._frames: deque[Frame] = deque(maxlen=BACKLOG[source.kind])
        self._news = asyncio.Event()
        self._muted_at_end = True
        source.tracks.add(self)

    def __repr__(self) -> str:
        return f"<RemoteTrack {self.kind} {self.readyState} {self.id}>"

    @property
    def label(self) -> str:
        """What it is, for a person."""
        return f"remote {self.kind}"

    @property
    def muted(self) -> bool:
        """Whether nothing arrives at the moment."""
        return self._source.muted if self.readyState == "live" else self._muted_at_end

    def getSettings(self) -> dict[str, Any]:
        """Of a picture: width, height, aspectRatio of the latest one, and the frameRate at which
        they arrive; of sound, and after the end, nothing."""
        return self._source.settings() if self.readyState == "live" else {}

    def getCapabilities(self) -> dict[str, Any]:
        """Nothing: the other side decides."""
        return {}

    def getConstraints(self) -> dict[str, Any]:
        """Nothing, since nothing can be applied."""
        return {}

    async def applyConstraints(self, constraints: Mapping[str, Any] | None = None) -> None:
        """Refused for what the other side decides.

        :raises TypeError: the constraints are malformed.
        :raises OverconstrainedError: they speak of the size or rate.
        """
        given = parse_constraints(constraints, where="constraints").to_dict()
        for name in _UNCONSTRAINABLE:
            if name in given:
                raise OverconstrainedError(name, f"{name} of a remote track is the sender's choice")

    def clone(self) -> "RemoteTrack":
        """Another track of the same source; it outlives this one's `stop()`."""
        copy = RemoteTrack(self._source)
        copy.enabled = self.enabled
        if self.readyState == "ended":
            copy.stop()
        return copy

    async def recv(self) -> Frame:
        """The next frame; it waits while the track is muted.

        :raises MediaStreamError: the track has ended.
        """
        while self.readyState == "live":
            if self._frames:
                frame = self._frames.popleft()
                return frame if self.enabled else _blank(frame)
            self._news.clear()
            await self._news.wait()
        raise MediaStreamError(f"{self.label} has ended")

    def stop(self) -> None:
        """End this track, at once and without an event; what arrives is dropped from now on."""
        if self.readyState == "ended":
            return
        self._muted_at_end = self._source.muted
        self._source.tracks.discard(self)
        self._frames.clear()
        super().stop()
        self._news.set()

    def _source_ended(self) -> None:
        self.stop()
        self.dispatchEvent(Event("ended"))

    def _take(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._news.set()


def _blank(frame: Frame) -> Frame:
    """Black or silence in place of this frame."""
    blank: Frame
    if isinstance(frame, VideoFrame):
        blank = black(frame.width, frame.height)
    else:
        blank = silence(frame.sample_rate, frame.layout.nb_channels)
    blank.pts, blank.time_base = frame.pts, frame.time_base
    return blank
