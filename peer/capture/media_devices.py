"""MediaDevices: what there is, and getUserMedia (Media Capture and Streams 9 and 10)."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from ..constraints.parse import (
    TrackConstraints,
    check_display_constraints,
    check_required_allowed,
    parse_constraints,
)
from ..constraints.properties import PAN_TILT_ZOOM, supported_constraints
from ..constraints.select import Unsatisfiable, rank
from ..constraints.types import (
    DisplayMediaStreamOptions,
    FacingMode,
    MediaStreamConstraints,
)
from ..devices.backend import Backend, DeviceBusy, DeviceError, DeviceForbidden
from ..errors import (
    AbortError,
    NotAllowedError,
    NotFoundError,
    NotReadableError,
    OverconstrainedError,
)
from ..events import EventTarget, Listener, event_handler
from .capture_controller import CaptureController
from .context import CaptureContext
from .device_catalog import DeviceCatalog
from .device_info import (
    DeviceChangeEvent,
    InputDeviceInfo,
    MediaDeviceInfo,
    MediaDeviceKind,
)
from .device_watch import DeviceWatch
from .media_stream import MediaStream
from .media_stream_track import MediaStreamTrack
from .permissions import PermissionName, Permissions
from .shared_device import SharedDevice

_DEVICE_KINDS: dict[str, MediaDeviceKind] = {"audio": "audioinput", "video": "videoinput"}
_PERMISSIONS: dict[str, PermissionName] = {"audio": "microphone", "video": "camera"}
_NOUNS = {"audio": "microphone", "video": "camera"}


class MediaDevices(EventTarget):
    """The cameras, microphones and screens of this computer.

    :param backends: where devices come from; this system's by default.
    :param permissions: who may capture what; everything is granted by default.
    :param salt: the key of the deviceIds, 32 bytes; this user's own by default.
    :param facing_modes: which way cameras face (`user`, `environment`, `left`, `right`), by label
        or deviceId; counts for more than what a camera says of itself.
    """

    ondevicechange = event_handler("devicechange")

    def __init__(
        self,
        backends: Iterable[Backend] | None = None,
        *,
        permissions: Permissions | None = None,
        salt: bytes | None = None,
        facing_modes: Mapping[str, FacingMode] | None = None,
    ) -> None:
        super().__init__()
        self._begin(DeviceCatalog(backends, salt, facing_modes), permissions or Permissions())

    def _begin(self, catalog: DeviceCatalog, permissions: Permissions) -> None:
        """Start with these devices, nothing exposed and no track; a test kit begins anew."""
        self.permissions = permissions
        self.permissions.on_revocation(self._revoked)
        self._context = CaptureContext(permissions)
        self._catalog = catalog
        self._exposed: set[str] = set()
        self._watch: DeviceWatch | None = None
        self._watch_wanted = False

    @property
    def defaultSemantics(self) -> str:
        """The code chooses among devices, nobody is asked (mediacapture-extensions)."""
        return "browser-chooses"

    # What there is.

    def getSupportedConstraints(self) -> dict[str, bool]:
        """The constraint names that mean something here, each True."""
        return supported_constraints()

    async def enumerateDevices(self) -> list[MediaDeviceInfo]:
        """Microphones, then cameras, the default ones first; opens nothing.

        Before a kind has been captured (Media Capture and Streams 9.2.3, device information
        exposure) it is one entry without id and label, or none where there is no such device.
        """
        self._begin_watch()
        return self._exposed_list(await self._catalog.devices())

    def _exposed_list(self, devices: Sequence[SharedDevice]) -> list[MediaDeviceInfo]:
        infos: list[MediaDeviceInfo] = []
        for kind, device_kind in _DEVICE_KINDS.items():
            found = [device for device in devices if device.description.kind == device_kind]
            if not self._is_exposed(kind):
                infos += [InputDeviceInfo("", device_kind, "", "") for _ in found[:1]]
                continue
            infos += [
                InputDeviceInfo(
                    device.constrainable.fixed["deviceId"],
                    device_kind,
                    device.description.label,
                    device.constrainable.fixed["groupId"],
                    device.constrainable,
                )
                for device in found
            ]
        return infos

    def _is_exposed(self, kind: str) -> bool:
        return kind in self._exposed or any(
            track.kind == kind and track.readyState == "live" for track in self._context.tracks
        )

    # devicechange.

    def addEventListener(self, type: str, listener: Listener, *, once: bool = False) -> None:
        """As `EventTarget.addEventListener()`; the devices are watched from the first listener
        of `devicechange` on, until `closed()`. Outside a coroutine the watch begins with the next
        call of a coroutine of this object.

        :raises TypeError: when the listener can't be called.
        """
        super().addEventListener(type, listener, once=once)
        self._watch_wanted = self._watch_wanted or type == "devicechange"
        with contextlib.suppress(RuntimeError):  # no loop is running yet
            asyncio.get_running_loop()
            self._begin_watch()

    def _begin_watch(self) -> None:
        if self._watch_wanted and self._watch is None:
            self._watch = DeviceWatch(self._catalog, self._devices_changed)

    def _devices_changed(
        self, before: Sequence[SharedDevice], after: Sequence[SharedDevice]
    ) -> None:
        """Devices came or went; told only where the list that is exposed is another
        (Media Capture and Streams 9.3.1)."""
        old, new = self._exposed_list(before), self._exposed_list(after)
        if old != new:
            inserted = [info for info in new if info not in old and info.deviceId]
            self.dispatchEvent(
                DeviceChangeEvent("devicechange", {"devices": new, "userInsertedDevices": inserted})
            )

    # getUserMedia.

    async def getUserMedia(
        self, constraints: MediaStreamConstraints | Mapping[str, Any] | None = None
    ) -> MediaStream:
        """A stream with one track of each kind asked for, from the devices that fit best.

        :param constraints: `{"video": …, "audio": …}`, each True, False or track constraints.
        :raises TypeError: nothing is asked for, or the constraints are malformed.
        :raises NotFoundError: there is no such device.
        :raises NotAllowedError: permission is denied.
        :raises OverconstrainedError: no device satisfies a required constraint.
        :raises NotReadableError: the device is in use by another program.
        :raises AbortError: the device could not be opened for another reason.
        """
        requested = _requested_kinds(cast(Mapping[str, Any], constraints))
        self._begin_watch()
        devices = await self._catalog.devices()
        # Step numbers of Media Capture and Streams 10.2, getUserMedia.
        candidates = {}  # 6.4: every kind is selected before anybody is asked
        for kind, wanted in requested.items():
            try:
                candidates[kind] = _candidates(kind, wanted, devices)
            except (NotFoundError, OverconstrainedError):
                # Who is denied does not learn which devices there are.
                self._check_permissions(requested)
                raise
            self._check_permissions([kind])
        asked = [_PERMISSIONS[kind] for kind in requested]
        moving = "video" in requested and _wants_to_move(requested["video"])
        if moving and self.permissions.state("pan-tilt-zoom") != "denied":
            asked.append("pan-tilt-zoom")
        if not await self.permissions.request(asked):
            raise NotAllowedError(f"permission to use the {_and(requested)} was not given")
        self._context.moving_allowed = self._context.moving_allowed or "pan-tilt-zoom" in asked
        self._expose(requested)
        tracks: list[MediaStreamTrack] = []
        try:
            for kind, wanted in requested.items():
                tracks.append(await self._open_first(wanted, candidates[kind]))
        except BaseException:
            for track in tracks:
                track.stop()
            raise
        return MediaStream(tracks)

    # getDisplayMedia.

    async def getDisplayMedia(
        self, options: DisplayMediaStreamOptions | Mapping[str, Any] | None = None
    ) -> MediaStream:
        """A stream with one video track of a screen or window (Screen Capture 5.1).

        Constraints do not choose the screen, they scale its picture; `displaySurface` says which
        sort is preferred. With `audio`, and where the system lets it be heard, the stream has a
        track of what the computer plays, too.

        :raises TypeError: video is False, or a constraint is of a kind that is not allowed here.
        :raises OverconstrainedError: a `max` that no screen can satisfy.
        :raises NotFoundError: there is no screen.
        :raises NotAllowedError: permission is denied.
        :raises NotReadableError, AbortError: the screen can't be captured.
        """
        given = cast(Mapping[str, Any], options)
        parsed = _display_constraints(given)
        controller = (given or {}).get("controller")
        if controller is not None:
            if not isinstance(controller, CaptureController):
                raise TypeError(f"controller must be a CaptureController, not {controller!r}")
            controller._claim()
        devices = await self._catalog.devices()
        screens = [device for device in devices if device.description.kind == "display"]
        if not screens:
            raise NotFoundError("this computer has no screen that can be captured")
        usable = [device for device in screens if not device.description.unusable]
        if not usable:
            raise NotReadableError("; ".join(device.description.unusable for device in screens))
        if not await self.permissions.request(["display-capture"]):
            raise NotAllowedError("permission to capture the screen was not given")
        wanted = parsed["video"].basic.get("displaySurface")
        surfaces = wanted.ideal if wanted is not None else ()
        usable.sort(key=lambda device: device.description.display_surface not in surfaces)
        track = await self._open_first(parsed["video"], usable)
        if controller is not None:
            controller._bind(track)
        audible = [
            device
            for device in devices
            if device.description.kind == "displayaudio" and not device.description.unusable
        ]
        if "audio" not in parsed or not audible or (given or {}).get("systemAudio") == "exclude":
            return MediaStream([track])
        try:
            return MediaStream([track, await self._open_first(parsed["audio"], audible)])
        except BaseException:
            track.stop()
            raise

    async def _capture_again(self, track: MediaStreamTrack) -> MediaStreamTrack | None:
        """A new track in place of one whose camera or microphone was unplugged: of the same
        device, with the same constraints; None while the device is not there.

        Nobody is asked again: permission was given for the device, and is looked up once more.

        :raises NotAllowedError: permission was revoked.
        :raises NotReadableError, AbortError: the device can't be opened, or not yet.
        :raises OverconstrainedError: it can't satisfy the constraints any more.
        """
        self._check_permissions([track.kind])
        device_id = track.getSettings().get("deviceId")
        for device in await self._catalog.devices():
            if device.constrainable.fixed.get("deviceId") == device_id:
                break
        else:
            return None
        if device.description.unusable:
            raise NotReadableError(device.description.unusable)
        try:
            again = await self._open_first(track._constraints, [device])
        except NotAllowedError as error:
            # The system lets this user open the node of a new device a moment after it is there.
            raise NotReadableError(str(error)) from error
        again.enabled = track.enabled
        return again

    # Leaving.

    def end(self) -> None:
        """End every live track, as when a browser closes the page; fires nothing."""
        for track in list(self._context.tracks):
            track.stop()

    async def closed(self) -> None:
        """Wait until every device is released, and stop watching for others."""
        watch, self._watch, self._watch_wanted = self._watch, None, False
        if watch is not None:
            await watch.close()
        await self._catalog.closed()

    def _check_permissions(self, kinds: Iterable[str]) -> None:
        for kind in kinds:
            if self.permissions.state(_PERMISSIONS[kind]) == "denied":
                raise NotAllowedError(f"permission to use the {_NOUNS[kind]} is denied")

    def _expose(self, kinds: Iterable[str]) -> None:
        """Set the device information exposure (Media Capture and Streams 9.2.3)."""
        self._exposed.update(kinds)
        for kind, name in _PERMISSIONS.items():
            if self.permissions.state(name) == "granted":
                self._exposed.add(kind)

    async def _open_first(
        self, constraints: TrackConstraints, candidates: Sequence[SharedDevice]
    ) -> MediaStreamTrack:
        """A track of the best device that can be opened."""
        failures: list[DeviceError] = []
        for device in candidates:
            track = MediaStreamTrack(device, self._context)
            try:
                await track._settle(constraints)
            except DeviceError as error:
                failures.append(error)
                continue
            return track
        message = "; ".join(str(error) for error in failures)
        if any(isinstance(error, DeviceForbidden) for error in failures):
            raise NotAllowedError(message) from failures[-1]
        if any(isinstance(error, DeviceBusy) for error in failures):
            raise NotReadableError(message) from failures[-1]
        raise AbortError(message) from failures[-1]

    def _revoked(self, name: PermissionName) -> None:
        for kind, permission in _PERMISSIONS.items():
            if permission == name:
                self._exposed.discard(kind)
                for track in list(self._context.tracks):
                    if track.kind == kind:
                        asyncio.get_running_loop().call_soon(track._source_ended)


def _requested_kinds(constraints: Mapping[str, Any] | None) -> dict[str, TrackConstraints]:
    """The kinds asked for, with their parsed constraints: audio first, as it is opened.

    :raises TypeError: when there is none, or something is malformed.
    """
    if constraints is not None and not isinstance(constraints, Mapping):
        raise TypeError(f"constraints must be a dictionary, not {constraints!r}")
    semantics = (constraints or {}).get("semantics")
    if semantics not in (None, "browser-chooses"):
        raise TypeError(f"semantics can only be 'browser-chooses' here, not {semantics!r}")
    requested = {}
    for kind in _DEVICE_KINDS:
        value = (constraints or {}).get(kind)
        if value is None or value is False:
            continue
        if value is not True and not isinstance(value, Mapping):
            raise TypeError(f"{kind} must be True, False or a dictionary, not {value!r}")
        requested[kind] = parse_constraints(value, where=kind).without_other_kind(kind)
        check_required_allowed(requested[kind], kind)
    if not requested:
        raise TypeError("getUserMedia() needs audio or video, for example {'video': True}")
    return requested


def _wants_to_move(constraints: TrackConstraints) -> bool:
    """Whether pan, tilt or zoom is asked for, with any value but False (Image Capture 8.2)."""
    return any(
        one[name].ideal is not False and one[name].exact is not False
        for one in (constraints.basic, *constraints.advanced)
        for name in PAN_TILT_ZOOM
        if name in one
    )


# Hints for a picker; there is none here, so they are checked, and change nothing.
_INCLUSION = ("include", "exclude")
_DISPLAY_PREFERENCES = {
    "selfBrowserSurface": _INCLUSION,
    "systemAudio": _INCLUSION,
    "windowAudio": ("system", "window", "exclude"),
    "surfaceSwitching": _INCLUSION,
    "monitorTypeSurfaces": _INCLUSION,
}


def _display_constraints(options: Mapping[str, Any] | None) -> dict[str, TrackConstraints]:
    """The constraints of each kind that is asked for.

    :raises TypeError, OverconstrainedError: as `getDisplayMedia()`."""
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"options must be a dictionary, not {options!r}")
    parsed = {}
    for kind, default in (("video", True), ("audio", False)):
        value = (options or {}).get(kind)
        value = default if value is None else value
        if not isinstance(value, (bool, Mapping)):
            raise TypeError(f"{kind} must be True, False or a dictionary, not {value!r}")
        if value is not False:
            parsed[kind] = parse_constraints(value, where=kind).without_other_kind(kind)
            check_display_constraints(parsed[kind], kind)
    for name, values in _DISPLAY_PREFERENCES.items():
        value = (options or {}).get(name)
        if value is not None and value not in values:
            raise TypeError(f"{name} is one of {values}, not {value!r}")
    if "video" not in parsed:
        raise TypeError("getDisplayMedia() always captures video: it can't be False")
    return parsed


def _candidates(
    kind: str, constraints: TrackConstraints, devices: Iterable[SharedDevice]
) -> list[SharedDevice]:
    """The devices that satisfy the constraints, best first (steps 6.4.1 to 6.4.5)."""
    found = [device for device in devices if device.description.kind == _DEVICE_KINDS[kind]]
    if not found:
        raise NotFoundError(f"this computer has no {_NOUNS[kind]}")
    usable = [device for device in found if not device.description.unusable]
    if not usable:
        raise NotReadableError("; ".join(device.description.unusable for device in found))
    ranked = rank([device.constrainable for device in usable], constraints)
    if isinstance(ranked, Unsatisfiable):
        raise OverconstrainedError(ranked.constraint, ranked.message)
    by_object = {id(device.constrainable): device for device in usable}
    return [by_object[id(constrainable)] for constrainable, _ in ranked]


def _and(kinds: Iterable[str]) -> str:
    return " and ".join(_NOUNS[kind] for kind in kinds)
