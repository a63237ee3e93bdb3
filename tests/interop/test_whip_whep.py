"""The npm package whip-whep, which others wrote, with the peer in real browsers."""

import json
import re
import sys
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import av
import pytest

from tests.e2e.browsers import Browser, Page
from tests.e2e.peers import running_peer
from tests.e2e.test_watch import PICTURES, check, pictures, readable

from .conftest import npm_package
from .webrtcbin import webrtcbin

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What its README does, for one picture and one sound.
WATCH = """async () => {
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = video.autoplay = true;
    const stream = video.srcObject = new MediaStream();
    const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    for (const kind of ["audio", "video"]) {
        connection.addTransceiver(kind, { direction: "recvonly" });
    }
    connection.addEventListener("track", event => stream.addTrack(event.track));
    window.player = new WHEPClient();
    await player.view(connection, URL, TOKEN);
}"""

PUBLISH = """async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
    const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    for (const track of stream.getTracks()) {
        connection.addTransceiver(track, { direction: "sendonly", streams: [stream] });
    }
    window.publisher = new WHIPClient();
    await publisher.publish(connection, URL, TOKEN);
}"""


async def page_with(browser: Browser, url: str, *files: str) -> Page:
    """A page of the server's origin that has classes of the library as globals.

    The document is one without scripts. The library isn't loaded by a script element, since the
    server's content policy is for its own scripts; but for `export` it is as it was published.
    """
    page = await browser.open(urljoin(url, "/healthz"))
    for file in files:
        source = (npm_package("whip-whep") / file).read_text()
        name = source.split("export class ")[1].split()[0]
        source = source.replace("export class ", f"window.{name} = class ")
        await page.evaluate(f"(() => {{ {source} }})()")
    return page


async def test_it_watches_the_camera(browser: Browser) -> None:
    npm_package("whip-whep")
    async with running_peer("--fake", "--port", "0", "--video", "640x480") as peer:
        base, fragment = urldefrag(peer.url)
        page = await page_with(browser, base, "whep.js")
        endpoint = json.dumps(urljoin(base, "/whep/camera"))
        token = json.dumps(fragment.removeprefix("t="))
        await page.evaluate(WATCH.replace("URL", endpoint).replace("TOKEN", token))
        await page.evaluate(PICTURES)
        await readable(page)
        check(await pictures(page, 20), 640, 480)
        await page.evaluate("player.stop()")
        await peer.logged("left")
        assert page.errors == []
        await page.close()


async def test_it_publishes_to_gstreamer(browser: Browser) -> None:
    npm_package("whip-whep")
    async with (
        running_peer("--port", "0", command=(sys.executable, "-m", "signaling")) as server,
        webrtcbin(server.url, "consumer") as consumer,
    ):
        await consumer.sees("registered")
        base, fragment = urldefrag(server.url)
        page = await page_with(browser, base, "whip.js")
        endpoint = json.dumps(urljoin(base, f"/whip/{consumer.peer_id}"))
        token = json.dumps(fragment.removeprefix("t="))
        await page.evaluate(PUBLISH.replace("URL", endpoint).replace("TOKEN", token))
        await consumer.sees("picture", 10)
        await consumer.sees("sound", 10)
        await page.evaluate("publisher.stop()")
        await consumer.sees("session ended")
        assert page.errors == []
        await page.close()


async def test_it_is_received_and_recorded(browser: Browser, tmp_path: Path) -> None:
    npm_package("whip-whep")
    recording, secret = tmp_path / "out.mp4", "0123456789abcdef"
    async with running_peer(
        "--answer", "--port", "0", "--publish-token", secret, "--record", str(recording),
        ready=re.compile(r"Send to (http\S+)"),
    ) as peer:  # fmt: skip
        page = await page_with(browser, peer.url, "whip.js")
        publish = PUBLISH.replace("URL", json.dumps(peer.url)).replace("TOKEN", json.dumps(secret))
        await page.evaluate(publish)
        await peer.logged("picture arrives")
        await peer.logged("sound arrives")
        sent = "[...all.values()].some(one => one.kind === 'video' && one.framesSent > 30)"
        await page.wait_for(f"publisher.pc.getStats().then(all => {sent})")
        await page.evaluate("publisher.stop()")
        await peer.logged("is over")
        assert page.errors == []
        await page.close()
    with av.open(str(recording)) as file:
        assert {stream.type for stream in file.streams} == {"audio", "video"}
        assert sum(1 for _ in file.decode(video=0)) > 10
