"""What a page sees of everything that ends here, and this process of everything that ends there."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import av
import pytest

from peer import MediaStreamTrack
from peer.capture.permissions import Permissions
from peer.devices.media_source import media_source
from peer.devices.test_pattern import VideoPattern
from peer.devices.virtual import VirtualBackend
from signaling import PeerRole

from . import browsers, ends_page
from .browsers import Browser, ChromiumPage, Page
from .ends import Cell, Noted, cells
from .ends_sides import (
    NAME,
    OwnSide,
    captured,
    connected,
    diary,
    published,
    remote_page,
    serving_alone,
    watches,
)  # fmt: skip
from .peers import running_peer

pytestmark = pytest.mark.asyncio(loop_scope="session")

LATEST = 20.0
"""Seconds until everything must have been seen: a browser that hears nothing waits for ten."""
QUIET = 0.3
"""Seconds in which nothing more must be seen."""
LASTS = 8
"""Seconds of the file that ends: a page watches it within two."""
KINDS = ["video", "audio"]

Record = Callable[[str, object], None]
Act = Callable[[], Any]
"""Ends something, or is awaited for that; may say when that was, in seconds."""


def of(*actions: str, seen_by: str = "page") -> pytest.MarkDecorator:
    """Run a test for these rows of the table."""
    chosen = [cell for cell in cells(seen_by) if cell.action in actions]
    ids = [f"{cell.via}-{cell.browser}-{cell.action.strip('`')}" for cell in chosen]
    return pytest.mark.parametrize("cell", chosen, ids=ids)


@pytest.fixture
def browser(cell: Cell, request: pytest.FixtureRequest) -> Browser:
    found: Browser = request.getfixturevalue(cell.browser)
    return found


async def sees(
    cell: Cell, noted: Callable[[], Awaitable[list[Noted]]], act: Act, record: Record
) -> None:
    """End something, and compare what is seen of it with the table."""
    before, at = len(await noted()), time.time()
    said = act()
    if isinstance(said, Awaitable):
        said = await said
    if isinstance(said, float):
        at = said
    count = before + len(cell.expected)
    latest = time.monotonic() + LATEST
    # A page's diary has no events of its own.
    while len(await noted()) < count and time.monotonic() < latest:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await asyncio.sleep(QUIET)
    seen = [
        (what, max(0, round(1000 * (when - at))))
        for what, when in cell.in_order((await noted())[before:])
        # A packet that was still on its way when BYE was said unmutes (WebRTC 5.3).
        if not what.endswith(" unmute") or what in cell.expected
    ]
    # BYE and the description that ends the track go different ways: the later is no event any more.
    raced = {"video mute"} if cell.seen_by == "python" and "video ended" in cell.expected else set()
    assert [what for what, _ in seen if what not in raced] == [
        what for what in cell.expected if what not in raced
    ], seen
    record("end", (astuple(cell), seen))


async def page_sees(cell: Cell, page: Page, act: Act, record: Record) -> None:
    """End something of this side."""
    if "black picture" in cell.expected:
        await page.evaluate("(ends.watchPicture(), null)")
    if "no picture for a second" in cell.expected:
        await page.evaluate("ends.watchFlow().then(() => null)")
    await sees(cell, lambda: diary(page), act, record)
    assert page.errors == []
    await page.close()


@of("the device is unplugged", "`track.stop()`", "the permission is revoked")
async def test_a_camera_ends(cell: Cell, browser: Browser, record_property: Record) -> None:
    backend, permissions = VirtualBackend(), Permissions()
    async with (
        captured(backend, permissions) as (devices, stream),
        published(stream, devices) as url,
    ):
        acts: dict[str, Act] = {
            "the device is unplugged": lambda: backend.unplug("Cam A"),
            "`track.stop()`": lambda: stream.getVideoTracks()[0].stop(),
            "the permission is revoked": lambda: permissions.set_state("camera", "denied"),
        }
        page = await remote_page(browser, url)
        await watches(page, cell.via, NAME, KINDS)
        await page_sees(cell, page, acts[cell.action], record_property)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds without sound."""
    path = tmp_path_factory.mktemp("clips") / "short.mp4"
    picture = VideoPattern(320, 240, (140, 110))
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt, video.gop_size = 320, 240, "yuv420p", 30
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
        for number in range(LASTS * 30):
            frame = picture.frame(number, number / 30, 30)
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return path


@of("the file has ended")
async def test_a_file_ends(
    cell: Cell, browser: Browser, clip: Path, record_property: Record
) -> None:
    async with (
        captured(media_source(str(clip)), audio=False) as (_, stream),
        published(stream) as url,
    ):
        ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        [track] = stream.getVideoTracks()
        assert isinstance(track, MediaStreamTrack)
        track.addEventListener("ended", lambda event: ended.set_result(time.time()))
        page = await remote_page(browser, url)
        await watches(page, cell.via, NAME, ["video"])
        assert not ended.done(), "the page watched before the end"
        await page_sees(cell, page, lambda: ended, record_property)


@of("`transceiver.stop()`", "`removeTrack()`", "`pc.close()`")
async def test_a_connection_ends_something(
    cell: Cell, browser: Browser, record_property: Record
) -> None:
    async with (
        captured(VirtualBackend()) as (_, stream),
        connected(PeerRole.PRODUCER, stream) as (url, side),
    ):
        page = await remote_page(browser, url)
        await watches(page, cell.via, NAME, KINDS)
        transceivers = side.connection.getTransceivers()
        [camera] = [one for one in transceivers if one.sender.track in stream.getVideoTracks()]
        acts: dict[str, Act] = {
            "`transceiver.stop()`": camera.stop,
            "`removeTrack()`": lambda: side.connection.removeTrack(camera.sender),
            "`pc.close()`": side.connection.close,
        }
        await page_sees(cell, page, acts[cell.action], record_property)


@of("Ctrl-C", "kill -9")
async def test_the_process_ends(cell: Cell, browser: Browser, record_property: Record) -> None:
    number = signal.SIGINT if cell.action == "Ctrl-C" else signal.SIGKILL
    async with running_peer("--fake", "--port", "0", "--no-auth") as peer:
        page = await remote_page(browser, peer.url)
        await watches(page, cell.via, NAME, KINDS)
        await page_sees(cell, page, lambda: peer.process.send_signal(number), record_property)
        assert await peer.process.wait() == (0 if number == signal.SIGINT else -number)


@of("kill -9, the server lives")
async def test_the_process_ends_but_not_the_server(
    cell: Cell, browser: Browser, record_property: Record
) -> None:
    async with serving_alone() as server:
        address = f"ws://127.0.0.1:{server.port}/"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "peer", "--fake", "--offer", address,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            page = await remote_page(browser, server.url)
            while not any(server.hub.switchboard.listed(PeerRole.PRODUCER)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            [producer] = server.hub.switchboard.listed(PeerRole.PRODUCER)
            await watches(page, cell.via, producer.id, KINDS)
            await page_sees(cell, page, process.kill, record_property)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


# The way back.


async def python_sees(cell: Cell, side: OwnSide, act: Act, record: Record) -> None:
    """End something of the page's."""

    async def noted() -> list[Noted]:
        return list(side.diary)

    await sees(cell, noted, act, record)


async def sending(browser: Browser, url: str, via: str, side: OwnSide) -> Page:
    """A page whose pictures arrive."""
    page = await remote_page(browser, url)
    await page.evaluate(f"ends.send({json.dumps(via)}, '{NAME}').then(() => null)")
    await side.receives()
    return page


@of("`track.stop()`", "`removeTrack()`", "`transceiver.stop()`", "`pc.close()`", seen_by="python")
async def test_a_page_ends_something(cell: Cell, browser: Browser, record_property: Record) -> None:
    async with connected(PeerRole.CONSUMER) as (url, side):
        page = await sending(browser, url, cell.via, side)

        async def act() -> float:
            at: float = await page.evaluate(f"ends.act({json.dumps(cell.action.strip('`'))})")
            return at / 1000

        await python_sees(cell, side, act, record_property)
        assert page.errors == []
        await page.close()


@of("the page is left", "the tab is closed", seen_by="python")
async def test_a_page_goes(cell: Cell, browser: Browser, record_property: Record) -> None:
    async with connected(PeerRole.CONSUMER) as (url, side):
        page = await sending(browser, url, cell.via, side)
        leave = "(location.href = 'about:blank', null)"
        acts: dict[str, Act] = {
            "the page is left": lambda: page.evaluate(leave),
            # Chromium's `close()` leaves the page first.
            "the tab is closed": page.page.close if isinstance(page, ChromiumPage) else page.close,
        }
        await python_sees(cell, side, acts[cell.action], record_property)
        if cell.action == "the page is left":
            await page.close()
        elif isinstance(page, ChromiumPage):
            await page.context.close()


@of("the browser is killed", seen_by="python")
async def test_a_browser_is_killed(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    launch, names = {
        "chromium": (browsers.chromium, browsers.CHROMIUM_NAMES),
        "firefox": (browsers.firefox, browsers.FIREFOX_NAMES),
    }[cell.browser]
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(names)} is in PATH")
    # The same program, which tells its process id.
    script = tmp_path / Path(names[0]).name
    script.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/pid"\nexec "{program}" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    async with launch() as browser, connected(PeerRole.CONSUMER) as (url, side):
        await sending(browser, url, cell.via, side)
        pid = int((tmp_path / "pid").read_text())
        assert os.getpgid(pid) == pid, "it has a process group of its own"
        # All its processes at once: what is left of one would take leave in order.
        await python_sees(cell, side, lambda: os.killpg(pid, signal.SIGKILL), record_property)


async def test_the_page_in_docs_is_up_to_date() -> None:
    page = ends_page.TARGET.read_text()
    assert ends_page.without_times(page) == ends_page.page({}), "run scripts/ends"
