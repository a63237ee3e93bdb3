"""`python -m peer` as a process of its own, for tests: started, watched, told to leave."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence

from ..processes import send_signal

START_SECONDS = 30.0  # a cold interpreter on a busy machine; it takes one
EXIT_SECONDS = 30.0  # it takes less than one

_ADDRESS = re.compile(r"Watch at (http\S+)")
_CONTROL_ADDRESS = re.compile(r"Control at (http\S+)")


class PeerProcess:
    """A running `python -m peer`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""
        self.log: deque[str] = deque(maxlen=500)
        self._news = asyncio.Condition()
        streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
        self._open_streams = len(streams)
        self._readers = [asyncio.create_task(self._read(stream)) for stream in streams]

    async def logged(self, pattern: str) -> str:
        """The first line that matches, as soon as it is printed."""
        try:
            async with asyncio.timeout(START_SECONDS), self._news:
                while True:
                    for line in self.log:
                        if re.search(pattern, line):
                            return line
                    if self._open_streams == 0:
                        break
                    await self._news.wait()
        except TimeoutError:
            pass
        raise AssertionError(f"the peer did not print {pattern!r}: {list(self.log)}")

    async def control_url(self) -> str:
        """The address for who may control the camera."""
        match = _CONTROL_ADDRESS.search(await self.logged(_CONTROL_ADDRESS.pattern))
        assert match is not None, "the pattern matched"
        return match[1]

    async def leave(self, number: int = signal.SIGINT) -> int:
        """Send a signal, and wait for the exit status."""
        send_signal(self.process, number)
        async with asyncio.timeout(EXIT_SECONDS):
            status = await self.process.wait()
            await asyncio.gather(*self._readers)
        return status

    async def _read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            async with self._news:
                self.log.append(line.decode().rstrip())
                self._news.notify_all()
        async with self._news:
            self._open_streams -= 1
            self._news.notify_all()


@contextlib.asynccontextmanager
async def running_peer(
    *arguments: str,
    command: Sequence[str] = (sys.executable, "-m", "peer"),
    env: Mapping[str, str] | None = None,
    ready: re.Pattern[str] = _ADDRESS,
) -> AsyncIterator[PeerProcess]:
    """Run a peer until the block is left; it is on the air when the block begins.

    :param ready: what it says then; its group is the peer's address.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
    )
    peer = PeerProcess(process)
    try:
        found = ready.search(await peer.logged(ready.pattern))
        assert found is not None
        peer.url = found[1] if ready.groups else ""
        yield peer
    finally:
        try:
            if process.returncode is None:
                await peer.leave()
        finally:
            send_signal(process, signal.SIGKILL)
            await process.wait()
            await asyncio.wait(peer._readers)
            process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves it
