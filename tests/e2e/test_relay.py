"""A viewer behind a wall: everything through a TURN server, whose account signalling has told."""

import asyncio
import contextlib
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ..processes import send_signal
from .browsers import Browser, ChromiumPage
from .peers import running_peer
from .test_watch import PICTURES, readable

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "north"
START_SECONDS = 20.0

# Every connection of the page uses the relay alone, and can be asked how.
RELAY_ONLY = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(configuration) {
    super({ ...configuration, iceTransportPolicy: "relay" });
    this.servers = configuration.iceServers;
    connections.push(this);
  }
};
"""
SELECTED = """(async () => {
  const reports = await connections.at(-1).getStats();
  for (const report of reports.values()) {
    if (report.type === "transport" && report.selectedCandidatePairId) {
      const pair = reports.get(report.selectedCandidatePairId);
      return reports.get(pair.localCandidateId).candidateType;
    }
  }
  return null;
})()"""


@contextlib.asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[int]:
    """The port of a TURN server on loopback that shares SECRET."""
    if (program := shutil.which("turnserver")) is None:
        pytest.skip("turnserver is not in PATH (Debian package: coturn)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = folder / "turnserver.conf"
    configuration.write_text(
        "use-auth-secret\nallow-loopback-peers\nno-cli\nno-tls\nno-dtls\nrealm=test\n"
        f"static-auth-secret={SECRET}\nlistening-port={port}\nlog-file=stdout\n"
        f"listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\npidfile={folder / 'pid'}\n"
        f"userdb={folder / 'users.sqlite'}\n"
    )
    process = await asyncio.create_subprocess_exec(
        program, "-c", str(configuration),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await listens(port):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield port
    finally:
        send_signal(process, signal.SIGKILL)
        await process.wait()


async def listens(port: int) -> bool:
    """Whether somebody takes TCP connections there; coturn then takes datagrams, too."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_a_viewer_by_relay_alone(chromium: Browser, tmp_path: Path) -> None:
    async with coturn(tmp_path) as port:
        relay = ("--ice-server", f"turn:127.0.0.1:{port}", "--turn-secret", SECRET)
        async with running_peer("--fake", "--port", "0", *relay) as peer:
            page = await chromium.open("about:blank")
            assert isinstance(page, ChromiumPage)
            await page.page.add_init_script(RELAY_ONLY)
            await page.page.goto(peer.url)
            await page.wait_for('document.documentElement.dataset.state === "live"')
            await page.evaluate(PICTURES)
            await readable(page)
            assert await page.evaluate(SELECTED) == "relay"
            [server] = await page.evaluate("connections.at(-1).servers")
            assert server["urls"] == f"turn:127.0.0.1:{port}"
            assert SECRET not in server.values(), "it is told what soon expires"
            sdp = await page.evaluate("connections.at(-1).remoteDescription.sdp")
            relayed = {line.split(" ")[5] for line in sdp.splitlines() if " typ relay" in line}
            assert len(relayed) == 1, "and the peer asks it once, too"
            assert page.errors == []
            await page.close()
