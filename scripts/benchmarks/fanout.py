"""What each further viewer of one camera costs: CPU and memory, beside what others make of it.

720p pictures at 30 a second in VP8 at 2 Mbit/s, and Opus. The publisher has one core to itself, the
viewers another. A viewer's cost is the difference between many viewers and one, so that capturing
and encoding, which are done once, don't count. The floor is what protecting and sending as many
packets costs by a loop that does nothing else.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from .fanout_contenders import CONTENDERS, Contender, module, on_core
from .fanout_publisher import LINE_LIMIT
from .fanout_table import Result, Row, table

PUBLISHER, VIEWERS = 0, 1
"""The cores."""
WARM_UP, SECONDS = 3.0, 6.0
STARTING = 30.0
"""Seconds until a contender runs: GStreamer looks through its plugins when it starts first."""
TIMEOUT = 240.0
"""Seconds for one contender and number of viewers: hundreds take a while to connect."""


class Missing(Exception):
    """A contender is not installed."""


class Failed(Exception):
    """A process ended, with what it said last."""


class Process:
    """One that speaks JSON, a line each way."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._errors = process, errors
        self._stdin, self._stdout = process.stdin, process.stdout

    def tell(self, **message: Any) -> None:
        self._stdin.write(json.dumps(message).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        """Its next line.

        :raises Failed: there is none.
        """
        line = await self._stdout.readline()
        if not line:
            said = re.findall(r"[\w.]*(?:Error|Exception)\b.*", self._errors.read_text())
            raise Failed(said[-1] if said else "it ended")
        message: dict[str, Any] = json.loads(line)
        return message

    async def ask(self, **message: Any) -> dict[str, Any]:
        self.tell(**message)
        return await self.hear()

    def cpu(self) -> float:
        """Seconds of CPU that all its threads have had, by its clock (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def memory(self) -> float:
        """Bytes that it has of the computer's."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextlib.asynccontextmanager
async def running(core: int, command: Sequence[str]) -> AsyncIterator[Process]:
    """A process on one core, which is gone with all that it started when the block is left."""
    with tempfile.NamedTemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            *on_core(core), *command,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
            limit=LINE_LIMIT, start_new_session=True,
        )  # fmt: skip
        try:
            yield Process(process, Path(errors.name))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def measure(contender: Contender, count: int) -> Row:
    """Run a contender with so many viewers.

    :raises Missing: it is not installed.
    :raises Failed: it, or the viewers, broke off.
    :raises TimeoutError: it took too long.
    """
    if shutil.which(contender.command[0]) is None:
        raise Missing(f"there is no {contender.command[0]}")
    async with asyncio.timeout(TIMEOUT), running(VIEWERS, module("fanout_receivers")) as viewers:
        async with running(PUBLISHER, contender.command) as publisher:
            async with asyncio.timeout(STARTING):
                began = await publisher.hear()
            if "missing" in began:
                raise Missing(began["missing"])
            joining = publisher.cpu()
            for _ in range(count):
                offer = await publisher.ask(join=True)
                answer = await viewers.ask(**offer)
                publisher.tell(**answer)
                await viewers.hear()
            joining = publisher.cpu() - joining
            await asyncio.sleep(WARM_UP)
            await viewers.ask(begin=True)
            cpu, theirs, now = publisher.cpu(), viewers.cpu(), time.monotonic()
            await asyncio.sleep(SECONDS)
            found = await viewers.ask(end=True)
            elapsed = time.monotonic() - now
            cpu, theirs = publisher.cpu() - cpu, viewers.cpu() - theirs
            memory = publisher.memory()
        floor = await alone(found) if count > 1 else float("nan")
    return Row(
        viewers=count,
        core=cpu / elapsed,
        theirs=theirs / elapsed,
        worst=found["worst"],
        lost=found["lost"],
        packets=found["all_packets"] * count,
        kbps=found["octets"] * 8 / 1000,
        age=found["age"],
        memory=memory,
        joining=joining / count,
        protection=found["protection"],
        floor=floor,
    )


async def alone(found: dict[str, Any]) -> float:
    """The floor: seconds of CPU a second for each viewer of a loop that only protects and sends."""
    wanted = ("addresses", "protection", "packets", "octets")
    async with running(PUBLISHER, module("fanout_floor")) as process:
        answer = await process.ask(**{name: found[name] for name in wanted})
    floor: float = answer["floor"]
    return floor


async def compare(contender: Contender, counts: Sequence[int]) -> Result:
    """Measure a contender with one number of viewers after the other, while it holds them."""
    rows: list[Row] = []
    failed = missing = ""
    for count in counts:
        print(f"{contender.name}, {count} viewers", file=sys.stderr)
        try:
            rows.append(await measure(contender, count))
        except Missing as error:
            missing = str(error)
        except Failed as error:
            failed = f"with {count} viewers: {error}"
        except TimeoutError:
            failed = f"with {count} viewers: it took too long"
        if missing or failed or (len(rows) > 1 and not rows[-1].held):
            break
    return Result(contender.name, contender.encodes, rows, failed, missing)


async def main(options: argparse.Namespace) -> None:
    results = [
        await compare(contender, options.viewers or contender.viewers)
        for key, contender in CONTENDERS.items()
        if options.only in (None, key)
    ]
    print(table(results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=CONTENDERS, help="one contender instead of all")
    parser.add_argument("--viewers", type=int, nargs="+", help="numbers of viewers, 1 first")
    asyncio.run(main(parser.parse_args()))
