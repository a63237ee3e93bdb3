"""The only module that touches private parts of aiortc and aioice.

Each function says what it needs of them; `tests/peer/connection/test_aiortc_seam.py` fails, and
says which, when a new release changes one.
"""

from collections.abc import Callable

from aioice import ice
from aiortc import RTCRtpTransceiver

HostAddresses = Callable[[bool, bool], list[str]]


def gather_loopback_when_alone() -> None:
    """Let ICE use 127.0.0.1 on a computer that has no other address.

    aioice leaves loopback out, so that a laptop without a network could not show its camera even
    to a browser of its own. Needs: `aioice.ice.get_host_addresses(use_ipv4, use_ipv6)`, called
    by its module-level name. Calling it again changes nothing.
    """
    gathered: HostAddresses = ice.get_host_addresses
    if getattr(gathered, "with_loopback", False):
        return

    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return gathered(use_ipv4, use_ipv6) or ["127.0.0.1"]

    get_host_addresses.with_loopback = True  # type: ignore[attr-defined]
    ice.get_host_addresses = get_host_addresses


def wants_media(transceiver: RTCRtpTransceiver) -> bool:
    """Whether the remote offer wants to receive on this transceiver.

    Needs: `RTCRtpTransceiver._offerDirection`, the offered direction as seen from this side,
    set by `setRemoteDescription()`.
    """
    return transceiver._offerDirection in ("sendonly", "sendrecv")
