"""The addresses of this computer that ICE gathers."""

from aioice import ice

# One socket each: a container host may have hundreds of bridges, of which no viewer needs all.
MAX_HOST_ADDRESSES = 16


def host_addresses() -> list[str]:
    """The addresses to gather; 127.0.0.1 on a computer that has no other.

    aioice leaves loopback out, so that a laptop without a network could not show its camera even
    to a browser of its own. Needs: `aioice.ice.get_host_addresses(use_ipv4, use_ipv6)`.
    """
    return ice.get_host_addresses(True, True)[:MAX_HOST_ADDRESSES] or ["127.0.0.1"]
