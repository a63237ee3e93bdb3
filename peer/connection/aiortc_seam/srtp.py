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
from struct import Struct
from typing import Any

import pylibsrtp
from pylibsrtp._binding import ffi, lib

from ...media.rtp_packet import PacketBatch
from .dtls import DtlsTransport

logger = logging.getLogger(__name__)

_TX_BYTES = "_RTCDtlsTransport__tx_bytes"
_TX_PACKETS = "_RTCDtlsTransport__tx_packets"
_TAG_LENGTHS = {b"SRTP_AES128_CM_SHA1_80": 10}
_GCM_TAG_LENGTH = 16

# <linux/udp.h>: the kernel cuts what it is given into datagrams of this size (since Linux 4.18).
_UDP_SEGMENT = 103
_SEGMENT_SIZE = Struct("=H")
_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})


class SrtpTransport:
    """Sends packets through a DTLS transport; what `peer.media` calls a `PacketTransport`."""

    def __init__(self, dtls: DtlsTransport) -> None:
        self._dtls = dtls
        self._ice = dtls.ice
        self._length = ffi.new("int *")
        self._segments = sys.platform == "linux"
        self._session: Any = None  # libsrtp's, while the DTLS transport is connected
        self._path: tuple[socket.socket, tuple[str, int]] | None = None
        self.ready = False
        """Whether packets can be sent at the moment."""
        self.trailer = _GCM_TAG_LENGTH
        """Bytes that protection appends to an RTP packet: the length of its tag."""
        dtls.on("statechange", self._changed)
        self._ice.on("statechange", self._changed)
        self._ice.on("selectedcandidatepairchange", self._changed)
        self._changed()

    def _changed(self) -> None:
        connected = self._dtls.state == "connected"
        self._session = self._dtls._tx_srtp._srtp[0] if connected else None
        if connected:
            assert self._dtls._ssl is not None, "there is one since the handshake began"
            profile = self._dtls._ssl.get_selected_srtp_profile()
            self.trailer = _TAG_LENGTHS.get(profile, _GCM_TAG_LENGTH)
        self._path = self._ice.selected_path()
        self.ready = connected and self._ice.selected_pair is not None

    def send_rtp(self, batch: PacketBatch) -> bool:
        """Protect the packets in the batch's buffer, and send them.

        :return: False when not all could be sent: not ready, or the system's buffers are full.
        """
        if not self.ready:
            return False
        if batch.pointers is None:
            base = ffi.from_buffer(batch.buffer)
            batch.pointers = [base + start for start in batch.starts]
        session, length, protect = self._session, self._length, lib.srtp_protect
        for pointer, plain in zip(batch.pointers, batch.lengths, strict=True):
            length[0] = plain
            if protect(session, pointer, length):
                # Not the first time: a retransmission that is too old for libsrtp's window.
                logger.debug("a packet could not be protected")
                return False
        buffer, sent = memoryview(batch.buffer), True
        for start, end, segment in batch.runs:
            sent = self._send(buffer[start:end], segment) and sent
        return sent

    def _send(self, data: memoryview, segment: int) -> bool:
        """Send datagrams of one size that lie one after the other."""
        if self._path is None or not (self._segments or len(data) == segment):
            return self._send_singly(data, segment)
        sender, address = self._path
        try:
            if len(data) == segment:
                sender.sendto(data, address)
            else:
                size = _SEGMENT_SIZE.pack(segment)
                ancillary = [(socket.IPPROTO_UDP, _UDP_SEGMENT, size)]
                sender.sendmsg((data,), ancillary, 0, address)
            self._count(-(-len(data) // segment), len(data))
        except OSError as error:
            if error.errno in _FULL:
                return False
            if len(data) == segment:
                logger.debug("a packet could not be sent: %s", error)
                return False
            # Some interfaces can't have it done for them.
            logger.debug("the kernel does not cut datagrams on this way: %s", error)
            self._segments = False
            return self._send_singly(data, segment)
        return True

    def _send_singly(self, data: memoryview, segment: int) -> bool:
        try:
            for start in range(0, len(data), segment):
                datagram = bytes(data[start : start + segment])
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
            self._ice.send_now(protected)
        except (pylibsrtp.Error, ConnectionError) as error:
            logger.debug("a report could not be sent: %s", error)
            return False
        self._count_secured(1, len(protected))
        return True

    def _count(self, packets: int, size: int) -> None:
        statistics = self._ice.pair_statistics()
        statistics.packets_sent += packets
        statistics.bytes_sent += size
        self._count_secured(packets, size)

    def _count_secured(self, packets: int, size: int) -> None:
        dtls = self._dtls
        setattr(dtls, _TX_PACKETS, getattr(dtls, _TX_PACKETS) + packets)
        setattr(dtls, _TX_BYTES, getattr(dtls, _TX_BYTES) + size)
