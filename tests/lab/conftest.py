"""Tests among real kernel devices. They run in the device lab and are skipped elsewhere."""

import os
from pathlib import Path

import pytest

OUTSIDE = "DEVICE_LAB" not in os.environ
REASON = "needs kernel devices: scripts/lab .venv/bin/python -m pytest tests/lab"


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("lab")
    if OUTSIDE:
        item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture
def camera() -> Path:
    """A camera: platform device vivid.0 of the driver vivid."""
    return Path("/dev/video0")


@pytest.fixture
def second_camera() -> Path:
    """Another camera, which can be unplugged apart: vividb.0 of the driver vividb."""
    return Path("/dev/video1")


@pytest.fixture
def microphone(monkeypatch: pytest.MonkeyPatch) -> str:
    """ALSA's name of a sound input: snd_aloop.0 of the driver snd_aloop."""
    # PyAV's wheels look for ALSA's files where they were built.
    monkeypatch.setenv("ALSA_CONFIG_DIR", "/usr/share/alsa")
    monkeypatch.setenv("ALSA_PLUGIN_DIR", "/usr/lib/x86_64-linux-gnu/alsa-lib")
    return "hw:Loopback,1,0"


@pytest.fixture
def speaker(microphone: str) -> str:
    """ALSA's name of the sound output that the microphone hears."""
    return microphone.replace(",1,", ",0,")
