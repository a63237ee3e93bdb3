"""Reads what has come to a socket, many datagrams by one system call (Linux's recvmmsg)."""

import ctypes
import socket
import struct

COUNT, SIZE = 64, 2048
"""Datagrams that are read at once, and the most bytes of each."""
NAME, CONTROL = 16, 64
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
HEADER = struct.Struct("QI4xQQQQI4xI4x")
"""struct mmsghdr of 64-bit machines: name, vector, control, flags, and the length received."""
VECTOR = struct.Struct("QQ")
CMSGHDR = 16

_recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)


class Datagrams:
    """Room for datagrams, which any number of sockets can be read into, one at a time."""

    def __init__(self) -> None:
        self.buffer = bytearray(COUNT * SIZE)
        """Where they are."""
        self._names = bytearray(COUNT * NAME)
        self._controls = bytearray(COUNT * CONTROL)
        vectors = bytearray()
        for index in range(COUNT):
            vectors += VECTOR.pack(_address(self.buffer) + index * SIZE, SIZE)
        self._vectors = vectors
        fresh = bytearray()
        for index in range(COUNT):
            fresh += HEADER.pack(
                _address(self._names) + index * NAME, NAME,
                _address(vectors) + index * VECTOR.size, 1,
                _address(self._controls) + index * CONTROL, CONTROL, 0, 0,
            )  # fmt: skip
        self._fresh = bytes(fresh)
        self._headers = bytearray(fresh)
        self.lengths = memoryview(self._headers).cast("I")[HEADER.size // 4 - 2 :: HEADER.size // 4]
        """How many bytes each has."""
        self._at = _address(self._headers)

    def read(self, descriptor: int) -> int:
        """Take what has come to a socket that does not block, and return how many that is.

        They are there until the next are read: number `n` at `n * SIZE`.
        """
        self._headers[:] = self._fresh
        count: int = _recvmmsg(descriptor, self._at, COUNT, socket.MSG_DONTWAIT, None)
        return max(0, count)  # it is -1 where nothing has come

    def sender(self, number: int) -> tuple[str, int]:
        """Who sent one, by IPv4."""
        at = number * NAME
        port = int.from_bytes(self._names[at + 2 : at + 4], "big")
        return socket.inet_ntoa(self._names[at + 4 : at + 8]), port

    def arrival(self, number: int) -> float:
        """When it came to a socket with SO_TIMESTAMPNS, in seconds of the clock of the day."""
        at = number * CONTROL + CMSGHDR
        seconds, nanoseconds = struct.unpack_from("qq", self._controls, at)
        return float(seconds + nanoseconds * 1e-9)


def _address(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
