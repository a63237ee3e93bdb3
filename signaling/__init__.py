"""The signalling switchboard: who is on the air, who watches, and the page that shows it."""

from .auth import generate_token
from .errors import (
    Forbidden,
    NoSuchResource,
    NotLive,
    OfferMalformed,
    OfferRejected,
    Overloaded,
    SignalingError,
    Unauthorized,
)
from .hub import Hub
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
    "Forbidden",
    "Hub",
    "IceServer",
    "Limits",
    "LocalClient",
    "Message",
    "NoSuchResource",
    "NotLive",
    "OfferMalformed",
    "OfferRejected",
    "Overloaded",
    "PeerRole",
    "ServerConfig",
    "ServerStartError",
    "SignalingClient",
    "SignalingError",
    "SignalingServer",
    "SignalingSession",
    "Unauthorized",
    "generate_token",
]
