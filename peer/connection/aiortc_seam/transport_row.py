"""Transports that are sent the same burst side by side, by one call of C where that was compiled.

Needs of `pylibsrtp._binding`: `ffi`, and `lib` with `srtp_protect()`.
"""

import ctypes
import functools
import ipaddress
import logging
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from socket import AF_INET6
from typing import Any, Protocol

from pylibsrtp._binding import ffi, lib

from ...media.rtp_packet import PacketBatch
from .ice_socket import Address, IceSocket

logger = logging.getLogger(__name__)

LIBRARY = Path(__file__).with_name("burst.so")
"""Made when the package is built, from burst.c, if there is a C compiler."""
_LEAST_ROOM = 8


class Way(ctypes.Structure):
    """To where one viewer's packets go (`struct way`): always as it is at the moment, with
    -1 for a socket while nothing can be sent from C."""

    session: int
    packets: int
    octets: int
    socket: int
    tag: int
    _fields_ = (
        ("session", ctypes.c_void_p),
        ("packets", ctypes.c_uint64),
        ("octets", ctypes.c_uint64),
        ("socket", ctypes.c_int32),
        ("tag", ctypes.c_uint32),
        ("address_size", ctypes.c_uint32),
        ("address", ctypes.c_uint8 * 28),
    )

    def __init__(self) -> None:
        super().__init__(socket=-1)

    def lead(self, session: Any, tag: int, sock: IceSocket, address: Address) -> None:
        """Lead through this socket to this address.

        :param session: libsrtp's; it must live as long as this leads anywhere.
        :param tag: bytes that protection appends.
        """
        packed = _socket_address(sock.family, address)
        ctypes.memmove(ctypes.addressof(self) + Way.address.offset, packed, len(packed))
        self.address_size = len(packed)
        self.session, self.tag = int(ffi.cast("uintptr_t", session)), tag
        self.socket = sock.fileno()

    def end(self) -> None:
        """Lead nowhere."""
        self.socket = -1


def _socket_address(family: int, address: Address) -> bytes:
    """A `sockaddr_in` or `sockaddr_in6`, as Linux has them, without a zone."""
    host, port = address
    packed, begin = ipaddress.ip_address(host).packed, struct.pack("=H", family)
    return begin + struct.pack("!H4x16s4x" if family == AF_INET6 else "!H4s8x", port, packed)


class _Viewer(ctypes.Structure):
    _fields_ = (
        ("way", ctypes.c_void_p),
        ("number", ctypes.c_uint32),
        ("timestamp", ctypes.c_uint32),
        ("ssrc", ctypes.c_uint32),
    )


class _Run(ctypes.Structure):
    _fields_ = (
        ("start", ctypes.c_uint32),
        ("end", ctypes.c_uint32),
        ("segment", ctypes.c_uint32),
    )


class _Burst(ctypes.Structure):
    _fields_ = (
        ("protect", ctypes.c_void_p),
        ("plain", ctypes.c_char_p),
        ("buffer", ctypes.c_void_p),
        ("size", ctypes.c_uint32),
        ("tag", ctypes.c_uint32),
        ("starts", ctypes.POINTER(ctypes.c_uint32)),
        ("lengths", ctypes.POINTER(ctypes.c_uint32)),
        ("packets", ctypes.c_uint32),
        ("runs", ctypes.POINTER(_Run)),
        ("run_count", ctypes.c_uint32),
        ("number", ctypes.c_uint32),
        ("timestamp", ctypes.c_uint32),
    )


_LAYOUT = tuple(ctypes.sizeof(kind) for kind in (Way, _Viewer, _Run, _Burst))
"""What burst.c must have been compiled for."""


@functools.cache
def _send_burst() -> Callable[..., int] | None:
    """burst.c's function; None where it was not compiled."""
    if sys.platform != "linux" or not LIBRARY.exists():
        return None
    try:
        library = ctypes.CDLL(str(LIBRARY))
        layout = (ctypes.c_uint32 * len(_LAYOUT)).in_dll(library, "layout")
        if tuple(layout) != _LAYOUT:
            raise ValueError(f"{LIBRARY} is of another version: install the package again")
    except (OSError, ValueError) as error:  # it may be another computer's, too
        logger.warning("many viewers will cost more than they need: %s", error)
        return None
    function: Callable[..., int] = library.send_burst
    return function


@functools.cache
def _protect_address() -> int:
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, "srtp_protect")))


class _Transport(Protocol):
    @property
    def way(self) -> Way: ...


class TransportRow:
    """What `peer.media` calls a `PacketRow`. `open_row()` makes it."""

    def __init__(self, send_burst: Callable[..., int]) -> None:
        self._send_burst = send_burst
        self._transports: list[_Transport] = []  # which own the ways
        self._viewers = (_Viewer * _LEAST_ROOM)()
        self._left = (ctypes.c_uint32 * _LEAST_ROOM)()

    def add(self, transport: _Transport, sequence_number: int, timestamp: int, ssrc: int) -> None:
        """Take one in, at the end.

        :param sequence_number: what is added for it to those that are sent.
        :param timestamp: likewise.
        """
        place = len(self._transports)
        if place == len(self._viewers):
            viewers, self._viewers = self._viewers, (_Viewer * (2 * place))()
            ctypes.memmove(self._viewers, viewers, ctypes.sizeof(viewers))
            self._left = (ctypes.c_uint32 * (2 * place))()
        way = ctypes.addressof(transport.way)
        numbers = (one & 0xFFFFFFFF for one in (sequence_number, timestamp, ssrc))
        self._viewers[place] = _Viewer(way, *numbers)
        self._transports.append(transport)

    def remove(self, place: int) -> None:
        """Leave one out; the last takes its place."""
        self._transports[place] = self._transports[-1]
        self._viewers[place] = self._viewers[len(self._transports) - 1]
        self._transports.pop()

    def send(self, batch: PacketBatch, sequence_number: int, timestamp: int) -> list[int]:
        """Send a burst to all; returns the places of those who could not be sent it here, or not
        all of it: each is to be sent it by `SrtpTransport.send_rtp()`, which knows why.

        :param sequence_number: of the first packet.
        """
        count = batch.count
        numbers, runs = ctypes.c_uint32 * count, _Run * len(batch.runs)
        burst = _Burst(
            _protect_address(),
            batch.template,
            ctypes.addressof(ctypes.c_char.from_buffer(batch.buffer)),
            batch.size,
            batch.trailer,
            numbers(*batch.starts),
            numbers(*batch.lengths),
            count,
            runs(*(_Run(*run) for run in batch.runs)),
            len(batch.runs),
            sequence_number & 0xFFFFFFFF,
            timestamp & 0xFFFFFFFF,
        )
        left = self._left
        arguments = (ctypes.byref(burst), self._viewers, len(self._transports), left)
        return left[: self._send_burst(*arguments)]


def open_row() -> TransportRow | None:
    """A row without anybody in it; None where there is no C for it."""
    send_burst = _send_burst()
    return None if send_burst is None else TransportRow(send_burst)
