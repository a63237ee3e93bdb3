"""Watches the backends, and tells when the list of devices is another."""

import asyncio
from collections.abc import Callable, Sequence

from .device_catalog import DeviceCatalog
from .shared_device import SharedDevice

Changed = Callable[[Sequence[SharedDevice], Sequence[SharedDevice]], None]


class DeviceWatch:
    """Calls `changed(before, after)` on the loop; several changes may be told as one.

    :param changed: both lists are as the catalogue gives them, the default devices first.
    """

    def __init__(self, catalog: DeviceCatalog, changed: Changed) -> None:
        self._catalog, self._changed = catalog, changed
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self.ready = False
        """Whether the first list is known: what changes from then on is told."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop watching."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        # Watching comes first, so that nothing is missed between the first list and the watch.
        stop = await asyncio.to_thread(self._catalog.watch, self._notify)
        try:
            known = await self._catalog.devices()
            self.ready = True
            while True:
                await self._news.wait()
                self._news.clear()
                found = await self._catalog.devices()
                before, known = known, found
                self._changed(before, found)
        finally:
            await asyncio.shield(asyncio.to_thread(stop))

    def _notify(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:
            # asyncio's word for a closed loop: nobody is left to be told.
            return
