"""ICE servers in `Link` headers (RFC 9725 4.6, RFC 8288; pure)."""

import re
from collections.abc import Iterable

from ..session import IceServer

MOST_SERVERS = 8
"""Each costs a connection attempt for every address of this computer."""

_SCHEMES = frozenset({"stun", "stuns", "turn", "turns"})
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
# Each is one target in angle brackets, and what follows until the next one that isn't quoted.
_LINK = re.compile(r'<([^<>]*)>((?:"(?:[^"\\]|\\.)*"|[^"<])*)')
_PARAMETER = re.compile(rf';\s*([\w-]+)\s*(?:=\s*(?:{_QUOTED}|([^\s",;]*)))?')


def ice_servers(headers: Iterable[str]) -> tuple[IceServer, ...]:
    """The STUN and TURN servers that `Link` headers name; what is no such link is passed over."""
    found = []
    for header in headers:
        for url, rest in _LINK.findall(header):
            parameters: dict[str, str] = {}
            for name, quoted, plain in _PARAMETER.findall(rest):
                parameters.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
            if "ice-server" not in parameters.get("rel", "").split():
                continue
            if url.partition(":")[0].lower() not in _SCHEMES:
                continue
            found.append(IceServer(url, parameters.get("username"), parameters.get("credential")))
    return tuple(found[:MOST_SERVERS])
