"""Which client an address asks for."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..protocol import PeerRole
from ..session import SignalingClient
from .http import Trust
from .stdio import StdioClient
from .watch import ANY_PRODUCER
from .websocket import WebSocketClient
from .whip import WhepClient, WhipClient


def client_for(
    url: str,
    *,
    offer: bool,
    roles: Collection[PeerRole] | None = None,
    token: str | None = None,
    tls: Trust | None = None,
    name: str | None = None,
    meta: Mapping[str, Any] | None = None,
    room: str | None = None,
    watch: str = ANY_PRODUCER,
    instance: str | None = None,
) -> SignalingClient:
    """The client that an address asks for: `ws:` and `wss:` a signalling server, as does the
    address of its page; `http:` and `https:` with a path WHIP or WHEP, by what is in that, else by
    who offers; `-` copy and paste.

    :param offer: whether to publish; else to watch.
    :param roles: at a signalling server; by default producer or consumer, by who offers.
    :param token: a bearer token; the address may have it behind the `#`, as the one has that our
        server prints: `#t=…`, or `#t=…&room=…`.
    :param name, meta, room, watch, instance: as `WebSocketClient` has them; the others have no use
        for them.
    :raises ValueError: it is no such address; the message says what would be one.
    """
    if url == "-":
        return StdioClient("offer" if offer else "answer")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"{url!r} is no URL: {error}") from None
    fragment = dict(parse_qsl(parts.fragment))
    token, room = token or fragment.get("t"), room or fragment.get("room")
    if parts.scheme in ("http", "https") and parts.path in ("", "/"):
        # The address of its page, which our server prints.
        parts = parts._replace(scheme=parts.scheme.replace("http", "ws"))
        url = parts.geturl()
    match parts.scheme:
        case "ws" | "wss":
            if roles is None:
                roles = (PeerRole.PRODUCER,) if offer else (PeerRole.CONSUMER,)
            return WebSocketClient(
                url,
                token=token,
                name=name,
                roles=roles,
                meta=meta,
                room=room,
                watch=watch if PeerRole.CONSUMER in roles else None,
                instance=instance,
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
