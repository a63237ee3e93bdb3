"""What the page says of what happens at the other side, and what its remote tracks say."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from peer import MediaDevices, MediaStream
from peer.devices.virtual import VirtualBackend
from peer.publisher import Publisher
from signaling import (
    LocalClient,
    ServerConfig,
    SignalingClient,
    SignalingServer,
    generate_token,
)
from signaling.clients import client_for
from signaling.limits import Limits

from ..signaling.clients.relay import Relay
from .browsers import Browser, Page
from .peers import running_peer
from .test_watch import live, pictures, readable

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN = "abcdefghijklmnop"
SERVER = (sys.executable, "-m", "signaling")

# Notes what happens to the remote tracks, and what the page says.
DIARY = """(() => {
  const { srcObject } = document.getElementById("video");
  window.first = srcObject.getVideoTracks()[0];
  window.diary = [];
  for (const track of srcObject.getTracks()) {
    for (const type of ["mute", "unmute", "ended"]) {
      track.addEventListener(type, () => diary.push(`${track.kind} ${type}`));
    }
  }
  const status = document.getElementById("status-text");
  window.words = [];
  new MutationObserver(() => words.push(status.textContent)).observe(status, { childList: true });
})()"""


@dataclass
class Studio:
    """A camera and a microphone, and a server that may show them."""

    backend: VirtualBackend
    devices: MediaDevices
    stream: MediaStream
    server: SignalingServer

    @contextlib.asynccontextmanager
    async def on_the_air(self, through: SignalingClient | None = None) -> AsyncIterator[Publisher]:
        """Publish; leave in order at the end.

        :param through: another server than the studio's.
        """
        publisher = Publisher(self.stream, label="Camera", resume=self.devices)
        client = through or LocalClient(self.server.hub, "camera", meta=publisher.meta)
        await client.start()
        serving = asyncio.create_task(publisher.serve(client))
        try:
            yield publisher
        finally:
            await publisher.close()
            await client.close()
            await serving


@pytest_asyncio.fixture(loop_scope="session")
async def studio() -> AsyncIterator[Studio]:
    backend = VirtualBackend()
    devices = MediaDevices([backend], salt=bytes(32))
    stream = await devices.getUserMedia({"video": {"width": 640, "height": 480}, "audio": True})
    config = ServerConfig(port=0, token=generate_token(), control_token=generate_token())
    server = SignalingServer(config)
    await server.start()
    yield Studio(backend, devices, stream, server)
    await server.stop()
    devices.end()
    await devices.closed()


async def keep_diary(page: Page) -> None:
    """Note from now on what happens to the remote tracks, both of which play."""
    tracks = "document.getElementById('video').srcObject.getTracks()"
    await page.wait_for(f"{tracks}.filter(track => !track.muted).length === 2")
    await page.evaluate(DIARY)


async def says(page: Page, text: str, picture: str) -> None:
    await page.wait_for(
        f'document.getElementById("status-text").textContent.startsWith("{text}")'
        f' && document.documentElement.dataset.picture === "{picture}"'
    )


async def test_a_camera_that_is_covered_unplugged_and_back(
    browser: Browser, studio: Studio
) -> None:
    async with studio.on_the_air():
        page = await live(browser, studio.server.control_url)
        await page.wait_for("!document.getElementById('controls').hidden")
        await keep_diary(page)
        studio.backend.set_muted("Cam A", True)
        await says(page, "The camera is switched off", "stale")
        studio.backend.set_muted("Cam A", False)
        await says(page, "Live", "fresh")
        assert await page.evaluate("diary") == [], "black is a picture, too"
        studio.backend.unplug("Cam A")
        await says(page, "The camera is gone, waiting for it", "stale")
        await page.wait_for('diary.includes("video ended")')
        assert await page.evaluate("document.getElementById('controls').inert")
        studio.backend.plug("Cam A")
        await says(page, "Live", "fresh")
        await readable(page)
        assert await page.evaluate("first.readyState") == "ended", "another has taken its place"
        assert await page.evaluate("diary") == ["video ended"], "the sound went on"
        assert not await page.evaluate("document.getElementById('controls').inert")
        assert page.errors == []
        await page.close()


async def test_a_microphone_that_is_unplugged_and_back(browser: Browser, studio: Studio) -> None:
    async with studio.on_the_air():
        page = await live(browser, studio.server.url)
        await keep_diary(page)
        studio.backend.unplug("Mic A")
        await says(page, "Live, the microphone is gone, waiting for it", "fresh")
        await page.wait_for('diary.includes("audio ended")')
        studio.backend.plug("Mic A")
        await page.wait_for('document.getElementById("status-text").textContent === "Live"')
        assert await page.evaluate("diary") == ["audio ended"], "the pictures went on"
        assert page.errors == []
        await page.close()


async def test_a_track_that_is_taken_away_for_a_while(browser: Browser, studio: Studio) -> None:
    async with studio.on_the_air() as publisher:
        page = await live(browser, studio.server.url)
        await keep_diary(page)
        [viewer] = publisher._viewers.values()
        [video] = studio.stream.getVideoTracks()
        sender = viewer._senders[video]
        viewer._connection.removeTrack(sender)
        await says(page, "The picture is paused", "stale")
        await sender.replaceTrack(video)
        for transceiver in viewer._connection.getTransceivers():
            transceiver.direction = "sendonly"
        await says(page, "Live", "fresh")
        await page.wait_for("diary.length >= 2")
        assert await page.evaluate("diary") == ["video mute", "video unmute"]
        assert page.errors == []
        await page.close()


def stop(studio: Studio) -> None:
    for track in studio.stream.getVideoTracks():
        track.stop()


def revoke(studio: Studio) -> None:
    studio.devices.permissions.set_state("camera", "denied")


@pytest.mark.parametrize(
    ("end", "why"), [(stop, "It was stopped"), (revoke, "The permission to use the camera")]
)
async def test_a_camera_that_ends_for_good(
    browser: Browser, studio: Studio, end: Callable[[Studio], None], why: str
) -> None:
    async with studio.on_the_air():
        page = await live(browser, studio.server.url)
        await keep_diary(page)
        end(studio)
        await says(page, "The picture has ended", "stale")
        assert await page.evaluate("document.documentElement.dataset.state") == "ended"
        await page.wait_for('diary.includes("video ended")')
        assert await page.evaluate("diary") == ["video ended"]
        notice = await page.evaluate("document.getElementById('notice-text').textContent")
        assert notice.startswith(why)
        assert notice.endswith("The sound goes on.")
        assert page.errors == []
        await page.close()


async def test_nothing_is_on_the_air_then_something_then_it_leaves(
    browser: Browser, studio: Studio
) -> None:
    page = await browser.open(studio.server.url)
    await says(page, "Nothing to see yet", "stale")
    for _ in range(2):
        async with studio.on_the_air():
            await says(page, "Live", "fresh")
            await keep_diary(page)
        await says(page, "The other side has left", "stale")
        await page.wait_for("diary.length === 2")
        assert sorted(await page.evaluate("diary")) == ["audio ended", "video ended"]
        assert await page.evaluate("document.documentElement.dataset.state") == "waiting"
    assert page.errors == []
    await page.close()


async def test_a_room_is_seen_by_who_is_in_it(chromium: Browser, studio: Studio) -> None:
    async with studio.on_the_air(LocalClient(studio.server.hub, "camera", room="garden")):
        inside = await live(chromium, f"{studio.server.url}&room=garden")
        outside = await chromium.open(studio.server.url)
        await says(outside, "Nothing to see yet", "stale")
        await inside.close()
        await outside.close()


@contextlib.asynccontextmanager
async def by_relay(browser: Browser, studio: Studio) -> AsyncIterator[tuple[Relay, Page]]:
    """A page whose socket goes by a relay."""
    relay = Relay(studio.server.port)
    await relay.start()
    try:
        address = studio.server.url.replace(str(studio.server.port), str(relay.port))
        page = await live(browser, address)
        await keep_diary(page)
        yield relay, page
        await page.close()
    finally:
        await relay.stop()


async def test_a_broken_socket_is_mended_unseen(browser: Browser, studio: Studio) -> None:
    async with studio.on_the_air() as publisher, by_relay(browser, studio) as (relay, page):
        [viewer] = publisher._viewers
        relay.refuses = True
        relay.cut()
        await pictures(page, 30)
        assert await page.evaluate("words") == []
        # What happens meanwhile is told afterwards, and in the same session.
        studio.backend.unplug("Cam A")
        relay.accepted.clear()
        relay.refuses = False
        await relay.accepted.wait()
        await says(page, "The camera is gone, waiting for it", "stale")
        studio.backend.plug("Cam A")
        await says(page, "Live", "fresh")
        assert list(publisher._viewers) == [viewer]
        assert await page.evaluate("diary") == ["video ended"]


async def test_a_socket_that_swallows_everything_is_replaced(
    chromium: Browser, studio: Studio
) -> None:
    async with studio.on_the_air() as publisher, by_relay(chromium, studio) as (relay, page):
        [viewer] = publisher._viewers
        relay.up_swallowed = relay.down_swallowed = True
        relay.accepted.clear()
        studio.backend.unplug("Cam A")
        # As when a computer comes into another network.
        await page.evaluate("(dispatchEvent(new Event('online')), null)")
        await relay.accepted.wait()
        relay.up_swallowed = relay.down_swallowed = False
        await says(page, "The camera is gone, waiting for it", "stale")
        await page.wait_for('diary.includes("video ended")')
        assert list(publisher._viewers) == [viewer]


async def test_a_place_that_is_taken_is_waited_for(browser: Browser, studio: Studio) -> None:
    studio.server.hub.switchboard.limits = Limits(sessions=1)
    async with studio.on_the_air():
        first = await live(browser, studio.server.url)
        second = await browser.open(studio.server.url)
        await says(second, "Every place is taken", "stale")
        await pictures(first, 3)
        await first.close()
        await says(second, "Live", "fresh")
        assert second.errors == []
        await second.close()


async def test_a_format_that_the_browser_does_not_take(firefox: Browser, studio: Studio) -> None:
    async with studio.on_the_air() as publisher:
        publisher.codecs = ("H264",)
        page = await firefox.open(studio.server.url)
        await says(page, "This browser can't play the picture", "stale")
        notice = "document.getElementById('notice-text').textContent"
        await page.wait_for(f"{notice}.endsWith('The sound goes on.')")
        await page.close()


async def test_a_server_that_is_killed_takes_no_picture_with_it(
    browser: Browser, studio: Studio
) -> None:
    arguments = ("--token", TOKEN, "--port")
    async with running_peer(*arguments, "0", command=SERVER) as server:
        port = server.url.split(":")[2].split("/")[0]
        through = client_for(f"ws://127.0.0.1:{port}/", offer=True, token=TOKEN, name="camera")
        async with studio.on_the_air(through):
            page = await live(browser, server.url)
            await keep_diary(page)
            assert await server.leave(signal.SIGKILL) == -signal.SIGKILL
            await pictures(page, 30)
            assert await page.evaluate("words") == []
            async with running_peer(*arguments, port, command=SERVER):
                # The new one knows of no session: another takes the place of the one that is left.
                await page.wait_for("first.readyState === 'ended'")
                await says(page, "Live", "fresh")
                studio.backend.unplug("Cam A")
                await says(page, "The camera is gone, waiting for it", "stale")
                await page.close()
