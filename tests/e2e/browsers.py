"""Real browsers for tests: Chromium (Playwright) and Firefox (WebDriver BiDi) as one interface.

    async with chromium() as browser:
        page = await browser.open("http://127.0.0.1:8080/#t=secret")
        await page.wait_for('document.documentElement.dataset.state === "live"')
        assert page.errors == []

Both use the system's browser with fake devices, no autoplay rule and no network traffic of their
own. A page is alone in its profile: cookies, storage and permissions are not shared with others.
"""

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from playwright.async_api import Browser as PlaywrightBrowser
from playwright.async_api import BrowserContext, ConsoleMessage, async_playwright
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page as PlaywrightPage

Viewport = tuple[int, int]

DESKTOP: Viewport = (1300, 800)
PHONE: Viewport = (390, 844)

WAIT_SECONDS = 30.0  # far more than any page state takes that tests wait for
POLL_SECONDS = 0.03  # about every other frame: a state that is shown is not missed
START_SECONDS = 60.0  # a cold Firefox with an empty profile needs up to 15 on two shared cores
COMMAND_SECONDS = 40.0  # longer than the slowest load, shorter than a test's own time limit
EXIT_SECONDS = 8.0  # an orderly exit writes its profile; after this the process group is killed

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FIREFOX_NAMES = ("firefox-esr", "firefox")

CHROMIUM_ARGS = (
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    # Also turns off mDNS candidate names, so that plain host addresses are offered.
    "--use-fake-ui-for-media-stream",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

FIREFOX_PREFS: Mapping[str, bool | int | str] = {
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.autoplay.block-webaudio": False,
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-manager.url": "data:application/json,{}",
    "privacy.reduceTimerPrecision": False,
    "remote.active-protocols": 1,
    "browser.shell.checkDefaultBrowser": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "http://127.0.0.1:9/v1",
}

# Chromium logs every response with an error status like this; for a page that handles them it is
# no error, and Firefox has no such message.
FAILED_LOAD = "Failed to load resource:"

BIDI_LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")

# Firefox keeps breaches of the Content-Security-Policy from BiDi's log; Chromium logs them itself.
REPORT_CSP = """() => addEventListener("securitypolicyviolation", event => console.error(
    `CSP ${event.effectiveDirective} blocked ${event.blockedURI} in ${event.sourceFile}`))"""


class BrowserMissing(Exception):
    """The browser is not installed; the message names the Debian package that has it."""


class BrowserError(Exception):
    """The browser refused a command, or a script in the page threw."""


class Page:
    """A tab. ``errors`` and ``console`` grow while it lives.

    ``errors`` has uncaught exceptions, unhandled rejections, ``console.error`` and breaches of the
    Content-Security-Policy; ``console`` every console message as ``"level: text"``.
    """

    def __init__(self) -> None:
        self.console: list[str] = []
        self.errors: list[str] = []

    async def evaluate(self, js: str) -> Any:
        """The value of an expression, or of a promise, or of a call if it is a function.

        Whatever JSON can carry. Raises BrowserError if the script throws.
        """
        raise NotImplementedError

    async def screenshot(self, path: str | Path) -> None:
        """Write what the viewport shows as PNG."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the tab as a user does (``pagehide`` fires) and forget its profile."""
        raise NotImplementedError

    async def wait_for(self, js: str, timeout: float = WAIT_SECONDS) -> Any:
        """Wait until the expression is true and return its value.

        Raises TimeoutError, which names the last value, the page's state and its errors.
        """
        value = None
        try:
            async with asyncio.timeout(timeout):
                # The browsers tell of no change of an arbitrary expression.
                while not (value := await self.evaluate(js)):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise TimeoutError(
                f"{js} was still {value!r} after {timeout} s; {await self._describe()}"
            ) from None
        return value

    async def _describe(self) -> str:
        """Where the page stands, for the message of a test that waited in vain."""
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                dataset = await self.evaluate("({...document.documentElement.dataset})")
        except (TimeoutError, BrowserError) as error:
            dataset = f"unknown ({error!r})"
        return f"data attributes: {dataset}; errors: {self.errors}; console: {self.console[-10:]}"


class Browser(Protocol):
    """A running browser."""

    name: str
    version: str

    async def open(self, url: str, *, viewport: Viewport = DESKTOP, dark: bool = False) -> Page:
        """Open a tab with a profile of its own. Returns when the document has been parsed.

        ``dark`` is what ``prefers-color-scheme`` says. Certificate errors are ignored.
        """
        ...


Launch = Callable[..., contextlib.AbstractAsyncContextManager[Browser]]


def find(names: Sequence[str], package: str) -> str:
    """The path of the first of these programs, or BrowserMissing naming the Debian package."""
    for name in names:
        if path := shutil.which(name):
            return path
    raise BrowserMissing(f"none of {', '.join(names)} is in PATH (Debian package: {package})")


# Chromium


class ChromiumPage(Page):
    def __init__(self, context: BrowserContext, page: PlaywrightPage) -> None:
        super().__init__()
        self.context = context
        self.page = page
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(f"{error.name}: {error.message}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")
        if message.type == "error" and not message.text.startswith(FAILED_LOAD):
            self.errors.append(message.text)

    async def evaluate(self, js: str) -> Any:
        try:
            return await self.page.evaluate(js)
        except PlaywrightError as error:
            raise BrowserError(error.message) from error

    async def screenshot(self, path: str | Path) -> None:
        await self.page.screenshot(path=path)

    async def close(self) -> None:
        # run_before_unload does not wait for the tab to be gone; closing the context does.
        await self.page.goto("about:blank")
        await self.context.close()


class ChromiumBrowser:
    name = "chromium"

    def __init__(self, browser: PlaywrightBrowser) -> None:
        self.browser = browser
        self.version = browser.version

    async def open(self, url: str, *, viewport: Viewport = DESKTOP, dark: bool = False) -> Page:
        width, height = viewport
        context = await self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            ignore_https_errors=True,
        )
        page = ChromiumPage(context, await context.new_page())
        await page.page.goto(url, wait_until="domcontentloaded")
        return page


@contextlib.asynccontextmanager
async def chromium(
    executable: str | None = None, args: Sequence[str] = ()
) -> AsyncIterator[Browser]:
    """Run Chromium headless with ``args`` added; gone, with its profile, when the block is left.

    ``executable`` may be a script that ends in ``exec chromium "$@"``, for example within
    ``ip netns exec``: commands go through a pipe, so its network needs no way to this process.
    Raises BrowserMissing.
    """
    executable = executable or find(CHROMIUM_NAMES, "chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable,
            args=[*CHROMIUM_ARGS, *args],
            chromium_sandbox=os.geteuid() != 0,
        )
        try:
            yield ChromiumBrowser(browser)
        finally:
            await browser.close()


# Firefox


class FirefoxPage(Page):
    def __init__(self, browser: "FirefoxBrowser", context: str, user_context: str) -> None:
        super().__init__()
        self.browser = browser
        self.context = context
        self.user_context = user_context

    async def evaluate(self, js: str) -> Any:
        result = await self.browser.command(
            "script.evaluate",
            expression=f"""Promise.resolve(
{js}
)
                .then(value => typeof value === "function" ? value() : value)
                .then(value => JSON.stringify(value === undefined ? null : value))""",
            target={"context": self.context},
            awaitPromise=True,
        )
        if result["type"] != "success":
            raise BrowserError(result["exceptionDetails"]["text"])
        return json.loads(result["result"]["value"])

    async def screenshot(self, path: str | Path) -> None:
        result = await self.browser.command(
            "browsingContext.captureScreenshot", context=self.context
        )
        await asyncio.to_thread(Path(path).write_bytes, base64.b64decode(result["data"]))

    async def close(self) -> None:
        async with self.browser.tabs:
            await self.browser.command("browsingContext.close", context=self.context)
            await self.browser.command("browser.removeUserContext", userContext=self.user_context)
        self.browser.pages.pop(self.context, None)

    def on_log(self, entry: Mapping[str, Any]) -> None:
        text = entry.get("text") or ""
        self.console.append(f"{entry['level']}: {text}")
        if entry["level"] == "error":
            self.errors.append(text)


class FirefoxBrowser:
    name = "firefox"

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.version = ""
        self.pages: dict[str, FirefoxPage] = {}
        self._socket = socket
        self.tabs = asyncio.Lock()
        """Firefox may fail to open a tab while another is opened or closed."""
        self._count = 0
        self._answers: dict[int, asyncio.Future[Mapping[str, Any]]] = {}

    async def read(self) -> None:
        """Hand answers to whoever waits, and log entries to their page, until the end."""
        async for message in self._socket:
            data = json.loads(message.data)
            if (answer := self._answers.pop(data.get("id"), None)) and not answer.done():
                answer.set_result(data)
            elif data.get("method") == "log.entryAdded":
                entry = data["params"]
                if page := self.pages.get(entry["source"].get("context")):
                    page.on_log(entry)

    async def command(self, method: str, **params: Any) -> Any:
        """Raises BrowserError when Firefox refuses, TimeoutError when it is silent."""
        self._count += 1
        answer = self._answers[self._count] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        async with asyncio.timeout(COMMAND_SECONDS):
            data = await answer
        if data["type"] == "error":
            raise BrowserError(f"{method}: {data['error']}: {data['message']}")
        return data["result"]

    async def open(self, url: str, *, viewport: Viewport = DESKTOP, dark: bool = False) -> Page:
        if dark:
            raise NotImplementedError("Firefox has no colour scheme over BiDi yet: use Chromium")
        async with self.tabs:
            user_context = (await self.command("browser.createUserContext"))["userContext"]
            created = await self.command(
                "browsingContext.create", type="tab", userContext=user_context
            )
        page = FirefoxPage(self, created["context"], user_context)
        self.pages[page.context] = page
        width, height = viewport
        await self.command(
            "browsingContext.setViewport",
            context=page.context,
            viewport={"width": width, "height": height},
        )
        await self.command(
            "browsingContext.navigate", context=page.context, url=url, wait="interactive"
        )
        return page


@contextlib.asynccontextmanager
async def firefox(executable: str | None = None) -> AsyncIterator[Browser]:
    """Run Firefox headless; gone, with its profile, when the block is left.

    ``executable`` may be a script that ends in ``exec firefox "$@"``. Raises BrowserMissing.
    """
    executable = executable or find(FIREFOX_NAMES, "firefox-esr")
    async with contextlib.AsyncExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(prefix="firefox-"))
        prefs = "".join(
            f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
            for name, value in FIREFOX_PREFS.items()
        )
        (Path(profile) / "user.js").write_text(prefs)
        process = await asyncio.create_subprocess_exec(
            executable, "--headless", "--no-remote", "--profile", profile,
            "--remote-debugging-port", "0", "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "MOZ_HEADLESS": "1", "HOME": profile},
            start_new_session=True,
        )  # fmt: skip
        stack.push_async_callback(_end, process)
        address, tail = await _listening(process)
        drain = asyncio.create_task(_drain(process, tail))
        stack.callback(drain.cancel)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        socket = await stack.enter_async_context(
            http.ws_connect(f"{address}/session", max_msg_size=0)
        )
        browser = FirefoxBrowser(socket)
        reader = asyncio.create_task(browser.read())
        stack.callback(reader.cancel)
        session = await browser.command(
            "session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}}
        )
        browser.version = session["capabilities"]["browserVersion"]
        await browser.command("session.subscribe", events=["log.entryAdded"])
        await browser.command("script.addPreloadScript", functionDeclaration=REPORT_CSP)
        yield browser
        with contextlib.suppress(TimeoutError, BrowserError, ConnectionError):
            async with asyncio.timeout(EXIT_SECONDS):
                await browser.command("browser.close")


async def _listening(process: asyncio.subprocess.Process) -> tuple[str, deque[bytes]]:
    """The address of Firefox's BiDi server, which it prints once it listens."""
    assert process.stderr is not None
    tail: deque[bytes] = deque(maxlen=20)
    async with asyncio.timeout(START_SECONDS):
        async for line in process.stderr:
            tail.append(line)
            if found := BIDI_LISTENING.search(line.decode(errors="replace")):
                return found[1], tail
    raise BrowserError(f"Firefox ended while starting: {b''.join(tail).decode(errors='replace')}")


async def _drain(process: asyncio.subprocess.Process, tail: deque[bytes]) -> None:
    assert process.stderr is not None
    async for line in process.stderr:
        tail.append(line)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait for Firefox to end, then kill what is left of its process group."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(EXIT_SECONDS):
            await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
