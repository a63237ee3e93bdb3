"""The shape of the house: imports run one way, and each module says what its job is."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the top down. A module may import from its own layer's package and from layers below it.
LAYERS = [
    {"peer.__main__"},
    {"peer.cli"},
    {"peer.program", "peer.device_report", "peer.doctor", "peer.shorthand"},
    {"peer.serving", "peer.streams"},
    {"peer.qr_code"},
    {"peer.config"},
    {"peer.diagnosis"},
    {"peer.publisher", "peer.receiver"},
    {"peer.testing"},
    {"peer.connection"},
    {"peer.media"},
    {"peer.capture"},
    {"peer.constraints", "peer.devices"},
    {"peer.controls", "peer.events", "peer.errors"},
    {"signaling"},
]

# The only package that may touch private parts of aiortc and aioice.
SEAM = "peer.connection.aiortc_seam"


def modules() -> list[tuple[str, Path]]:
    found = []
    for package in ("peer", "signaling"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def imports(name: str, path: Path) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")
            base = base[: len(base) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import x` may name a module, which is then what is imported.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def layer(name: str) -> tuple[int, str] | None:
    for depth, layer_packages in enumerate(LAYERS):
        for package in layer_packages:
            if name == package or name.startswith(package + "."):
                return depth, package
    return None


@pytest.mark.parametrize(("name", "path"), modules(), ids=str)
def test_imports_run_downwards(name: str, path: Path) -> None:
    if name == "peer":
        return  # the public names, from everywhere
    here = layer(name)
    assert here is not None, f"{name} has no place in the house: add it to a layer"
    for imported in imports(name, path):
        there = layer(imported)
        if there is None or there[1] == here[1]:
            assert imported.split(".")[0] != "peer" or there is not None, f"{name}: {imported}"
            continue
        assert there[0] > here[0], f"{name} imports {imported}, which is not below it"


@pytest.mark.parametrize(("name", "path"), modules(), ids=str)
def test_every_module_says_its_job(name: str, path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, f"{name} has no docstring"
    assert docstring.splitlines()[0].endswith((".", ")", "`", ":")), f"{name}: one line, a sentence"


def test_only_the_seam_touches_private_parts_of_aiortc() -> None:
    offenders = []
    for name, path in modules():
        if name == SEAM or name.startswith(f"{SEAM}."):
            continue
        for imported in imports(name, path):
            parts = imported.split(".")
            if parts[0] in ("aiortc", "aioice") and any(part.startswith("_") for part in parts):
                offenders.append(f"{name}: {imported}")
        if "_RTC" in path.read_text():
            offenders.append(f"{name}: a mangled name of aiortc's")
    assert not offenders


# What a module of signaling's may use beside aiohttp.
ALLOWED = {"signaling.tls": "cryptography", "signaling.cluster.redis_bus": "redis"}


def test_signaling_stands_alone() -> None:
    standard = sys.stdlib_module_names
    for name, path in modules():
        if name.split(".")[0] == "signaling":
            for imported in imports(name, path):
                root = imported.split(".")[0]
                known = root in ("signaling", "aiohttp", ALLOWED.get(name))
                assert root in standard or known, f"{name}: {imported}"
