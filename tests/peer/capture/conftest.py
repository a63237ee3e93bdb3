"""Virtual devices for the tests of the capture layer: real sources and threads, no hardware."""

import threading
from collections.abc import AsyncIterator

import pytest

from peer import MediaDevices
from peer.devices.virtual import VirtualBackend

SALT = bytes(32)


@pytest.fixture
def backend() -> VirtualBackend:
    return VirtualBackend()


@pytest.fixture
async def media_devices(backend: VirtualBackend) -> AsyncIterator[MediaDevices]:
    """The standard set of virtual devices; ended afterwards, with no capture thread left."""
    devices = MediaDevices([backend], salt=SALT)
    yield devices
    devices.end()
    await devices.closed()
    for thread in threading.enumerate():
        if thread.name.startswith("capture "):
            thread.join(1)  # it has closed its device, and is about to return
            assert not thread.is_alive(), f"{thread.name} was left behind"
