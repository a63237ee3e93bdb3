"""The only package that touches private parts of aiortc and aioice.

Each module says what it needs of them; `tests/peer/connection/aiortc_seam/` fails, and says
which, when a new release changes one.
"""

from .host_addresses import gather_loopback_when_alone
from .rtp_sender import force_keyframe, take_keyframe_request
from .rtp_transceiver import prefer_codec, sends_codec, wants_media

__all__ = [
    "force_keyframe",
    "gather_loopback_when_alone",
    "prefer_codec",
    "sends_codec",
    "take_keyframe_request",
    "wants_media",
]
