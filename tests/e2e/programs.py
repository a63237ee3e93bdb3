"""The project's programs as processes of a test, in every form, and what they record."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from ..peer.media import recordings
from ..processes import send_signal
from .peers import PeerProcess

TOKEN = "0123456789abcdef"
RECORDED_BYTES = 20_000  # a second or two of the virtual camera
RECORDED_SECONDS = 60.0
POLL_SECONDS = 0.05  # nothing tells of a file's growth
TONES = (440.0, 1760.0)  # of the virtual microphones, and of their marks


@contextlib.asynccontextmanager
async def program(
    *arguments: str,
    module: str = "peer",
    ready: str,
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.PIPE,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[PeerProcess]:
    """Run a program until the block is left; it has printed `ready` when the block begins.

    `url` is what the first group of `ready` matched. A program that still runs is told to leave;
    it does so in order, with status 0.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        stdin=stdin, stdout=stdout, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
    )  # fmt: skip
    running = PeerProcess(process)
    try:
        found = re.search(ready, await running.logged(ready))
        assert found is not None, "the pattern matched"
        running.url = found[1] if found.groups() else ""
        yield running
        if process.returncode is None:
            assert await running.leave() == 0, list(running.log)
        assert not any("Traceback" in line for line in running.log), list(running.log)
    finally:
        send_signal(process, signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*running._readers)
        process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves it to the collector


@contextlib.asynccontextmanager
async def signalling_server(*arguments: str, port: int = 0) -> AsyncIterator[PeerProcess]:
    """`python -m signaling`, its token being TOKEN."""
    arguments = ("--port", str(port), "--token", TOKEN, *arguments)
    async with program(*arguments, module="signaling", ready=r"Watch at (http\S+)") as server:
        yield server


def publisher(*arguments: str) -> contextlib.AbstractAsyncContextManager[PeerProcess]:
    """A peer that publishes the virtual devices at a server elsewhere."""
    return program("--fake", *arguments, ready="publishing .* at")


def viewer(*arguments: str) -> contextlib.AbstractAsyncContextManager[PeerProcess]:
    """A peer that receives from a server elsewhere."""
    return program(*arguments, ready="receiving from")


def websocket(server: PeerProcess) -> str:
    """The address of a server's WebSocket."""
    return endpoint(server, "ws").replace("http", "ws", 1)


def endpoint(server: PeerProcess, path: str) -> str:
    """A URL at a server."""
    return server.url.partition("#")[0] + path


def port_of(server: PeerProcess) -> int:
    return int(server.url.split(":")[2].split("/")[0])


def token_of(server: PeerProcess) -> str:
    """The one that is part of the address that it printed."""
    return server.url.partition("#t=")[2]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


async def grows(path: Path) -> None:
    """Wait until a recording is a second or two long."""
    async with asyncio.timeout(RECORDED_SECONDS):
        while _size(path) < RECORDED_BYTES:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)


def check_recording(path: Path) -> None:
    """The virtual camera's pictures, in order, and the virtual microphone's tone."""
    numbers = recordings.numbers(path)
    assert len(numbers) > 10, f"the barcode can be read: {numbers}"
    assert numbers == sorted(numbers), "in order"
    assert len(set(numbers)) > len(numbers) / 2, "and moving"
    sound, window = recordings.sound(path), recordings.RATE // 4
    heard = [recordings.pitch(sound[at : at + window]) for at in range(0, len(sound), window)]
    # A computer that is too slow loses some.
    assert any(abs(pitch - tone) < 5 for pitch in heard for tone in TONES), heard
