"""ICE servers from configuration, and TURN credentials that soon expire (pure)."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .session import IceServer

LIFETIME = 8 * 3600.0
"""Seconds that a TURN credential can be used: ICE may restart at any time in a working day, and
what leaks is of no use tomorrow. An allocation that stands outlives its credential."""

_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):"
    r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    r"(?::(?P<port>\d{1,5}))?"
    r"(?P<query>\?transport=(?:udp|tcp))?"
)
"""RFC 7064 and 7065; other transports than UDP and TCP are in no browser."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_NAME = 64
"""Characters; coturn takes a user name of 508 bytes."""

# One link of a Link header (RFC 8288 section 3). Nothing is tried twice, however hostile the text.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_PARAMETER = re.compile(rf"\s*+;\s*+({_TOKEN})(?:\s*+=\s*+({_TOKEN}|{_QUOTED}))?+")
_TARGET = re.compile(r"[\s,]*+<([^<>\s]*+)>")


def parse_ice_server(text: str) -> IceServer:
    """An ICE server as a person writes it: `stun:HOST:PORT`, `turn:HOST:PORT?transport=udp`, or
    the latter with `,USER,PASSWORD`.

    :raises ValueError: it is none; the message is for that person.
    """
    url, *account = text.split(",", 2)
    match = _URL.fullmatch(url)
    if match is None or not 0 < int(match["port"] or 1) < 65536:
        raise ValueError(
            f"{url!r} is no ICE server: stun:HOST:PORT or turn:HOST:PORT,USER,PASSWORD, "
            "and after TURN's port ?transport=udp or tcp"
        )
    if match["scheme"].startswith("stun"):
        if account or match["query"]:
            raise ValueError(f"{url!r}: a STUN server takes no transport, user or password")
        return IceServer(url)
    if not account:
        return IceServer(url)
    if len(account) != 2 or not all(account):
        raise ValueError(f"{url!r}: a TURN server takes a user and a password after commas")
    if not all(_is_printable(part) for part in account):
        raise ValueError(f"{url!r}: the user and the password may have printable ASCII only")
    return IceServer(url, *account)


@dataclass(frozen=True)
class IceConfiguration:
    """The ICE servers that every session is told of.

    :raises ValueError: a TURN server has neither an account nor the secret to make one.
    """

    configured: tuple[IceServer, ...] = ()
    turn_secret: str | None = None
    """What the TURN servers without an account share with this one: coturn's
    `static-auth-secret`."""
    lifetime: float = LIFETIME

    def __post_init__(self) -> None:
        for server in self.configured:
            if _wants_account(server) and self.turn_secret is None:
                raise ValueError(
                    f"{server.urls!r}: a TURN server takes a user and a password after commas, "
                    "or the secret that it shares"
                )

    def servers(self, name: str, now: float) -> tuple[IceServer, ...]:
        """The servers for one session, with credentials of its own.

        :param name: whom the TURN server's log shall name.
        :param now: seconds since 1970.
        """
        return tuple(
            replace(server, **_account(self.turn_secret, name, now + self.lifetime))
            if self.turn_secret is not None and _wants_account(server)
            else server
            for server in self.configured
        )


def link_headers(servers: Iterable[IceServer]) -> list[str]:
    """The values of the Link headers that tell a WHIP or WHEP client (RFC 9725 section 4.6).

    :raises ValueError: a header can't carry a URL, user or password: it isn't printable ASCII.
    """
    links = []
    for server in servers:
        if not _is_printable(server.urls) or re.search(r"[<> ]", server.urls):
            raise ValueError(f"{server.urls!r} can't be in a header")
        link = f'<{server.urls}>; rel="ice-server"'
        if server.username is not None and server.credential is not None:
            link += f"; username={_quoted(server.username)}"
            link += f'; credential={_quoted(server.credential)}; credential-type="password"'
        links.append(link)
    return links


def parse_link_headers(headers: Iterable[str]) -> tuple[IceServer, ...]:
    """The ICE servers in the Link headers of a response; whatever else they have is left out."""
    servers = []
    for header in headers:
        for target, parameters in _links(header):
            if "ice-server" not in parameters.get("rel", "").lower().split():
                continue
            if _URL.fullmatch(target) is None:
                continue
            if parameters.get("credential-type", "password").lower() != "password":
                continue
            server = IceServer(target, parameters.get("username"), parameters.get("credential"))
            if not _wants_account(server):
                servers.append(server)
    return tuple(servers)


def _account(secret: str, name: str, expiry: float) -> dict[str, str]:
    """A user and password that coturn accepts until the expiry ("A REST API for access to TURN
    services", draft-uberti-behave-turn-rest-00, section 2.2)."""
    username = f"{int(expiry)}:{_NOT_IN_A_NAME.sub('_', name)[:_LONGEST_NAME]}"
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return {"username": username, "credential": base64.b64encode(digest).decode()}


def _wants_account(server: IceServer) -> bool:
    complete = server.username is not None and server.credential is not None
    return server.urls.startswith("turn") and not complete


def _links(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Targets and parameters, as far as the header can be read."""
    position = 0
    while (target := _TARGET.match(header, position)) is not None:
        position = target.end()
        parameters: dict[str, str] = {}
        while (parameter := _PARAMETER.match(header, position)) is not None:
            position = parameter.end()
            name, value = parameter[1].lower(), parameter[2] or ""
            if value.startswith('"'):
                value = re.sub(r"\\(.)", r"\1", value[1:-1])
            parameters.setdefault(name, value)
        yield target[1], parameters


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110 section 5.6.4)."""
    if not _is_printable(text):
        raise ValueError("a user or password that isn't printable ASCII can't be in a header")
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _is_printable(text: str) -> bool:
    return text.isascii() and text.isprintable()
