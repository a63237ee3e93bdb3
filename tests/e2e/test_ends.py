"""What a page sees of everything that ends here, and this process of everything that ends there."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import av
import pytest
import pytest_asyncio

from peer.devices.test_pattern import VideoPattern

from . import ends_page
from .browsers import Browser
from .ends import Cell, cells
from .ends_scenes import SCENES, Play, Props, Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")

LATEST = 30.0
"""Seconds until everything must have been seen: a browser that hears nothing waits for ten."""
QUIET = 0.3
"""Seconds in which nothing more must be seen."""
SOON = 0.3
"""Seconds in which nobody else's work disturbs what is seen at once."""
LASTS = 2
"""Seconds of the file that is played again and again until it is to end."""

WAITED_FOR = {"connection disconnected", "connection failed"}
"""What nobody tells: a browser, or this side, hears nothing for seconds."""

Record = Callable[[str, object], None]
Seen = list[tuple[str, int]]
"""What was seen, and after how many milliseconds."""


def takes_seconds(cell: Cell) -> bool:
    """Whether most of a place of the table is waiting."""
    return cell.action == "the file has ended" or not WAITED_FOR.isdisjoint(cell.expected)


def of(*chosen: Cell) -> pytest.MarkDecorator:
    """Run a test for these places of the table."""
    ids = [f"{cell.seen_by}-{cell.via}-{cell.browser}-{cell.action.strip('`')}" for cell in chosen]
    return pytest.mark.parametrize("cell", chosen, ids=ids)


ALL = [*cells("page"), *cells("python")]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Moments without sound."""
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


def selected(request: pytest.FixtureRequest, fixture: str) -> list[Cell]:
    """The places whose tests want a fixture, of those that are run."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    return [
        cell
        for test in tests
        if fixture in test.fixturenames and isinstance(cell := test.callspec.params["cell"], Cell)
    ]


@pytest.fixture(scope="module")
def props(
    clip: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Props:
    browsers: dict[str, Browser] = {}
    for name in {cell.browser for cell in selected(request, "props")}:
        with contextlib.suppress(pytest.skip.Exception):  # a test of it will say so
            browsers[name] = request.getfixturevalue(name)
    return Props(browsers, clip, tmp_path_factory.mktemp("scenes"))


@pytest.fixture
def browser(cell: Cell, request: pytest.FixtureRequest) -> Browser:
    found: Browser = request.getfixturevalue(cell.browser)
    return found


def scene(cell: Cell, props: Props) -> Play:
    """What is ended in a place of the table."""
    return SCENES[cell.seen_by, cell.action](cell, props)


async def seen(cell: Cell, played: Scene) -> Seen:
    """End something, and compare what is seen of it with the table."""
    before, at = len(await played.noted()), time.time()
    said = played.act()
    if isinstance(said, Awaitable):
        said = await said
    if isinstance(said, float):
        at = said
    # BYE and the description that ends the track go different ways: the later is no event any more.
    raced = {"video mute"} if cell.seen_by == "python" and "video ended" in cell.expected else set()
    expected = [what for what in cell.expected if what not in raced]

    async def found() -> Seen:
        return [
            (what, max(0, round(1000 * (when - at))))
            for what, when in cell.in_order((await played.noted())[before:])
            # A packet that was still on its way when BYE was said unmutes (WebRTC 5.3).
            if not what.endswith(" unmute") or what in cell.expected
        ]

    async def certain() -> list[str]:
        return [what for what, _ in await found() if what not in raced]

    latest = time.monotonic() + LATEST
    # A page's diary has no events of its own.
    while len(await certain()) < len(expected) and time.monotonic() < latest:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await asyncio.sleep(QUIET)
    assert await certain() == expected, await found()
    return await found()


@of(*(cell for cell in ALL if not takes_seconds(cell)))
async def test_an_end(cell: Cell, browser: Browser, props: Props, record_property: Record) -> None:
    async with scene(cell, props) as played:
        record_property("end", (astuple(cell), await seen(cell, played)))


class SideBySide:
    """Ends that take seconds: while some wait, the next one begins, and is ended undisturbed."""

    def __init__(self, plays: Mapping[Cell, Play]) -> None:
        self._turn = asyncio.Lock()
        self._tasks = {
            cell: asyncio.create_task(self._play(cell, play)) for cell, play in plays.items()
        }

    async def seen(self, cell: Cell) -> Seen:
        """What is seen of one of them, once it has been."""
        return await self._tasks[cell]

    async def close(self) -> None:
        """Break off those that nobody has asked for."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.wait(self._tasks.values())

    async def _play(self, cell: Cell, play: Play) -> Seen:
        async with contextlib.AsyncExitStack() as stack:
            async with self._turn:
                played = await stack.enter_async_context(play)
                watching = asyncio.create_task(seen(cell, played))
                stack.callback(watching.cancel)
                await asyncio.wait([watching], timeout=SOON)
            return await watching


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def side_by_side(props: Props, request: pytest.FixtureRequest) -> AsyncIterator[SideBySide]:
    side_by_side = SideBySide({
        cell: scene(cell, props)
        for cell in selected(request, "side_by_side")
        if cell.browser in props.browsers
    })  # fmt: skip
    yield side_by_side
    await side_by_side.close()


@of(*(cell for cell in ALL if takes_seconds(cell)))
async def test_an_end_that_takes_seconds(
    cell: Cell, browser: Browser, side_by_side: SideBySide, record_property: Record
) -> None:
    record_property("end", (astuple(cell), await side_by_side.seen(cell)))


async def test_the_page_in_docs_is_up_to_date() -> None:
    page = ends_page.TARGET.read_text()
    assert ends_page.without_times(page) == ends_page.page({}), "run scripts/ends"
