"""VP9 in RTP (RFC 9628): one layer, and no picture numbers."""

_INTER_PICTURE, _BEGIN, _END, _NO_LAYER_ABOVE = 0x40, 0x08, 0x04, 0x01


def packetize(picture: bytes, size: int) -> list[bytes]:
    """The payloads of a picture, of `size` bytes at most."""
    room = size - 1
    common = _NO_LAYER_ABOVE | (0 if _is_keyframe(picture) else _INTER_PICTURE)
    payloads = []
    for position in range(0, len(picture), room):
        flags = common | (0 if position else _BEGIN)
        flags |= _END if position + room >= len(picture) else 0
        payloads.append(bytes([flags]) + picture[position : position + room])
    return payloads


def _is_keyframe(picture: bytes) -> bool:
    """Going by the uncompressed header (VP9 bitstream 6.2), profiles 0 to 2: the frame marker, two
    bits of profile, show_existing_frame, frame_type."""
    return picture[0] & 0b0000_1100 == 0
