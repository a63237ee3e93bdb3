"""Viewers on lines of their own: each gets the size that its line carries, whatever others get."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiortc
import pytest

from peer import MediaDevices, RTCPeerConnection, RTCRtpSender
from peer.connection.aiortc_seam.host_addresses import host_addresses
from peer.devices.virtual import VirtualBackend
from peer.testing import Line, Path, VirtualNetwork

from .browsers import Browser, Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

FULL = 720
HOST = next(one for one in host_addresses() if ":" not in one)
WAIT = 90.0  # seconds; a busy computer fails probes, and each makes the next one wait longer
NARROW, WIDE = Path(400_000, 0.02), Path(10_000_000, 0.02)
WATCH = """offer => (async () => {
    const connection = (globalThis.connection = new RTCPeerConnection());
    connection.ontrack = ({ track }) => {
        const video = document.createElement("video");
        video.muted = video.autoplay = true;
        video.srcObject = new MediaStream([track]);
        document.body.append(video);
        video.onresize = () => sizes.push(video.videoHeight);
    };
    globalThis.sizes = [];
    await connection.setRemoteDescription({ type: "offer", sdp: offer });
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== "complete") {
        await new Promise((resolve) => (connection.onicegatheringstatechange = resolve));
    }
    return connection.localDescription.sdp;
})()"""
STATISTICS = """connection.getStats().then(
    report => [...report.values()].find(one => one.type === "inbound-rtp"))"""
REPEATED = "retransmittedPacketsReceived"
LINES = "document.querySelector('video').videoHeight"


@dataclass
class Viewer:
    """A page that watches over a line."""

    page: Page
    line: Line
    sender: RTCRtpSender

    async def statistics(self) -> dict[str, Any]:
        """Those of the pictures, as the page has them."""
        found: dict[str, Any] = await self.page.evaluate(STATISTICS)
        return found

    async def sees(self, condition: str) -> None:
        """Wait for a picture of such a height."""
        await self.page.wait_for(f"{LINES} {condition}", WAIT)

    async def sizes(self) -> list[int]:
        """The heights of what it has seen, one after the other."""
        found: list[int] = await self.page.evaluate("sizes")
        return found


@contextlib.asynccontextmanager
async def viewer(
    browser: Browser, track: aiortc.MediaStreamTrack, line: Line
) -> AsyncIterator[Viewer]:
    """A viewer of the track, connected."""
    page, connection = await browser.open("about:blank"), RTCPeerConnection()
    try:
        transceiver = connection.addTransceiver(track, direction="sendonly")
        await connection.setLocalDescription()
        assert connection.localDescription is not None
        offer = json.dumps(line.here.hide(connection.localDescription.sdp))
        answer = line.there.hide(await page.evaluate(f"({WATCH})({offer})"))
        await connection.setRemoteDescription({"type": "answer", "sdp": answer})
        yield Viewer(page, line, transceiver.sender)
    finally:
        await connection.close()
        await page.close()


@contextlib.asynccontextmanager
async def camera() -> AsyncIterator[aiortc.MediaStreamTrack]:
    """Ten pictures a second."""
    devices = MediaDevices([VirtualBackend()], salt=bytes(32))
    wanted = {"width": {"exact": 1280}, "height": {"exact": FULL}, "frameRate": {"exact": 10}}
    [track] = (await devices.getUserMedia({"video": wanted})).getTracks()
    yield track
    devices.end()
    await devices.closed()


async def test_a_narrow_line_has_its_size_and_the_others_keep_theirs(browser: Browser) -> None:
    async with (
        camera() as track,
        VirtualNetwork(seed=1, host=HOST) as network,
        viewer(browser, track, await network.line(WIDE)) as fast,
        viewer(browser, track, await network.line(NARROW)) as slow,
    ):
        await fast.sees(f"=== {FULL}")
        await slow.sees(f"> 0 && {LINES} < {FULL}")
        assert slow.sender._stream.statistics.rung > 0
        slow.line.outward = WIDE
        await slow.sees(f"=== {FULL}")
        assert slow.sender._stream.statistics.rung == 0
        await slow.page.wait_for(f"sizes.at(-1) === {FULL}")
        *before, smaller, full = await slow.sizes()
        assert smaller < full == FULL
        assert before == sorted(before, reverse=True), "it went down first, and then up"
        await fast.sees(f"=== {FULL}")
        assert fast.sender._stream.statistics.rung == 0


async def test_what_a_probe_sends_arrives_and_nothing_is_seen_of_it(browser: Browser) -> None:
    async with (
        camera() as track,
        VirtualNetwork(seed=1, host=HOST) as network,
        viewer(browser, track, await network.line(WIDE)) as one,
    ):
        await one.sees(f"=== {FULL}")
        before = await one.statistics()
        sender = one.sender._stream._sender
        for _ in range(50):
            sender.probe(5_000)
            await asyncio.sleep(0.02)
        sent = sender.probe_packets
        assert sent >= 200
        if REPEATED in before:  # Firefox doesn't say
            await one.page.wait_for(f"({STATISTICS}).then(one => one.{REPEATED} >= {sent})")
        after = await one.statistics()
        assert one.line.here.direction.packets > sent
        assert one.line.here.direction.dropped == 0
        for name in ("freezeCount", "nackCount", "pliCount", "framesDropped", "packetsLost"):
            assert after.get(name) == before.get(name), name
        frames = after["framesReceived"] - before["framesReceived"]
        assert frames > 0
        assert abs(after["framesDecoded"] - before["framesDecoded"] - frames) <= 1
