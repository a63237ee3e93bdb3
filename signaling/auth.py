"""Who may ask: tokens, and the hosts and origins that a request may name (pure)."""

import hmac
import ipaddress
import secrets
from collections.abc import Collection
from urllib.parse import urlsplit

from .errors import OriginForbidden, Unauthorized, WrongHost

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
TOKEN_BYTES = 18  # 144 bits, 24 characters


def generate_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def check_token(
    authorization: str | None, token: str | None, control_token: str | None = None
) -> None:
    """Compare a request's Authorization header with the token; None as token lets everybody in.

    :param control_token: another one, whose holder may control the cameras and so watch, too.
    :raises Unauthorized: it is missing or wrong.
    """
    if token is None or may_control(authorization, control_token):
        return
    given = _bearer(authorization)
    if not given:
        raise Unauthorized("a bearer token is needed")
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise Unauthorized("the token is wrong")


def may_control(authorization: str | None, control_token: str | None) -> bool:
    """Whether a request comes from somebody who may control the cameras."""
    if control_token is None:
        return False
    return hmac.compare_digest(_bearer(authorization).encode(), control_token.encode())


def _bearer(authorization: str | None) -> str:
    """The bearer token of an Authorization header; empty without one."""
    scheme, _, given = (authorization or "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def check_host(host: str | None, names: Collection[str]) -> None:
    """Take a request only under a name of this server's own, or under an address.

    A page of another site can have this server's address in its DNS (rebinding), and then names
    that site as the host; it can't do that with an address.

    :param names: this server's host names, without port.
    :raises WrongHost: the Host header names something else.
    """
    name = _hostname(f"//{host or ''}")
    if name is None or not (name in names or _is_address(name)):
        raise WrongHost("this server does not go by that name")


def check_origin(
    origin: str | None, host: str | None, *, token_shown: bool, allowed: Collection[str] = ()
) -> None:
    """Take a request that changes something from this server's own page only.

    A program sends no Origin; it must then have shown a token.

    :param allowed: origins of other pages that may, for example `https://example.org`.
    :raises OriginForbidden: it comes from another site.
    """
    if origin is None:
        if not token_shown:
            raise OriginForbidden("a request without Origin needs a bearer token")
        return
    if not is_allowed_origin(origin, host, allowed):
        raise OriginForbidden("the request comes from a page of another site")


def is_allowed_origin(origin: str, host: str | None, allowed: Collection[str] = ()) -> bool:
    """Whether a page of this origin may use the server: its own page, or one that is listed."""
    return origin in allowed or (
        host is not None and origin in (f"http://{host}", f"https://{host}")
    )


def is_loopback(host: str) -> bool:
    """Whether a host to bind is reachable from this computer only."""
    return host in LOOPBACK_NAMES


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
