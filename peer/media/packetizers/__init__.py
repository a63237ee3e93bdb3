"""Encoded pictures cut into the payloads of RTP packets (pure), one module for each codec."""

from collections.abc import Callable

from . import av1, h264, vp8, vp9

MAX_PAYLOAD = 1160
"""Bytes of a packet's payload. The packet then passes whole through tunnels with the least MTU that
IPv6 allows, 1280: header and extensions take up to 40 bytes, retransmission 2, SRTP 16, IPv6 and
UDP 48, a relay 4."""

Packetizer = Callable[[bytes, int], list[bytes]]
"""Takes a picture and the most bytes of a payload."""

PACKETIZERS: dict[str, Packetizer] = {
    "h264": h264.packetize,
    "vp8": vp8.packetize,
    "vp9": vp9.packetize,
    "av1": av1.packetize,
}
"""By the lower-case name of the codec."""
