"""Which addresses of the other side's this machine sends packets to (pure)."""

from collections.abc import Callable

from aiortc import RTCIceCandidate

from signaling.sdp_guard import is_acceptable

from .sdp import format_candidate


def candidate_policy(*, allow_loopback: bool) -> Callable[[RTCIceCandidate], bool]:
    """For connections with strangers: not to this machine's own services and its network's.

    A candidate makes this machine send packets wherever it says, and it comes from the other side.
    Refused are unspecified, broadcast, multicast and link-local addresses, ports below 1024, and
    loopback unless it is allowed; a name's address is looked at, too, when it is known.
    """

    def allow(candidate: RTCIceCandidate) -> bool:
        return is_acceptable(format_candidate(candidate), allow_loopback=allow_loopback)

    return allow
