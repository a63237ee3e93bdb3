"""What `python -m peer --doctor` prints: whether this computer can publish, and if not, why."""

import asyncio
import json
import logging
import textwrap
from collections.abc import Coroutine, Sequence
from dataclasses import asdict
from typing import Any

from aiortc import RTCIceServer

from .devices.backend import Backend
from .diagnosis import clock, codecs, container, devices, network, versions
from .diagnosis import ice_servers as servers
from .diagnosis import port as listening
from .diagnosis.finding import Finding, Level

logger = logging.getLogger("peer.doctor")

SUBJECT_TIMEOUT = 7.0
"""Seconds for each subject, above all the time-outs of its own: a person waits for the report."""

LINE = 96
"""Characters in a line of the report."""

_MARKS: dict[Level, str] = {"ok": "ok", "warning": "!", "problem": "x"}


async def examine(
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    tls: bool = False,
    ice_servers: Sequence[RTCIceServer] = (),
    backends: Sequence[Backend] | None = None,
) -> list[Finding]:
    """Everything that is worth knowing, subject by subject; takes about 10 s at most.

    Opens no device, and changes nothing.

    :param host: where the page would be served, with `port`, and with `tls` or without.
    :param ice_servers: those that connections would use.
    :param backends: where devices come from; those of this system when None.
    """
    waiting = await asyncio.gather(
        _bounded("devices", devices.examine(backends)),
        _bounded("network", network.examine(ice_servers)),
        _bounded("ICE server", servers.examine(ice_servers)),
        _bounded("port", listening.examine(host, port, tls=tls)),
    )
    # Encoding keeps the processor busy, which would falsify the times of the network.
    working = [
        await _bounded("codecs", codecs.examine()),
        await _bounded("clock", clock.examine()),
        await _bounded("container", container.examine()),
        await _bounded("versions", versions.examine()),
    ]
    return [finding for part in (*waiting, *working) for finding in part]


async def _bounded(subject: str, work: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
    """One subject's findings; that it could not be examined is one, so that the others are told."""
    try:
        async with asyncio.timeout(SUBJECT_TIMEOUT):
            return await work
    except TimeoutError:
        reason = f"it took longer than {SUBJECT_TIMEOUT:g} s"
    except Exception as error:
        logger.debug("the examination of the %s failed", subject, exc_info=True)
        reason = f"{type(error).__name__}: {error}"
    return [
        Finding(
            subject,
            "warning",
            f"This could not be examined: {reason}",
            "Run it again with -vv, and report what it says, for this is a fault of the doctor's",
        )
    ]


def exit_status(findings: Sequence[Finding]) -> int:
    """0 when nothing prevents publishing, 1 otherwise."""
    return int(any(finding.level == "problem" for finding in findings))


def report(findings: Sequence[Finding]) -> str:
    """A text for people: a mark, the subject and the sentence, and below it the remedy."""
    width = max((len(finding.subject) for finding in findings), default=0)
    lines: list[str] = []
    for finding in findings:
        head = f"{_MARKS[finding.level]:<3}{finding.subject:<{width}}  "
        lines += _wrapped(head, " " * len(head), finding.text)
        if finding.remedy:
            indent = " " * (len(head) + 3)
            lines += _wrapped(indent[:-3] + "-> ", indent, finding.remedy)
    return "\n".join([*lines, "", _summary(findings)])


def _wrapped(first: str, rest: str, text: str) -> list[str]:
    # Devices and servers name themselves: nothing of theirs may steer the terminal.
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return textwrap.wrap(
        shown, LINE, initial_indent=first, subsequent_indent=rest,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _summary(findings: Sequence[Finding]) -> str:
    levels = [finding.level for finding in findings]
    counts = [
        f"{count} {level}{'' if count == 1 else 's'}"
        for level in ("problem", "warning")
        if (count := levels.count(level))
    ]
    verdict = "Something is in the way" if "problem" in levels else "Nothing prevents publishing"
    return f"{verdict} ({', '.join(counts)})." if counts else f"{verdict}."


def findings_as_json(findings: Sequence[Finding]) -> str:
    """The findings as a list of objects: subject, level, text, and the remedy or null."""
    return json.dumps(
        [asdict(finding) | {"remedy": finding.remedy or None} for finding in findings], indent=2
    )
