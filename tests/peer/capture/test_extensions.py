"""configurationchange, track.stats, CaptureController, semantics (SPEC 6.17, 10 and 11)."""

import asyncio
from typing import Any

import pytest

from peer import CaptureController, InvalidStateError, MediaDevices
from peer.devices.virtual import VirtualBackend


async def test_configurationchange_when_another_track_changes_the_mode(
    media_devices: MediaDevices,
) -> None:
    [track] = (await media_devices.getUserMedia({"video": True})).getVideoTracks()
    events: asyncio.Queue[Any] = asyncio.Queue()
    track.onconfigurationchange = lambda event: events.put_nowait(track.getSettings()["resizeMode"])
    await track.applyConstraints({"width": 640})
    assert track.getSettings()["resizeMode"] == "none"
    await media_devices.getUserMedia({"video": {"width": 1280}})
    assert await events.get() == "crop-and-scale", "settings are new when it is fired"
    assert events.empty(), "none for what applyConstraints did"


async def test_a_track_that_must_have_its_mode_keeps_it(media_devices: MediaDevices) -> None:
    native = {"width": {"exact": 640}, "resizeMode": {"exact": "none"}}
    [first] = (await media_devices.getUserMedia({"video": native})).getVideoTracks()
    [second] = (
        await media_devices.getUserMedia({"video": {"width": 1280, "facingMode": "user"}})
    ).getVideoTracks()
    assert second.label == first.label
    assert second.getSettings()["width"] == 640, "a wish yields to what is required"
    assert first.getSettings()["resizeMode"] == "none"


async def test_video_stats(media_devices: MediaDevices) -> None:
    [track] = (
        await media_devices.getUserMedia({"video": {"frameRate": {"exact": 10}}})
    ).getVideoTracks()
    stats = track.stats
    assert stats is track.stats
    for _ in range(3):
        await track.recv()
    figures = stats.toJSON()
    assert figures["deliveredFrames"] >= 3
    assert figures["discardedFrames"] >= 2 * (figures["deliveredFrames"] - 1)
    assert figures["totalFrames"] == figures["deliveredFrames"] + figures["discardedFrames"]
    track.enabled = False
    await track.recv()
    frozen = stats.totalFrames
    await track.recv()
    assert stats.totalFrames == frozen


async def test_audio_stats(media_devices: MediaDevices) -> None:
    [track] = (await media_devices.getUserMedia({"audio": True})).getAudioTracks()
    for _ in range(3):
        await track.recv()
    figures = track.stats.toJSON()
    assert 0 < figures["minimumLatency"] <= figures["averageLatency"] <= figures["maximumLatency"]
    track.stop()
    track.stats.resetLatency()
    figures = track.stats.toJSON()
    assert len(set(figures.values())) == 1, "the last one is all that is left"


async def test_a_controller_goes_along_with_one_call(media_devices: MediaDevices) -> None:
    controller = CaptureController()
    controller.setFocusBehavior("no-focus-change")
    with pytest.raises(TypeError, match="focus behaviour"):
        controller.setFocusBehavior("please")
    await media_devices.getDisplayMedia({"controller": controller})
    with pytest.raises(InvalidStateError, match="another getDisplayMedia"):
        await media_devices.getDisplayMedia({"controller": controller})
    with pytest.raises(InvalidStateError, match="has begun"):
        controller.setFocusBehavior("no-focus-change")
    with pytest.raises(TypeError, match="CaptureController"):
        await media_devices.getDisplayMedia({"controller": 3})


async def test_semantics(media_devices: MediaDevices, backend: VirtualBackend) -> None:
    assert media_devices.defaultSemantics == "browser-chooses"
    assert (
        await media_devices.getUserMedia({"video": True, "semantics": "browser-chooses"})
    ).active
    with pytest.raises(TypeError, match="semantics"):
        await media_devices.getUserMedia({"video": True, "semantics": "nobody-chooses"})
