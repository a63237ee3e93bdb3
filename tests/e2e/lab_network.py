"""A network of its own for the device lab and a browser: one namespace, one tap, nothing else.

The namespace belongs to a process of ours and is gone with it, so a test that is killed leaves
nothing behind. Inside, the browser is 10.9.0.254 and the lab's guest 10.9.0.2.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

GUEST = "10.9.0.2"
TAP = "tap0"

_SETUP = f"""
set -e
ip link set lo up
ip tuntap add dev {TAP} mode tap
ip addr add 10.9.0.254/24 dev {TAP}
ip link set {TAP} up
echo ready
exec cat
"""


class NetworkMissing(Exception):
    """This system does not let us make a namespace; the message says what it printed."""


class LabNetwork:
    """A network namespace, for as long as its holder lives."""

    def __init__(self, holder: int) -> None:
        self._enter = ["nsenter", "--target", str(holder), "--net"]
        if os.geteuid() != 0:
            self._enter += ["--user", "--preserve-credentials"]

    def command(self, *arguments: str) -> list[str]:
        """The command that runs a program inside."""
        return [*self._enter, *arguments]

    def wrapper(self, program: str, folder: Path) -> Path:
        """A script in `folder` that runs a program inside, with whatever arguments it gets."""
        script = folder / f"{Path(program).name}-in-lab-network"
        words = " ".join(self.command(program))
        script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        script.chmod(0o755)
        return script


@contextlib.asynccontextmanager
async def lab_network() -> AsyncIterator[LabNetwork]:
    """Make the namespace; it is gone when the block is left.

    :raises NetworkMissing: when this system does not allow it.
    """
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            raise NetworkMissing(f"{tool} is not in PATH (Debian packages: util-linux, iproute2)")
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    holder = await asyncio.create_subprocess_exec(
        *unshare, "sh", "-c", _SETUP,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        if await holder.stdout.readline() != b"ready\n":
            raise NetworkMissing(f"no network namespace here: {(await holder.stderr.read())!r}")
        yield LabNetwork(holder.pid)
    finally:
        holder.stdin.close()
        await holder.communicate()
