"""A STUN binding request (RFC 8489): how long the answer takes, and what address it names."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple, cast

from aioice import stun

from .addresses import Address

RETRANSMISSIONS = (0.25, 0.5, 1.0, 1.0)
"""Seconds to wait after each sending of the request: a lost packet costs a quarter of a second,
and a server that has not answered after their sum would hold up every connection."""

STUN_TIMEOUT = sum(RETRANSMISSIONS)


class Reflexive(NamedTuple):
    """What a STUN server answered."""

    address: Address
    """This computer's address and port as the server sees them."""
    seconds: float
    """From the request to the answer."""


class NoAnswer(Exception):
    """A STUN server gave no usable answer; the message says how, as a clause."""


class Unreachable(NoAnswer):
    """The system knows that no answer can come: nothing listens, or there is no way there."""


class StunClient(asyncio.DatagramProtocol):
    """One UDP socket that asks STUN servers. `stun_client()` makes it."""

    def __init__(self) -> None:
        self._replies: dict[bytes, asyncio.Future[stun.Message]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        try:
            message = stun.parse_message(data)
        except ValueError:  # anybody may send anything to an open port
            return
        reply = self._replies.get(message.transaction_id)
        if reply is not None and not reply.done():
            reply.set_result(message)

    def error_received(self, error: Exception) -> None:
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(error)

    async def ask(self, server: Address) -> Reflexive:
        """Ask one server; several may be asked at once.

        :raises NoAnswer: nothing, or nothing of use, came back in `STUN_TIMEOUT` seconds.
        """
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        reply = asyncio.get_running_loop().create_future()
        self._replies[request.transaction_id] = reply
        connected = self._transport.get_extra_info("peername") is not None
        started = time.perf_counter()
        try:
            for wait in RETRANSMISSIONS:
                self._transport.sendto(bytes(request), None if connected else server)
                await asyncio.wait({reply}, timeout=wait)
                if reply.done():
                    return _reflexive(await reply, time.perf_counter() - started)
        except ConnectionRefusedError as error:
            raise Unreachable("nothing listens there") from error
        except OSError as error:
            raise Unreachable(f"it can't be reached ({error.strerror or error})") from error
        finally:
            del self._replies[request.transaction_id]
            reply.cancel()
        raise NoAnswer(f"no answer came within {STUN_TIMEOUT:g} s")


def _reflexive(answer: stun.Message, seconds: float) -> Reflexive:
    """:raises NoAnswer: for an error, or an answer without an address."""
    for name in ("XOR-MAPPED-ADDRESS", "MAPPED-ADDRESS"):
        if name in answer.attributes:
            return Reflexive(answer.attributes[name], seconds)
    code, reason = answer.attributes.get("ERROR-CODE", (0, "an answer without an address"))
    raise NoAnswer(f"it refused the request ({code or 'malformed'}: {reason})")


@asynccontextmanager
async def stun_client(
    *, local: Address | None = None, server: Address | None = None
) -> AsyncIterator[StunClient]:
    """A socket for STUN.

    :param local: the address to send from.
    :param server: the only one that will be asked: then the system tells when nothing listens.
    :raises Unreachable: the address can't be used, or there is no route to the server.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, client = await loop.create_datagram_endpoint(
            StunClient, local_addr=local, remote_addr=server
        )
    except OSError as error:
        raise Unreachable(f"there is no way to it ({error.strerror or error})") from error
    try:
        yield client
    finally:
        transport.close()
