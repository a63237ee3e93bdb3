"""ImageCapture: photographs and single frames of a track (MediaStream Image Capture 4)."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from ..constraints.types import MediaSettingsRange
from ..controls import ControlValue
from ..devices.backend import Captured, DeviceError, VideoMode
from ..errors import InvalidStateError, NotSupportedError, OperationError, UnknownError
from .blob import Blob
from .exif import Photograph, with_exif
from .image_bitmap import ImageBitmap
from .media_stream_track import MediaStreamTrack
from .pictures import complete_jpeg, to_jpeg

FillLightMode = Literal["auto", "off", "flash"]
RedEyeReduction = Literal["never", "always", "controllable"]
_FILL_LIGHT_MODES = ("auto", "off", "flash")


class PhotoSettings(TypedDict, total=False):
    """How a photograph is to be taken."""

    fillLightMode: FillLightMode
    imageWidth: float
    imageHeight: float
    redEyeReduction: bool


class PhotoCapabilities(TypedDict, total=False):
    """How photographs can be taken."""

    redEyeReduction: RedEyeReduction
    imageHeight: MediaSettingsRange
    imageWidth: MediaSettingsRange
    fillLightMode: list[FillLightMode]


class ImageCapture:
    """Takes photographs of what a video track shows, and grabs frames from it.

    A photograph comes from the camera, not from the track: in the largest mode that it has, or as
    the camera compressed it. Frames have the track's size.

    :raises TypeError: without a MediaStreamTrack.
    :raises NotSupportedError: for an audio track.
    """

    def __init__(self, track: MediaStreamTrack) -> None:
        if not isinstance(track, MediaStreamTrack):
            raise TypeError(f"ImageCapture needs a MediaStreamTrack, not {track!r}")
        if track.kind != "video":
            raise NotSupportedError("pictures can't be taken of an audio track")
        self._track = track

    @property
    def track(self) -> MediaStreamTrack:
        """The track, as it was given."""
        return self._track

    async def takePhoto(
        self, photoSettings: PhotoSettings | Mapping[str, Any] | None = None
    ) -> Blob:
        """A photograph, as a JPEG file with Exif data.

        A camera that delivers MJPEG gives its own picture, not compressed again. When the camera
        must change its mode for it, its tracks are muted meanwhile. A size between those that there
        are becomes the nearest. Photographs of one camera are taken one after the other.

        :raises TypeError: for a setting of a wrong type, or an unknown fillLightMode.
        :raises InvalidStateError: the track is not live.
        :raises UnknownError: the camera can't take it.
        """
        settings = _checked(photoSettings)
        self._check_live()
        width, height = settings.get("imageWidth"), settings.get("imageHeight")
        for name, size in (("imageWidth", width), ("imageHeight", height)):
            allowed = self._sizes()[name]
            if size is not None and not allowed["min"] <= size <= allowed["max"]:
                raise UnknownError(
                    f"{name}: {size:g} was asked for; {self._track.label} offers "
                    f"{allowed['min']:g} to {allowed['max']:g}"
                )
        mode = settings.get("fillLightMode", "off")
        if mode not in self._fill_light_modes():
            raise UnknownError(f"{self._track.label} has no fillLightMode {mode}")
        try:
            captured, controls = await self._track._device.photograph(
                None if width is None else round(width),
                None if height is None else round(height),
                flash=mode == "flash",
            )
            file = await asyncio.to_thread(self._developed, captured, controls, mode == "flash")
        except DeviceError as error:
            raise UnknownError(str(error)) from error
        return Blob(file, "image/jpeg")

    async def grabFrame(self) -> ImageBitmap:
        """The track's next frame.

        :raises InvalidStateError: the track is not live, or is disabled or muted.
        :raises UnknownError: the track ended before there was one.
        """
        track = self._track
        self._check_live()
        if not track.enabled or track.muted:
            state = "muted" if track.muted else "disabled"
            raise InvalidStateError(f"{track.label} shows nothing: it is {state}")
        try:
            frame = await track.reader().read()
        except MediaStreamError as error:
            raise UnknownError(f"{track.label} ended before there was a frame") from error
        assert isinstance(frame, VideoFrame), "a video track has pictures"
        return ImageBitmap(frame)

    async def getPhotoCapabilities(self) -> PhotoCapabilities:
        """How photographs can be taken.

        :raises InvalidStateError: the track is not live.
        """
        self._check_live()
        sizes = self._sizes()
        return {
            "redEyeReduction": "never",
            "imageHeight": sizes["imageHeight"],
            "imageWidth": sizes["imageWidth"],
            "fillLightMode": self._fill_light_modes(),
        }

    async def getPhotoSettings(self) -> PhotoSettings:
        """How photographs are taken where nothing else is said.

        :raises InvalidStateError: the track is not live.
        :raises OperationError: the camera is not open at the moment.
        """
        self._check_live()
        mode = self._track._device.photo_mode()
        if mode is None:
            raise OperationError(f"{self._track.label} can't be asked at the moment")
        return {
            "fillLightMode": "off",
            "imageHeight": mode.height,
            "imageWidth": mode.width,
            "redEyeReduction": False,
        }

    def _check_live(self) -> None:
        if self._track.readyState != "live":
            raise InvalidStateError(f"{self._track.label} has ended")

    def _sizes(self) -> dict[str, MediaSettingsRange]:
        modes = [m for m in self._track._device.description.modes if isinstance(m, VideoMode)]
        ranges: dict[str, MediaSettingsRange] = {}
        for name, sizes in (
            ("imageWidth", [mode.width for mode in modes]),
            ("imageHeight", [mode.height for mode in modes]),
        ):
            ranges[name] = {"min": min(sizes), "max": max(sizes), "step": 1}
        return ranges

    def _fill_light_modes(self) -> list[FillLightMode]:
        lamp = "torch" in self._track._device.constrainable.controls
        return ["off", "flash"] if lamp else ["off"]

    def _developed(
        self, captured: Captured, controls: Mapping[str, ControlValue], flash: bool
    ) -> bytes:
        """The file that becomes of a picture."""
        frame, encoded = captured.frame, captured.encoded
        assert isinstance(frame, VideoFrame), "the shutter waits for a decoded picture"
        if encoded is not None and encoded.codec == "mjpeg":
            jpeg = complete_jpeg(encoded.data)
        else:
            jpeg = to_jpeg(frame)
        taken_at = time.time() - (time.monotonic() - captured.at)
        photograph = Photograph(
            taken_at=datetime.fromtimestamp(taken_at, UTC).astimezone(),
            device=self._track.label,
            width=frame.width,
            height=frame.height,
            settings=self._track._shown(dict(controls)),
            flash=flash,
        )
        return with_exif(jpeg, photograph)


def _checked(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """:raises TypeError: for a member of a wrong type."""
    if settings is not None and not isinstance(settings, Mapping):
        raise TypeError(f"photoSettings must be a dictionary, not {settings!r}")
    given = {name: value for name, value in (settings or {}).items() if value is not None}
    for name in ("imageWidth", "imageHeight"):
        value = given.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name} must be a number, not {value!r}")
        if value != value or value in (float("inf"), float("-inf")):
            raise TypeError(f"{name} must be a finite number, not {value!r}")
    mode = given.get("fillLightMode", "off")
    if mode not in _FILL_LIGHT_MODES:
        raise TypeError(f"fillLightMode is one of {_FILL_LIGHT_MODES}, not {mode!r}")
    return given
