"""Names of hosts to addresses, within a time that is bounded."""

import socket
from functools import partial

from .threads import in_thread

RESOLVE_TIMEOUT = 2.5
"""Seconds for a name server: one that is reached answers in well under one, and the system's own
resolver gives an unreachable one up after ten or more."""

Address = tuple[str, int]


class Unresolved(Exception):
    """A name has no address; the message says why, as a clause."""


async def resolve(
    host: str, port: int, kind: socket.SocketKind, family: int = socket.AF_UNSPEC
) -> list[Address]:
    """The addresses of a host, the preferred one first, each once.

    :raises Unresolved: there are none, or the name server does not answer.
    """
    work = partial(socket.getaddrinfo, host, port, family=family, type=kind)
    try:
        entries = await in_thread(work, RESOLVE_TIMEOUT)
    except TimeoutError as error:
        raise Unresolved(
            f"the name server did not answer for {host} within {RESOLVE_TIMEOUT:g} s"
        ) from error
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no host name"
        raise Unresolved(f"there is no address for {host} ({reason})") from error
    return list(dict.fromkeys((str(entry[4][0]), port) for entry in entries))
