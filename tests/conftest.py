"""Real browsers, started once for all tests.

A test takes `chromium` or `firefox` (or `browser` for both in turn) and opens pages with
`await browser.open(url)`. Browsers outlive a test, so a module of such tests says
`pytestmark = pytest.mark.asyncio(loop_scope="session")`: all share the browsers' event loop.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Sequence

import hypothesis
import pytest
import pytest_asyncio

from .e2e import browsers
from .e2e.browsers import Browser, BrowserMissing, Launch
from .processes import send_signal

# The same examples in each run, and as long as each takes.
hypothesis.settings.load_profile("ci")


@contextlib.asynccontextmanager
async def started(launch: Launch, names: Sequence[str], package: str) -> AsyncIterator[Browser]:
    """A browser; a test is skipped where it is not installed."""
    try:
        browsers.find(names, package)
    except BrowserMissing as missing:
        pytest.skip(str(missing))
    async with launch() as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with started(browsers.chromium, browsers.CHROMIUM_NAMES, "chromium") as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def firefox() -> AsyncIterator[Browser]:
    async with started(browsers.firefox, browsers.FIREFOX_NAMES, "firefox-esr") as browser:
        yield browser


@pytest.fixture(params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest) -> Browser:
    found: Browser = request.getfixturevalue(request.param)
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def xvfb() -> AsyncIterator[str]:
    """The DISPLAY of a real X server with an empty screen of 800x600."""
    if (program := shutil.which("Xvfb")) is None:
        pytest.skip("Xvfb is not in PATH (Debian package: xvfb)")
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        program, "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp",
        "-noreset", pass_fds=[write], stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as numbers:
        number = await asyncio.to_thread(numbers.readline)
    yield f":{number.strip()}"
    send_signal(process, signal.SIGTERM)
    await process.wait()
