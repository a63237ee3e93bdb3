"""What the seam needs of aioice to gather host addresses."""

import inspect
from unittest.mock import patch

import aioice.ice

from peer.connection.aiortc_seam.host_addresses import host_addresses


def test_aioice_gathers_by_get_host_addresses() -> None:
    parameters = list(inspect.signature(aioice.ice.get_host_addresses).parameters)
    assert parameters == ["use_ipv4", "use_ipv6"], "aioice has changed get_host_addresses()"


def test_loopback_is_used_on_a_computer_without_a_network() -> None:
    with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: []):
        assert host_addresses() == ["127.0.0.1"]


def test_other_addresses_are_left_alone() -> None:
    with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["192.0.2.1"]):
        assert host_addresses() == ["192.0.2.1"]
