"""The WHIP and WHEP endpoints, and the sessions behind them (aiohttp's shell around `whip`)."""

import asyncio
from dataclasses import replace
from urllib.parse import quote

from aiohttp import web

from . import whip
from .auth import Grant, Tokens, bearer
from .clients.fragment import SDPFRAG
from .errors import (
    BodyTimeout,
    Forbidden,
    NoSuchResource,
    OfferTooLarge,
    TooManyRequests,
    WrongContentType,
)
from .http_peer import HttpPeer
from .hub import Hub
from .limits import Pace, party
from .protocol import PeerRole
from .sdp_guard import check_offer, filter_candidates

_ROLES = {"whep": PeerRole.PRODUCER, "whip": PeerRole.CONSUMER}


class HttpSessions:
    """All WHIP and WHEP sessions of one server.

    :param starts: counts session starts by address, together with those over WebSockets.
    :param allow_loopback: whether candidates may be loopback addresses.
    :param strict: whether a PATCH needs If-Match, as RFC 9725 has it and few players do.
    """

    def __init__(
        self, hub: Hub, tokens: Tokens, starts: Pace, *, allow_loopback: bool, strict: bool
    ) -> None:
        self._hub = hub
        self._limits = hub.limits
        self._tokens = tokens
        self._starts = starts
        self._patches = Pace(hub.limits.messages, hub.limits.messages_interval)
        self._allow_loopback = allow_loopback
        self._strict = strict
        self._peers: dict[tuple[whip.Kind, str, str], HttpPeer] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve `/whep/{producer}`, `/whip/{consumer}`, and what is below."""
        for kind in _ROLES:
            endpoint = f"/{{kind:{kind}}}/{{target}}"
            session = f"{endpoint}/{{session}}"
            for path in (endpoint, session):
                router.add_options(path, self._options)
                router.add_get(path, self._look)
            router.add_post(endpoint, self._start)
            router.add_patch(session, self._patch)
            router.add_delete(session, self._end)

    async def _options(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers=whip.options_headers(methods(request)))

    async def _look(self, request: web.Request) -> web.Response:
        """GET and HEAD tell whether a resource is there, and nothing else (RFC 9725 4.2)."""
        self._authorise(request)
        if "session" in request.match_info:
            return web.Response(status=204, headers={"ETag": self._resource(request)[1].etag})
        self._hub.switchboard.find(_ROLES[_kind(request)], request.match_info["target"])
        if request.method == "HEAD":
            return web.Response(status=200, headers={"Content-Type": whip.SDP})
        return web.Response(status=204)

    async def _start(self, request: web.Request) -> web.Response:
        grant, kind = self._authorise(request), _kind(request)
        if request.content_type != whip.SDP:
            raise WrongContentType(f"an offer is {whip.SDP}, not {request.content_type}")
        name = request.match_info["target"]
        target = self._hub.switchboard.find(_ROLES[kind], name)
        address = party(request.remote)
        if not self._starts.allows(address, asyncio.get_running_loop().time()):
            raise TooManyRequests("too many sessions were started from this address")
        offer = check_offer(await self._body(request), self._limits, sends=kind == "whip")
        offer = filter_candidates(offer, allow_loopback=self._allow_loopback)
        peer = HttpPeer(self._hub, kind, lambda peer: self._forget(name, peer))
        resource = await peer.start(target.id, offer, grant, address)
        self._peers[kind, name, peer.session_id] = peer
        location = f"/{kind}/{quote(name, safe='')}/{peer.session_id}"
        response = web.Response(status=201, text=resource.answer)
        del response.headers["Content-Type"]
        response.headers.extend(whip.created_headers(location, resource.etag, peer.ice_servers))
        return response

    async def _patch(self, request: web.Request) -> web.Response:
        self._authorise(request)
        if request.content_type != SDPFRAG:
            raise WrongContentType(f"a PATCH is {SDPFRAG}, not {request.content_type}")
        peer, resource = self._resource(request)
        if not self._patches.allows(peer, asyncio.get_running_loop().time()):
            raise TooManyRequests("too many candidates were sent")
        fragment = whip.parse_fragment(await self._body(request), self._limits)
        kept = whip.acceptable(fragment.candidates, allow_loopback=self._allow_loopback)
        fragment = replace(fragment, candidates=kept)
        match resource.patch(request.headers.get("If-Match"), fragment, strict=self._strict):
            case whip.Trickle(candidates):
                peer.trickle(candidates)
                return web.Response(status=204, headers={"ETag": resource.etag})
            case whip.Restart(offer):
                answer = await peer.restart(offer)
                headers = {"Content-Type": SDPFRAG, "ETag": resource.etag}
                return web.Response(status=200, text=answer, headers=headers)

    async def _end(self, request: web.Request) -> web.Response:
        self._authorise(request)
        self._resource(request)[0].leave()
        return web.Response(status=200)

    def _authorise(self, request: web.Request) -> Grant:
        """:raises Unauthorized, Forbidden: the request is not this client's to make."""
        grant = self._tokens.grant(bearer(request.headers.get("Authorization")))
        if _kind(request) == "whip" and not grant.publish:
            raise Forbidden("the token does not let publish")
        return grant

    def _resource(self, request: web.Request) -> tuple[HttpPeer, whip.Resource]:
        """:raises NoSuchResource: there is no such session."""
        info = request.match_info
        peer = self._peers.get((_kind(request), info["target"], info["session"]))
        if peer is None or peer.resource is None:
            raise NoSuchResource("there is no such session; it may have ended")
        return peer, peer.resource

    def _forget(self, name: str, peer: HttpPeer) -> None:
        self._peers.pop((peer.kind, name, peer.session_id), None)

    async def _body(self, request: web.Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_timeout):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self._limits.body:
                        raise OfferTooLarge(f"a body has at most {self._limits.body} bytes")
        except TimeoutError:
            raise BodyTimeout("the body did not come in time") from None
        return bytes(body)


def methods(request: web.Request) -> str:
    """What can be done with a resource."""
    return whip.SESSION_METHODS if "session" in request.match_info else whip.ENDPOINT_METHODS


def _kind(request: web.Request) -> whip.Kind:
    return "whip" if request.match_info["kind"] == "whip" else "whep"
