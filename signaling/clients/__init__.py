"""Signalling clients: sources of sessions, whatever the protocol.

`client_for()` chooses one by its address; all are `signaling.session.SignalingClient`.
"""

from .address import client_for
from .http import Trust, parse_trust
from .stdio import StdioClient
from .watch import ANY_PRODUCER
from .websocket import WebSocketClient
from .whip import WhepClient, WhipClient

__all__ = [
    "ANY_PRODUCER",
    "StdioClient",
    "Trust",
    "WebSocketClient",
    "WhepClient",
    "WhipClient",
    "client_for",
    "parse_trust",
]
