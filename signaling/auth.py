"""Who may do what: tokens, and the hosts and origins that a request may name (pure).

Three tokens exist. With the *watch* token a peer sees who is there and asks for sessions; with the
*control* token it may control the cameras, too; with the *publish* token it may be a producer, and
send to consumers by WHIP. A server may let watchers publish where no publish token is set: the
server that stands alone does, the one that a publisher brings along does not.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .errors import OriginForbidden, Unauthorized, WrongHost

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
TOKEN_BYTES = 18  # 144 bits, 24 characters


def generate_token() -> str:
    """A token that nobody guesses."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    # With a dash in front, a command line would take it for an option.
    return generate_token() if token.startswith("-") else token


@dataclass(frozen=True)
class Grant:
    """What one peer may do."""

    watch: bool = True
    """Ask producers for sessions, and see who is there."""
    control: bool = False
    """Control the cameras that it watches."""
    publish: bool = False
    """Be a producer, and send to consumers."""


@dataclass(frozen=True)
class Tokens:
    """Who may do what: each token says, and the stronger ones let watch, too."""

    watch: str | None = field(default=None, repr=False)
    """None lets everybody watch."""
    control: str | None = field(default=None, repr=False)
    """None lets nobody control."""
    publish: str | None = field(default=None, repr=False)
    watchers_publish: bool = False
    """Whether everybody who may watch may publish, where no token is set for that."""

    def grant(self, token: str | None) -> Grant:
        """What somebody may do who shows this token, or none.

        :raises Unauthorized: nothing.
        """
        control = _same(token, self.control)
        publish = _same(token, self.publish)
        if not (control or publish or self.watch is None or _same(token, self.watch)):
            raise Unauthorized("the token is wrong" if token else "a bearer token is needed")
        if self.publish is None:
            publish = self.watchers_publish
        return Grant(watch=True, control=control, publish=publish)

    def proves(self, token: str | None) -> bool:
        """Whether somebody has shown one of the tokens; without any nobody can."""
        return any(_same(token, own) for own in (self.watch, self.control, self.publish))


def bearer(authorization: str | None) -> str | None:
    """The token of an Authorization header."""
    scheme, _, given = (authorization or "").partition(" ")
    return given.strip() or None if scheme.lower() == "bearer" else None


def _same(given: str | None, own: str | None) -> bool:
    """Compares in a time that tells nothing."""
    if given is None or own is None:
        return False
    return hmac.compare_digest(given.encode(errors="replace"), own.encode())


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
