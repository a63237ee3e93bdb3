"""The addresses of this computer that ICE gathers."""

from collections.abc import Callable

from aioice import ice

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
