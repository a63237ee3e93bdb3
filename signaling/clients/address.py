"""Which client an address asks for."""

import ssl
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..protocol import PeerRole
from ..session import SignalingClient
from .stdio import StdioClient
from .watch import ANY_PRODUCER
from .websocket import WebSocketClient
from .whip import WhepClient, WhipClient

_TOKEN_FRAGMENT = "t="  # as in the address that our server prints


def client_for(
    url: str,
    *,
    offer: bool,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    name: str | None = None,
    meta: Mapping[str, Any] | None = None,
    room: str | None = None,
    watch: str = ANY_PRODUCER,
) -> SignalingClient:
    """The client that an address asks for: `ws:` and `wss:` a signalling server; `http:` and
    `https:` WHIP or WHEP, by what is in its path, else by who offers; `-` copy and paste.

    :param offer: whether to publish; else to watch.
    :param token: a bearer token; it may also be the fragment of the address, as `#t=…`.
    :param name, meta, room, watch: as `WebSocketClient` has them; the others have no use for them.
    :raises ValueError: it is no such address; the message says what would be one.
    """
    if url == "-":
        return StdioClient("offer" if offer else "answer")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"{url!r} is no URL: {error}") from None
    if token is None and parts.fragment.startswith(_TOKEN_FRAGMENT):
        token = parts.fragment.removeprefix(_TOKEN_FRAGMENT)
    match parts.scheme:
        case "ws" | "wss":
            roles: Collection[PeerRole] = (PeerRole.PRODUCER,) if offer else (PeerRole.CONSUMER,)
            return WebSocketClient(
                url,
                token=token,
                name=name,
                roles=roles,
                meta=meta,
                room=room,
                watch=None if offer else watch,
                tls=tls,
            )
        case "http" | "https":
            return _http_client(url, parts.path.split("/"), offer=offer)(url, token, tls=tls)
    raise ValueError(f"{url!r} is no address of a signalling server: ws:// or wss:// for one, "
                     "https:// for WHIP and WHEP, - for copy and paste")  # fmt: skip


def _http_client(url: str, path: Collection[str], *, offer: bool) -> type[WhipClient]:
    """:raises ValueError: the path says the opposite of what is wanted."""
    if offer and "whep" in path and "whip" not in path:
        raise ValueError(f"{url} is for watching (WHEP); to publish it must be a WHIP URL")
    if not offer and "whip" in path and "whep" not in path:
        raise ValueError(f"{url} is for publishing (WHIP); to watch it must be a WHEP URL")
    return WhipClient if offer else WhepClient
