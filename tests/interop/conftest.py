"""Other people's clients and servers; what isn't installed is skipped, and named."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def npm_package(name: str) -> Path:
    """The folder of an npm package that package.json names; a test without it is skipped."""
    folder = FOLDER / "node_modules" / name
    if not folder.is_dir():
        pytest.skip(
            f"the npm package {name} is not installed (npm ci --ignore-scripts in {FOLDER})"
        )
    return folder
