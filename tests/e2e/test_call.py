"""A browser calls: its own camera and microphone reach this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from peer.connection.remote_track import RemoteTrack
from peer.receiver import Receiver
from signaling import (
    LocalClient,
    PeerRole,
    ServerConfig,
    SignalingServer,
    SignalingSession,
    generate_token,
)

from .browsers import WAIT_SECONDS, Browser, Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGE = "document.getElementById('call-message').textContent"
CLICK = "document.getElementById('call').click()"


class Called:
    """The side that is called."""

    def __init__(self, server: SignalingServer) -> None:
        self.server = server
        self.tracks: asyncio.Queue[RemoteTrack] = asyncio.Queue()

    def take(self, track: RemoteTrack, session: SignalingSession) -> None:
        self.tracks.put_nowait(track)

    def url(self, token: str | None) -> str:
        return f"{self.server.url.partition('#')[0]}#t={token}"


@contextlib.asynccontextmanager
async def called() -> AsyncIterator[Called]:
    config = ServerConfig(port=0, token=generate_token(), publish_token=generate_token())
    server = SignalingServer(config)
    await server.start()
    side = Called(server)
    receiver = Receiver(on_track=side.take)
    client = LocalClient(server.hub, "receiver", roles={PeerRole.CONSUMER})
    await client.start()
    serving = asyncio.create_task(receiver.serve(client))
    try:
        yield side
    finally:
        await receiver.close()
        await client.close()
        await serving
        await server.stop()


async def ended(track: RemoteTrack) -> None:
    event = asyncio.Event()
    track.addEventListener("ended", lambda _: event.set())
    if track.readyState == "live":
        async with asyncio.timeout(WAIT_SECONDS):
            await event.wait()


async def calling(browser: Browser, url: str, message: str) -> Page:
    """A page that has been told to call, once it says this."""
    page = await browser.open(url)
    await page.wait_for("!document.getElementById('call').hidden")
    await page.evaluate(CLICK)
    await page.wait_for(f"{MESSAGE} === '{message}'")
    return page


async def test_a_browser_calls_and_hangs_up(browser: Browser) -> None:
    async with called() as side:
        url = side.url(side.server.config.publish_token)
        page = await calling(browser, url, "You are on the air")
        async with asyncio.timeout(WAIT_SECONDS):
            tracks = [await side.tracks.get() for _ in range(2)]
            for track in tracks:
                await track.recv()
        assert {track.kind for track in tracks} == {"audio", "video"}
        await page.wait_for("document.getElementById('own').videoWidth > 0")
        await page.evaluate(CLICK)
        for track in tracks:
            await ended(track)
        await page.wait_for("document.getElementById('own').hidden")
        assert await page.evaluate(MESSAGE) == ""
        # And once more.
        await page.evaluate(CLICK)
        async with asyncio.timeout(WAIT_SECONDS):
            await (await side.tracks.get()).recv()
        assert page.errors == []
        await page.close()


async def test_who_is_called_leaves(browser: Browser) -> None:
    async with called() as side:
        url = side.url(side.server.config.publish_token)
        page = await calling(browser, url, "You are on the air")
    await page.wait_for("document.getElementById('own').srcObject === null")
    assert await page.evaluate(MESSAGE) == "The other side has hung up."
    await page.close()


async def test_who_may_only_watch_is_told_so(chromium: Browser) -> None:
    async with called() as side:
        url = side.url(side.server.config.token)
        page = await calling(chromium, url, "The token does not let you call.")
        assert await page.evaluate("document.getElementById('own').srcObject") is None
        assert page.errors == []
        await page.close()
