"""VP8 in RTP (RFC 7741): one partition, and no picture numbers, which only layers need."""

_FIRST = b"\x10"  # S: the start of a partition
_OTHER = b"\x00"


def is_keyframe(picture: bytes) -> bool:
    """Whether a decoder can begin with it (RFC 6386 9.1)."""
    return not picture[0] & 1


def packetize(picture: bytes, size: int) -> list[bytes]:
    """The payloads of a picture, of `size` bytes at most."""
    room = size - 1
    return [
        (_OTHER if position else _FIRST) + picture[position : position + room]
        for position in range(0, len(picture), room)
    ]
