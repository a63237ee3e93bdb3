"""Cameras, microphones and screens that exist in software: a product, and the ground of tests.

Each behaves as hardware does: it has native modes, delivers at their pace, and can be plugged,
unplugged, busy and muted while somebody captures from it.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..controls import Control, ControlRange, ControlValue
from .backend import (
    AudioMode,
    Captured,
    DeviceBusy,
    DeviceDescription,
    DeviceError,
    DeviceLost,
    Mode,
    VideoMode,
)
from .compressor import Compressor
from .lens import LENS_CONTROLS, PICTURE_CONTROLS, SCREEN_CONTROLS, Lens
from .test_pattern import AudioPattern, VideoPattern

FRAME_DURATION = 0.02  # seconds of sound in one read, the usual packet of a call
MUTED_READ = 0.05  # seconds after which a read of a muted device returns empty-handed


@dataclass(frozen=True)
class VirtualDevice:
    """A device in software: what is listed, and what its picture or tone looks like."""

    description: DeviceDescription
    colour: tuple[int, int] = (128, 128)
    """(U, V) chroma of a camera's or screen's picture, each 0 to 255."""
    frequency: float = 440.0
    """Hertz of a microphone's tone."""


def virtual_camera(
    label: str,
    modes: Iterable[VideoMode],
    *,
    facing_mode: str | None = None,
    group: str = "",
    colour: tuple[int, int] = (128, 128),
    default: bool = False,
    controls: Iterable[Control] = (),
) -> VirtualDevice:
    """A camera; `label` is its hardware identity, too.

    :param controls: of those in `lens.py`: its picture really changes with them.
    :param modes: those whose `pixel_format` is `mjpeg` or `h264` deliver compressed pictures.
    """
    return VirtualDevice(
        DeviceDescription(
            kind="videoinput",
            hardware_id=f"virtual:{label}",
            label=label,
            modes=tuple(modes),
            location=f"virtual:{label}",
            group=group,
            facing_mode=facing_mode,
            default=default,
            controls=tuple(controls),
        ),
        colour=colour,
    )


def virtual_microphone(
    label: str,
    modes: Iterable[AudioMode] = (AudioMode(48000, 2), AudioMode(48000, 1), AudioMode(16000, 1)),
    *,
    group: str = "",
    frequency: float = 440.0,
    default: bool = False,
) -> VirtualDevice:
    """A microphone; `label` is its hardware identity, too."""
    return VirtualDevice(
        DeviceDescription(
            kind="audioinput",
            hardware_id=f"virtual:{label}",
            label=label,
            modes=tuple(modes),
            location=f"virtual:{label}",
            group=group,
            default=default,
        ),
        frequency=frequency,
    )


def virtual_screen(label: str, mode: VideoMode) -> VirtualDevice:
    """A monitor."""
    return VirtualDevice(
        DeviceDescription(
            kind="display",
            hardware_id=f"virtual:{label}",
            label=label,
            modes=(mode,),
            location=f"virtual:{label}",
            display_surface="monitor",
            default=True,
            controls=SCREEN_CONTROLS,
        ),
        colour=(140, 116),
    )


def standard_set() -> list[VirtualDevice]:
    """Two cameras, two microphones and a screen."""
    small = (VideoMode(640, 480, 30), VideoMode(1280, 720, 30), VideoMode(320, 240, 60))
    return [
        virtual_microphone("Mic A", group="a", frequency=440, default=True),
        virtual_microphone("Mic B", frequency=660),
        virtual_camera(
            "Cam A",
            small,
            facing_mode="user",
            group="a",
            colour=(150, 110),
            default=True,
            controls=PICTURE_CONTROLS,
        ),
        virtual_camera(
            "Cam C",
            (*small, VideoMode(1920, 1080, 15)),
            facing_mode="environment",
            colour=(105, 115),
            controls=(*PICTURE_CONTROLS, *LENS_CONTROLS),
        ),
        virtual_screen("Virtual screen", VideoMode(1920, 1080, 60)),
    ]


class VirtualBackend:
    """A set of virtual devices. Every method may be called from any thread.

    Devices are named by their label.
    """

    name = "virtual"

    def __init__(self, devices: Iterable[VirtualDevice] | None = None) -> None:
        self._lock = threading.Condition()
        self._devices = {
            device.description.label: device
            for device in (standard_set() if devices is None else devices)
        }
        self._plugged = set(self._devices)
        self._busy: set[str] = set()
        self._muted: set[str] = set()
        self._controls: dict[str, dict[str, ControlValue]] = {}
        self._watchers: list[Callable[[], None]] = []

    # The backend protocol.

    def list_devices(self) -> list[DeviceDescription]:
        """The devices that are plugged in."""
        with self._lock:
            return [d.description for label, d in self._devices.items() if label in self._plugged]

    def open(self, device: DeviceDescription, mode: Mode) -> "VirtualCapture":
        """Start capturing; several captures of one device are no conflict, `set_busy()` is."""
        with self._lock:
            found = self._devices.get(device.label)
            if found is None or device.label not in self._plugged:
                raise DeviceLost(f"{device.label} is not plugged in")
            if device.label in self._busy:
                raise DeviceBusy(f"{device.label} is in use by another program")
        if mode not in found.description.modes:
            raise DeviceError(f"{device.label} has no mode {mode}")
        return VirtualCapture(self, found, mode)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed()` whenever a device is plugged or unplugged."""

        def unwatch() -> None:
            with self._lock:
                self._watchers.remove(changed)

        with self._lock:
            self._watchers.append(changed)
        return unwatch

    @property
    def devices(self) -> dict[str, VirtualDevice]:
        """Every device that was ever plugged in, by label."""
        with self._lock:
            return dict(self._devices)

    # What a hand at the hardware would do.

    def plug(self, device: VirtualDevice | str) -> None:
        """Plug a device in: a new one, or by its label one that was there before."""
        with self._lock:
            if isinstance(device, VirtualDevice):
                self._devices[device.description.label] = device
                device = device.description.label
            self._known(device)
            self._plugged.add(device)
        self._changed()

    def unplug(self, label: str) -> None:
        """Pull a device out; whoever captures from it loses it at once."""
        with self._lock:
            self._plugged.discard(self._known(label))
            self._lock.notify_all()
        self._changed()

    def set_busy(self, label: str, busy: bool) -> None:
        """Let another program hold the device, or release it; open captures are not touched."""
        self._mark(self._busy, label, busy)

    def set_muted(self, label: str, muted: bool) -> None:
        """Close or open the device's privacy switch."""
        self._mark(self._muted, label, muted)

    def controls(self, label: str) -> dict[str, ControlValue]:
        """What a device's controls are set to; they stay so while nobody captures."""
        with self._lock:
            return dict(self._values(label))

    def set_controls(self, label: str, values: Mapping[str, ControlValue]) -> None:
        """Set some of a device's controls, as another program might; a value between two steps
        becomes the nearest.

        :raises DeviceError: it hasn't got such a control, or not with that value.
        """
        with self._lock:
            known = {control.name: control for control in self._devices[label].description.controls}
            for name, value in values.items():
                if name not in known:
                    raise DeviceError(f"{label} has no {name} that can be set")
                allowed = known[name].allowed
                if isinstance(allowed, ControlRange) and isinstance(value, (int, float)):
                    value = allowed.snapped(value)
                elif isinstance(allowed, tuple) and value not in allowed:
                    raise DeviceError(f"{name} of {label} is one of {allowed}, not {value!r}")
                self._controls[label] = {**self._values(label), name: value}

    def _values(self, label: str) -> dict[str, ControlValue]:
        controls = self._devices[self._known(label)].description.controls
        return self._controls.setdefault(label, {c.name: c.value for c in controls})

    def _mark(self, marks: set[str], label: str, present: bool) -> None:
        with self._lock:
            (marks.add if present else marks.discard)(self._known(label))
            self._lock.notify_all()

    def _known(self, label: str) -> str:
        if label not in self._devices:
            raise ValueError(f"there is no virtual device {label!r}, only {sorted(self._devices)}")
        return label

    def _changed(self) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for changed in watchers:
            changed()

    def _wait(self, label: str, until: float) -> bool:
        """Wait for a moment of the monotonic clock; True when the device is muted.

        :raises DeviceLost: as soon as the device is unplugged.
        """
        with self._lock:
            while True:
                if label not in self._plugged:
                    raise DeviceLost(f"{label} was unplugged")
                muted = label in self._muted
                if muted:
                    until = min(until, time.monotonic() + MUTED_READ)
                left = until - time.monotonic()
                if left <= 0:
                    return muted
                self._lock.wait(left)


class VirtualCapture:
    """An open virtual device."""

    def __init__(self, backend: VirtualBackend, device: VirtualDevice, mode: Mode) -> None:
        self.mode = mode
        self.muted = False
        self._backend = backend
        self._label = device.description.label
        self._next = 0
        if isinstance(mode, VideoMode):
            self._video = VideoPattern(mode.width, mode.height, device.colour)
            self._lens: tuple[Mapping[str, ControlValue], Lens] | None = None
            compressed = mode.pixel_format in ("mjpeg", "h264")
            self._compressor = Compressor(mode) if compressed else None
            self._started = time.monotonic()
        else:
            self._audio = AudioPattern(mode.sample_rate, mode.channel_count, device.frequency)
            # Samples are numbered on the clock, so that the marks of all devices coincide.
            self._next = math.floor(time.monotonic() * mode.sample_rate)

    def read(self) -> Captured | None:
        """The next frame at the mode's pace; frames that nobody fetched in time are skipped."""
        if isinstance(self.mode, VideoMode):
            return self._read_video(self.mode)
        return self._read_audio(self.mode)

    @property
    def controls(self) -> Mapping[str, ControlValue]:
        """What the device's controls are set to."""
        return self._backend.controls(self._label)

    def set_controls(self, values: Mapping[str, ControlValue]) -> None:
        """Set some of the device's controls.

        :raises DeviceError: as `VirtualBackend.set_controls()`.
        """
        self._backend.set_controls(self._label, values)

    def request_keyframe(self) -> None:
        """Let an H.264 camera's next picture be a key frame."""
        if isinstance(self.mode, VideoMode) and self._compressor is not None:
            self._compressor.request_keyframe()

    def close(self) -> None:
        """Nothing is held."""

    def _read_video(self, mode: VideoMode) -> Captured | None:
        self._next = max(
            self._next, math.floor((time.monotonic() - self._started) * mode.frame_rate)
        )
        at = self._started + self._next / mode.frame_rate
        self.muted = self._backend._wait(self._label, at)
        if self.muted:
            return None
        controls = self.controls
        if self._lens is None or self._lens[0] != controls:
            self._lens = (controls, Lens(controls))
        frame = self._video.frame(self._next, at, mode.frame_rate, self._lens[1])
        self._next += 1
        if self._compressor is not None:
            return Captured(None, at, self._compressor.compress(frame))
        return Captured(frame, at)

    def _read_audio(self, mode: AudioMode) -> Captured | None:
        samples = round(mode.sample_rate * FRAME_DURATION)
        behind = math.floor(time.monotonic() * mode.sample_rate) - self._next - samples
        if behind > mode.sample_rate:  # more than a second late: the machine slept
            self._next += behind
        self.muted = self._backend._wait(self._label, (self._next + samples) / mode.sample_rate)
        if self.muted:
            self._next = max(self._next, math.floor(time.monotonic() * mode.sample_rate) - samples)
            return None
        frame = self._audio.frame(self._next, samples)
        at = self._next / mode.sample_rate
        self._next += samples
        return Captured(frame, at)
