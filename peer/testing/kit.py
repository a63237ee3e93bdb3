"""Virtual devices in place of this computer's, and the hand that plugs and unplugs them."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Self, cast

from ..capture.device_catalog import DeviceCatalog
from ..capture.identity import device_id
from ..capture.media_devices import MediaDevices
from ..capture.media_stream_track import MediaStreamTrack
from ..capture.navigator import navigator
from ..capture.permissions import PermissionName, Permissions, PermissionState, named
from ..constraints.parse import parse_constraints
from ..devices.backend import AudioMode, VideoMode
from ..devices.virtual import (
    VirtualBackend,
    VirtualDevice,
    standard_set,
    virtual_camera,
    virtual_microphone,
)

_SALT = bytes(32)  # the same ids in every run
_KINDS = {"camera": "videoinput", "microphone": "audioinput"}


class TestKit:
    """The devices of one MediaDevices, and what a person would do to them.

    Devices are named by their deviceId. Made by `install()`.
    """

    __test__ = False  # not a test class, whatever its name

    def __init__(self, mediaDevices: MediaDevices, devices: Iterable[VirtualDevice]) -> None:
        self.backend = VirtualBackend(devices)
        self.permissions = Permissions(handler=_grant)
        self._devices = mediaDevices
        self._before = (mediaDevices._catalog, mediaDevices.permissions)
        mediaDevices._begin(DeviceCatalog([self.backend], _SALT), self.permissions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.uninstall()

    def uninstall(self) -> None:
        """End the tracks, and put back what was there before."""
        self._devices.end()
        self._devices._begin(*self._before)

    async def closed(self) -> None:
        """Wait until every device is released, and nothing is watched any more."""
        await self._devices.closed()

    def set_permission(self, descriptor: Mapping[str, Any], state: PermissionState) -> None:
        """As WebDriver's Set Permission: `set_permission({"name": "camera"}, "denied")`.

        :raises TypeError: for an unknown name or state.
        """
        name = cast(PermissionName, named(descriptor))
        self.permissions.set_state(name, state)

    def plug(self, kind: str) -> str:
        """Plug in a new camera or microphone (or videoinput, audioinput); returns its deviceId.

        :raises ValueError: for another kind.
        """
        label = f"Plugged {kind} {uuid.uuid4().hex[:6]}"
        if _KINDS.get(kind, kind) == "videoinput":
            device = virtual_camera(label, [VideoMode(640, 480, 30), VideoMode(1280, 720, 30)])
        elif _KINDS.get(kind, kind) == "audioinput":
            device = virtual_microphone(label, [AudioMode(48000, 2)])
        else:
            raise ValueError(f"a camera or a microphone can be plugged in, not {kind!r}")
        self.backend.plug(device)
        return self._id(device)

    def unplug(self, deviceId: str) -> None:
        """Pull a device out: its tracks end.

        :raises ValueError: there is no such device.
        """
        self.backend.unplug(self._label(deviceId))

    def replug(self, deviceId: str) -> None:
        """Put a device that was unplugged back in; it has the same deviceId.

        :raises ValueError: there never was such a device.
        """
        self.backend.plug(self._label(deviceId))

    def set_busy(self, deviceId: str, busy: bool) -> None:
        """Let another program hold a device, or let go of it.

        :raises ValueError: there is no such device.
        """
        self.backend.set_busy(self._label(deviceId), busy)

    def set_muted(self, deviceId: str, muted: bool) -> None:
        """Close or open a device's privacy switch: its tracks mute or unmute.

        :raises ValueError: there is no such device.
        """
        self.backend.set_muted(self._label(deviceId), muted)

    async def synthetic_track(
        self, kind: str, constraints: Mapping[str, Any] | None = None
    ) -> MediaStreamTrack:
        """A live audio or video track of the set, without permission or exposure.

        :raises ValueError: for another kind.
        :raises OverconstrainedError: the constraints can't be satisfied.
        """
        for device in await self._devices._catalog.devices():
            if device.kind == kind and device.description.kind != "display":
                track = MediaStreamTrack(device, self._devices._context)
                await track._settle(parse_constraints(constraints).without_other_kind(kind))
                return track
        raise ValueError(f"there is no device for a track of kind {kind!r}")

    def _id(self, device: VirtualDevice) -> str:
        description = device.description
        return device_id(_SALT, description.kind, description.hardware_id)

    def _label(self, deviceId: str) -> str:
        for label, device in self.backend.devices.items():
            if self._id(device) == deviceId:
                return label
        raise ValueError(f"there is no virtual device with the deviceId {deviceId!r}")


def install(
    devices: Iterable[VirtualDevice] | None = None, *, mediaDevices: MediaDevices | None = None
) -> TestKit:
    """Replace the process's devices by virtual ones, the standard set by default.

    Objects that somebody has imported stay the same: `peer.mediaDevices` now has these devices.
    The kit is a context manager, and has `uninstall()`.
    """
    return TestKit(
        mediaDevices or navigator.mediaDevices, standard_set() if devices is None else devices
    )


async def _grant(names: frozenset[PermissionName]) -> bool:
    return True
