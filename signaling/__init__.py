"""The signalling switchboard: who is on the air, who watches, and the page that shows it."""

from .auth import generate_token
from .errors import NotLive, OfferMalformed, OfferRejected, Overloaded, SignalingError
from .hub import Hub
from .legacy import Producer, Switchboard
from .limits import Limits
from .local import LocalClient
from .protocol import PeerRole
from .server import ServerConfig, ServerStartError, SignalingServer
from .session import (
    Candidate,
    Description,
    Ended,
    EndReason,
    IceServer,
    Message,
    SignalingClient,
    SignalingSession,
)

__all__ = [
    "Candidate",
    "Description",
    "EndReason",
    "Ended",
    "Hub",
    "IceServer",
    "Limits",
    "LocalClient",
    "Message",
    "NotLive",
    "OfferMalformed",
    "OfferRejected",
    "Overloaded",
    "PeerRole",
    "Producer",
    "ServerConfig",
    "ServerStartError",
    "SignalingClient",
    "SignalingError",
    "SignalingServer",
    "SignalingSession",
    "Switchboard",
    "generate_token",
]
