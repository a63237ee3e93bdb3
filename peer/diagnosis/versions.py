"""The versions of Python and of the libraries, against the oldest that will do."""

import platform
import re
import sys
from collections.abc import Mapping
from importlib import metadata

from .finding import Finding

FLOORS = {
    "python": "3.11",
    "aiortc": "1.16",
    "aioice": "0.13",
    "av": "18",
    "aiohttp": "3.14.3",
    "numpy": "2",
}
"""The oldest versions, as the project's own metadata has them (which a checkout lacks)."""


async def examine() -> list[Finding]:
    """Look the versions up; nothing is imported."""
    return judge({name: _version(name) for name in FLOORS})


def _version(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def judge(versions: Mapping[str, str | None]) -> list[Finding]:
    """What the versions mean.

    :param versions: by name, as in `FLOORS`; None for what is not installed.
    """
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    findings = [Finding("versions", "ok", f"{found} (on {sys.platform} {platform.machine()})")]
    for name, floor in FLOORS.items():
        version = versions.get(name)
        if version is not None and parse(version) >= parse(floor):
            continue
        has = f"{name} {version} is too old" if version else f"{name} is not installed"
        if name == "python":
            remedy = f"Install Python {floor} or newer"
        else:
            remedy = f"Install it with `pip install --upgrade '{name}>={floor}'`"
        findings.append(
            Finding("versions", "problem", f"{has}: {floor} or newer is needed", remedy)
        )
    return findings


def parse(version: str) -> tuple[int, ...]:
    """The numbers of a version's release, without zeros at its end: `3.14.0rc1` is (3, 14)."""
    release = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
