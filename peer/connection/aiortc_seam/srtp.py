"""The packets of outgoing streams, protected where they lie and handed to the kernel in bursts.

Needs of `aiortc.RTCDtlsTransport`: `_tx_srtp`, the `pylibsrtp.Session` that protects once the
handshake is done, `_ssl`, which knows the profile, and the counters `__tx_bytes` and
`__tx_packets`; of `pylibsrtp.Session`: `_srtp`; of `pylibsrtp._binding`: `ffi`, and `lib` with
`srtp_protect()`.
"""

import errno
import logging
import socket
import sys
from collections.abc import Callable
from struct import Struct
from typing import Any

import pylibsrtp
from pylibsrtp._binding import ffi, lib

from ...media.rtp_packet import PacketBatch
from .dtls import DtlsTransport
from .ice_socket import Address, IceSocket
from .transport_row import TransportRow, Way, open_row

logger = logging.getLogger(__name__)

_TX_BYTES = "_RTCDtlsTransport__tx_bytes"
_TX_PACKETS = "_RTCDtlsTransport__tx_packets"
_TAG_LENGTHS = {b"SRTP_AES128_CM_SHA1_80": 10}
_GCM_TAG_LENGTH = 16

# <linux/udp.h>: the kernel cuts what it is given into datagrams of this size (since Linux 4.18).
_UDP_SEGMENT = 103
_SEGMENT_SIZE = Struct("=H")
# Past what a subclass makes of them: what they raise is seen to here.
_sendto, _sendmsg = socket.socket.sendto, socket.socket.sendmsg
_protect = lib.srtp_protect
_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})
# Some interfaces can't have datagrams cut for them.
_UNCUT = frozenset({errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP})


class SrtpTransport:
    """Sends packets through a DTLS transport; what `peer.media` calls a `PacketTransport`."""

    def __init__(self, dtls: DtlsTransport) -> None:
        self._ice = dtls.ice
        self._statistics = self._ice.pair_statistics()
        self._packets = self._octets = 0
        self._length = ffi.new("int *")
        self._segments = sys.platform == "linux"
        self._session: Any = None  # libsrtp's, while the DTLS transport is connected
        self._owner: pylibsrtp.Session | None = None  # which frees it
        self._path: tuple[IceSocket, Address] | None = None
        self.way = Way()
        """The session and the path, for rows."""
        self.ready = False
        """Whether packets can be sent at the moment."""
        self.trailer = _GCM_TAG_LENGTH
        """Bytes that protection appends to an RTP packet: the length of its tag."""
        self._dtls = dtls
        self._ice.on("statechange", self._changed)
        self._ice.on("selectedcandidatepairchange", self._changed)
        self._ice.on("pathchange", self._changed)
        self.go_on_with(dtls)

    def go_on_with(self, dtls: DtlsTransport) -> None:
        """Send through this one from now on; it is on the same ICE transport."""
        self.settle()
        self._dtls = dtls
        dtls.on("statechange", self._changed)
        self._changed()

    def settle(self) -> None:
        """Add what was sent to the figures of the pair and of the DTLS transport, which are behind:
        there are many packets, and few who look at those."""
        packets, octets = self._packets + self.way.packets, self._octets + self.way.octets
        self._packets = self._octets = self.way.packets = self.way.octets = 0
        self._statistics.packets_sent += packets
        self._statistics.bytes_sent += octets
        self._count_secured(packets, octets)

    def _changed(self) -> None:
        self.settle()
        self.way.end()
        connected = self._dtls.state == "connected"
        self._owner = self._dtls._tx_srtp if connected else None
        self._session = self._owner._srtp[0] if self._owner is not None else None
        if connected:
            assert self._dtls._ssl is not None, "there is one since the handshake began"
            profile = self._dtls._ssl.get_selected_srtp_profile()
            self.trailer = _TAG_LENGTHS.get(profile, _GCM_TAG_LENGTH)
        before, self._path = self._path, self._ice.selected_path()
        if before is not None:
            before[0].closing.discard(self.way.end)
        if before != self._path:
            self._segments = sys.platform == "linux"
        self._statistics = self._ice.pair_statistics()
        self.ready = connected and self._ice.selected_pair is not None
        if self._path is not None:
            sender, address = self._path
            sender.closing.add(self.way.end)
            if self.ready and self._segments:
                self.way.lead(self._session, self.trailer, sender, address)

    def open_row(self) -> TransportRow | None:
        """A row for transports like this one; None without a C library for it."""
        return open_row()

    def send_rtp(self, batch: PacketBatch) -> bool:
        """Protect the packets in the batch's buffer, and send them.

        :return: False when not all could be sent: not ready, or the system's buffers are full.
        """
        if not self.ready:
            return False
        packets, datagrams = batch.handle or _prepare(batch)
        session, length = self._session, self._length
        for pointer, plain in packets:
            length[0] = plain
            if _protect(session, pointer, length):
                # Not the first time: a retransmission that is too old for libsrtp's window.
                logger.debug("a packet could not be protected")
                return False
        if self._path is None or not self._segments:
            return self._send_singly(batch)
        sender, address = self._path
        try:
            for data, ancillary in datagrams:
                if ancillary is None:
                    _sendto(sender, data, address)
                else:
                    _sendmsg(sender, data, ancillary, 0, address)
        except OSError as error:
            return self._recover(error, batch)
        self._packets += batch.count
        self._octets += batch.size
        return True

    def _recover(self, error: OSError, batch: PacketBatch) -> bool:
        if error.errno in _FULL:
            return False
        if error.errno in _UNCUT:
            logger.debug("the kernel does not send several packets as one here: %s", error)
            self._segments = False
            self.way.end()
        return self._send_singly(batch)

    def _send_singly(self, batch: PacketBatch) -> bool:
        try:
            for start, length in zip(batch.starts, batch.lengths, strict=True):
                datagram = bytes(batch.buffer[start : start + length + self.trailer])
                self._ice.send_now(datagram)
                self._count_secured(1, len(datagram))
        except ConnectionError:
            return False
        return True

    def send_rtcp(self, data: bytes) -> bool:
        """Protect and send a compound RTCP packet; False when it could not be sent."""
        if not self.ready:
            return False
        try:
            protected = self._dtls._tx_srtp.protect_rtcp(data)
            if self._path is None:
                self._ice.send_now(protected)
                self._count_secured(1, len(protected))
            else:
                sender, address = self._path
                sender.sendto(protected, address)
                self._packets += 1
                self._octets += len(protected)
        except (pylibsrtp.Error, OSError) as error:  # the network's, or that there is none
            logger.debug("a report could not be sent: %s", error)
            return False
        return True

    def measure_round_trip(self, measured: Callable[[float], None]) -> None:
        """Have told how many seconds an answer of the peer's takes, if one comes."""
        self._ice.measure_round_trip(measured)

    def _count_secured(self, packets: int, size: int) -> None:
        counters = vars(self._dtls)
        counters[_TX_PACKETS] += packets
        counters[_TX_BYTES] += size


def _prepare(batch: PacketBatch) -> Any:
    """What all viewers' transports need to know of a batch: where in memory its packets lie, and
    what the kernel is to be given."""
    base, buffer = ffi.from_buffer(batch.buffer), memoryview(batch.buffer)
    packets = [(base + s, n) for s, n in zip(batch.starts, batch.lengths, strict=True)]
    datagrams: list[tuple[Any, Any]] = []
    for start, end, segment in batch.runs:
        data = buffer[start:end]
        if end - start == segment:
            datagrams.append((data, None))
        else:
            size = (socket.IPPROTO_UDP, _UDP_SEGMENT, _SEGMENT_SIZE.pack(segment))
            datagrams.append(([data], [size]))
    batch.handle = (packets, datagrams)
    return batch.handle
