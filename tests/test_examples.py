"""The examples do what they say, with virtual devices."""

import io
import runpy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from peer.testing import TestKit, install

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
async def kit() -> AsyncIterator[TestKit]:
    with install() as kit:
        yield kit
        await kit.closed()


def example(name: str) -> Any:
    """Its main function."""
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]


@pytest.mark.usefixtures("kit")
async def test_zoom(capsys: pytest.CaptureFixture[str]) -> None:
    assert await example("zoom")() == [1, 3, 5]
    assert "Cam C: 1 to 5, now 1" in capsys.readouterr().out


async def test_torch(kit: TestKit) -> None:
    assert await example("torch")(seconds=0) is True
    await kit.closed()
    assert kit.backend.controls("Cam C")["torch"] is False


@pytest.mark.usefixtures("kit")
async def test_grab_frame(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    size = await example("grab_frame")(path)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", size)


@pytest.mark.usefixtures("kit")
async def test_photograph(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    size = await example("photograph")(path)
    data = path.read_bytes()
    assert len(data) == size
    assert Image.open(io.BytesIO(data)).size == (1280, 720)


def test_every_example_has_a_test() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested
