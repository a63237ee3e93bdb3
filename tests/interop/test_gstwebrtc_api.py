"""The npm package gstwebrtc-api, GStreamer's own client for browsers, at the signalling server."""

import json
import re
import sys
from urllib.parse import urldefrag, urljoin

import pytest

from tests.e2e.browsers import Browser, Page
from tests.e2e.peers import running_peer
from tests.e2e.test_watch import PICTURES, check, pictures, readable

from .conftest import npm_package
from .webrtcbin import webrtcbin

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVER = (sys.executable, "-m", "signaling")

# What its documentation does; the server takes the token from `meta`, which is all that it can say.
CONNECT = """async () => {
    window.api = new GstWebRTCAPI({
        meta: { name: "gstwebrtc-api", token: TOKEN },
        signalingServerUrl: URL,
        reconnectionTimeout: 0,
        webrtcConfig: { iceServers: [], bundlePolicy: "max-bundle" },
    });
    await new Promise(resolve => api.registerConnectionListener({
        connected(id) { window.peerId = id; resolve(); },
        disconnected() {},
    }));
}"""
CONSUME = """producerId => {
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = video.autoplay = true;
    window.session = OPTIONS
        ? api.createConsumerSessionWithOfferOptions(producerId, OPTIONS)
        : api.createConsumerSession(producerId);
    session.addEventListener("error", event => console.error(event.message, event.error));
    session.addEventListener("streamsChanged", () => { video.srcObject = session.streams[0]; });
    session.connect();
}"""
PRODUCE = """async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
    window.session = CONSUMER
        ? api.createProducerSessionForConsumer(stream, CONSUMER)
        : api.createProducerSession(stream);
    session.addEventListener("error", event => console.error(event.message, event.error));
    session.start();
}"""


async def connected(browser: Browser, url: str) -> Page:
    """A page in which `api` is connected to the server whose address, with token, is `url`."""
    base, fragment = urldefrag(url)
    [library] = (npm_package("gstwebrtc-api") / "dist").glob("*.min.js")
    page = await browser.open(urljoin(base, "/healthz"))
    await page.evaluate(f"(() => {{ {library.read_text()}\n }})()")
    script = CONNECT.replace("TOKEN", json.dumps(fragment.removeprefix("t=")))
    await page.evaluate(
        script.replace("URL", json.dumps(urljoin(base, "/ws").replace("http", "ws")))
    )
    await page.evaluate(PICTURES)
    return page


async def consume(page: Page, producer: str, options: str = "null") -> None:
    await page.evaluate(f"() => ({CONSUME.replace('OPTIONS', options)})({json.dumps(producer)})")


OFFERS = ["null", '{"offerToReceiveVideo": 1, "offerToReceiveAudio": 1}']
"""What it offers itself, if anything."""


@pytest.mark.parametrize("options", OFFERS)
async def test_it_watches_the_camera_until_the_peer_leaves(chromium: Browser, options: str) -> None:
    async with running_peer("--fake", "--port", "0", "--video", "640x480") as peer:
        page = await connected(chromium, peer.url)
        await page.wait_for("api.getAvailableProducers().length > 0")
        [name] = await page.evaluate("api.getAvailableProducers().map(producer => producer.id)")
        await consume(page, name, options)
        await readable(page)
        check(await pictures(page, 20), 640, 480)
        assert page.errors == []
        assert await peer.leave() == 0
        await page.wait_for("session.state === 3")
        await page.close()


async def test_the_peer_receives_what_it_sends(chromium: Browser) -> None:
    arguments = ("--answer", "--port", "0", "--publish-token", "0123456789abcdef")
    async with running_peer(*arguments, ready=re.compile(r"Send to (http\S+/)")) as peer:
        page = await connected(chromium, f"{peer.url}#t=0123456789abcdef")
        await page.evaluate(PRODUCE.replace("CONSUMER", '"receiver"'))
        await peer.logged("picture is 640x480")
        await page.evaluate("session.close()")
        await peer.logged("is over")
        assert page.errors == []
        await page.close()


@pytest.mark.parametrize("options", OFFERS)
async def test_it_watches_gstreamer(chromium: Browser, options: str) -> None:
    async with running_peer("--port", "0", command=SERVER) as server:
        page = await connected(chromium, server.url)
        async with webrtcbin(server.url, "producer") as producer:
            await page.wait_for("api.getAvailableProducers().length > 0")
            await consume(page, producer.peer_id, options)
            seen = await pictures(page, 10)
            assert {(picture["width"], picture["height"]) for picture in seen} == {(640, 480)}
        await page.wait_for("api.getAvailableProducers().length === 0")
        assert page.errors == []
        await page.close()


async def test_gstreamer_watches_it(chromium: Browser) -> None:
    async with running_peer("--port", "0", command=SERVER) as server:
        page = await connected(chromium, server.url)
        await page.evaluate(PRODUCE.replace("CONSUMER", "null"))
        await page.wait_for("session.state === 2")
        async with webrtcbin(server.url, "consumer", await page.evaluate("peerId")) as consumer:
            await consumer.sees("picture", 10)
            await consumer.sees("sound", 10)
        assert page.errors == []
        await page.close()
