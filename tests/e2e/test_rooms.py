"""Several peers: on one server, on two at once, calling each other, in rooms with browsers."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from .browsers import WAIT_SECONDS, Browser
from .peers import PeerProcess
from .programs import (
    check_recording,
    grows,
    program,
    publisher,
    signalling_server,
    viewer,
)
from .test_watch import live, readable

pytestmark = pytest.mark.asyncio(loop_scope="session")

_BEGINS = re.compile(r"session ([\w-]+) with .* begins")
_CAME = re.compile(r"session ([\w-]+): a viewer came")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[PeerProcess]:
    async with signalling_server() as server:
        yield server


def sessions(peer: PeerProcess, pattern: re.Pattern[str]) -> set[str]:
    return {found[1] for line in peer.log if (found := pattern.match(line))}


async def test_two_peers_call_each_other(server: PeerProcess, tmp_path: Path) -> None:
    def caller(name: str) -> tuple[str, ...]:
        return ("--fake", "--name", name, "--offer", server.url, "--answer", server.url,
                "--record", str(tmp_path / f"{name}.mp4"))  # fmt: skip

    async with (
        program(*caller("alice"), ready="receiving from") as alice,
        program(*caller("bob"), ready="receiving from") as bob,
    ):
        await asyncio.gather(grows(tmp_path / "alice.mp4"), grows(tmp_path / "bob.mp4"))
        for one, other in ((alice, bob), (bob, alice)):
            [watched] = sessions(one, _BEGINS)
            assert sessions(other, _CAME) == {watched}, "nobody watches himself"
    for name in ("alice", "bob"):
        check_recording(tmp_path / f"{name}.mp4")


async def test_three_publishers_to_choose_from(
    chromium: Browser, server: PeerProcess, tmp_path: Path
) -> None:
    sizes = {"door": "320x240", "garden": "640x480", "street": "1280x720"}
    at = ("--offer", server.url, "--audio", "none")
    async with (
        publisher(*at, "--name", "door", "--video", sizes["door"]),
        publisher(*at, "--name", "garden", "--video", sizes["garden"]) as garden,
        publisher(*at, "--name", "street", "--video", sizes["street"]),
    ):
        async with viewer("--answer", server.url, "--watch", "garden") as watching:
            await watching.logged("picture is 640x480")
            assert sessions(watching, _BEGINS) == sessions(garden, _CAME)
        page = await live(chromium, server.url)
        for name in ("street", "door"):
            await page.evaluate(
                '[...document.querySelectorAll("#producers button")]'
                f'.find(button => button.textContent.includes("{name}")).click()'
            )
            chosen = 'document.querySelector("#producers button[aria-current=true]").textContent'
            await page.wait_for(f'{chosen} === "{name}: Camera"')
            width, height = map(int, sizes[name].split("x"))
            await page.wait_for(
                f"pictures.next(1).then(([p]) => p.width === {width} && p.height === {height})"
            )
        await page.close()


async def test_one_peer_on_two_servers(server: PeerProcess, tmp_path: Path) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    async with (
        signalling_server() as other,
        publisher("--offer", server.url, "--offer", other.url) as camera,
    ):
        async with (
            viewer("--answer", server.url, "--record", str(first)),
            viewer("--answer", other.url, "--record", str(second)) as watching,
        ):
            await asyncio.gather(grows(first), grows(second))
            assert len(sessions(camera, _CAME)) == 2
            assert await other.leave(signal.SIGKILL) == -signal.SIGKILL
            await watching.logged("live sessions go on")
        async with viewer("--answer", server.url) as again:
            await again.logged("picture is")
    check_recording(first)
    check_recording(second)


async def test_a_room_with_three_browsers_and_a_peer(
    chromium: Browser, firefox: Browser, server: PeerProcess
) -> None:
    room = f"{server.url}&room=studio"
    both = ("--fake", "--offer", server.url, "--answer", server.url)
    async with (
        program(*both, "--room", "studio", "--name", "host", ready="receiving from") as host,
        program(*both, "--room", "attic", "--name", "stranger", ready="receiving from") as stranger,
    ):
        pages = [await live(browser, room) for browser in (chromium, chromium, firefox)]
        for page in pages:
            await page.wait_for("!document.getElementById('call').hidden")
            await page.evaluate("document.getElementById('call').click()")
        for page in pages:
            await page.wait_for(
                "/on the air/i.test(document.getElementById('call-message').textContent)"
            )
            assert await page.evaluate("document.getElementById('producers').hidden"), "no other"
            await readable(page)
        async with asyncio.timeout(WAIT_SECONDS):
            while sum("picture is" in line for line in host.log) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert len(sessions(host, _BEGINS)) == 3
        assert len(sessions(host, _CAME)) == 3
        assert not sessions(stranger, _BEGINS) | sessions(stranger, _CAME)
        assert await host.leave() == 0
        for page in pages:
            await page.wait_for('document.documentElement.dataset.state === "waiting"')
            assert page.errors == []
            await page.close()


async def test_the_address_of_a_room_is_printed(chromium: Browser) -> None:
    arguments = ("--fake", "--port", "0", "--room", "a room")
    async with program(*arguments, ready=r"Watch at (http\S+)") as peer:
        assert peer.url.endswith("&room=a+room")
        page = await live(chromium, peer.url)
        await page.close()
        page = await chromium.open(peer.url.partition("&")[0])
        await page.wait_for('document.documentElement.dataset.state === "waiting"')
        await page.close()
