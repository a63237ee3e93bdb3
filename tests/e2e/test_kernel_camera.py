"""The proof of the mission: a kernel camera and sound card, live in a browser, then unplugged.

The peer runs in the device lab, Chromium outside of it, and between them is a real network.
"""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from . import browsers, lab_network
from .peers import PeerProcess, running_peer
from .test_control import MOVE
from .test_watch import hears, live, pictures

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
TONE = 1000  # hertz

# Run inside: a tone into the sound card, the peer, and then whatever lines come on standard input.
GUEST_SCRIPT = """
{python} -m tests.e2e.play_tone hw:CARD=Loopback,DEV=1 {tone} & tone=$!
{python} -m peer --offer --host {guest} --port 8080 --video 640x480@30 & peer=$!
while read -r line; do eval "$line"; done
kill -INT $peer; wait $peer; status=$?
kill $tone
exit $status
"""

# The 75 % colour bars that vivid shows, from left to right: which of red, green and blue are lit.
BARS = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)]


@pytest_asyncio.fixture(loop_scope="session")
async def network() -> AsyncIterator[lab_network.LabNetwork]:
    if os.environ.get("GETUSERMEDIA_LAB") == "no":
        pytest.skip("the device lab can't run here: scripts/lab says why")
    try:
        async with lab_network.lab_network() as network:
            yield network
    except lab_network.NetworkMissing as missing:
        pytest.skip(str(missing))


@pytest_asyncio.fixture(loop_scope="session")
async def peer(network: lab_network.LabNetwork) -> AsyncIterator[PeerProcess]:
    script = GUEST_SCRIPT.format(python=sys.executable, guest=lab_network.GUEST, tone=TONE)
    command = network.command(
        str(ROOT / "scripts/lab"), "--built", "--tap", lab_network.TAP, "sh", "-c", script
    )
    async with running_peer(command=command) as peer:
        yield peer
        await say(peer, "break")
        assert await peer.process.wait() == 0


async def say(peer: PeerProcess, line: str) -> None:
    """Run a line of shell inside."""
    assert peer.process.stdin is not None
    peer.process.stdin.write(f"{line}\n".encode())
    await peer.process.stdin.drain()


async def test_a_kernel_camera_is_watched_and_then_unplugged(
    network: lab_network.LabNetwork, peer: PeerProcess, tmp_path: Path
) -> None:
    chromium = browsers.find(browsers.CHROMIUM_NAMES, "chromium")
    wrapper = network.wrapper(chromium, tmp_path)
    async with browsers.chromium(str(wrapper), ["--no-sandbox"]) as browser:
        page = await live(browser, await peer.control_url())
        seen = await pictures(page, 5)
        sizes = {(picture["width"], picture["height"]) for picture in seen}
        # A machine that is too busy for the lab is given a smaller size.
        assert sizes <= {(640, 480), (320, 240)}
        for bar, lit in enumerate(BARS):
            # Low in the picture, below the counter and the values of the controls.
            colour = await page.evaluate(f"pictures.colour({bar / 8 + 1 / 32}, 0.85, 1 / 16, 0.1)")
            assert [value > 96 for value in colour] == [bool(part) for part in lit], (bar, colour)
        # The counter in the upper left corner.
        await page.wait_for("pictures.changes(0, 0, 0.5, 0.1)")
        await hears(page, TONE)

        # Brightness, set by the page, by the driver put into the picture, seen by the page.
        await page.wait_for("!document.getElementById('controls').hidden")
        await page.evaluate(MOVE.format(name="brightness", value=200))
        await page.wait_for(
            "pictures.next(1).then(() => Math.min(...pictures.colour(0.01, 0.85, 0.05, 0.1)) > 225)"
        )
        await page.evaluate(MOVE.format(name="brightness", value=128))
        assert page.errors == []

        await say(peer, "echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind")
        await peer.logged("lost vivid")
        await page.wait_for(
            'document.getElementById("status-text").textContent'
            ' === "The camera is gone, waiting for it"'
        )
        await hears(page, TONE)  # the sound goes on
        assert sum("lost vivid" in line for line in peer.log) == 1
        assert peer.process.returncode is None

        await say(peer, "echo vivid.0 > /sys/bus/platform/drivers/vivid/bind")
        await peer.logged("vivid is back")
        await page.wait_for('document.documentElement.dataset.picture === "fresh"')
        await page.wait_for("pictures.changes(0, 0, 0.5, 0.1)")
        assert page.errors == []
