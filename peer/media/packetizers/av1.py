"""AV1 in RTP (AV1 RTP payload specification 4): temporal units without their delimiters."""

from collections.abc import Iterable, Iterator

_CONTINUES, _TO_BE_CONTINUED, _NEW_SEQUENCE = 0x80, 0x40, 0x08
_HAS_SIZE, _HAS_EXTENSION = 0x02, 0x04
_SEQUENCE_HEADER, _TEMPORAL_DELIMITER, _TILE_LIST, _PADDING = 1, 2, 8, 15


def packetize(picture: bytes, size: int) -> list[bytes]:
    """The payloads of a temporal unit in the low-overhead format, of `size` bytes at most."""
    units = list(_units(picture))
    new_sequence = _has_sequence_header(units)
    payloads: list[bytes] = []
    # Every element carries its length (W = 0), so that a packet is filled without looking ahead.
    payload, continues = b"", False
    for unit in units:
        position = 0
        while position < len(unit):
            room = size - 1 - len(payload)
            part = unit[position : position + max(0, room - len(_leb128(room)))]
            if not part:
                payloads.append(_packet(payload, continues, False))
                payload, continues = b"", False
                continue
            position += len(part)
            payload += _leb128(len(part)) + part
            if position < len(unit):
                payloads.append(_packet(payload, continues, True))
                payload, continues = b"", True
    if payload:
        payloads.append(_packet(payload, continues, False))
    if new_sequence and payloads:
        payloads[0] = bytes([payloads[0][0] | _NEW_SEQUENCE]) + payloads[0][1:]
    return payloads


def is_keyframe(picture: bytes) -> bool:
    """Whether a decoder can begin with it: encoders for live pictures put sequence headers before
    key frames only."""
    return _has_sequence_header(_units(picture))


def _has_sequence_header(units: Iterable[bytes]) -> bool:
    return any(_kind(unit) == _SEQUENCE_HEADER for unit in units)


def _packet(elements: bytes, continues: bool, to_be_continued: bool) -> bytes:
    flags = (_CONTINUES if continues else 0) | (_TO_BE_CONTINUED if to_be_continued else 0)
    return bytes([flags]) + elements


def _units(picture: bytes) -> Iterator[bytes]:
    """The units worth sending, without their size fields."""
    position = 0
    while position < len(picture):
        header = picture[position]
        length = 2 if header & _HAS_EXTENSION else 1
        start = position + length
        if header & _HAS_SIZE:
            size, start = _read_leb128(picture, start)
        else:
            size = len(picture) - start
        if _kind(picture[position:]) not in (_TEMPORAL_DELIMITER, _TILE_LIST, _PADDING):
            head = bytes([header & ~_HAS_SIZE]) + picture[position + 1 : position + length]
            yield head + picture[start : start + size]
        position = start + size


def _kind(unit: bytes) -> int:
    return unit[0] >> 3 & 0x0F


def _leb128(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_leb128(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[position] & 0x7F) << shift
        shift += 7
        position += 1
        if not data[position - 1] & 0x80:
            return value, position
