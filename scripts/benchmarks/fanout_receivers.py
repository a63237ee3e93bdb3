"""Viewers for the fan-out benchmark: they connect as any do, then count packets and decode nothing.

A process of its own, told what to do by lines of JSON. Each viewer reports as Chromium does: one
receiver report and five estimates of its bandwidth a second.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import socket
import struct
import sys
import time
from collections.abc import Iterator
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

ESTIMATES = 5  # a second
BANDWIDTH = 20_000_000  # bits a second, more than is ever sent
RECEIVE_BUFFER = 4 << 20
SO_TIMESTAMPNS = 35
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
NTP_EPOCH = 2_208_988_800


class Viewer:
    """One connection, and what has come over it."""

    def __init__(self, connection: aiortc.RTCPeerConnection, sdp: str) -> None:
        self.connection = connection
        self.packets = self.octets = self.pictures = self.lost = 0
        self.ages: list[float] = []
        self._transceivers = {t.kind: t for t in connection.getTransceivers()}
        self._dtls = self._transceivers["video"].receiver.transport
        self._video = self._transceivers["video"]._codecs[0].payloadType
        self._last: int | None = None
        self._ssrcs: dict[bool, int] = {}
        self._capture_time = _extension_id(sdp)
        self._captured: float | None = None
        pair = self._dtls.transport._connection._nominated[1]
        self.address = (pair.local_candidate.host, pair.local_candidate.port)
        for protocol in self._dtls.transport._connection._protocols:
            self._take_over(protocol)

    def _take_over(self, protocol: Any) -> None:
        sock = protocol.transport._sock
        with contextlib.suppress(OSError):  # needs root; without, bursts may show as loss
            sock.setsockopt(socket.SOL_SOCKET, 33, RECEIVE_BUFFER)  # SO_RCVBUFFORCE
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        loop = asyncio.get_running_loop()

        def readable() -> None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, ancillary, _, address = sock.recvmsg(2048, 64)
                    if 127 < data[0] < 192 and not 192 <= data[1] <= 208:
                        self._packet(data, ancillary)
                    else:
                        protocol.datagram_received(data, address)

        loop._remove_reader(sock.fileno())  # type: ignore[attr-defined]
        loop._add_reader(sock.fileno(), readable)  # type: ignore[attr-defined]

    def _packet(self, data: bytes, ancillary: Any) -> None:
        self.packets += 1
        self.octets += len(data)
        is_video = data[1] & 0x7F == self._video
        if is_video not in self._ssrcs:
            self._ssrcs[is_video] = int.from_bytes(data[8:12], "big")
        if not is_video:
            return
        number = data[2] << 8 | data[3]
        if self._last is not None and (missing := (number - self._last - 1) & 0xFFFF) < 1000:
            self.lost += missing
        self._last = number
        if self._capture_time is not None and data[0] & 0x10:
            self._captured = _capture_time(data, self._capture_time) or self._captured
        if data[1] & 0x80:
            self.pictures += 1
            if self._captured is not None and ancillary:
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
                self.ages.append(seconds + nanoseconds * 1e-9 - self._captured)
                self._captured = None

    def counts(self) -> tuple[int, int, int, int]:
        return self.packets, self.octets, self.pictures, self.lost

    async def report(self) -> None:
        await asyncio.sleep(random.random())
        for number in range(sys.maxsize):
            ssrcs = list(self._ssrcs.values())
            if ssrcs:
                fci = pack_remb_fci(BANDWIDTH, ssrcs)
                data = bytes(RtcpPsfbPacket(RTCP_PSFB_APP, 1, 0, fci))
                if number % ESTIMATES == 0:
                    blocks = [RtcpReceiverInfo(ssrc, 0, 0, 0, 0, 0, 0) for ssrc in ssrcs]
                    data = bytes(RtcpRrPacket(1, blocks)) + data
                await self._dtls._send_rtp(data if number % ESTIMATES == 0 else _empty() + data)
            await asyncio.sleep(1 / ESTIMATES)


def _empty() -> bytes:
    """A compound packet begins with a report."""
    return bytes(RtcpRrPacket(1))


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


async def main(port: int) -> None:
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    viewers: list[Viewer] = []
    reporting: list[asyncio.Task[None]] = []

    def say(**message: Any) -> None:
        writer.write(json.dumps(message).encode() + b"\n")

    while line := await reader.readline():
        message = json.loads(line)
        if "offer" in message:
            connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
            offer = aiortc.RTCSessionDescription(message["offer"], "offer")
            await connection.setRemoteDescription(offer)
            await connection.setLocalDescription(await connection.createAnswer())
            say(answer=_accepting(connection.localDescription.sdp, message["offer"]))
            async with asyncio.timeout(20):
                while connection.connectionState != "connected":  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            viewers.append(Viewer(connection, message["offer"]))
            reporting.append(asyncio.create_task(viewers[-1].report()))
            say(connected=len(viewers))
        elif "measure" in message:
            await asyncio.sleep(message["after"])
            before, cpu, now = [v.counts() for v in viewers], time.process_time(), time.monotonic()
            for viewer in viewers:
                viewer.ages.clear()
            await asyncio.sleep(message["measure"])
            elapsed = time.monotonic() - now
            found = [
                [(b - a) / elapsed for a, b in zip(x, v.counts(), strict=True)]
                for x, v in zip(before, viewers, strict=True)
            ]
            ages = sorted(age for viewer in viewers for age in viewer.ages)
            say(
                packets=sum(one[0] for one in found) / len(found),
                kbps=sum(one[1] for one in found) / len(found) * 8 / 1000,
                worst=min(one[2] for one in found),
                lost=sum(one[3] for one in found) * elapsed,
                age=ages[len(ages) // 2] if ages else None,
                addresses=[viewer.address for viewer in viewers],
                cpu=(time.process_time() - cpu) / elapsed,
            )
    os._exit(0)  # hundreds of connections close slowly, and nobody waits for them


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 14, 1 << 14))
    asyncio.run(main(parser.parse_args().port))
