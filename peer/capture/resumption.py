"""Captures again from a device that was unplugged, when it is back."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from ..errors import AbortError, NotAllowedError, NotReadableError, OverconstrainedError
from ..events import Event
from .media_devices import MediaDevices
from .media_stream import MediaStream
from .media_stream_track import MediaStreamTrack

logger = logging.getLogger(__name__)

RETRY_FIRST = 0.1
RETRY_MOST = 5.0
"""Seconds between attempts to open a device that is back and can't be opened yet: the system sets
the permissions of its node a moment later, another program may have been faster. The wait doubles
each time."""

Resumed = Callable[[MediaStreamTrack, MediaStreamTrack], None]
Refused = Callable[[MediaStreamTrack], None]


class Resumption:
    """Keeps a stream going: a track that ended because its device did is replaced in it.

    Ending a track with `stop()`, or by revoking the permission, ends it for good.

    :param resumed: called with the ended track and the one that has taken its place.
    :param refused: called with an ended track whose device may not be used any more.
    """

    def __init__(
        self,
        devices: MediaDevices,
        stream: MediaStream,
        resumed: Resumed,
        refused: Refused = lambda track: None,
    ) -> None:
        self._devices, self._stream = devices, stream
        self._resumed, self._refused = resumed, refused
        self._tasks: dict[MediaStreamTrack, asyncio.Task[None]] = {}
        self._kept: list[MediaStreamTrack] = []
        for track in stream.getTracks():
            if isinstance(track, MediaStreamTrack):
                self._keep(track)

    @property
    def awaited(self) -> list[MediaStreamTrack]:
        """The ended tracks whose devices are waited for."""
        return list(self._tasks)

    async def close(self) -> None:
        """Wait for no device any more."""
        for track in self._kept:
            track.removeEventListener("ended", self._ended)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def _keep(self, track: MediaStreamTrack) -> None:
        self._kept.append(track)
        track.addEventListener("ended", self._ended)

    def _ended(self, event: Event) -> None:
        track = event.target
        assert isinstance(track, MediaStreamTrack), "only tracks are listened to"
        self._kept.remove(track)
        self._tasks[track] = asyncio.create_task(self._resume(track))

    async def _resume(self, track: MediaStreamTrack) -> None:
        again = await self._captured_again(track)
        self._tasks.pop(track)
        if again is None:
            self._refused(track)
            return
        logger.info("%s is back", again.label)
        self._stream.removeTrack(track)
        self._stream.addTrack(again)
        self._keep(again)
        self._resumed(track, again)

    async def _captured_again(self, track: MediaStreamTrack) -> MediaStreamTrack | None:
        """The track that follows, once its device is back; None when it may not be used again."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def notify() -> None:
            loop.call_soon_threadsafe(changed.set)

        # Not by `devicechange`: a device that leaves and is back at once is no change of the list.
        unwatch = await asyncio.to_thread(self._devices._catalog.watch, notify)
        try:
            retry = RETRY_FIRST
            while True:
                changed.clear()
                wait = None
                try:
                    again = await self._devices._capture_again(track)
                except NotAllowedError as error:
                    logger.warning("%s will not be taken again: %s", track.label, error)
                    return None
                except OverconstrainedError as error:
                    logger.warning("%s is back, but not as it was: %s", track.label, error)
                except (AbortError, NotReadableError) as error:
                    logger.info("%s is there, but can't be opened: %s", track.label, error)
                    wait, retry = retry, min(RETRY_MOST, retry * 2)
                else:
                    if again is not None:
                        return again
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await changed.wait()
        finally:
            await asyncio.shield(asyncio.to_thread(unwatch))
