"""One device as the tracks of this process share it: opened once, in a mode that serves them all.

Each track has settings of its own. The device runs in a native mode from which all of them can be
made by cropping, scaling and decimation: the first track chooses it, later ones may make the
device switch to a larger one, never to one that would starve a track that is there already.
"""

import asyncio

from ..constraints.device import ConstrainableObject
from ..constraints.parse import TrackConstraints
from ..constraints.select import Selection, Unsatisfiable, select_settings
from ..devices.backend import Backend, DeviceDescription, Mode, VideoMode
from ..devices.source import Source
from ..errors import OverconstrainedError
from .track_sink import TrackSink


class SharedDevice:
    """A device of this computer and the tracks that capture from it.

    :param constrainable: the device as constraint selection sees it; its modes are in the order
        of `description.modes`.
    """

    def __init__(
        self, backend: Backend, description: DeviceDescription, constrainable: ConstrainableObject
    ) -> None:
        self.backend, self.description = backend, description
        self.constrainable = constrainable
        self._source: Source | None = None
        self._sinks: list[TrackSink] = []
        self._lock = asyncio.Lock()

    @property
    def kind(self) -> str:
        """audio or video: the kind of its tracks."""
        return self.constrainable.kind

    @property
    def muted(self) -> bool:
        """Whether the device delivers nothing at the moment."""
        return self._source is not None and self._source.muted

    @property
    def in_use(self) -> bool:
        """Whether a live track captures from it."""
        return bool(self._sinks)

    async def settle(self, sink: TrackSink, constraints: TrackConstraints) -> None:
        """Give a track the settings that fit its constraints best, opening the device if need be.

        When it fails, the track and the device are as they were.

        :raises OverconstrainedError: the device can't satisfy a required constraint.
        :raises DeviceError: the device could not be opened, or refused the mode.
        """
        async with self._lock:
            others = [other for other in self._sinks if other is not sink]
            selection = self._select(others, constraints)
            wanted = self.description.modes[selection.mode]
            source = await self._run_in(wanted, others)
            sink.configure(selection.settings, wanted, source.mode)
            if sink not in self._sinks:
                source.add_sink(sink)
                self._sinks.append(sink)
            for other in others:
                if isinstance(source.mode, VideoMode):
                    other.device_switched(source.mode)

    def join(self, sink: TrackSink, original: TrackSink) -> bool:
        """Let a clone capture with the settings of its original; False when the device is gone."""
        if self._source is None or original.mode is None or not self._source.alive:
            return False
        sink.configure(original.settings(), original.mode, self._source.mode)
        self._source.add_sink(sink)
        self._sinks.append(sink)
        return True

    def leave(self, sink: TrackSink) -> None:
        """A track has ended; without any the device is closed."""
        if sink in self._sinks:
            self._sinks.remove(sink)
        if self._source is not None:
            self._source.remove_sink(sink)

    async def closed(self) -> None:
        """Wait until the device is released, when no track captures from it any more."""
        async with self._lock:
            if self._source is not None and not self._sinks:
                await self._source.wait_closed()

    def _select(self, others: list[TrackSink], constraints: TrackConstraints) -> Selection:
        usable = [
            index
            for index, mode in enumerate(self.description.modes)
            if all(_serves(mode, other) for other in others)
        ]
        selection = select_settings(self.constrainable, constraints, modes=usable)
        if isinstance(selection, Unsatisfiable):
            raise OverconstrainedError(selection.constraint, selection.message)
        return selection

    async def _run_in(self, wanted: Mode, others: list[TrackSink]) -> Source:
        """Open the device, or switch it, so that it serves a track that wants this mode."""
        source = self._source
        if source is None or not source.alive:
            if source is not None:
                await source.wait_closed()
            source = self._source = await Source.open(self.backend, self.description, wanted)
        elif source.mode != wanted and not (others and _covers(source.mode, wanted)):
            await source.set_mode(wanted)
        return source


def _covers(mode: Mode, wanted: Mode) -> bool:
    """Whether what one mode delivers can be turned into what another would."""
    if not isinstance(mode, VideoMode) or not isinstance(wanted, VideoMode):
        return True  # sound is resampled
    return (
        mode.width >= wanted.width
        and mode.height >= wanted.height
        and mode.frame_rate >= wanted.frame_rate
    )


def _serves(mode: Mode, sink: TrackSink) -> bool:
    """Whether the device can run in this mode without starving a track."""
    if not isinstance(mode, VideoMode):
        return True
    settings = sink.settings()
    return bool(
        mode.width >= settings["width"]
        and mode.height >= settings["height"]
        and mode.frame_rate >= settings["frameRate"]
    )
