"""MediaDeviceInfo and InputDeviceInfo: one entry of the device list (Media Capture 9.2)."""

from collections.abc import Mapping
from typing import Any, Literal, cast

from ..constraints.device import ConstrainableObject, capabilities
from ..constraints.types import MediaTrackCapabilities
from ..events import Event

MediaDeviceKind = Literal["audioinput", "audiooutput", "videoinput"]


class MediaDeviceInfo:
    """A device as `enumerateDevices()` lists it; all of it is empty before the first capture."""

    def __init__(self, deviceId: str, kind: MediaDeviceKind, label: str, groupId: str) -> None:
        self._deviceId, self._kind, self._label, self._groupId = deviceId, kind, label, groupId

    @property
    def deviceId(self) -> str:
        """The same for this user and device in every run."""
        return self._deviceId

    @property
    def kind(self) -> MediaDeviceKind:
        """audioinput or videoinput."""
        return self._kind

    @property
    def label(self) -> str:
        """What the system calls the device."""
        return self._label

    @property
    def groupId(self) -> str:
        """Equal for the functions of one physical device, in this process."""
        return self._groupId

    def toJSON(self) -> dict[str, str]:
        """The four attributes."""
        return {
            "deviceId": self.deviceId,
            "kind": self.kind,
            "label": self.label,
            "groupId": self.groupId,
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} {self.label!r} {self.deviceId[:8]}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MediaDeviceInfo):
            return NotImplemented
        return self.toJSON() == other.toJSON()

    def __hash__(self) -> int:
        return hash((self.kind, self.deviceId))


class DeviceChangeEvent(Event):
    """The list of devices changed (Media Capture and Streams 9.3.2)."""

    def __init__(self, type: str, init: Mapping[str, Any] | None = None) -> None:
        super().__init__(type)
        self._devices = tuple((init or {}).get("devices", ()))
        self._inserted = tuple((init or {}).get("userInsertedDevices", ()))

    @property
    def devices(self) -> tuple[MediaDeviceInfo, ...]:
        """What `enumerateDevices()` gave at that moment."""
        return self._devices

    @property
    def userInsertedDevices(self) -> tuple[MediaDeviceInfo, ...]:
        """Those of `devices` that were plugged in just now."""
        return self._inserted


class InputDeviceInfo(MediaDeviceInfo):
    """A camera or microphone."""

    def __init__(
        self,
        deviceId: str,
        kind: MediaDeviceKind,
        label: str,
        groupId: str,
        constrainable: ConstrainableObject | None = None,
    ) -> None:
        super().__init__(deviceId, kind, label, groupId)
        self._constrainable = constrainable

    def getCapabilities(self) -> MediaTrackCapabilities:
        """What a track of this device could do; empty while the device is not exposed."""
        if self._constrainable is None:
            return {}
        return cast(MediaTrackCapabilities, capabilities(self._constrainable))
