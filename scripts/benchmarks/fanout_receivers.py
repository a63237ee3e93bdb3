"""Viewers for the fan-out benchmark: they connect as any do, then count packets and decode nothing.

A process of its own, told what to do by lines of JSON. Each viewer reports as Chromium does: one
receiver report and five estimates of its bandwidth a second. What is counted is read from the plain
RTP header, many packets at once, so that one core has room for hundreds of viewers.
"""

import asyncio
import contextlib
import itertools
import json
import os
import re
import resource
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import aioice.ice
import aiortc
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    pack_remb_fci,
)

from .fanout_datagrams import SIZE, SO_RCVBUFFORCE, SO_TIMESTAMPNS, Datagrams
from .fanout_publisher import LINE_LIMIT, OPEN_FILES, say

JOINING = 20.0
"""Seconds until a viewer is connected: a publisher who is busy with others may take long."""
TICK = 0.02
"""Seconds between looks at what has come: each waits in the kernel, which notes when it came."""
ESTIMATES = 5  # a second
ESTIMATE_TICKS = round(1 / TICK / ESTIMATES)
BANDWIDTH = 20_000_000  # bits a second, more than is ever sent
RECEIVE_BUFFER = 4 << 20
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
NTP_EPOCH = 2_208_988_800
RTP = struct.Struct("!BBH4xI")


class Audience:
    """All viewers, who look at what has come at the same moments, instead of waking up for each
    datagram: they are cheap then, and the publisher does not pay for the waking, no more than he
    would for viewers elsewhere."""

    def __init__(self) -> None:
        self.viewers: list[Viewer] = []
        self._datagrams = Datagrams()
        self._epoll = select.epoll()
        self._read: dict[int, Callable[[int], None]] = {}

    async def join(self, offer: str) -> None:
        """Answer an offer, and return when the viewer is connected and watches."""
        connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        _live_at(offer)
        await connection.setRemoteDescription(aiortc.RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        say(answer=_accepting(connection.localDescription.sdp, offer))
        async with asyncio.timeout(JOINING):
            while connection.connectionState != "connected":  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        viewer = Viewer(connection, offer, self._datagrams)
        for receiver in connection.getReceivers():
            await receiver.stop()  # it would report as well
        for protocol in viewer.protocols:
            self._take_over(protocol, viewer)
        self.viewers.append(viewer)

    async def watch(self) -> None:
        """Take what comes, and report, for ever."""
        due = time.monotonic()
        for tick in itertools.count():
            due = max(due + TICK, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            for descriptor, _ in self._epoll.poll(0, max(1, len(self._read))):
                self._read[descriptor](descriptor)
            for viewer in self.viewers[tick % ESTIMATE_TICKS :: ESTIMATE_TICKS]:
                await viewer.report(tick // ESTIMATE_TICKS % ESTIMATES == 0)

    def _take_over(self, protocol: Any, viewer: "Viewer") -> None:
        sock = protocol.transport._sock
        with contextlib.suppress(OSError):  # needs root; without, bursts may show as loss
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        datagrams, buffer = self._datagrams, self._datagrams.buffer

        def read(descriptor: int) -> None:
            for number in range(datagrams.read(descriptor)):
                at = number * SIZE
                if 127 < buffer[at] < 192 and not 192 <= buffer[at + 1] <= 208:
                    viewer.packet(number)
                else:
                    data = bytes(buffer[at : at + datagrams.lengths[number]])
                    protocol.datagram_received(data, datagrams.sender(number))

        asyncio.get_running_loop()._remove_reader(sock.fileno())  # type: ignore[attr-defined]
        self._read[sock.fileno()] = read
        self._epoll.register(sock.fileno(), select.EPOLLIN)


class Viewer:
    """One connection, and what has come over it."""

    def __init__(self, connection: aiortc.RTCPeerConnection, sdp: str, received: Datagrams) -> None:
        self.connection = connection
        self.all_packets = 0
        """Since the counting began."""
        self.packets = self.octets = self.pictures = self.lost = 0
        """The same, of pictures alone."""
        self.ages: list[float] = []
        self._received = received
        [video] = [one for one in connection.getTransceivers() if one.kind == "video"]
        self._video = video._codecs[0].payloadType
        self._dtls: Any = video.receiver.transport
        self._last: int | None = None
        self._ssrcs: dict[bool, int] = {}
        self._capture_time = _extension_id(sdp)
        self._captured: float | None = None
        self._begins = True
        pair = self._dtls.transport._connection._nominated[1]
        self.address = (pair.local_candidate.host, pair.local_candidate.port)
        self.protocols = self._dtls.transport._connection._protocols
        """aioice's, each of a socket."""

    @property
    def protection(self) -> str:
        """The SRTP profile that was negotiated."""
        name: bytes = self._dtls._ssl.get_selected_srtp_profile()
        return name.decode().removeprefix("SRTP_")

    def begin(self) -> None:
        """Count from here on."""
        self.all_packets = self.packets = self.octets = self.pictures = self.lost = 0
        self.ages.clear()

    def packet(self, datagram: int) -> None:
        """Count a packet of media."""
        at = datagram * SIZE
        first, second, number, ssrc = RTP.unpack_from(self._received.buffer, at)
        self.all_packets += 1
        if second & 0x7F != self._video:
            self._ssrcs[False] = ssrc
            return
        self._ssrcs[True] = ssrc
        length = self._received.lengths[datagram]
        self.packets += 1
        self.octets += length
        if self._last is not None and (missing := (number - self._last - 1) & 0xFFFF) < 1000:
            self.lost += missing
        self._last = number
        if self._begins and self._capture_time is not None and first & 0x10:
            data = bytes(self._received.buffer[at : at + length])
            self._captured = _capture_time(data, self._capture_time)
        self._begins = second >= 0x80
        if self._begins:
            self.pictures += 1
            if self._captured is not None:
                self.ages.append(self._received.arrival(datagram) - self._captured)
                self._captured = None

    async def report(self, whole: bool) -> None:
        """Send an estimate of the bandwidth, with what was received or without."""
        if len(self._ssrcs) == 2:
            highest = (self._last or 0) if whole else None
            await self._dtls._send_rtp(_report(tuple(self._ssrcs.values()), highest))


def _report(ssrcs: tuple[int, ...], highest: int | None) -> bytes:
    blocks = [RtcpReceiverInfo(ssrc, 0, 0, highest, 0, 0, 0) for ssrc in ssrcs if highest]
    estimate = RtcpPsfbPacket(RTCP_PSFB_APP, 1, 0, pack_remb_fci(BANDWIDTH, list(ssrcs)))
    return bytes(RtcpRrPacket(1, blocks)) + bytes(estimate)


def _live_at(offer: str) -> None:
    """Be where an offer comes from: not all publishers have the loopback's address, or take it."""
    addresses = re.findall(r"a=candidate:\S+ 1 udp \d+ ([\d.]+) ", offer, re.IGNORECASE)
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: addresses


def _extension_id(sdp: str) -> int | None:
    for line in sdp.splitlines():
        if line.startswith("a=extmap:") and ABS_CAPTURE_TIME in line:
            return int(line.removeprefix("a=extmap:").split()[0].split("/")[0])
    return None


def _accepting(answer: str, offer: str) -> str:
    """The answer, which takes the time of capture as well: aiortc knows nothing of it."""
    number = _extension_id(offer)
    if number is None:
        return answer
    before, video, after = answer.partition("m=video")
    line = f"a=extmap:{number} {ABS_CAPTURE_TIME}\r\na=mid:"
    return before + video + after.replace("a=mid:", line, 1)


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    if data[12:14] != b"\xbe\xde":
        return
    position, end = 16, 16 + 4 * int.from_bytes(data[14:16], "big")
    while position < end:
        if data[position] == 0:
            position += 1
            continue
        number, length = data[position] >> 4, (data[position] & 0x0F) + 1
        yield number, data[position + 1 : position + 1 + length]
        position += 1 + length


def _capture_time(data: bytes, wanted: int) -> float | None:
    for number, value in _extensions(data):
        if number == wanted:
            return int.from_bytes(value[:8], "big") / (1 << 32) - NTP_EPOCH
    return None


def counted(viewers: list[Viewer], elapsed: float) -> dict[str, Any]:
    """What the viewers had: means a second, but for the least pictures and all that was lost."""
    ages = sorted(age for viewer in viewers for age in viewer.ages)
    return {
        "all_packets": sum(viewer.all_packets for viewer in viewers) / len(viewers) / elapsed,
        "packets": sum(viewer.packets for viewer in viewers) / len(viewers) / elapsed,
        "octets": sum(viewer.octets for viewer in viewers) / len(viewers) / elapsed,
        "worst": min(viewer.pictures for viewer in viewers) / elapsed,
        "lost": sum(viewer.lost for viewer in viewers),
        "age": ages[len(ages) // 2] if ages else None,
        "addresses": [viewer.address for viewer in viewers],
        "protection": viewers[0].protection,
    }


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    audience = Audience()
    began = 0.0
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(audience.watch())
        async for line in reader:
            message = json.loads(line)
            if "offer" in message:
                await audience.join(message["offer"])
                say(connected=True)
            elif "begin" in message:
                began = time.monotonic()
                for viewer in audience.viewers:
                    viewer.begin()
                say(begun=True)
            else:
                say(**counted(audience.viewers, time.monotonic() - began))
        os._exit(0)  # hundreds of connections close slowly, and nobody waits for them


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    asyncio.run(main())
