"""devicechange: only when the list that is exposed is another (SPEC 7.11)."""

import asyncio
from typing import Any

import pytest

from peer import DeviceChangeEvent, MediaDevices
from peer.devices.backend import VideoMode
from peer.devices.virtual import VirtualBackend, virtual_camera

from .conftest import SALT

EXTRA = virtual_camera("Cam X", [VideoMode(640, 480, 30)])


async def watched(devices: MediaDevices) -> asyncio.Queue[Any]:
    """The events from now on; returns once the first list is known."""
    events: asyncio.Queue[Any] = asyncio.Queue()
    devices.ondevicechange = events.put_nowait
    assert devices._watch is not None
    while not devices._watch.ready:  # noqa: ASYNC110 - the first list comes from a thread
        await asyncio.sleep(0)
    return events


@pytest.mark.spec("7.11")
async def test_a_plugged_and_an_unplugged_camera_after_capture(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    await media_devices.getUserMedia({"video": True})
    events = await watched(media_devices)
    backend.plug(EXTRA)
    event = await events.get()
    assert isinstance(event, DeviceChangeEvent)
    assert [info.label for info in event.userInsertedDevices] == ["Cam X"]
    assert list(event.devices) == await media_devices.enumerateDevices()
    backend.unplug("Cam X")
    event = await events.get()
    assert event.userInsertedDevices == ()
    assert "Cam X" not in [info.label for info in event.devices]


@pytest.mark.spec("7.11", "7.4")
async def test_before_capture_only_the_first_and_the_last_of_a_kind_tell(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    events = await watched(media_devices)
    backend.plug(EXTRA)
    backend.unplug("Cam X")
    backend.unplug("Cam A")
    backend.unplug("Cam C")
    event = await events.get()
    assert [info.kind for info in event.devices] == ["audioinput"]
    assert events.empty()
    backend.plug("Cam C")
    event = await events.get()
    assert [info.kind for info in event.devices] == ["audioinput", "videoinput"]
    assert event.userInsertedDevices == (), "nothing is told of what is not exposed"


@pytest.mark.spec("7.11", "11.11")
async def test_display_surfaces_are_never_told_of(backend: VirtualBackend) -> None:
    devices = MediaDevices([backend], salt=SALT)
    await devices.getUserMedia({"video": True})
    events = await watched(devices)
    backend.unplug("Virtual screen")
    backend.plug(EXTRA)
    event = await events.get()
    assert [info.label for info in event.userInsertedDevices] == ["Cam X"]
    assert events.empty()
    devices.end()
    await devices.closed()


async def test_the_watch_ends(media_devices: MediaDevices, backend: VirtualBackend) -> None:
    await watched(media_devices)
    await media_devices.closed()
    assert backend._watchers == []
