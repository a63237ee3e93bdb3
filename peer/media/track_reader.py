"""Readers of any track: as many as there are encoders, each at its own place."""

import asyncio
import time
import weakref
from collections import deque
from typing import Any, Protocol, TypeAlias

import aiortc
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet, VideoFrame

from ..capture.encoded_reader import EncodedReader
from ..capture.media_stream_track import MediaStreamTrack
from .capture_time import ForeignClock, own_capture_time

Media: TypeAlias = "VideoFrame | AudioFrame | Packet[Any]"
"""A packet is a picture or sound that is encoded already."""

_BACKLOG = 10
"""Frames of sound or encoded pictures that a reader may lag behind; of pictures it wants the newest
only."""


class TrackReader(Protocol):
    """One reader's place in a track."""

    async def read(self) -> tuple[Media, float]:
        """The next frame, and when it was captured (`time.monotonic()`).

        :raises MediaStreamError: the track has ended.
        """

    def request_keyframe(self) -> None:
        """Ask the source of encoded pictures for one that a decoder can begin with."""

    def close(self) -> None:
        """Let go of the track."""


def open_reader(track: aiortc.MediaStreamTrack, *, takes_h264: bool = False) -> TrackReader:
    """A reader of a track.

    :param takes_h264: whether the pictures of a camera that compresses them are wanted as they are.
    """
    if isinstance(track, MediaStreamTrack):
        return _OwnReader(track, takes_h264)
    tee = _tees.get(track)
    if tee is None:
        tee = _tees[track] = _Tee(track)
    return tee.reader()


class _OwnReader:
    """Reads a track of this process, which has any number of readers."""

    def __init__(self, track: MediaStreamTrack, takes_h264: bool) -> None:
        self._frames = track.reader(newest=True)
        self._encoded = EncodedReader(track) if takes_h264 else None

    async def read(self) -> tuple[Media, float]:
        media: Media | None = None
        if self._encoded is not None and self._encoded.available:
            media = await self._encoded.read()
        if media is None:
            media = await self._frames.read()
        assert media.pts is not None, "own tracks stamp their frames"
        assert media.time_base is not None
        return media, own_capture_time(media.pts, media.time_base.denominator)

    def request_keyframe(self) -> None:
        if self._encoded is not None:
            self._encoded.request_keyframe()

    def close(self) -> None:
        """Nothing to do: who doesn't read costs nothing."""


class _Tee:
    """Reads a foreign track, which has one reader only, for any number of others."""

    def __init__(self, track: aiortc.MediaStreamTrack) -> None:
        self._track = weakref.ref(track)
        self._readers: list[_TeeReader] = []
        self._clock = ForeignClock()
        self._task: asyncio.Task[None] | None = None

    def reader(self) -> "_TeeReader":
        reader = _TeeReader(self)
        self._readers.append(reader)
        track = self._track()
        if (self._task is None or self._task.done()) and track is not None:
            self._task = asyncio.create_task(self._run(track))
        return reader

    def close(self, reader: "_TeeReader") -> None:
        if reader in self._readers:
            self._readers.remove(reader)
        if not self._readers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, track: aiortc.MediaStreamTrack) -> None:
        ended = asyncio.ensure_future(_ended(track))
        try:
            while True:
                receiving = asyncio.ensure_future(track.recv())
                try:
                    # A track may leave who waits for its next frame waiting when it ends.
                    await asyncio.wait((receiving, ended), return_when=asyncio.FIRST_COMPLETED)
                    if not receiving.done():
                        raise MediaStreamError("the track has ended")
                    media = receiving.result()
                finally:
                    receiving.cancel()
                self._put(media)
        except Exception as error:
            for reader in self._readers:
                reader.fail(error)
        finally:
            ended.cancel()

    def _put(self, media: Any) -> None:
        pts_time = None
        if media.pts is not None and media.time_base is not None:
            pts_time = float(media.pts * media.time_base)
        at = self._clock.capture_time(pts_time, time.monotonic())
        for reader in self._readers:
            reader.put(media, at)


async def _ended(track: aiortc.MediaStreamTrack) -> None:
    ended = asyncio.Event()
    if track.readyState == "live":
        track.on("ended", ended.set)
        try:
            await ended.wait()
        finally:
            if track.readyState == "live":
                track.remove_listener("ended", ended.set)


class _TeeReader:
    def __init__(self, tee: _Tee) -> None:
        self._tee = tee
        self._items: deque[tuple[Media, float]] = deque(maxlen=_BACKLOG)
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def put(self, media: Media, at: float) -> None:
        if isinstance(media, VideoFrame):
            self._items.clear()
        self._items.append((media, at))
        self._changed.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._changed.set()

    async def read(self) -> tuple[Media, float]:
        while not self._items:
            if self._error is not None:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()

    def request_keyframe(self) -> None:
        """Nobody can be asked."""

    def close(self) -> None:
        self._tee.close(self)


_tees: "weakref.WeakKeyDictionary[Any, _Tee]" = weakref.WeakKeyDictionary()
