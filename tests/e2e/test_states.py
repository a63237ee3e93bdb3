"""What the page says of a camera that is covered, unplugged, and back."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from peer import MediaDevices
from peer.devices.virtual import VirtualBackend
from peer.publisher import Publisher
from signaling import ServerConfig, SignalingServer, Switchboard, generate_token

from .browsers import Browser, Page
from .test_watch import live, pictures

pytestmark = pytest.mark.asyncio(loop_scope="session")


@contextlib.asynccontextmanager
async def published(backend: VirtualBackend) -> AsyncIterator[str]:
    """The address of a page that shows the backend's default camera."""
    devices = MediaDevices([backend], salt=bytes(32))
    stream = await devices.getUserMedia({"video": {"width": 640, "height": 480}})
    switchboard = Switchboard()
    server = SignalingServer(ServerConfig(port=0, token=generate_token()), switchboard)
    await server.start()
    switchboard.add_producer(
        Publisher(
            stream,
            id="camera",
            label="Camera",
            session_ended=switchboard.end_session,
            resume=devices,
        )
    )
    try:
        yield server.url
    finally:
        devices.end()
        await server.stop()
        await devices.closed()


async def says(page: Page, text: str, picture: str) -> None:
    await page.wait_for(
        f'document.getElementById("status-text").textContent.startsWith("{text}")'
        f' && document.documentElement.dataset.picture === "{picture}"'
    )


async def test_the_page_says_what_the_camera_does(browser: Browser) -> None:
    backend = VirtualBackend()
    async with published(backend) as url:
        page = await live(browser, url)
        await pictures(page, 1)
        backend.set_muted("Cam A", True)
        await says(page, "The camera is switched off", "stale")
        backend.set_muted("Cam A", False)
        await says(page, "Live", "fresh")
        backend.unplug("Cam A")
        await says(page, "The camera is gone, waiting for it", "stale")
        backend.plug("Cam A")
        await says(page, "Live", "fresh")
        assert (await pictures(page, 1))[0]["frame"] is not None
        assert page.errors == []
        await page.close()
