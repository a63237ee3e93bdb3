"""A UDP socket that tells of ICMP errors although it is not connected (Linux)."""

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any

from aioice import turn

# <linux/in.h>, <linux/in6.h>: Python has no names for them before 3.14.
_IP_RECVERR = 11
_IPV6_RECVERR = 25

# The destination address and the reason; no more of the datagram that failed is of interest.
_ERROR_BYTES = 256

# They are taken at once; only a socket that nobody reads would gather more.
MAX_UNREACHABLE = 16

# No datagram is longer. asyncio offers four times as much, for which malloc asks the kernel, and
# gives it back, each time: ten times what receiving costs.
LONGEST_DATAGRAM = 1 << 16

Address = tuple[str, int]


class IceSocket(socket.socket):
    """Bound to one address of this computer, read and closed by an asyncio transport.

    The kernel keeps errors in a queue of its own and wakes whoever waits for the socket until
    that is empty, and it fails the next call for an error of an earlier datagram: both are taken
    care of here, for whoever sends.

    :raises OSError: the address cannot be bound.
    """

    def __init__(self, address: str) -> None:
        super().__init__(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self._unreachable: list[Address] = []
        self.closing: set[Callable[[], None]] = set()
        """Are called before it is closed: whoever has its number must not use it any more."""
        try:
            self.setblocking(False)
            self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, turn.UDP_SOCKET_BUFFER_SIZE)
            self.bind((address, 0))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        for call in self.closing:
            call()
        self.closing.clear()
        super().close()

    def watch_errors(self) -> None:
        """Ask the kernel for ICMP errors from now on, where reading them is possible."""
        # Another event loop may read by itself, and would spin on errors that nobody takes.
        if sys.platform != "linux" or not isinstance(
            asyncio.get_running_loop(), asyncio.SelectorEventLoop
        ):
            return
        if self.family == socket.AF_INET6:
            self.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            self.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)

    def take_unreachable(self) -> list[Address]:
        """The destinations that were reported unreachable since the last call."""
        self._drain_errors()
        taken, self._unreachable = self._unreachable, []
        return taken

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        try:
            return super().recvfrom(min(bufsize, LONGEST_DATAGRAM), flags)
        except BlockingIOError:
            if self._drain_errors():
                raise ConnectionRefusedError("a destination is unreachable") from None
            raise

    def sendto(self, *args: Any) -> int:
        try:
            return super().sendto(*args)
        except ConnectionRefusedError:
            return super().sendto(*args)

    def sendmsg(self, *args: Any) -> int:
        try:
            return super().sendmsg(*args)
        except ConnectionRefusedError:
            return super().sendmsg(*args)

    def _drain_errors(self) -> bool:
        found = False
        while sys.platform == "linux":
            try:
                _, _, _, address = self.recvmsg(0, _ERROR_BYTES, socket.MSG_ERRQUEUE)
            except OSError:
                break
            found = True
            if address is not None and len(self._unreachable) < MAX_UNREACHABLE:
                self._unreachable.append((address[0], address[1]))
        return found
