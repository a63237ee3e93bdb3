"""The addresses of this computer that ICE gathers."""

from collections.abc import Callable

from aioice import ice

# One socket each: a container host may have hundreds of bridges, of which no viewer needs all.
MAX_HOST_ADDRESSES = 16

HostAddresses = Callable[[bool, bool], list[str]]


def host_addresses() -> list[str]:
    """The addresses to gather; 127.0.0.1 on a computer that has no other.

    aioice leaves loopback out, so that a laptop without a network could not show its camera even
    to a browser of its own. Needs: `aioice.ice.get_host_addresses(use_ipv4, use_ipv6)`.
    """
    return ice.get_host_addresses(True, True)[:MAX_HOST_ADDRESSES] or ["127.0.0.1"]


def gather_loopback_when_alone() -> None:
    """Let aiortc's own connections use 127.0.0.1 on a computer that has no other address.

    Needs: `aioice.ice.get_host_addresses(use_ipv4, use_ipv6)`, called by its module-level name.
    Calling it again changes nothing.
    """
    gathered: HostAddresses = ice.get_host_addresses
    if getattr(gathered, "with_loopback", False):
        return

    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return gathered(use_ipv4, use_ipv6) or ["127.0.0.1"]

    get_host_addresses.with_loopback = True  # type: ignore[attr-defined]
    ice.get_host_addresses = get_host_addresses
