"""The signalling switchboard: who is on the air, who watches, and the page that shows it."""

from .auth import generate_token
from .errors import NotLive, OfferMalformed, OfferRejected, Overloaded, SignalingError
from .limits import Limits
from .server import ServerConfig, ServerStartError, SignalingServer
from .switchboard import Producer, Session, Switchboard

__all__ = [
    "Limits",
    "NotLive",
    "OfferMalformed",
    "OfferRejected",
    "Overloaded",
    "Producer",
    "ServerConfig",
    "ServerStartError",
    "Session",
    "SignalingError",
    "SignalingServer",
    "Switchboard",
    "generate_token",
]
