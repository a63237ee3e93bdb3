"""The signalling server that the program runs itself, and what people are told of it."""

import asyncio
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from signaling import ServerConfig, SignalingServer, generate_token
from signaling.auth import is_loopback
from signaling.ice import IceConfiguration
from signaling.server import own_address
from signaling.tls import ServerTls, given_tls, own_tls

from .qr_code import terminal_qr

logger = logging.getLogger("peer")


@dataclass(frozen=True)
class Serving:
    """Where and for whom to serve."""

    host: str = "127.0.0.1"
    port: int = 8080
    tls: bool = False
    certificate: tuple[Path, Path] | None = None
    """The files of a certificate and its key; one of its own when None."""
    token: str | None = None
    """What viewers must present; made up when None."""
    control_token: str | None = None
    """What viewers must present who may control the camera; made up when None."""
    publish_token: str | None = None
    """What others must present who send to this peer; made up when None and somebody may."""
    receives: bool = False
    """Whether others may send to this peer."""
    authenticate: bool = True
    ice: IceConfiguration = field(default_factory=IceConfiguration)
    """What viewers are told to use."""
    metrics: bool = False


async def make_server(serving: Serving) -> SignalingServer:
    """The server, not started.

    :raises TlsError: a certificate can't be used.
    """
    tls = await asyncio.to_thread(_tls, serving)
    if tls is not None and tls.self_signed:
        logger.info("the certificate's fingerprint is %s", tls.fingerprint)
    config = ServerConfig(
        host=serving.host,
        port=serving.port,
        token=(serving.token or generate_token()) if serving.authenticate else None,
        control_token=serving.control_token or generate_token(),
        publish_token=(serving.publish_token or generate_token())
        if serving.receives and serving.authenticate
        else serving.publish_token,
        watchers_publish=serving.receives and not serving.authenticate,
        open_to_all=not serving.authenticate,
        tls=tls.context if tls is not None else None,
        ice=serving.ice,
        metrics=serving.metrics,
    )
    return SignalingServer(config)


def announce(
    server: SignalingServer, serving: Serving, room: str | None, *, watch: bool, send: bool
) -> None:
    """Print the addresses, and the first as a QR code where a phone could open it."""
    for warning in server.warnings:
        logger.warning("%s", warning)
    if watch:
        url = _in_room(server.url, room)
        print(f"Watch at {url}", flush=True)
        if sys.stdout.isatty() and not is_loopback(serving.host):
            print(terminal_qr(url), flush=True)
        print(f"Control at {_in_room(server.control_url, room)}", flush=True)
    if send:
        base = server.url.partition("#")[0]
        print(f"Send to {base}whip/receiver", flush=True)
        if server.config.publish_token is not None:
            print(f"with the bearer token {server.config.publish_token}", flush=True)


def _in_room(url: str, room: str | None) -> str:
    """The address of the page in a room: behind the #, which no server is ever sent."""
    if not room:
        return url
    return f"{url}{'&' if '#' in url else '#'}{urlencode({'room': room})}"


def _tls(serving: Serving) -> ServerTls | None:
    """Blocks."""
    if serving.certificate is not None:
        return given_tls(*serving.certificate)
    if not serving.tls:
        return None
    return own_tls(() if is_loopback(serving.host) else (own_address(),))
