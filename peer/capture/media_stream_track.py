"""MediaStreamTrack: one kind of media from one source (Media Capture and Streams 4.3)."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, cast

import aiortc
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from ..constraints.device import capabilities
from ..constraints.parse import TrackConstraints, parse_constraints
from ..constraints.properties import PAN_TILT_ZOOM
from ..constraints.types import (
    MediaTrackCapabilities,
    MediaTrackConstraints,
    MediaTrackSettings,
)
from ..controls import ControlValue
from ..devices.backend import DeviceError, VideoMode
from ..errors import NotReadableError
from ..events import Event, EventTarget, event_handler
from .clock import sample_number, stamp_audio, stamp_video
from .context import CaptureContext
from .processing import black
from .shared_device import SharedDevice
from .sound import FRAME_DURATION, silence
from .track_sink import TrackSink
from .track_stats import MediaStreamTrackAudioStats, MediaStreamTrackVideoStats

# What an ended track still tells about itself (Media Capture and Streams 4.3.3.2, getSettings).
_SETTINGS_AFTER_END = ("deviceId", "facingMode", "groupId")


class MediaStreamTrack(EventTarget, aiortc.MediaStreamTrack):
    """A track from a local device. `getUserMedia()` and `clone()` make it, applications do not.

    It is an aiortc track as well: any consumer may `await track.recv()`, which gives PyAV frames
    at the track's settings with time stamps of one monotonic clock. Pictures are yuv420p, sound
    is packed s16 in frames of 20 ms. While the track is muted or disabled they are black and
    silent, of the same size and pace. Frames may be shared with other readers: don't write into
    them.

    There are two kinds of listeners. `addEventListener()` and the `on…` attributes follow the
    specification to the letter: they get an event object, and `stop()` fires nothing. aiortc's
    `track.on("ended")` is left as aiortc has it: without an argument, and after `stop()` as well.
    """

    onended = event_handler("ended")
    onmute = event_handler("mute")
    onunmute = event_handler("unmute")
    onconfigurationchange = event_handler("configurationchange")

    def __init__(self, device: SharedDevice, context: CaptureContext) -> None:
        super().__init__()
        self._device = device
        self._context = context
        self._enabled = True
        self._muted = False
        self._constraints = parse_constraints(None)
        self._applying = asyncio.Lock()
        self._settling = False
        self._change_untold = False
        self._last_settings: dict[str, Any] = {}
        self._sink = TrackSink(
            device.kind,
            muted=self._source_muted,
            ended=self._source_ended,
            changed=self._configuration_changed,
            resized=self._source_resized,
            controls=self._controls_changed,
        )
        self._stats = (
            MediaStreamTrackVideoStats(self._sink.counters)
            if device.kind == "video"
            else MediaStreamTrackAudioStats(self._sink.counters)
        )
        self._reader = self.reader()

    def __repr__(self) -> str:
        return f"<MediaStreamTrack {self.kind} {self.label!r} {self.readyState} {self.id}>"

    @property
    def kind(self) -> str:  # type: ignore[override]
        """audio or video."""
        return self._device.kind

    @property
    def label(self) -> str:
        """What the system calls the device."""
        return self._device.description.label

    @property
    def enabled(self) -> bool:
        """Whether the application lets the samples through; black or silence comes if not."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: object) -> None:
        self._enabled = bool(value)
        self._sink.enabled = self._enabled
        self._sink.wake()
        if self.readyState == "live":
            self._device.review()

    @property
    def muted(self) -> bool:
        """Whether the source is unable to deliver at the moment."""
        return self._muted

    @property
    def stats(self) -> MediaStreamTrackVideoStats | MediaStreamTrackAudioStats:
        """What became of the track's frames; always the same object."""
        return self._stats

    # Settings.

    def getSettings(self) -> MediaTrackSettings:
        """The values now in force; after the end, only which device it was."""
        if self.readyState == "ended":
            settings = self._last_settings.items()
            kept = {name: value for name, value in settings if name in _SETTINGS_AFTER_END}
            return cast(MediaTrackSettings, kept)
        return cast(MediaTrackSettings, self._shown(self._sink.settings()))

    def getConstraints(self) -> MediaTrackConstraints:
        """The constraints that were last applied, as they were given."""
        return cast(MediaTrackConstraints, self._constraints.to_dict())

    def getCapabilities(self) -> MediaTrackCapabilities:
        """What the device can do."""
        return cast(MediaTrackCapabilities, self._shown(capabilities(self._device.constrainable)))

    def _shown(self, properties: dict[str, Any]) -> dict[str, Any]:
        """What may be known of settings or capabilities (Image Capture 8.2), as IDL has it."""
        if not self._context.may_move_cameras:
            properties = {n: value for n, value in properties.items() if n not in PAN_TILT_ZOOM}
        if "pointsOfInterest" in properties:
            points = properties["pointsOfInterest"]
            properties["pointsOfInterest"] = [{"x": x, "y": y} for x, y in points]
        return properties

    async def applyConstraints(
        self, constraints: MediaTrackConstraints | Mapping[str, Any] | None = None
    ) -> None:
        """Replace the track's constraints, and change its settings to the best that fits.

        Calls on one track take effect one after the other. When it fails nothing has changed.
        On a track that has ended it does nothing.

        :raises TypeError: the constraints are malformed.
        :raises OverconstrainedError: the device can't satisfy a required constraint.
        :raises NotReadableError: the device refused the mode.
        """
        parsed = parse_constraints(constraints, where="constraints")
        async with self._applying:
            if self.readyState == "ended":
                return
            try:
                await self._settle(parsed)
            except DeviceError as error:
                raise NotReadableError(str(error)) from error

    async def _settle(self, constraints: TrackConstraints) -> None:
        """Choose and apply settings; at first this opens the device.

        :raises OverconstrainedError, DeviceError: as `SharedDevice.settle()`; nothing has changed.
        """
        effective = constraints
        if not self._context.may_move_cameras:
            effective = constraints.without(PAN_TILT_ZOOM)
        self._settling = True
        try:
            await self._device.settle(self._sink, effective)
        finally:
            self._settling = False
        self._constraints = constraints
        self._muted = self._device.muted
        self._context.tracks.add(self)

    # Life.

    def clone(self) -> "MediaStreamTrack":
        """A track of its own from the same source, with the same constraints and settings."""
        copy = MediaStreamTrack(self._device, self._context)
        copy._enabled = copy._sink.enabled = self._enabled
        copy._muted = self._muted
        copy._constraints = self._constraints
        copy._last_settings = self._last_settings
        if self.readyState == "ended" or not self._device.join(copy._sink, self._sink):
            copy._end()
        self._context.tracks.add(copy)
        self._device.review()
        return copy

    def stop(self) -> None:
        """End the track, at once and without an event; the last one closes the device."""
        self._end()

    def _end(self) -> None:
        if self.readyState == "ended":
            return
        self._last_settings = self._sink.settings()
        self._device.leave(self._sink)
        aiortc.MediaStreamTrack.stop(self)
        self._sink.end()

    def _source_ended(self) -> None:
        """The user agent ends the track; runs in a task (Media Capture and Streams 4.3.1.4)."""
        if self.readyState == "ended":
            return
        self._end()
        self.dispatchEvent(Event("ended"))

    def _source_muted(self, muted: bool) -> None:
        """Set a track's muted state; runs in a task (Media Capture and Streams 4.3.1.2)."""
        if self.readyState == "ended" or self._muted == muted:
            return
        self._muted = muted
        self._sink.wake()
        self.dispatchEvent(Event("mute" if muted else "unmute"))
        if self._change_untold and not self._muted:
            self._configuration_changed()

    def _source_resized(self, mode: VideoMode) -> None:
        """The captured surface changed its size; runs in a task (Screen Capture 5.4)."""
        if self.readyState == "live":
            self._device.resized(self._sink, mode, self._constraints)
            self._configuration_changed()

    def _controls_changed(self, values: Mapping[str, ControlValue]) -> None:
        """Somebody has moved a control of the device; runs in a task."""
        if self.readyState == "ended" or values == self._sink.controls:
            return
        self._sink.controls = values
        if not self._settling:  # applyConstraints() itself is no news to who called it
            self._configuration_changed()

    def _configuration_changed(self) -> None:
        """The source's settings changed by themselves (mediacapture-extensions 9); of a muted
        track that is told once it is unmuted."""
        if self.readyState == "ended":
            return
        self._change_untold = self._muted
        if not self._muted:
            self.dispatchEvent(Event("configurationchange"))

    # Samples.

    async def recv(self) -> VideoFrame | AudioFrame:
        """The next frame.

        A reader that falls behind finds the newest frames, the older ones are gone.

        :raises MediaStreamError: the track has ended.
        """
        return await self._reader.read()

    def reader(self, *, newest: bool = False) -> "FrameReader":
        """A reader of its own: it gets every frame, whoever else reads the track.

        :param newest: begin with the latest picture there is, if it is not out of date already.
        """
        return FrameReader(self, newest=newest)


class FrameReader:
    """One reader's place in a track. Made by `MediaStreamTrack.reader()`."""

    def __init__(self, track: MediaStreamTrack, *, newest: bool = False) -> None:
        self._track = track
        self._number = track._sink.samples.count
        self._until = 0.0  # monotonic time at which the last frame handed out ends
        if newest and track.kind == "video":
            self._number -= 1
            # What is older may be from before the camera was off for a while.
            self._until = time.monotonic() - _frame_duration(track)

    async def read(self) -> VideoFrame | AudioFrame:
        """The next frame, as `MediaStreamTrack.recv()`.

        :raises MediaStreamError: the track has ended.
        """
        track, samples = self._track, self._track._sink.samples
        while track.readyState == "live":
            track._sink.want_frames()
            if track.muted or not track.enabled:
                if await self._pace():
                    return self._blank(self._until)
                continue
            entry = samples.newer(self._number)
            if entry is None:
                await samples.changed(self._number)
                continue
            self._number, captured = entry
            if captured.at < self._until - _frame_duration(track) / 2:
                continue  # black or silence has taken its place already
            frame = captured.frame
            assert frame is not None, "only decoded pictures become samples"
            if isinstance(frame, VideoFrame):
                frame = await track._sink.picture(self._number, captured)
                if track.readyState != "live":
                    break
            self._until = captured.at + _frame_duration(track)
            return frame
        raise MediaStreamError(f"{track.label} has ended")

    async def _pace(self) -> bool:
        """Wait for the time of the next frame; False when the track's state changed before."""
        now = time.monotonic()
        if self._until < now - 1:
            self._until = now
        try:
            async with asyncio.timeout(self._until - now):
                await self._track._sink.samples.woken()
        except TimeoutError:
            return True
        return False

    def _blank(self, at: float) -> VideoFrame | AudioFrame:
        settings = self._track._sink.settings()
        self._until = at + _frame_duration(self._track)
        if self._track.kind == "video":
            picture = black(settings["width"], settings["height"])
            stamp_video(picture, at)
            return picture
        sound = silence(settings["sampleRate"], settings["channelCount"])
        stamp_audio(sound, sample_number(at, settings["sampleRate"]))
        return sound


def _frame_duration(track: MediaStreamTrack) -> float:
    if track.kind == "audio":
        return FRAME_DURATION
    return 1 / float(track._sink.settings()["frameRate"])
