"""Exif: when, with what and how a photograph was taken, as a segment of a JPEG file (pure).

Exif 2.32 (CIPA DC-008): a TIFF structure in an APP1 segment, which comes first in the file.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL = 2, 3, 4, 5, 7, 10
SOI = b"\xff\xd8"
APP1 = b"\xff\xe1"
HEADER = b"Exif\0\0"
MAX_SEGMENT = 0xFFFF

Entry = tuple[int, int, int, bytes]
"""A tag, its type, its count and its value."""


@dataclass(frozen=True)
class Photograph:
    """What is known of a photograph."""

    taken_at: datetime
    """With a time zone."""
    device: str
    width: int
    height: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The track's settings that it was taken with, in the units of Image Capture 8."""
    flash: bool = False


def exif(photograph: Photograph) -> bytes:
    """The APP1 segment."""
    segment = HEADER + _tiff(_image_entries(photograph), _photo_entries(photograph))
    length = len(segment) + 2
    assert length <= MAX_SEGMENT, "a few dozen entries are far shorter"
    return APP1 + struct.pack(">H", length) + segment


def with_exif(jpeg: bytes, photograph: Photograph) -> bytes:
    """A JPEG file with the segment put in; one that has such a segment is left as it is.

    :raises ValueError: it is no JPEG file.
    """
    if not jpeg.startswith(SOI):
        raise ValueError("not a JPEG file: it does not begin with FF D8")
    if has_exif(jpeg):
        return jpeg
    return SOI + exif(photograph) + jpeg[2:]


def has_exif(jpeg: bytes) -> bool:
    """Whether there is an Exif segment already."""
    position = 2
    while jpeg[position : position + 1] == b"\xff" and len(jpeg) >= position + 4:
        marker, length = struct.unpack_from(">HH", jpeg, position)
        if marker == 0xFFE1 and jpeg[position + 4 :].startswith(HEADER):
            return True
        if not 0xFFE0 <= marker <= 0xFFEF:
            return False  # these segments come first
        position += 2 + length
    return False


def _image_entries(photograph: Photograph) -> list[Entry]:
    return [
        _ascii(0x010E, _described(photograph.settings)),
        _ascii(0x0110, photograph.device),
        (0x0112, SHORT, 1, struct.pack("<H", 1)),  # the first row is the top
        _ascii(0x0132, photograph.taken_at.strftime("%Y:%m:%d %H:%M:%S")),
    ]


def _photo_entries(photograph: Photograph) -> list[Entry]:
    settings = photograph.settings
    entries: list[Entry] = [
        (0x9000, UNDEFINED, 4, b"0232"),
        _ascii(0x9003, photograph.taken_at.strftime("%Y:%m:%d %H:%M:%S")),
        _ascii(0x9011, _offset(photograph.taken_at)),
        _ascii(0x9291, f"{photograph.taken_at.microsecond // 1000:03}"),
        (0x9209, SHORT, 1, struct.pack("<H", int(photograph.flash))),
        (0xA002, LONG, 1, struct.pack("<L", photograph.width)),
        (0xA003, LONG, 1, struct.pack("<L", photograph.height)),
    ]
    if "exposureTime" in settings:
        entries.append(_rational(0x829A, settings["exposureTime"] / 10_000))  # of 100 µs
    if "iso" in settings:
        entries.append((0x8827, SHORT, 1, struct.pack("<H", min(0xFFFF, round(settings["iso"])))))
    if "exposureCompensation" in settings:
        entries.append(_rational(0x9204, settings["exposureCompensation"], signed=True))
    if "focusDistance" in settings:
        entries.append(_rational(0x9206, settings["focusDistance"]))
    for tag, name in ((0xA402, "exposureMode"), (0xA403, "whiteBalanceMode")):
        if name in settings:
            manual = settings[name] in ("manual", "none")
            entries.append((tag, SHORT, 1, struct.pack("<H", int(manual))))
    return sorted(entries)


def _described(settings: Mapping[str, Any]) -> str:
    """All the settings, for people: Exif has no tags for most of them."""
    shown = {n: v for n, v in settings.items() if n not in ("deviceId", "groupId")}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _offset(moment: datetime) -> str:
    text = moment.strftime("%z") or "+0000"
    return f"{text[:3]}:{text[3:5]}"


def _ascii(tag: int, text: str) -> Entry:
    data = text.encode("ascii", "replace") + b"\0"
    return (tag, ASCII, len(data), data)


def _rational(tag: int, value: float, *, signed: bool = False) -> Entry:
    fraction = Fraction(value).limit_denominator(10_000)
    packed = struct.pack("<ll" if signed else "<LL", fraction.numerator, fraction.denominator)
    return (tag, SRATIONAL if signed else RATIONAL, 1, packed)


def _tiff(image: list[Entry], photo: list[Entry]) -> bytes:
    """Two directories, of which the first refers to the second (TIFF 6.0, section 2)."""
    start = 8
    image = sorted([*image, (0x8769, LONG, 1, bytes(4))])
    pointer_at = next(index for index, entry in enumerate(image) if entry[0] == 0x8769)
    second = start + len(_directory(image, start))
    image[pointer_at] = (0x8769, LONG, 1, struct.pack("<L", second))
    return (
        b"II*\0" + struct.pack("<L", start) + _directory(image, start) + _directory(photo, second)
    )


def _directory(entries: list[Entry], start: int) -> bytes:
    """A directory that begins at `start`, followed by the values that don't fit into it."""
    table = struct.pack("<H", len(entries))
    values = b""
    values_at = start + 2 + 12 * len(entries) + 4
    for tag, kind, count, data in entries:
        if len(data) <= 4:
            place = data.ljust(4, b"\0")
        else:
            place = struct.pack("<L", values_at + len(values))
            values += data + bytes(len(data) % 2)
        table += struct.pack("<HHL", tag, kind, count) + place
    return table + bytes(4) + values
