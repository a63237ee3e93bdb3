"""Recorder: keeps what tracks show and play in a file."""

import asyncio
import contextlib
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import aiortc
import av.error
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet, VideoFrame

from ..capture.media_stream_track import MediaStreamTrack
from ..errors import InvalidStateError
from .recording_file import RecordingFile, format_for
from .track_reader import open_reader

logger = logging.getLogger(__name__)

BACKLOG = 64
"""Frames that wait to be encoded: most of a second of pictures and sound. More than that means that
the computer is too slow, and no queue is long enough."""
TICK = 0.5
"""Seconds after which the file goes on though nothing has come."""

_Item = tuple[aiortc.MediaStreamTrack, VideoFrame | AudioFrame, float]


class RecordingError(Exception):
    """A file can't be written; the message is for a person."""


def check_recordable(path: Path) -> None:
    """See whether a recording can be made under this name; nothing is written.

    :raises ValueError: its suffix names no format that works, or its folder can't be written to.
    """
    format_for(path)
    folder = path.parent
    if not folder.is_dir():
        raise ValueError(f"{path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{path}: the folder {folder} can't be written to")


class Recorder:
    """Records tracks, local or remote, into a file whose format its suffix says: `.mp4` (H.264 and
    AAC), `.mkv` (H.264 and Opus), `.webm` (VP8 and Opus), or of sound alone `.wav` and `.ogg`.

    Sound and pictures stay in step: what a track does not deliver is silence or black, and where it
    merely has no new picture, the last one stands. Pictures have the size of the first one; later
    ones are scaled to it, on black. A track that comes after the file has begun takes the place of
    one of its kind that has ended; where there is none, the recording goes on in another file.

    A file that exists is left alone: the recording goes to `out-2.mp4`, or whatever is free. So
    several recorders can have the same path. If the process is killed, all but the last two seconds
    can be played. A file into which nothing came is removed.

    :param overwrite: replace a file that exists.
    :raises ValueError: the suffix names no format that works.
    """

    def __init__(self, path: Path | str, *, overwrite: bool = False) -> None:
        self._path = Path(path)
        self._format = format_for(self._path)
        self._overwrite = overwrite
        self._tracks: dict[aiortc.MediaStreamTrack, asyncio.Task[None] | None] = {}
        self._backlog = _Backlog(self._path.name)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened, self._finished = asyncio.Event(), asyncio.Event()
        self._error: RecordingError | None = None
        self._stopped = False
        self.files: list[Path] = []
        """What has been, or is being, written."""

    def add_track(self, track: aiortc.MediaStreamTrack) -> None:
        """Record a track, too; once is enough. It is never stopped here.

        :raises InvalidStateError: the recorder is stopped.
        """
        if self._stopped:
            raise InvalidStateError("the recorder is stopped")
        if track.kind == "video" and self._format.video is None:
            logger.warning("%s has no place for pictures", self._path.name)
        elif track not in self._tracks:
            self._tracks[track] = None
            if self._opened.is_set():
                self._read(track)

    async def start(self) -> None:
        """Open the file, and begin.

        :raises RecordingError: the file can't be written.
        """
        if self._thread is None and not self._stopped:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(
                target=self._run, name=f"record {self._path.name}", daemon=True
            )
            self._thread.start()
        await self._opened.wait()
        if self._error is not None:
            raise self._error
        for track, task in list(self._tracks.items()):
            if task is None:
                self._read(track)

    async def stop(self) -> None:
        """Complete the file; a second call waits for the first. Whoever is cancelled while waiting
        leaves a complete file, too.

        :raises RecordingError: the file was begun, and could not be written to its end.
        """
        self._stopped = True
        self._backlog.close()
        tasks = [task for task in self._tracks.values() if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._thread is None:
            return
        await self._finished.wait()
        self._thread.join()  # there is nothing left that it does
        if self._error is not None and self.files:
            raise self._error

    def _read(self, track: aiortc.MediaStreamTrack) -> None:
        self._tracks[track] = asyncio.create_task(self._pump(track))

    async def _pump(self, track: aiortc.MediaStreamTrack) -> None:
        reader = open_reader(track)
        clock = None if isinstance(track, MediaStreamTrack) else _LeastDelay()
        try:
            while True:
                media, at = await reader.read()
                if clock is not None:
                    at = clock.capture_time(at, time.monotonic())
                if isinstance(media, Packet):
                    logger.warning("%s: what is encoded already is not recorded", self._path.name)
                    return
                self._backlog.put((track, media, at))
        except MediaStreamError:
            pass  # the track has ended
        except Exception as error:  # a track may raise anything
            logger.warning("%s: a track failed: %r", self._path.name, error)
        finally:
            reader.close()
            self._tracks.pop(track, None)

    # In the thread.

    def _run(self) -> None:
        try:
            self._record()
        except Exception as error:  # an encoder may raise anything, and whoever stops is told
            path = self.files[-1] if self.files else self._path
            reason = getattr(error, "strerror", None) or repr(error)
            self._error = RecordingError(f"{path} can't be written: {reason}")
            if self.files:
                logger.warning("%s", self._error)
        finally:
            self._backlog.close()
            self._backlog.clear()
            self._tell(self._opened.set)
            self._tell(self._finished.set)

    def _record(self) -> None:
        recording = self._open()
        self._tell(self._opened.set)
        try:
            while not self._backlog.is_over:
                item = self._backlog.take(TICK)
                now = time.monotonic()
                if item is not None:
                    track, frame, at = item
                    if not recording.has_place(track):
                        if track.readyState == "ended":
                            continue  # another has its place
                        self._complete(recording)
                        recording = self._open()
                    recording.write(track, frame, at)
                    now = at  # what is behind this frame, however late, is yet to be written
                recording.advance(now, list(self._tracks))
        except BaseException:
            with contextlib.suppress(OSError, av.error.FFmpegError):
                recording.close()
            raise
        self._complete(recording)

    def _open(self) -> RecordingFile:
        first = not self.files
        for path in self._names():
            try:
                # libav gets the open file, so that no other one can be there by then.
                file = path.open("wb" if self._overwrite and first else "xb", buffering=0)
            except FileExistsError:
                continue
            self.files.append(path)
            logger.info("recording to %s", path)
            return RecordingFile(file, self._format)
        raise AssertionError("there is always another name")

    def _names(self) -> Iterator[Path]:
        yield self._path
        for number in itertools.count(2):
            yield self._path.with_stem(f"{self._path.stem}-{number}")

    def _complete(self, recording: RecordingFile) -> None:
        recording.close()
        if recording.is_empty:
            path = self.files.pop()
            path.unlink(missing_ok=True)
            logger.info("nothing came, so there is no %s", path)
        else:
            logger.info("recorded %s", self.files[-1])

    def _tell(self, callback: Callable[[], None]) -> None:
        assert self._loop is not None
        # asyncio's way of saying that the loop is closed: nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)


class _LeastDelay:
    """When the frames of a foreign track were captured.

    Its reader thinks that the first one was not delayed, which is a busy moment; the one that was
    delayed least is nearer to the truth, and so sound and pictures come together.
    """

    def __init__(self) -> None:
        self._correction = 0.0

    def capture_time(self, supposed: float, arrived: float) -> float:
        """As `time.monotonic()`, of which both arguments are times, too."""
        self._correction = min(self._correction, arrived - supposed)
        return supposed + self._correction


class _Backlog:
    """Frames on their way to the thread; the oldest are dropped when it is too slow."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._items: deque[_Item] = deque(maxlen=BACKLOG)
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = False

    def put(self, item: _Item) -> None:
        """Add a frame; after the end it is dropped."""
        with self._changed:
            if self._closed:
                return
            if len(self._items) == BACKLOG and not self._dropped:
                self._dropped = True
                logger.warning("%s: this computer is too slow, frames are left out", self._name)
            self._items.append(item)
            self._changed.notify()

    def take(self, timeout: float) -> _Item | None:
        """The oldest frame; None if there is none within so many seconds, or at all."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            return self._items.popleft() if self._items else None

    def close(self) -> None:
        """Take no more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def clear(self) -> None:
        """Forget what nobody takes any more."""
        with self._changed:
            self._items.clear()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left, and nothing more to come."""
        return self._closed and not self._items
