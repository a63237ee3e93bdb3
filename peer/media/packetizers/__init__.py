"""Encoded pictures cut into the payloads of RTP packets (pure), one module for each codec."""

from typing import Protocol

from . import av1, h264, vp8, vp9

MAX_PAYLOAD = 1160
"""Bytes of a packet's payload. The packet then passes whole through tunnels with the least MTU that
IPv6 allows, 1280: header and extensions take up to 40 bytes, retransmission 2, SRTP 16, IPv6 and
UDP 48, a relay 4."""


class Packetizer(Protocol):
    """What each of the modules has."""

    def packetize(self, picture: bytes, size: int) -> list[bytes]:
        """The payloads of a picture, of `size` bytes at most."""

    def is_keyframe(self, picture: bytes) -> bool:
        """Whether a decoder can begin with it."""


PACKETIZERS: dict[str, Packetizer] = {"h264": h264, "vp8": vp8, "vp9": vp9, "av1": av1}
"""By the lower-case name of the codec."""
