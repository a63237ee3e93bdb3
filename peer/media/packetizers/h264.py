"""H.264 in RTP (RFC 6184), packetisation mode 1: single units, STAP-A and FU-A."""

from collections.abc import Iterator
from struct import pack

from ...devices.annex_b import starts_keyframe

_STAP_A, _FU_A = 24, 28
_FU_HEADER, _LENGTH = 2, 2
_START, _END = 0x80, 0x40
_NRI, _TYPE = 0x60, 0x1F
_ACCESS_UNIT_DELIMITER, _FILLER = 9, 12  # what a packetiser leaves out (RFC 6184 5.6 and 12.1)


def is_keyframe(picture: bytes) -> bool:
    """Whether a decoder can begin with it."""
    return starts_keyframe(picture)


def packetize(picture: bytes, size: int) -> list[bytes]:
    """The payloads of a picture in Annex B, of `size` bytes at most."""
    payloads: list[bytes] = []
    together: list[bytes] = []  # small units that share a packet, such as the parameter sets
    for unit in _units(picture):
        if together and 1 + sum(_LENGTH + len(one) for one in (*together, unit)) > size:
            payloads.append(_aggregated(together))
            together = []
        if len(unit) > size:
            payloads += _fragments(unit, size)
        else:
            together.append(unit)
    if together:
        payloads.append(_aggregated(together))
    return payloads


def _units(picture: bytes) -> Iterator[bytes]:
    start = picture.find(b"\0\0\1")
    while start >= 0:
        end = picture.find(b"\0\0\1", start + 3)
        unit = picture[start + 3 : end if end >= 0 else None].rstrip(b"\0")
        if unit and unit[0] & _TYPE not in (_ACCESS_UNIT_DELIMITER, _FILLER):
            yield unit
        start = end


def _aggregated(units: list[bytes]) -> bytes:
    if len(units) == 1:
        return units[0]
    importance = max(unit[0] & _NRI for unit in units)
    return bytes([importance | _STAP_A]) + b"".join(pack("!H", len(u)) + u for u in units)


def _fragments(unit: bytes, size: int) -> Iterator[bytes]:
    indicator, kind = unit[0] & ~_TYPE | _FU_A, unit[0] & _TYPE
    room = size - _FU_HEADER
    for position in range(1, len(unit), room):
        flags = _START if position == 1 else 0
        flags |= _END if position + room >= len(unit) else 0
        yield bytes((indicator, flags | kind)) + unit[position : position + room]
