"""A network of its own in which a guest of the device lab and programs of this machine meet.

For tests that run on this machine and watch, from a real browser, what a peer among kernel devices
publishes, and pull its camera out meanwhile:

    async with network() as net:
        async with net.guest() as guest:
            peer = await guest.start(sys.executable, "-m", "peer", "--host", GUEST_ADDRESS)
            line = await peer.expect("http")
            executable = net.wrapper(tmp_path, "chromium", *CHROMIUM_ARGS)
            ...
            await guest.run("echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind")

What can't be had on this machine is `LabMissing`, whose message is a reason to skip. Nothing stays
behind: the network lives as long as a process in it, and a guest no longer than this process.
"""

import asyncio
import contextlib
import os
import shlex
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

GUEST_ADDRESS = "10.9.0.2"
HOST_ADDRESS = "10.9.0.254"
TAP = "tap0"

LAB = Path(__file__).parents[2] / "scripts" / "lab"

# As root, which is never sandboxed, and with addresses instead of mDNS names in ICE candidates.
CHROMIUM_ARGS = ("--no-sandbox", "--disable-features=WebRtcHideLocalIpsWithMdns")

BOOT_SECONDS = 60.0  # takes one; more than this is broken
COMMAND_SECONDS = 30.0  # for commands that only turn a switch
LEAVE_SECONDS = 10.0  # a guest halts within a tenth; afterwards it is killed

LINE_BYTES = 1 << 20  # longest line of output

# Runs inside the namespace and keeps it: it ends when its standard input does.
HOLDER = f"""
ip link set lo up
ip tuntap add dev {TAP} mode tap
ip address add {HOST_ADDRESS}/24 dev {TAP}
ip link set {TAP} up
echo ready
exec cat
"""

# Runs inside the guest. Each line that it reads names a script in the folder $1, which runs beside
# the others; each line of the script's output comes back behind its name and a colon, its exit
# status behind an equals sign. Non-interactive shells start such jobs deaf to ^C: not these.
SESSION = """
while read -r name; do
  { env --default-signal=INT,QUIT bash "$1/$name" < /dev/null 2>&1 | sed -u "s/^/$name:/"
    echo "$name=${PIPESTATUS[0]}"; } &
done
"""


class LabMissing(Exception):
    """The device lab or a network for it can't be had here; the message says why."""


class GuestProcess:
    """A command that runs in the guest.

    `lines` grows by what it writes to standard output or standard error; `status` is None until
    it has ended; `pid` is its number inside the guest.
    """

    def __init__(self, guest: "Guest", name: str) -> None:
        self.pid = 0
        self.lines: list[str] = []
        self.status: int | None = None
        self._guest = guest
        self._name = name
        self._taken = 0
        self._changed = asyncio.Event()

    async def line(self) -> str:
        """The next line of output without its end. Raises EOFError after the last one."""
        while self._taken == len(self.lines):
            if self.status is not None:
                raise EOFError(f"ended with status {self.status}, having said: {self.lines}")
            self._changed.clear()
            await self._changed.wait()
        self._taken += 1
        return self.lines[self._taken - 1]

    async def expect(self, text: str) -> str:
        """The next line that contains `text`; those before it are passed over."""
        while text not in (line := await self.line()):
            pass
        return line

    async def wait(self) -> int:
        """The exit status, once there is one; 128 and more is a signal's."""
        while self.status is None:
            self._changed.clear()
            await self._changed.wait()
        return self.status

    async def send_signal(self, number: signal.Signals) -> None:
        await self._guest.run(f"kill -{int(number)} {self.pid}")

    def _heard(self, line: str) -> None:
        self.lines.append(line)
        self._changed.set()

    def _ended(self, status: int) -> None:
        self.status = status
        self._changed.set()


class Guest:
    """A running device lab, at GUEST_ADDRESS in its network."""

    def __init__(self, lab: asyncio.subprocess.Process, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._processes: dict[str, GuestProcess] = {}
        self._reader = asyncio.create_task(self._read())

    async def start(self, *argv: str) -> GuestProcess:
        """Start a command; its output is read line by line. It ends with the guest, if not before.

        Its working directory is this process's; its environment too, and output is unbuffered if
        it is Python's.
        """
        process = self._launch(f"echo $$\nexport PYTHONUNBUFFERED=1\nexec {shlex.join(argv)}\n")
        process.pid = int(await process.line())
        return process

    async def run(self, script: str) -> str:
        """Run lines of bash to their end and return what they wrote.

        Raises RuntimeError if they end with a status other than 0 (as with `set -e`), TimeoutError
        if they don't end.
        """
        process = self._launch(f"set -e\n{script}\n")
        async with asyncio.timeout(COMMAND_SECONDS):
            status = await process.wait()
        output = "\n".join(process.lines)
        if status != 0:
            raise RuntimeError(f"status {status} of {script!r} in the guest: {output}")
        return output

    def _launch(self, script: str) -> GuestProcess:
        if self._reader.done():
            raise EOFError("the guest has ended")
        name = str(len(self._processes))
        process = self._processes[name] = GuestProcess(self, name)
        (self._folder / name).write_text(script, encoding="utf-8")
        assert self._lab.stdin is not None
        self._lab.stdin.write(f"{name}\n".encode())
        return process

    async def _read(self) -> None:
        assert self._lab.stdout is not None
        async for data in self._lab.stdout:
            text = data.decode(errors="replace").rstrip("\n")
            name = text[: min(i for i in (text.find(":"), text.find("=")) if i > 0)]
            rest = text[len(name) + 1 :]
            if text[len(name)] == ":":
                self._processes[name]._heard(rest)
            else:
                self._processes[name]._ended(int(rest))
        for process in self._processes.values():
            if process.status is None:
                process._ended(128 + signal.SIGKILL)

    async def _leave(self) -> None:
        assert self._lab.stdin is not None
        self._lab.stdin.close()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._lab.wait()
        except TimeoutError:
            self._lab.terminate()
            await self._lab.wait()
        await self._reader


class Network:
    """A network namespace with an interface at HOST_ADDRESS that leads to the guest."""

    def __init__(self, holder: int) -> None:
        self._enter = ["nsenter", f"--target={holder}", "--net"]
        if os.geteuid() != 0:
            self._enter += ["--user", "--preserve-credentials"]

    def command(self, *argv: str) -> list[str]:
        """The command line by which a command runs inside."""
        return [*self._enter, "--", *argv]

    def wrapper(self, folder: Path, program: str, *args: str) -> Path:
        """Write an executable that runs a program inside, with `args` before its own arguments.

        Open files are passed on, so that for example Playwright's `executable_path` can be one.
        """
        path = folder / f"{program}-inside"
        inside = shlex.join(self.command(program, *args))
        path.write_text(f'#!/bin/sh\nexec {inside} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
        return path

    @contextlib.asynccontextmanager
    async def guest(self, *options: str) -> AsyncIterator[Guest]:
        """Boot a guest, with more options of `scripts/lab` if need be; it is halted at the end.

        Raises LabMissing. One at a time in a network.
        """
        with tempfile.TemporaryDirectory(prefix="device-lab-session.") as name:
            folder = Path(name)
            with (folder / "errors").open("wb") as errors:
                lab = await asyncio.create_subprocess_exec(
                    *self.command(str(LAB), "--built", "--tap", TAP, "--rw", name, *options),
                    *("bash", "-c", SESSION, "session", name),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                    limit=LINE_BYTES,
                )
            guest = Guest(lab, folder)
            try:
                booted = guest._launch("")
                async with asyncio.timeout(BOOT_SECONDS):
                    await booted.wait()
                if booted.status != 0:
                    raise LabMissing((folder / "errors").read_text(encoding="utf-8").strip())
                yield guest
            finally:
                await guest._leave()


@contextlib.asynccontextmanager
async def network() -> AsyncIterator[Network]:
    """Make a network; it is gone with the last process in it. Needs no root where users may make
    namespaces and open /dev/net/tun. Raises LabMissing."""
    become_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    try:
        holder = await asyncio.create_subprocess_exec(
            *("unshare", *become_root, "--net", "sh", "-ec", HOLDER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise LabMissing("a network namespace needs unshare (Debian package: util-linux)") from None
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        if await holder.stdout.readline() != b"ready\n":
            reason = (await holder.stderr.read()).decode().strip()
            raise LabMissing(f"no network namespace with a tap interface: {reason}")
        yield Network(holder.pid)
    finally:
        holder.stdin.close()
        await holder.wait()
