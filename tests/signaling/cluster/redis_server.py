"""A real Redis of a test's own, on a Unix socket, which keeps nothing."""

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

from ...processes import send_signal

START_TIMEOUT = 20
"""Seconds for Redis to listen: far more than it takes."""


class RedisServer:
    """`start()` and `stop()` may be called in turn: it is the same Redis that restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("needs redis-server")
        self._process = await asyncio.create_subprocess_exec(
            program, "--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder),
            "--save", "", "--appendonly", "no",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(START_TIMEOUT):
            await self._listens()

    async def _listens(self) -> None:
        while True:
            try:
                _, writer = await asyncio.open_unix_connection(self._socket)
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return

    async def stop(self) -> None:
        if self._process is not None:
            send_signal(self._process, signal.SIGKILL)
            await self._process.wait()
            self._process = None
