"""Real browsers, started once for all tests, and a publishing peer for each.

A test takes `chromium` or `firefox` (or `browser` for both in turn), opens pages with
`await browser.open(url)`, and runs on the session's event loop (see `pytest_collection_modifyitems`).
"""

from collections.abc import AsyncIterator

import pytest

from . import browsers
from .browsers import Browser, BrowserMissing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers outlive a test, so all tests here share the loop that they are driven from."""
    for item in items:
        if "/e2e/" in item.path.as_posix() and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    try:
        browsers.find(browsers.CHROMIUM_NAMES, "chromium")
    except BrowserMissing as missing:
        pytest.skip(str(missing))
    async with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
async def firefox() -> AsyncIterator[Browser]:
    try:
        browsers.find(browsers.FIREFOX_NAMES, "firefox-esr")
    except BrowserMissing as missing:
        pytest.skip(str(missing))
    async with browsers.firefox() as browser:
        yield browser


@pytest.fixture(params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest) -> Browser:
    found: Browser = request.getfixturevalue(request.param)
    return found
