"""The public test kit drives the process's own devices."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from peer import NotAllowedError, NotReadableError, mediaDevices, navigator
from peer.testing import TestKit, install


@pytest.fixture
async def kit() -> AsyncIterator[TestKit]:
    before = mediaDevices._catalog
    with install() as kit:
        yield kit
        mediaDevices.end()
        await kit.closed()
    assert mediaDevices._catalog is before


@pytest.mark.spec("0.1")
async def test_the_standard_set_is_there(kit: TestKit) -> None:
    stream = await mediaDevices.getUserMedia({"video": True, "audio": True})
    assert [track.label for track in stream.getTracks()] == ["Mic A", "Cam A"]
    assert (await mediaDevices.getDisplayMedia()).active
    assert navigator.mediaDevices is mediaDevices
    assert navigator.permissions is kit.permissions


async def test_plug_unplug_and_replug(kit: TestKit) -> None:
    await mediaDevices.getUserMedia({"video": True, "audio": True})
    plugged = kit.plug("camera")
    assert plugged in [info.deviceId for info in await mediaDevices.enumerateDevices()]
    [track] = (
        await mediaDevices.getUserMedia({"video": {"deviceId": {"exact": plugged}}})
    ).getTracks()
    ended = asyncio.Event()
    track.onended = lambda event: ended.set()
    kit.unplug(plugged)
    await ended.wait()
    assert plugged not in [info.deviceId for info in await mediaDevices.enumerateDevices()]
    kit.replug(plugged)
    assert plugged in [info.deviceId for info in await mediaDevices.enumerateDevices()]


async def test_busy_muted_and_permission(kit: TestKit) -> None:
    track = await kit.synthetic_track("video")
    device_id = track.getSettings()["deviceId"]
    muted = asyncio.Event()
    track.onmute = lambda event: muted.set()
    kit.set_muted(device_id, True)
    await muted.wait()
    track.stop()
    kit.set_muted(device_id, False)
    kit.set_busy(device_id, True)
    with pytest.raises(NotReadableError):
        await mediaDevices.getUserMedia({"video": {"deviceId": {"exact": device_id}}})
    kit.set_permission({"name": "camera"}, "denied")
    with pytest.raises(NotAllowedError):
        await mediaDevices.getUserMedia({"video": True})
    kit.set_permission({"name": "camera"}, "prompt")
    assert (await mediaDevices.getUserMedia({"video": True})).active, "every prompt is granted"


async def test_a_synthetic_track_exposes_nothing_but_itself(kit: TestKit) -> None:
    track = await kit.synthetic_track("audio", {"sampleRate": {"exact": 16000}})
    assert (await track.recv()).sample_rate == 16000
    with pytest.raises(ValueError, match="no device for a track of kind 'smell'"):
        await kit.synthetic_track("smell")


def test_mistakes_are_named(kit: TestKit) -> None:
    with pytest.raises(ValueError, match="deviceId 'x'"):
        kit.unplug("x")
    with pytest.raises(ValueError, match="not 'sofa'"):
        kit.plug("sofa")
