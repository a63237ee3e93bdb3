"""Runs webrtcbin_peer.py, and carries its messages to and from a signalling server."""

import asyncio
import base64
import contextlib
import json
import shutil
import signal
from collections import Counter, deque
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import aiohttp
import numpy as np
import pytest

from peer.devices import barcode
from tests.processes import send_signal

PACKAGES = (
    "python3-gi gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice gstreamer1.0-plugins-base "
    "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)
SYSTEM_PATH = "/usr/bin"  # Debian's own Python is the one that has GStreamer's bindings
SCRIPT = Path(__file__).with_name("webrtcbin_peer.py")
WAIT_SECONDS = 30.0  # GStreamer's first start scans its plugins
LINE_LIMIT = 2**20  # a picture's upper rows are 30 KB
KEPT_PICTURES = 100


class GStreamer:
    """A running webrtcbin, and what it saw."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.peer_id = ""
        """What the signalling server calls it."""
        self.events: Counter[str] = Counter()
        self.sizes: deque[tuple[int, int]] = deque(maxlen=KEPT_PICTURES)
        self.stamps: deque[barcode.Stamp] = deque(maxlen=KEPT_PICTURES)
        """Of pictures in which the barcode can be read."""
        self._news = asyncio.Condition()

    async def sees(self, event: str, count: int = 1) -> None:
        """Wait until this has happened so often."""
        async with self._news:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._news.wait_for(lambda: self.events[event] >= count)
            except TimeoutError:
                raise TimeoutError(f"no {count} times {event!r}, but {self.events}") from None

    async def carry(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Bring what it says to the server, and notice what it sees, until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            message = json.loads(line)
            if "event" not in message:
                await socket.send_str(line.decode())
                continue
            if message["event"] == "picture":
                self._look(message["width"], message["height"], base64.b64decode(message["top"]))
            async with self._news:
                self.events[message["event"]] += 1
                self._news.notify_all()

    async def hear(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Bring it what the server says."""
        assert self.process.stdin is not None
        async for message in socket:
            data = json.loads(message.data)
            if data["type"] == "welcome":
                self.peer_id = data["peerId"]
            self.process.stdin.write(json.dumps(data).encode() + b"\n")

    def _look(self, width: int, height: int, top: bytes) -> None:
        self.sizes.append((width, height))
        stride = -(-width // 4) * 4
        luma = np.frombuffer(top, np.uint8).reshape(-1, stride)[:, :width]
        if (stamp := barcode.read(luma)) is not None:
            self.stamps.append(stamp)


@contextlib.asynccontextmanager
async def webrtcbin(url: str, *arguments: str) -> AsyncIterator[GStreamer]:
    """Run webrtcbin_peer.py at the server whose address, token in the fragment, is `url`.

    A test is skipped, and the packages are named, where GStreamer is not installed.
    """
    base, fragment = urldefrag(url)
    token = fragment.removeprefix("t=")
    if (python := shutil.which("python3", path=SYSTEM_PATH)) is None:
        pytest.skip(f"GStreamer's webrtcbin is not installed (Debian packages: {PACKAGES})")
    process = await asyncio.create_subprocess_exec(
        python, SCRIPT, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    peer = GStreamer(process)
    tasks: list[asyncio.Task[None]] = []
    try:
        if not await process.stdout.readline():
            pytest.skip(f"GStreamer's webrtcbin is not installed (Debian packages: {PACKAGES})")
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http,
            http.ws_connect(urljoin(base, "/ws")) as socket,
        ):
            tasks += [asyncio.create_task(task) for task in (peer.carry(socket), peer.hear(socket))]
            yield peer
            process.stdin.close()
            await tasks[0]
    finally:
        send_signal(process, signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*tasks, return_exceptions=True)
        process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves it to the collector
