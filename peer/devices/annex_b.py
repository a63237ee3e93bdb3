"""H.264 pictures as byte streams (ITU-T H.264, Annex B): units, each after a start code."""

import re

NAL_SLICE, NAL_IDR, NAL_SPS = 1, 5, 7
"""Types of units (table 7-1)."""

_START = re.compile(rb"\A\0{2,}\x01")
_EMPTY_UNIT = re.compile(rb"\0\0\x01\0*(?:\0\0\x01|\Z)")


def is_well_formed(data: bytes) -> bool:
    """Whether a picture consists of units that have something in them. Cameras on a bad cable, and
    buffers that are overwritten too soon, deliver others, which no packetiser is made for."""
    return _START.match(data) is not None and _EMPTY_UNIT.search(data) is None


def starts_keyframe(data: bytes) -> bool:
    """Whether an H.264 picture (Annex B) can be decoded without others: it has an IDR slice, or
    parameter sets, which cameras send before such pictures only."""
    start = data.find(b"\0\0\1")
    while 0 <= start < len(data) - 3:
        if data[start + 3] & 0x1F in (NAL_IDR, NAL_SPS):
            return True
        if data[start + 3] & 0x1F == NAL_SLICE:
            return False
        start = data.find(b"\0\0\1", start + 3)
    return False
