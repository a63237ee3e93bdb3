"""The end of a track in the capture thread: it keeps what belongs to the track's settings."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from av import AudioFrame, VideoFrame

from ..constraints.parse import TrackConstraints
from ..controls import ControlValue
from ..devices.backend import AudioMode, Captured, DeviceLost, Mode, VideoMode
from .clock import sample_time, stamp_video
from .processing import Decimator, is_done, scale
from .samples import Samples
from .sound import AudioFramer
from .track_stats import Counters

# A late reader of pictures wants the newest one only; of sound it wants all, up to a fifth of a
# second, which is where a conversation starts to suffer.
VIDEO_BACKLOG = 1
AUDIO_BACKLOG = 10
# Compressed pictures build upon each other: a late reader wants all since the last key frame. These
# are four seconds, or the key frames are further apart than a viewer likes to wait.
ENCODED_BACKLOG = 128

# Who reads frames reads them one after the other; a reader that has not come back for so long, in
# seconds, no longer needs compressed pictures decoded for it.
DEMAND = 2.0

# Scaling releases the interpreter's lock, so that one thread a core is of use.
_workers = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="peer-frames")


class TrackSink:
    """Takes the samples of a device for one track.

    `deliver`, `mute_changed` and `lost` are called in the capture thread, all else on the loop on
    which the sink was made.

    :param muted: called on the loop with the source's new muted state.
    :param ended: called on the loop when the device is lost.
    :param changed: called on the loop when settings change for another track's sake.
    :param controls: called on the loop with the values of the device's controls, when another
        track or program has changed one.
    :param resized: called on the loop with the new mode of a surface that changed its size.
    """

    def __init__(
        self,
        kind: str,
        *,
        muted: Callable[[bool], None],
        ended: Callable[[], None],
        changed: Callable[[], None],
        resized: Callable[[VideoMode], None],
        controls: Callable[[Mapping[str, ControlValue]], None],
    ) -> None:
        backlog = VIDEO_BACKLOG if kind == "video" else AUDIO_BACKLOG
        loop = asyncio.get_running_loop()
        self._samples: Samples[Captured] = Samples(loop, backlog)
        self._encoded: Samples[Captured] = Samples(loop, ENCODED_BACKLOG)
        self._frames_wanted_until = 0.0
        self._muted, self._ended, self._resized = muted, ended, resized
        self._controls_changed = controls
        self.controls: Mapping[str, ControlValue] = {}
        """What the device's controls are set to, as far as the track has been told."""
        self.constraints = TrackConstraints()
        """What the settings were chosen by."""
        self.enabled = True
        self.ended = False
        self.counters = Counters()
        self._settings: dict[str, Any] = {}
        self._mode: Mode | None = None
        self._actual: Mode | None = None
        self._pinned = False
        self._changed = changed
        self._decimator: Decimator | None = None
        self._framer: AudioFramer | None = None
        self._picture: tuple[int, asyncio.Future[VideoFrame]] | None = None

    # On the loop.

    @property
    def samples(self) -> Samples[Captured]:
        """The samples at the track's rate; pictures as yet at the device's size."""
        return self._samples

    @property
    def encoded(self) -> Samples[Captured]:
        """The pictures as an H.264 camera compressed them, at its size and rate."""
        return self._encoded

    @property
    def passes_through(self) -> bool:
        """Whether the camera's own H.264 pictures are what the track is to show."""
        actual = self._actual
        return (
            isinstance(actual, VideoMode)
            and actual.pixel_format == "h264"
            and self._decimator is None
            and (actual.width, actual.height) == (self._settings["width"], self._settings["height"])
        )

    def want_frames(self) -> None:
        """Somebody reads frames: compressed pictures are to be decoded."""
        self._frames_wanted_until = time.monotonic() + DEMAND

    def wake(self) -> None:
        """Let every reader look again: the track's state has changed."""
        self._samples.wake()
        self._encoded.wake()

    @property
    def mode(self) -> Mode | None:
        """The device's mode that the settings were chosen from."""
        return self._mode

    @property
    def pinned(self) -> bool:
        """Whether the track must have that very mode (`resizeMode: {exact: "none"}`)."""
        return self._pinned

    def settings(self) -> dict[str, Any]:
        """The track's settings, as a fresh dictionary."""
        return {**self._settings, **self.controls}

    def configure(
        self, settings: Mapping[str, Any], mode: Mode, actual: Mode, *, pinned: bool = False
    ) -> None:
        """Switch to new settings, chosen from `mode`, while the device runs in mode `actual`."""
        self._settings = dict(settings)
        self._mode, self._actual, self._pinned = mode, actual, pinned
        if isinstance(actual, AudioMode):
            framer = self._framer
            wanted = (settings["sampleRate"], settings["channelCount"])
            if framer is None or (framer.sample_rate, framer.channel_count) != wanted:
                self._framer = AudioFramer(*wanted)
            return
        self._adapt(actual)

    def device_switched(self, actual: VideoMode) -> None:
        """The device changed its mode, maybe for the sake of another track."""
        before = dict(self._settings)
        self._adapt(actual)
        if self._settings != before:
            asyncio.get_running_loop().call_soon(self._changed)

    def _adapt(self, actual: VideoMode) -> None:
        self._actual = actual
        rate = self._settings["frameRate"]
        # A camera that is merely slower than it said is not to be thinned out.
        thinned = rate < actual.frame_rate * 0.99
        self._decimator = Decimator(rate, actual.frame_rate) if thinned else None
        size = (self._settings["width"], self._settings["height"])
        if thinned or size != (actual.width, actual.height):
            self._settings["resizeMode"] = "crop-and-scale"

    async def picture(self, number: int, captured: Captured) -> VideoFrame:
        """A picture out of `samples` at the track's size; worked out once for all readers."""
        width, height = self._settings["width"], self._settings["height"]
        frame = captured.frame
        if isinstance(frame, VideoFrame) and is_done(frame, width, height):
            stamp_video(frame, captured.at)
            return frame  # no work, and so no thread for it
        if self._picture is None or self._picture[0] != number:
            work = asyncio.get_running_loop().run_in_executor(
                _workers, _scaled, captured, width, height
            )
            self._picture = (number, work)
        return await asyncio.shield(self._picture[1])

    def interrupt(self, muted: bool) -> None:
        """The device delivers nothing for a moment, or delivers again."""
        self._muted(muted)

    def end(self) -> None:
        """The track has ended: let go of the samples, and of whoever waits for one."""
        self.ended = True
        self._samples.clear()
        self._encoded.clear()
        self._picture = None
        self.wake()

    # In the capture thread.

    @property
    def wants_frames(self) -> bool:
        """Whether compressed pictures are to be decoded for the track."""
        return self._samples.awaited or time.monotonic() < self._frames_wanted_until

    def deliver(self, captured: Captured) -> None:
        """Take a frame of the device's."""
        frame, encoded = captured.frame, captured.encoded
        if encoded is not None and encoded.codec == "h264":
            self._encoded.put(captured)
        if isinstance(frame, AudioFrame):
            for completed in self._framer.push(frame, captured.at) if self._framer else ():
                at = sample_time(completed.pts or 0, completed.sample_rate)
                self._samples.put(Captured(completed, at))
            if self.enabled:
                self.counters.heard(time.monotonic() - captured.at)
        elif self._decimator is None or self._decimator.takes(captured.at):
            if self.enabled:
                self.counters.delivered()  # before anybody can have it
            if frame is not None:
                self._samples.put(captured)
        elif self.enabled:
            self.counters.discarded()

    def controls_changed(self, values: Mapping[str, ControlValue]) -> None:
        """A control of the device has another value."""
        self._samples.call_in_loop(self._controls_changed, values)

    def mode_changed(self, mode: Mode) -> None:
        """The captured surface has another size, and so have the frames from now on."""
        if isinstance(mode, VideoMode):
            self._samples.call_in_loop(self._resized, mode)

    def mute_changed(self, muted: bool) -> None:
        """The device stopped, or began again, to deliver."""
        self._samples.call_in_loop(self._muted, muted)

    def lost(self, error: DeviceLost) -> None:
        """The device is gone."""
        self._samples.call_in_loop(self._ended)


def _scaled(captured: Captured, width: int, height: int) -> VideoFrame:
    assert isinstance(captured.frame, VideoFrame)
    scaled = scale(captured.frame, width, height)
    stamp_video(scaled, captured.at)
    return scaled
