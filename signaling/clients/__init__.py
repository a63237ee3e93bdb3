"""Signalling clients: sources of sessions, whatever the protocol.

`client_for()` chooses one by its address; all are `signaling.session.SignalingClient`.
"""

from .whip import WhepClient, WhipClient

__all__ = ["WhepClient", "WhipClient"]
