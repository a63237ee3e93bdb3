"""The constrainable properties as one table (Media Capture and Streams 12, Image Capture 8)."""

from dataclasses import dataclass
from enum import Enum


class ValueType(Enum):
    """The WebIDL type of a property's constraint."""

    LONG = "ConstrainULong"
    DOUBLE = "ConstrainDouble"
    BOOLEAN = "ConstrainBoolean"
    STRING = "ConstrainDOMString"
    BOOLEAN_OR_STRING = "ConstrainBooleanOrDOMString"
    BOOLEAN_OR_DOUBLE = "(boolean or ConstrainDouble)"
    POINTS = "ConstrainPoint2D"


@dataclass(frozen=True)
class Property:
    """One constrainable property."""

    name: str
    type: ValueType
    kinds: frozenset[str]
    """audio, video: the kinds of tracks that it applies to."""
    may_be_required: bool = False
    """Whether getUserMedia takes min, max and exact for it (10.2, the allowed list)."""


PAN_TILT_ZOOM = ("pan", "tilt", "zoom")
"""What moves a camera needs a permission of its own (Image Capture 8.2)."""

_BOTH, _AUDIO, _VIDEO = frozenset({"audio", "video"}), frozenset({"audio"}), frozenset({"video"})


def _table() -> dict[str, Property]:
    long, double, string = ValueType.LONG, ValueType.DOUBLE, ValueType.STRING
    boolean = ValueType.BOOLEAN
    rows = [
        Property("deviceId", string, _BOTH, True),
        Property("groupId", string, _BOTH, True),
        Property("width", long, _VIDEO, True),
        Property("height", long, _VIDEO, True),
        Property("aspectRatio", double, _VIDEO, True),
        Property("frameRate", double, _VIDEO, True),
        Property("facingMode", string, _VIDEO, True),
        Property("resizeMode", string, _VIDEO, True),
        Property("sampleRate", long, _AUDIO, True),
        Property("sampleSize", long, _AUDIO, True),
        Property("channelCount", long, _AUDIO, True),
        Property("latency", double, _AUDIO, True),
        Property("echoCancellation", ValueType.BOOLEAN_OR_STRING, _AUDIO, True),
        Property("autoGainControl", boolean, _AUDIO, True),
        Property("noiseSuppression", boolean, _AUDIO, True),
        Property("whiteBalanceMode", string, _VIDEO),
        Property("exposureMode", string, _VIDEO),
        Property("focusMode", string, _VIDEO),
        Property("pointsOfInterest", ValueType.POINTS, _VIDEO),
        *(
            Property(name, double, _VIDEO)
            for name in (
                *("exposureCompensation", "exposureTime", "colorTemperature", "iso"),
                *("brightness", "contrast", "saturation", "sharpness", "focusDistance"),
            )
        ),
        *(Property(name, ValueType.BOOLEAN_OR_DOUBLE, _VIDEO) for name in PAN_TILT_ZOOM),
        Property("torch", boolean, _VIDEO),
        Property("displaySurface", string, _VIDEO),
        Property("logicalSurface", boolean, _VIDEO),
        Property("cursor", string, _VIDEO),
    ]
    return {row.name: row for row in rows}


PROPERTIES = _table()


def supported_constraints() -> dict[str, bool]:
    """What `getSupportedConstraints()` returns: every name recognised here, each True."""
    return dict.fromkeys(PROPERTIES, True)
