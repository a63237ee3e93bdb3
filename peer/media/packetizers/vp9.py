"""VP9 in RTP (RFC 9628): one layer, and no picture numbers."""

_INTER_PICTURE, _BEGIN, _END, _NO_LAYER_ABOVE = 0x40, 0x08, 0x04, 0x01


def packetize(picture: bytes, size: int) -> list[bytes]:
    """The payloads of a picture, of `size` bytes at most."""
    room = size - 1
    common = _NO_LAYER_ABOVE | (0 if is_keyframe(picture) else _INTER_PICTURE)
    payloads = []
    for position in range(0, len(picture), room):
        flags = common | (0 if position else _BEGIN)
        flags |= _END if position + room >= len(picture) else 0
        payloads.append(bytes([flags]) + picture[position : position + room])
    return payloads


def is_keyframe(picture: bytes) -> bool:
    """Whether a decoder can begin with it (VP9 bitstream 6.2, profiles 0 to 2): after the frame
    marker and two bits of profile come show_existing_frame and frame_type."""
    return picture[0] & 0b0000_1100 == 0
