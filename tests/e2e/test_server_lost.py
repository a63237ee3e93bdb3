"""A signalling server that is killed, or stopped in order: calls go on, and it comes back."""

import signal
from pathlib import Path

import pytest

from .browsers import Browser
from .programs import check_recording, grows, port_of, publisher, signalling_server, viewer
from .test_watch import live, pictures, readable

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_calls_outlast_their_server(
    chromium: Browser, tmp_path: Path, number: signal.Signals
) -> None:
    out, again = tmp_path / "out.mp4", tmp_path / "again.mp4"
    async with (
        signalling_server() as server,
        publisher("--offer", server.url) as camera,
        viewer("--answer", server.url, "--record", str(out)) as watching,
    ):
        page = await live(chromium, server.url)
        await grows(out)
        assert await server.leave(number) == (0 if number == signal.SIGTERM else -number)
        await camera.logged("live sessions go on")
        await watching.logged("live sessions go on")
        before = await readable(page)
        await pictures(page, 30)
        assert (await readable(page))["frame"] - before["frame"] >= 20
        assert not any("a viewer left" in line for line in camera.log)
        async with signalling_server(port=port_of(server)):
            await camera.logged("connected to .* again")
            await watching.logged("connected to .* again")
            async with viewer("--answer", server.url, "--record", str(again)) as other:
                await grows(again)
                assert sum("begins" in line for line in other.log) == 1
            await page.wait_for('document.documentElement.dataset.state === "live"')
            await pictures(page, 3)
            assert sum("begins" in line for line in watching.log) == 1, "the same call"
            assert await watching.leave() == 0
            assert await camera.leave() == 0
            await page.wait_for('document.documentElement.dataset.state === "waiting"')
            refused = "WebSocket connection to "  # as Chromium says while nobody is there
            assert [one for one in page.errors if not one.startswith(refused)] == []
            await page.close()
    check_recording(out)
    check_recording(again)
