"""The scenes of the table of ends: everything up to the end, how it is ended, and who sees it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from peer import MediaStreamTrack
from peer.capture.permissions import Permissions
from peer.devices.media_file import MediaFile
from peer.devices.virtual import VirtualBackend
from signaling import PeerRole

from ..processes import send_signal
from . import browsers
from .browsers import Browser, ChromiumPage, Page
from .ends import Cell, Noted
from .ends_sides import (
    NAME,
    OwnSide,
    captured,
    connected,
    diary,
    end,
    published,
    remote_page,
    serving_alone,
    watches,
)  # fmt: skip
from .peers import running_peer

KINDS = ["video", "audio"]

Act = Callable[[], Any]
"""Ends something, or is awaited for that; may say when that was, in seconds."""


@dataclass(frozen=True)
class Props:
    """What scenes need that is made once."""

    browsers: Mapping[str, Browser]
    clip: Path
    """Moments without sound."""
    folder: Path
    """For files of theirs."""


@dataclass(frozen=True)
class Scene:
    """Something that can be ended, and what was seen of it so far."""

    act: Act
    noted: Callable[[], Awaitable[list[Noted]]]


Play = contextlib.AbstractAsyncContextManager[Scene]


@contextlib.asynccontextmanager
async def _watched(
    cell: Cell, props: Props, url: str, act: Act, name: str = NAME, kinds: list[str] = KINDS
) -> AsyncIterator[Scene]:
    """A page watches what this side ends."""
    page = await remote_page(props.browsers[cell.browser], url)
    await watches(page, cell.via, name, kinds)
    if "black picture" in cell.expected:
        await page.evaluate("(ends.watchPicture(), null)")
    if "no picture for a second" in cell.expected:
        await page.evaluate("ends.watchFlow().then(() => null)")
    yield Scene(act, lambda: diary(page))
    assert page.errors == []
    await page.close()


@contextlib.asynccontextmanager
async def a_camera(cell: Cell, props: Props) -> AsyncIterator[Scene]:
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
        async with _watched(cell, props, url, acts[cell.action]) as scene:
            yield scene


@contextlib.asynccontextmanager
async def a_file(cell: Cell, props: Props) -> AsyncIterator[Scene]:
    source = MediaFile(props.clip, loop=True)
    async with captured(source, audio=False) as (_, stream), published(stream) as url:
        ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        [track] = stream.getVideoTracks()
        assert isinstance(track, MediaStreamTrack)
        track.addEventListener("ended", lambda event: ended.set_result(time.time()))

        def act() -> Awaitable[float]:
            end(source)
            return ended

        async with _watched(cell, props, url, act, kinds=["video"]) as scene:
            yield scene


@contextlib.asynccontextmanager
async def a_connection(cell: Cell, props: Props) -> AsyncIterator[Scene]:
    async with (
        captured(VirtualBackend()) as (_, stream),
        connected(PeerRole.PRODUCER, stream) as (url, side),
    ):

        def act() -> Any:
            transceivers = side.connection.getTransceivers()
            [camera] = [one for one in transceivers if one.sender.track in stream.getVideoTracks()]
            acts: dict[str, Act] = {
                "`transceiver.stop()`": camera.stop,
                "`removeTrack()`": lambda: side.connection.removeTrack(camera.sender),
                "`pc.close()`": side.connection.close,
            }
            return acts[cell.action]()

        async with _watched(cell, props, url, act) as scene:
            yield scene


@contextlib.asynccontextmanager
async def a_process(cell: Cell, props: Props) -> AsyncIterator[Scene]:
    number = signal.SIGINT if cell.action == "Ctrl-C" else signal.SIGKILL
    async with (
        running_peer("--fake", "--port", "0", "--no-auth") as peer,
        _watched(cell, props, peer.url, lambda: send_signal(peer.process, number)) as scene,
    ):
        yield scene
        assert await peer.process.wait() == (0 if number == signal.SIGINT else -number)


@contextlib.asynccontextmanager
async def a_process_but_not_the_server(cell: Cell, props: Props) -> AsyncIterator[Scene]:
    async with serving_alone() as server:
        address = f"ws://127.0.0.1:{server.port}/"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "peer", "--fake", "--offer", address,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not any(server.hub.switchboard.listed(PeerRole.PRODUCER)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            [producer] = server.hub.switchboard.listed(PeerRole.PRODUCER)
            act = partial(send_signal, process, signal.SIGKILL)
            async with _watched(cell, props, server.url, act, producer.id) as scene:
                yield scene
        finally:
            send_signal(process, signal.SIGKILL)
            await process.wait()


# The way back.


@contextlib.asynccontextmanager
async def _sending(cell: Cell, browser: Browser) -> AsyncIterator[tuple[Page, OwnSide]]:
    """A page whose pictures arrive."""
    async with connected(PeerRole.CONSUMER) as (url, side):
        page = await remote_page(browser, url)
        await page.evaluate(f"ends.send({json.dumps(cell.via)}, '{NAME}').then(() => null)")
        await side.receives()
        yield page, side


def _seen_by(side: OwnSide, act: Act) -> Scene:
    async def noted() -> list[Noted]:
        return list(side.diary)

    return Scene(act, noted)


@contextlib.asynccontextmanager
async def something_of_a_page(cell: Cell, props: Props) -> AsyncIterator[Scene]:
    async with _sending(cell, props.browsers[cell.browser]) as (page, side):

        async def act() -> float:
            at: float = await page.evaluate(f"ends.act({json.dumps(cell.action.strip('`'))})")
            return at / 1000

        yield _seen_by(side, act)
        assert page.errors == []
        await page.close()


@contextlib.asynccontextmanager
async def a_page(cell: Cell, props: Props) -> AsyncIterator[Scene]:
    async with _sending(cell, props.browsers[cell.browser]) as (page, side):
        leave = "(location.href = 'about:blank', null)"
        acts: dict[str, Act] = {
            "the page is left": lambda: page.evaluate(leave),
            # Chromium's `close()` leaves the page first.
            "the tab is closed": page.page.close if isinstance(page, ChromiumPage) else page.close,
        }
        yield _seen_by(side, acts[cell.action])
        if cell.action == "the page is left":
            await page.close()
        elif isinstance(page, ChromiumPage):
            await page.context.close()


@contextlib.asynccontextmanager
async def a_browser(cell: Cell, props: Props) -> AsyncIterator[Scene]:
    launch, names = {
        "chromium": (browsers.chromium, browsers.CHROMIUM_NAMES),
        "firefox": (browsers.firefox, browsers.FIREFOX_NAMES),
    }[cell.browser]
    # The same program, which tells its process id.
    program = browsers.find(names, names[0])
    script = props.folder / f"{cell.via}-{cell.browser}"
    told = script.with_suffix(".pid")
    script.write_text(f'#!/bin/sh\necho $$ > "{told}"\nexec "{program}" "$@"\n')
    script.chmod(0o755)
    async with launch(str(script)) as browser, _sending(cell, browser) as (_, side):
        pid = int(told.read_text())
        assert os.getpgid(pid) == pid, "it has a process group of its own"
        # All its processes at once: what is left of one would take leave in order.
        yield _seen_by(side, lambda: os.killpg(pid, signal.SIGKILL))


SCENES: Mapping[tuple[str, str], Callable[[Cell, Props], Play]] = {
    ("page", "the device is unplugged"): a_camera,
    ("page", "`track.stop()`"): a_camera,
    ("page", "the permission is revoked"): a_camera,
    ("page", "the file has ended"): a_file,
    ("page", "`transceiver.stop()`"): a_connection,
    ("page", "`removeTrack()`"): a_connection,
    ("page", "`pc.close()`"): a_connection,
    ("page", "Ctrl-C"): a_process,
    ("page", "kill -9"): a_process,
    ("page", "kill -9, the server lives"): a_process_but_not_the_server,
    ("python", "`track.stop()`"): something_of_a_page,
    ("python", "`removeTrack()`"): something_of_a_page,
    ("python", "`transceiver.stop()`"): something_of_a_page,
    ("python", "`pc.close()`"): something_of_a_page,
    ("python", "the page is left"): a_page,
    ("python", "the tab is closed"): a_page,
    ("python", "the browser is killed"): a_browser,
}
"""By who sees it, and what is ended."""
