"""One device as the tracks of this process share it: opened once, in a mode that serves them all.

Each track has settings of its own. The device runs in a native mode from which all of them can be
made by cropping, scaling and decimation: the first track chooses it, later ones may make the
device switch to a larger one, never to one that would starve a track that is there already.

While every track is disabled the device is released, so that a camera's light goes out, and taken
again when one is enabled.
"""

import asyncio
import logging
from dataclasses import replace
from typing import Any

from ..constraints.control_choice import narrowed
from ..constraints.device import ConstrainableObject
from ..constraints.parse import ConstraintSet, TrackConstraints
from ..constraints.select import Selection, Unsatisfiable, select_settings
from ..devices.backend import (
    Backend,
    Captured,
    DeviceDescription,
    DeviceError,
    DeviceLost,
    Mode,
    VideoMode,
)
from ..devices.source import Source
from ..errors import OverconstrainedError
from .shutter import FLASH, NO_FLASH, SETTLING, PictureSink, photo_mode
from .track_sink import TrackSink

logger = logging.getLogger(__name__)

# Media Capture and Streams 4.3.1.3 wants the light out within three seconds; a mute button that is
# pressed by mistake, and at once again, should not blink.
RELEASE_DELAY = 2.0


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
        self._released = False
        self._release_timer: asyncio.TimerHandle | None = None
        self._reacquiring: asyncio.Task[None] | None = None
        self._dousing: asyncio.Task[None] | None = None

    @property
    def kind(self) -> str:
        """audio or video: the kind of its tracks."""
        return self.constrainable.kind

    @property
    def muted(self) -> bool:
        """Whether the device delivers nothing at the moment."""
        return self._source is not None and self._source.muted

    def rest(self) -> None:
        """The device is listed anew: while nobody uses it, it belongs to no event loop."""
        if not self._sinks and not self._lock.locked():
            self._lock = asyncio.Lock()

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
            if self._released and sink in self._sinks:
                sink.configure(selection.settings, wanted, wanted)  # in force once it is back
                sink.constraints = constraints
                sink.controls = {
                    name: selection.settings[name] for name in self.constrainable.controls
                }
                return
            pinned = selection.settings.get("resizeMode") == "none" and (
                "resizeMode" in constraints.required
            )
            source = await self._run_in(wanted, others, exactly=pinned)
            try:
                await self._set_controls(source, others, constraints)
            except BaseException:
                self._supply(source)
                raise
            if not sink.ended:  # it may have been stopped while the device opened
                sink.configure(selection.settings, wanted, source.mode, pinned=pinned)
                sink.constraints, sink.controls = constraints, source.controls
                if sink not in self._sinks:
                    self._sinks.append(sink)
            self._supply(source)
        self.review()

    def join(self, sink: TrackSink, original: TrackSink) -> bool:
        """Let a clone capture with the settings of its original; False when the device is gone."""
        source = self._source
        if source is None or original.mode is None or not (source.alive or self._released):
            return False
        sink.configure(original.settings(), original.mode, source.mode, pinned=original.pinned)
        sink.constraints, sink.controls = original.constraints, original.controls
        self._sinks.append(sink)
        if not self._released:
            source.add_sink(sink)
        return True

    def resized(self, sink: TrackSink, mode: VideoMode, constraints: TrackConstraints) -> None:
        """The captured surface has another size: fit a track's settings to it.

        Constraints that can't be satisfied any more are ignored (Screen Capture 5.4).
        """
        if mode not in self.description.modes:
            modes = tuple(
                replace(known, width=mode.width, height=mode.height)
                for known in self.description.modes
                if isinstance(known, VideoMode)
            )
            self.description = replace(self.description, modes=modes)
            self.constrainable = self.constrainable.resized(mode.width, mode.height)
        index = self.description.modes.index(mode)
        selection = select_settings(self.constrainable, constraints, modes=[index])
        while isinstance(selection, Unsatisfiable):
            constraints = constraints.without_required(selection.constraint)
            selection = select_settings(self.constrainable, constraints, modes=[index])
        sink.configure(selection.settings, mode, mode)

    def request_keyframe(self) -> None:
        """Ask the device for a key frame, if it compresses its pictures."""
        if self._source is not None:
            self._source.request_keyframe()

    def leave(self, sink: TrackSink) -> None:
        """A track has ended; without any the device is closed."""
        if sink in self._sinks:
            self._sinks.remove(sink)
        if self._source is not None:
            self._source.remove_sink(sink)
            self._douse(self._source)
        self.review()

    def review(self) -> None:
        """A track came, went, or changed whether it is enabled: is the device needed?"""
        idle = not any(sink.enabled for sink in self._sinks)
        if self._release_timer is not None and not (idle and self._sinks):
            self._release_timer.cancel()
            self._release_timer = None
        if idle and self._sinks and not self._released and self._release_timer is None:
            loop = asyncio.get_running_loop()
            self._release_timer = loop.call_later(RELEASE_DELAY, self._release)
        if not idle and self._released and self._reacquiring is None:
            self._reacquiring = asyncio.create_task(self._reacquire())

    def photo_mode(self) -> VideoMode | None:
        """The mode in which a photograph would be taken; None when the device is not open."""
        source = self._source
        if source is None or not isinstance(source.mode, VideoMode) or not source.alive:
            return None
        return photo_mode(self.description.modes, source.mode, None, None)

    async def photograph(
        self, width: int | None, height: int | None, *, flash: bool
    ) -> tuple[Captured, dict[str, Any]]:
        """Take one picture, in the largest mode or in the one nearest to a size.

        When the device has to change its mode for it, its tracks are muted meanwhile.

        :return: the picture, and what the device's controls were set to.
        :raises DeviceError: the device delivers none.
        """
        async with self._lock:
            source, temporary = self._source, False
            if source is None or not source.alive:
                if source is not None:
                    await source.wait_closed()
                modes = [mode for mode in self.description.modes if isinstance(mode, VideoMode)]
                best = photo_mode(self.description.modes, modes[0], width, height)
                source, temporary = await Source.open(self.backend, self.description, best), True
            before = source.mode
            assert isinstance(before, VideoMode), "only cameras and screens take photographs"
            mode = photo_mode(self.description.modes, before, width, height)
            lit = flash and source.controls.get("torch") is False
            try:
                if lit:
                    await source.set_controls(FLASH)
                if mode == before:
                    captured = await PictureSink(SETTLING * lit).picture(source)
                else:
                    captured = await self._in_another_mode(source, before, mode)
                return captured, dict(source.controls)
            finally:
                if lit and source.alive:
                    await source.set_controls(NO_FLASH)
                if temporary:
                    source.close()

    async def _in_another_mode(
        self, source: Source, before: VideoMode, mode: VideoMode
    ) -> Captured:
        sinks = list(self._sinks)
        for sink in sinks:
            sink.interrupt(True)
        try:
            await source.set_mode(mode)
            return await PictureSink(SETTLING).picture(source)
        finally:
            try:
                if source.alive and source.mode != before:
                    await source.set_mode(before)
            finally:
                for sink in self._sinks:  # it may have refused to go back
                    assert isinstance(source.mode, VideoMode), "a camera has no other"
                    sink.device_switched(source.mode)
                for sink in sinks:
                    sink.interrupt(source.muted)

    async def closed(self) -> None:
        """Wait until the device is released, when no track captures from it any more."""
        for task in (self._reacquiring, self._dousing):
            if task is not None:
                await task
        async with self._lock:
            if self._source is not None and not self._sinks:
                await self._source.wait_closed()

    async def _set_controls(
        self, source: Source, others: list[TrackSink], constraints: TrackConstraints
    ) -> None:
        """Set those of the device's controls that are to have another value for a track.

        Once it is open it is known what they are set to; what nothing is asked of stays so.

        :raises DeviceError: the device refuses.
        """
        if not self.constrainable.controls:
            return
        settings = self._select(others, constraints).settings
        changed = {
            name: settings[name]
            for name in self.constrainable.controls
            if name in source.controls and settings[name] != source.controls[name]
        }
        if changed:
            await source.set_controls(changed)

    def _douse(self, source: Source) -> None:
        """A lamp goes out with the last track that wanted it (Image Capture 8, torch)."""
        wanted = any("torch" in each for sink in self._sinks for each in _sets(sink.constraints))
        if self._sinks and source.alive and source.controls.get("torch") and not wanted:
            self._dousing = asyncio.create_task(self._put_out(source))

    async def _put_out(self, source: Source) -> None:
        try:
            await source.set_controls({"torch": False})
        except DeviceError as error:
            logger.info("the lamp of %s could not be put out: %s", self.description.label, error)

    def _release(self) -> None:
        self._release_timer = None
        if self._source is None or not self._source.alive:
            return
        logger.info("releasing %s: all its tracks are disabled", self.description.label)
        self._released = True
        for sink in self._sinks:
            self._source.remove_sink(sink)

    async def _reacquire(self) -> None:
        """Take the device again; where that fails, its tracks end."""
        try:
            async with self._lock:
                if not self._released or not self._sinks:
                    return
                wanted = self._sinks[0].mode
                for mode in self.description.modes:
                    if all(_serves(mode, sink) for sink in self._sinks):
                        wanted = mode
                        break
                assert wanted is not None, "a track that captures has settled"
                source = await self._run_in(wanted, [])
                for sink in self._sinks:  # what was asked for meanwhile
                    others = [other for other in self._sinks if other is not sink]
                    await self._set_controls(source, others, sink.constraints)
                    sink.controls = source.controls
                self._supply(source)
        except DeviceError as error:
            logger.warning("%s can't be taken again: %s", self.description.label, error)
            for sink in list(self._sinks):
                sink.lost(DeviceLost(str(error)))
        finally:
            self._reacquiring = None

    def _select(self, others: list[TrackSink], constraints: TrackConstraints) -> Selection:
        usable = [
            index
            for index, mode in enumerate(self.description.modes)
            if all(_serves(mode, other) for other in others)
        ]
        controls = dict(self.constrainable.controls)
        for name, control in controls.items():
            value = self._source.controls.get(name, control.value) if self._source else None
            if value is not None:
                controls[name] = replace(control, value=value)
            for other in others:
                if name in other.constraints.required:
                    controls[name] = narrowed(controls[name], other.constraints.basic[name])
        device = replace(self.constrainable, controls=controls)
        selection = select_settings(device, constraints, modes=usable)
        if isinstance(selection, Unsatisfiable):
            raise OverconstrainedError(selection.constraint, selection.message)
        return selection

    async def _run_in(
        self, wanted: Mode, others: list[TrackSink], *, exactly: bool = False
    ) -> Source:
        """Open the device, or switch it, so that it serves a track that wants this mode."""
        source = self._source
        if source is None or not source.alive:
            if source is not None:
                await source.wait_closed()
            source = self._source = await Source.open(self.backend, self.description, wanted)
            self._released = False
        elif source.mode != wanted and (exactly or not others or not _covers(source.mode, wanted)):
            await source.set_mode(wanted)
        return source

    def _supply(self, source: Source) -> None:
        """Let every track have the source's samples, and know its mode."""
        for sink in self._sinks:
            source.add_sink(sink)
            if isinstance(source.mode, VideoMode):
                sink.device_switched(source.mode)
        if not self._sinks:  # all were stopped while the device opened
            source.close()


def _sets(constraints: TrackConstraints) -> list[ConstraintSet]:
    return [constraints.basic, *constraints.advanced]


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
    if sink.pinned:
        return mode == sink.mode
    settings = sink.settings()
    return bool(
        mode.width >= settings["width"]
        and mode.height >= settings["height"]
        and mode.frame_rate >= settings["frameRate"]
    )
