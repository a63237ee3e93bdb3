"""Which devices there are: the backends' lists, as objects that tracks can share."""

import asyncio
import uuid
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..constraints.device import AudioFormat, ConstrainableObject, VideoGeometry
from ..constraints.types import FacingMode
from ..devices.backend import AudioMode, Backend, DeviceDescription, VideoMode
from ..devices.system import system_backends
from . import identity
from .shared_device import SharedDevice


class DeviceCatalog:
    """The devices of some backends, each as one SharedDevice for as long as it stays the same.

    :param backends: where devices come from; this system's by default.
    :param salt: the key of the deviceIds; this user's own by default.
    :param facing_modes: which way cameras face, by label or deviceId; counts for more than what
        the camera says.
    """

    def __init__(
        self,
        backends: Iterable[Backend] | None = None,
        salt: bytes | None = None,
        facing_modes: Mapping[str, FacingMode] | None = None,
    ) -> None:
        self.backends = tuple(system_backends() if backends is None else backends)
        self._salt = salt
        self._facing_modes = facing_modes or {}
        self._devices: dict[tuple[str, str, str], SharedDevice] = {}
        self._made: weakref.WeakSet[SharedDevice] = weakref.WeakSet()

    async def devices(self) -> list[SharedDevice]:
        """The devices that are there now, the default one of each kind first."""
        listed = await asyncio.to_thread(self._list)
        known, self._devices = self._devices, {}
        for backend, description in listed:
            key = (backend.name, description.kind, description.hardware_id)
            device = known.get(key)
            if device is None or device.description != description:
                device = SharedDevice(backend, description, self._constrainable(description))
                self._made.add(device)
            device.rest()
            self._devices[key] = device
        return sorted(self._devices.values(), key=lambda d: not d.description.default)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed()`, from any thread, when the list may have changed."""
        stops = [backend.watch(changed) for backend in self.backends]

        def stop() -> None:
            for stop_one in stops:
                stop_one()

        return stop

    async def closed(self) -> None:
        """Wait until no device is open."""
        for device in list(self._made):
            await device.closed()

    def _list(self) -> list[tuple[Backend, DeviceDescription]]:
        if self._salt is None:
            self._salt = identity.load_salt()
        return [(backend, d) for backend in self.backends for d in backend.list_devices()]

    def _facing_mode(self, description: DeviceDescription, device_id: str) -> str | None:
        for name in (device_id, description.label):
            if name in self._facing_modes:
                return self._facing_modes[name]
        return description.facing_mode

    def _constrainable(self, description: DeviceDescription) -> ConstrainableObject:
        assert self._salt is not None, "the salt is loaded when devices are listed"
        fixed: dict[str, Any] = {
            "deviceId": identity.device_id(self._salt, description.kind, description.hardware_id),
            "groupId": identity.group_id(description.group or description.hardware_id),
        }
        sound = description.kind in ("audioinput", "displayaudio")
        if sound:
            # Nothing here processes the sound, and the truth about that is False, not silence.
            fixed |= dict.fromkeys(
                ("echoCancellation", "autoGainControl", "noiseSuppression"), False
            )
        if description.kind in ("display", "displayaudio"):
            # A display is chosen by the user, never by an id that stays (Screen Capture 5.1).
            del fixed["groupId"]
            fixed["deviceId"] = str(uuid.uuid4())
        if description.kind == "display":
            fixed |= {
                "displaySurface": description.display_surface or "monitor",
                "logicalSurface": True,
            }
        facing = self._facing_mode(description, fixed["deviceId"])
        if facing is not None and description.kind == "videoinput":
            fixed["facingMode"] = facing
        return ConstrainableObject(
            kind="audio" if sound else "video",
            label=description.label,
            fixed=fixed,
            video_modes=tuple(
                VideoGeometry(mode.width, mode.height, mode.frame_rate)
                for mode in description.modes
                if isinstance(mode, VideoMode)
            ),
            audio_modes=tuple(
                # More than two channels are mixed down to stereo.
                AudioFormat(
                    mode.sample_rate, min(mode.channel_count, 2), mode.sample_size, mode.latency
                )
                for mode in description.modes
                if isinstance(mode, AudioMode)
            ),
            controls={control.name: control for control in description.controls},
            keeps_aspect=description.kind == "display",
        )
