"""What the seam needs of aioice to gather host addresses."""

import inspect
from unittest.mock import patch

import aioice.ice

from peer.connection import aiortc_seam


def test_aioice_gathers_by_get_host_addresses() -> None:
    parameters = list(inspect.signature(aioice.ice.get_host_addresses).parameters)
    assert parameters == ["use_ipv4", "use_ipv6"], "aioice has changed get_host_addresses()"
    source = inspect.getsource(aioice.ice.Connection)
    assert "get_host_addresses(" in source, "aioice.Connection gathers in another way now"


def test_loopback_is_used_on_a_computer_without_a_network() -> None:
    with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: []):
        aiortc_seam.gather_loopback_when_alone()
        wrapped = aioice.ice.get_host_addresses
        assert wrapped(True, True) == ["127.0.0.1"]
        aiortc_seam.gather_loopback_when_alone()
        assert aioice.ice.get_host_addresses is wrapped, "wrapped once only"


def test_other_addresses_are_left_alone() -> None:
    with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["192.0.2.1"]):
        aiortc_seam.gather_loopback_when_alone()
        assert aioice.ice.get_host_addresses(True, True) == ["192.0.2.1"]
