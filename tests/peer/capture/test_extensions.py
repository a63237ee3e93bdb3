"""configurationchange, track.stats, CaptureController, semantics (SPEC 6.17, 10 and 11)."""

import asyncio
from typing import Any

import pytest

from peer import (
    CaptureController,
    InvalidStateError,
    MediaDevices,
    NotAllowedError,
    NotFoundError,
    OverconstrainedError,
    Permissions,
)
from peer.devices.virtual import VirtualBackend

from .conftest import SALT


@pytest.mark.spec("10.1", "8.7")
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


@pytest.mark.spec("8.8", "4.7")
async def test_a_track_that_must_have_its_mode_keeps_it(media_devices: MediaDevices) -> None:
    native = {"width": {"exact": 640}, "resizeMode": {"exact": "none"}}
    [first] = (await media_devices.getUserMedia({"video": native})).getVideoTracks()
    [second] = (
        await media_devices.getUserMedia({"video": {"width": 1280, "facingMode": "user"}})
    ).getVideoTracks()
    assert second.label == first.label
    assert second.getSettings()["width"] == 640, "a wish yields to what is required"
    assert first.getSettings()["resizeMode"] == "none"


@pytest.mark.spec(
    "10.2", wpt=["mediacapture-extensions/MediaStreamTrack-getStats-video.https.html"]
)
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


@pytest.mark.spec("10.2")
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


@pytest.mark.spec("11.12", "11.3")
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


@pytest.mark.spec("6.17")
async def test_semantics(media_devices: MediaDevices, backend: VirtualBackend) -> None:
    assert media_devices.defaultSemantics == "browser-chooses"
    assert (
        await media_devices.getUserMedia({"video": True, "semantics": "browser-chooses"})
    ).active
    with pytest.raises(TypeError, match="semantics"):
        await media_devices.getUserMedia({"video": True, "semantics": "nobody-chooses"})


@pytest.mark.spec("11.3", "0.4")
async def test_display_prompts_every_time_and_denial_is_told(backend: VirtualBackend) -> None:
    answers = [True, True, False]

    async def prompt(names: frozenset[str]) -> bool:
        assert names == {"display-capture"}
        return answers.pop(0)

    permissions = Permissions(handler=prompt)
    devices = MediaDevices([backend], permissions=permissions, salt=SALT)
    for _ in range(2):
        assert (await devices.getDisplayMedia()).active
    with pytest.raises(NotAllowedError):
        await devices.getDisplayMedia()
    permissions.set_state("display-capture", "denied")
    with pytest.raises(NotAllowedError):
        await devices.getDisplayMedia()
    assert answers == []
    with pytest.raises(NotFoundError):
        await MediaDevices([VirtualBackend([])], salt=SALT).getDisplayMedia()
    devices.end()
    await devices.closed()


@pytest.mark.spec(
    "11.4", "11.6", "11.7", "4.14", wpt=["screen-capture/getdisplaymedia-settings.https.html"]
)
async def test_display_settings_and_capabilities(media_devices: MediaDevices) -> None:
    wish = {"width": 10, "displaySurface": "window", "facingMode": "user"}
    [track] = (await media_devices.getDisplayMedia({"video": wish, "audio": True})).getTracks()
    settings, capabilities = track.getSettings(), track.getCapabilities()
    assert settings["displaySurface"] == capabilities["displaySurface"] == "monitor"
    assert settings["deviceId"] == capabilities["deviceId"]
    assert (settings["width"], settings["height"]) == (10, 6)
    assert "facingMode" not in settings
    assert "groupId" not in settings
    assert settings["cursor"] in capabilities["cursor"]
    assert capabilities["width"] == {"min": 2, "max": 1920}
    assert capabilities["height"] == {"min": 1, "max": 1080}
    assert capabilities["aspectRatio"]["min"] == capabilities["aspectRatio"]["max"]


@pytest.mark.spec("11.9", "8.6", wpt=["screen-capture/getdisplaymedia-framerate.https.html"])
async def test_a_display_track_takes_required_constraints_later(
    media_devices: MediaDevices,
) -> None:
    [track] = (await media_devices.getDisplayMedia({"video": {"frameRate": 30}})).getTracks()
    assert track.getSettings()["frameRate"] == 30
    await track.applyConstraints({"width": {"exact": 960}, "frameRate": {"max": 20}})
    assert (track.getSettings()["height"], track.getSettings()["frameRate"]) == (540, 20)
    with pytest.raises(OverconstrainedError) as caught:
        await track.applyConstraints({"width": {"min": 4000}})
    assert caught.value.constraint == "width"


@pytest.mark.spec("4.1", "4.2")
async def test_ids_can_be_wished_for_but_not_changed(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"video": {"deviceId": "of another computer"}})
    [track] = stream.getTracks()
    for name in ("deviceId", "groupId"):
        await track.applyConstraints({name: "another"})
        with pytest.raises(OverconstrainedError) as caught:
            await track.applyConstraints({name: {"exact": "another"}})
        assert caught.value.constraint == name
        await track.applyConstraints({name: {"exact": track.getSettings()[name]}})


@pytest.mark.spec(
    "4.14",
    "4.12",
    wpt=[
        "MediaStreamTrack-getCapabilities.https.html",
        "MediaStreamTrack-getSettings.https.html",
    ],
)
async def test_settings_lie_within_capabilities(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"audio": True, "video": True})
    display = await media_devices.getDisplayMedia({"video": {"width": {"max": 333}}})
    for track in [*stream.getTracks(), *display.getTracks()]:
        within(track.getSettings(), track.getCapabilities())
    audio = stream.getAudioTracks()[0]
    for name in ("echoCancellation", "autoGainControl", "noiseSuppression"):
        assert audio.getSettings()[name] is False
        assert audio.getCapabilities()[name] == [False]


def within(settings: dict[str, Any], capabilities: dict[str, Any]) -> None:
    """Each capability has a setting, and the setting lies within it."""
    assert set(settings) == set(capabilities)
    for name, capability in capabilities.items():
        value = settings[name]
        if isinstance(capability, dict):
            assert capability["min"] <= value <= capability["max"], name
        else:
            assert value == capability or value in capability, name
