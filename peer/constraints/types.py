"""The dictionaries of constraints, settings and capabilities as types, under their IDL names."""

from collections.abc import Sequence
from typing import Literal, TypedDict

FacingMode = Literal["user", "environment", "left", "right"]
"""Which way a camera faces (Media Capture and Streams, VideoFacingModeEnum)."""


class ConstrainULongRange(TypedDict, total=False):
    """What is asked of a whole number."""

    min: int
    max: int
    exact: int
    ideal: int


class ConstrainDoubleRange(TypedDict, total=False):
    """What is asked of a number."""

    min: float
    max: float
    exact: float
    ideal: float


class ConstrainBooleanParameters(TypedDict, total=False):
    """What is asked of a property that is on or off."""

    exact: bool
    ideal: bool


class ConstrainPoint2DParameters(TypedDict, total=False):
    """What is asked of points of the picture."""

    exact: "Sequence[Point2D]"
    ideal: "Sequence[Point2D]"


class ConstrainDOMStringParameters(TypedDict, total=False):
    """What is asked of a string; a list means any of its members."""

    exact: str | Sequence[str]
    ideal: str | Sequence[str]


class ConstrainBooleanOrDOMStringParameters(TypedDict, total=False):
    """What is asked of a property that is on or off, or on in a certain way."""

    exact: bool | str
    ideal: bool | str


ConstrainULong = int | ConstrainULongRange
ConstrainDouble = float | ConstrainDoubleRange
ConstrainBoolean = bool | ConstrainBooleanParameters
ConstrainDOMString = str | Sequence[str] | ConstrainDOMStringParameters
ConstrainBooleanOrDOMString = bool | str | ConstrainBooleanOrDOMStringParameters


class MediaTrackConstraintSet(TypedDict, total=False):
    """What is asked of a track: a bare value is a wish here, and exact in an advanced set."""

    deviceId: ConstrainDOMString
    groupId: ConstrainDOMString
    width: ConstrainULong
    height: ConstrainULong
    aspectRatio: ConstrainDouble
    frameRate: ConstrainDouble
    facingMode: ConstrainDOMString
    resizeMode: ConstrainDOMString
    sampleRate: ConstrainULong
    sampleSize: ConstrainULong
    channelCount: ConstrainULong
    latency: ConstrainDouble
    echoCancellation: ConstrainBooleanOrDOMString
    autoGainControl: ConstrainBoolean
    noiseSuppression: ConstrainBoolean
    whiteBalanceMode: ConstrainDOMString
    exposureMode: ConstrainDOMString
    focusMode: ConstrainDOMString
    pointsOfInterest: Sequence["Point2D"] | ConstrainPoint2DParameters
    exposureCompensation: ConstrainDouble
    exposureTime: ConstrainDouble
    colorTemperature: ConstrainDouble
    iso: ConstrainDouble
    brightness: ConstrainDouble
    contrast: ConstrainDouble
    saturation: ConstrainDouble
    sharpness: ConstrainDouble
    focusDistance: ConstrainDouble
    pan: bool | ConstrainDouble
    tilt: bool | ConstrainDouble
    zoom: bool | ConstrainDouble
    torch: ConstrainBoolean
    displaySurface: ConstrainDOMString
    logicalSurface: ConstrainBoolean
    cursor: ConstrainDOMString


class MediaTrackConstraints(MediaTrackConstraintSet, total=False):
    """What is asked of a track, with further sets of which as many hold as can."""

    advanced: Sequence[MediaTrackConstraintSet]


class MediaStreamConstraints(TypedDict, total=False):
    """The argument of getUserMedia."""

    video: bool | MediaTrackConstraints
    audio: bool | MediaTrackConstraints


class DisplayMediaStreamOptions(TypedDict, total=False):
    """The argument of getDisplayMedia."""

    video: bool | MediaTrackConstraints
    audio: bool | MediaTrackConstraints


class MediaTrackSettings(TypedDict, total=False):
    """What a track is set to; a property that its device lacks is absent."""

    deviceId: str
    groupId: str
    width: int
    height: int
    aspectRatio: float
    frameRate: float
    facingMode: str
    resizeMode: str
    sampleRate: int
    sampleSize: int
    channelCount: int
    latency: float
    echoCancellation: bool | str
    autoGainControl: bool
    noiseSuppression: bool
    whiteBalanceMode: str
    exposureMode: str
    focusMode: str
    pointsOfInterest: list["Point2D"]
    exposureCompensation: float
    exposureTime: float
    colorTemperature: float
    iso: float
    brightness: float
    contrast: float
    saturation: float
    sharpness: float
    focusDistance: float
    pan: float
    tilt: float
    zoom: float
    torch: bool
    displaySurface: Literal["monitor", "window", "browser"]
    logicalSurface: bool
    cursor: Literal["never", "always", "motion"]


class ULongRange(TypedDict):
    """The whole numbers that a device can do."""

    min: int
    max: int


class DoubleRange(TypedDict):
    """The numbers that a device can do."""

    min: float
    max: float


class MediaSettingsRange(TypedDict):
    """The numbers that a control takes, and how far they are apart."""

    min: float
    max: float
    step: float


class Point2D(TypedDict, total=False):
    """A point of the picture, from its upper left corner; each 0 to 1."""

    x: float
    y: float


class MediaTrackCapabilities(TypedDict, total=False):
    """What a device can do; a property that it lacks is absent."""

    deviceId: str
    groupId: str
    width: ULongRange
    height: ULongRange
    aspectRatio: DoubleRange
    frameRate: DoubleRange
    facingMode: list[str]
    resizeMode: list[str]
    sampleRate: ULongRange
    sampleSize: ULongRange
    channelCount: ULongRange
    latency: DoubleRange
    echoCancellation: list[bool | str]
    autoGainControl: list[bool]
    noiseSuppression: list[bool]
    whiteBalanceMode: list[str]
    exposureMode: list[str]
    focusMode: list[str]
    exposureCompensation: MediaSettingsRange
    exposureTime: MediaSettingsRange
    colorTemperature: MediaSettingsRange
    iso: MediaSettingsRange
    brightness: MediaSettingsRange
    contrast: MediaSettingsRange
    saturation: MediaSettingsRange
    sharpness: MediaSettingsRange
    focusDistance: MediaSettingsRange
    pan: MediaSettingsRange
    tilt: MediaSettingsRange
    zoom: MediaSettingsRange
    torch: list[bool]
    displaySurface: str
    logicalSurface: bool
    cursor: list[str]
