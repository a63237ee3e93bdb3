"""Viewers on lines of their own: each gets the size that its line carries, whatever others get."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiortc
import pytest

from peer import MediaDevices, RTCPeerConnection, RTCRtpSender
from peer.connection.aiortc_seam.host_addresses import host_addresses
from peer.devices.virtual import VirtualBackend
from peer.testing import Line, Path, VirtualNetwork

from .browsers import Browser, Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

FULL = 720
WAIT = 45.0  # seconds; two tries to go up again, the second after twice the time
NARROW, WIDE = Path(300_000, 0.02), Path(10_000_000, 0.02)
WATCH = """offer => (async () => {
    const connection = (globalThis.connection = new RTCPeerConnection());
    connection.ontrack = ({ track }) => {
        const video = document.createElement("video");
        video.muted = video.autoplay = true;
        video.srcObject = new MediaStream([track]);
        document.body.append(video);
    };
    await connection.setRemoteDescription({ type: "offer", sdp: offer });
    await connection.setLocalDescription();
    while (connection.iceGatheringState !== "complete") {
        await new Promise((resolve) => (connection.onicegatheringstatechange = resolve));
    }
    return connection.localDescription.sdp;
})()"""
LINES = "document.querySelector('video').videoHeight"


@dataclass
class Viewer:
    """A page that watches over a line."""

    page: Page
    line: Line
    sender: RTCRtpSender

    async def sees(self, condition: str) -> None:
        """Wait for a picture of such a height."""
        await self.page.wait_for(f"{LINES} {condition}", WAIT)


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


async def test_a_narrow_line_has_its_size_and_the_others_keep_theirs(browser: Browser) -> None:
    devices = MediaDevices([VirtualBackend()], salt=bytes(32))
    wanted = {"width": {"exact": 1280}, "height": {"exact": FULL}, "frameRate": {"exact": 10}}
    [track] = (await devices.getUserMedia({"video": wanted})).getTracks()
    host = next(one for one in host_addresses() if ":" not in one)
    async with (
        VirtualNetwork(seed=1, host=host) as network,
        viewer(browser, track, await network.line(WIDE)) as fast,
        viewer(browser, track, await network.line(NARROW)) as slow,
    ):
        await fast.sees(f"=== {FULL}")
        await slow.sees(f"> 0 && {LINES} < {FULL}")
        await fast.sees(f"=== {FULL}")
        assert fast.sender._stream.statistics.rung == 0
        slow.line.outward = WIDE
        await slow.sees(f"=== {FULL}")
        assert slow.sender._stream.statistics.rung == 0
    devices.end()
    await devices.closed()
