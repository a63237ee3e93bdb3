"""A browser watches what `python -m peer` publishes: the right pictures, and the sound."""

import asyncio
import json
import math
import os
import shutil
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest

from . import browsers
from .browsers import Browser, Page
from .peers import running_peer

pytestmark = pytest.mark.asyncio(loop_scope="session")

PICTURES = (Path(__file__).parent / "pictures.js").read_text().rstrip().removesuffix(";")
MARKS = (Path(__file__).parent / "marks.js").read_text().split("\n", 2)[2].rstrip().rstrip(";")


async def live(browser: Browser, url: str) -> Page:
    """The page, once it plays."""
    page = await browser.open(url)
    await page.wait_for('document.documentElement.dataset.state === "live"')
    await page.evaluate(PICTURES)
    return page


async def pictures(page: Page, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await page.evaluate(f"pictures.next({count})")
    return found


async def readable(page: Page) -> dict[str, Any]:
    """The next picture in which the barcode can be read: the first ones may be coarse."""
    found: dict[str, Any] = await page.wait_for(
        "pictures.next(1).then(([p]) => p.frame !== null && p)"
    )
    return found


def check(seen: list[dict[str, Any]], width: int, height: int) -> list[int]:
    """Pictures of the virtual camera in this size, in order, and moving; returns their numbers."""
    assert {(one["width"], one["height"]) for one in seen} == {(width, height)}
    numbers = [one["frame"] for one in seen if one["frame"] is not None]
    assert len(numbers) >= 0.75 * len(seen), f"the barcode can be read: {seen}"
    assert numbers == sorted(numbers), "in order"
    # A page that is late draws the next picture, and then draws it again.
    assert len(set(numbers)) > len(numbers) / 2, "and moving"
    return numbers


async def hears(page: Page, *tones: float) -> None:
    """Wait until the loudest frequency is one of these; concealed losses blur it for moments."""
    wanted = json.dumps(tones)
    await page.wait_for(
        f"pictures.tone().then(heard => {wanted}.some(tone => Math.abs(tone - heard) < 12))"
    )


async def test_the_virtual_camera_is_seen_and_heard(browser: Browser) -> None:
    async with running_peer("--fake", "--port", "0", "--video", "1280x720") as peer:
        page = await live(browser, peer.url)
        await readable(page)
        check(await pictures(page, 20), 1280, 720)
        if browser.name == "chromium":  # Firefox has no sound device here, and plays nothing
            await hears(page, 440, 1760)
        assert page.errors == []
        await page.close()
        await peer.logged("left")


async def test_the_size_asked_for_is_the_size_seen(chromium: Browser) -> None:
    exact = '{"width": {"exact": 320}, "height": {"exact": 320}}'
    async with running_peer("--fake", "--port", "0", "--video", exact) as peer:
        page = await live(chromium, peer.url)
        [picture] = await pictures(page, 1)
        assert (picture["width"], picture["height"]) == (320, 320)
        await page.close()


async def test_a_viewer_who_leaves_takes_nothing_from_the_others(chromium: Browser) -> None:
    async with running_peer("--fake", "--port", "0") as peer:
        first, second = await live(chromium, peer.url), await live(chromium, peer.url)
        await pictures(first, 3)
        await first.close()
        await peer.logged("left")
        before = await readable(second)
        third = await live(chromium, peer.url)
        await readable(third)
        assert (await readable(second))["frame"] > before["frame"]
        await second.close()
        await third.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_leaving_in_order_is_seen_by_the_page(chromium: Browser, number: int) -> None:
    async with running_peer("--fake", "--port", "0") as peer:
        page = await live(chromium, peer.url)
        assert await peer.leave(number) == 0
        await page.wait_for('document.documentElement.dataset.state === "reconnecting"')
        said = await page.evaluate('document.getElementById("status-text").textContent')
        assert said == "The other side has left"
        assert any("closed Cam A" in line for line in peer.log)
        assert any("closed Mic A" in line for line in peer.log)
        assert not any("Traceback" in line for line in peer.log)
        await page.close()


async def test_a_page_without_the_token_says_so_and_takes_one(browser: Browser) -> None:
    async with running_peer("--fake", "--port", "0", "--token", "abcdefghijklmnop") as peer:
        page = await browser.open(peer.url.partition("#")[0])
        await page.wait_for('document.documentElement.dataset.state === "unauthorized"')
        await page.evaluate("""(() => {
            document.getElementById("token").value = "abcdefghijklmnop";
            document.querySelector("#token-form button").click();
        })()""")
        await page.wait_for('document.documentElement.dataset.state === "live"')
        await page.close()


async def test_the_page_comes_back_when_the_peer_does(chromium: Browser) -> None:
    token = ("--token", "abcdefghijklmnop")
    async with running_peer("--fake", "--port", "0", *token) as peer:
        page = await live(chromium, peer.url)
        port = peer.url.split(":")[2].split("/")[0]
    await page.wait_for('document.documentElement.dataset.state === "reconnecting"')
    async with running_peer("--fake", "--port", port, *token):
        await page.wait_for('document.documentElement.dataset.state === "live"')
        await page.close()


async def test_a_killed_peer_is_lost_and_found(browser: Browser) -> None:
    token = ("--token", "abcdefghijklmnop")
    async with running_peer("--fake", "--port", "0", *token) as peer:
        page = await live(browser, peer.url)
        port = peer.url.split(":")[2].split("/")[0]
        assert await peer.leave(signal.SIGKILL) == -signal.SIGKILL
        await page.wait_for(
            'document.getElementById("status-text").textContent === "Connection lost"'
        )
    async with running_peer("--fake", "--port", port, *token):
        await page.wait_for('document.documentElement.dataset.state === "live"')
        await page.close()


async def test_two_producers_can_be_chosen_from(chromium: Browser) -> None:
    async with running_peer("--fake", "--port", "0", "--screen", "960x540") as peer:
        page = await live(chromium, peer.url)
        await page.evaluate('document.querySelectorAll("#producers button")[1].click()')
        await page.wait_for('document.title.startsWith("Virtual screen")')
        await page.wait_for('document.documentElement.dataset.state === "live"')
        # The element may show the last of the camera yet.
        await page.wait_for("pictures.next(1).then(([p]) => p.width === 960 && p.height === 540)")
        await readable(page)
        await page.close()


async def test_sound_off_and_on(chromium: Browser) -> None:
    async with running_peer("--fake", "--port", "0") as peer:
        page = await live(chromium, peer.url)
        for state in ("true", "false", "true"):
            await page.evaluate('document.dispatchEvent(new KeyboardEvent("keydown", {key: "m"}))')
            pressed = 'document.getElementById("mute").getAttribute("aria-pressed")'
            muted = await page.evaluate('document.querySelector("video").muted')
            assert (await page.evaluate(pressed) == "true") is not muted
            assert muted is (state == "true")
        await page.close()


async def test_lips_move_with_what_they_say(chromium: Browser) -> None:
    async with running_peer("--fake", "--port", "0") as peer:
        page = await live(chromium, peer.url)
        late: list[float] = []
        # ITU-R BT.1359: sound that is early by 45 ms is noticed, or late by 125. A browser can
        # match them when it has two reports of each stream.
        while not late or not -45 < late[-1] < 125:
            assert len(late) < 8, late
            found = await page.evaluate(f"({MARKS})(5)")
            beeps, lights = found["beeps"], found["lights"][:-1]  # whose beeps have come
            each = [min((one - at for one in beeps), key=abs, default=math.inf) for at in lights]
            late.append(statistics.median(each))
        await page.close()


@pytest.mark.usefixtures("chromium")  # which says so where there is none
async def test_a_browser_that_wants_a_click_before_sound_shows_the_picture_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = [one for one in browsers.CHROMIUM_ARGS if "autoplay" not in one]
    monkeypatch.setattr(browsers, "CHROMIUM_ARGS", usual)
    async with browsers.chromium() as strict, running_peer("--fake", "--port", "0") as peer:
        page = await live(strict, peer.url)
        await readable(page)
        # Looking at a page may count as a click, when it comes before the page plays.
        muted = await page.evaluate('document.querySelector("video").muted')
        asks = await page.evaluate('!document.getElementById("sound-on").hidden')
        assert asks is muted
        assert page.errors == []
        await page.close()


async def test_a_real_screen_is_seen(chromium: Browser, xvfb: str) -> None:
    env = {"DISPLAY": xvfb}
    arguments = ("--video", "none", "--audio", "none", "--screen", "--port", "0")
    async with running_peer(*arguments, env=env) as peer:
        page = await live(chromium, peer.url)
        if shutil.which("xsetroot") is None:
            pytest.skip("xsetroot is not in PATH (Debian package: x11-xserver-utils)")
        for name, channel in (("red", 0), ("lime", 1), ("blue", 2)):
            paint = await asyncio.create_subprocess_exec(
                "xsetroot", "-solid", name, env={**os.environ, **env}
            )
            assert await paint.wait() == 0
            await page.wait_for(
                f"pictures.next(1).then(([p]) => p.width === 800 && p.height === 600 "
                f"&& p.colour.every((value, i) => (i === {channel}) === value > 128))"
            )
        await page.close()
