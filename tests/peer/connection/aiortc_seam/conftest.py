"""Servers on loopback for the tests of ICE."""

from ...diagnosis.conftest import coturn, stun_servers

__all__ = ["coturn", "stun_servers"]
