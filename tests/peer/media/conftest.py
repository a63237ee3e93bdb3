"""Virtual cameras for the tests of the send path, and a look at what is left behind."""

import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from peer import MediaDevices, MediaStreamTrack
from peer.devices.virtual import VirtualBackend


@pytest.fixture
def backend() -> VirtualBackend:
    return VirtualBackend()


@pytest.fixture
async def media_devices(backend: VirtualBackend) -> AsyncIterator[MediaDevices]:
    devices = MediaDevices([backend], salt=bytes(32))
    yield devices
    devices.end()
    await devices.closed()


@pytest.fixture
async def camera(media_devices: MediaDevices) -> MediaStreamTrack:
    """320x240 at 60 pictures a second."""
    stream = await media_devices.getUserMedia({"video": {"width": 320, "height": 240}})
    return stream.getVideoTracks()[0]


@pytest.fixture
async def microphone(media_devices: MediaDevices) -> MediaStreamTrack:
    stream = await media_devices.getUserMedia({"audio": True})
    return stream.getAudioTracks()[0]


@pytest.fixture(autouse=True)
def _no_encoder_is_left_behind() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("encode "):
            thread.join(1)  # it is about to return
            assert not thread.is_alive(), f"{thread.name} was left behind"
