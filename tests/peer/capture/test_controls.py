"""Zoom, brightness, torch …: constraints on what can be set on the device itself."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from peer import MediaDevices, MediaStreamTrack, OverconstrainedError
from peer.capture.permissions import Permissions
from peer.devices.barcode import read
from peer.devices.virtual import VirtualBackend

PHONE = "Cam C"
WEBCAM = "Cam A"


async def camera(
    media_devices: MediaDevices, label: str = PHONE, **constraints: Any
) -> MediaStreamTrack:
    facing = {PHONE: "environment", WEBCAM: "user"}[label]
    video = {"width": 640, "height": 480, "facingMode": {"exact": facing}, **constraints}
    stream = await media_devices.getUserMedia({"video": video})
    [track] = stream.getTracks()
    assert isinstance(track, MediaStreamTrack)
    return track


async def picture(
    track: MediaStreamTrack, when: Callable[[np.ndarray], bool] = lambda luma: True
) -> np.ndarray:
    """The luma of the first picture that is as expected; the settings are in force from the next
    captured picture on."""
    while True:
        frame = await track.recv()
        luma = frame.to_ndarray(format="gray")
        assert read(luma) is not None, "the barcode is on the picture, not in the scene"
        if when(luma):
            return luma


@pytest.mark.spec("4.15", "4.14")
async def test_only_what_the_camera_has_appears(media_devices: MediaDevices) -> None:
    phone, webcam = await camera(media_devices), await camera(media_devices, WEBCAM)
    capabilities: Any = phone.getCapabilities()
    assert capabilities["zoom"] == {"min": 1, "max": 5, "step": 0.1}
    assert capabilities["focusMode"] == ["continuous", "manual"]
    assert capabilities["torch"] == [False, True]
    assert phone.getSettings()["zoom"] == 1
    assert phone.getSettings()["torch"] is False
    assert "zoom" not in webcam.getCapabilities()
    assert "zoom" not in webcam.getSettings()
    assert webcam.getCapabilities()["brightness"] == {"min": 0, "max": 255, "step": 1}


@pytest.mark.spec("4.15")
async def test_values_between_steps_snap_and_the_setting_says_so(
    media_devices: MediaDevices,
) -> None:
    track = await camera(media_devices)
    await track.applyConstraints({"advanced": [{"zoom": 2.04}]})
    assert track.getSettings()["zoom"] == 2.0
    assert track.getConstraints() == {"advanced": [{"zoom": 2.04}]}
    await track.applyConstraints({"exposureCompensation": 0.7})
    assert track.getSettings()["exposureCompensation"] == 0.5
    assert track.getSettings()["zoom"] == 2.0, "what nothing is asked of stays"


@pytest.mark.parametrize(
    ("constraints", "name"),
    [
        ({"zoom": {"exact": 9}}, "zoom"),
        ({"zoom": {"min": 5.5}}, "zoom"),
        ({"focusMode": {"exact": "single-shot"}}, "focusMode"),
        ({"brightness": {"min": 200, "max": 100}}, "brightness"),
    ],
)
@pytest.mark.spec("8.6", "8.3")
async def test_what_it_cannot_do_is_named(
    media_devices: MediaDevices, constraints: Any, name: str
) -> None:
    track = await camera(media_devices)
    before = track.getSettings()
    with pytest.raises(OverconstrainedError) as failed:
        await track.applyConstraints(constraints)
    assert failed.value.constraint == name
    assert track.getSettings() == before


@pytest.mark.spec("4.15", "5.9")
async def test_ranges_and_ideals(media_devices: MediaDevices) -> None:
    track = await camera(media_devices)
    await track.applyConstraints({"zoom": {"min": 2, "ideal": 1}})
    assert track.getSettings()["zoom"] == 2
    await track.applyConstraints({"zoom": {"max": 1.5}})
    assert track.getSettings()["zoom"] == 1.5
    await track.applyConstraints({"zoom": {"ideal": 100}})
    assert track.getSettings()["zoom"] == 5
    await track.applyConstraints({"advanced": [{"zoom": 9}, {"zoom": 3, "torch": True}]})
    assert (track.getSettings()["zoom"], track.getSettings()["torch"]) == (3, True)


@pytest.mark.spec("4.19", "5.11")
async def test_none_may_be_required_when_asking_for_a_camera(media_devices: MediaDevices) -> None:
    with pytest.raises(TypeError, match="zoom can't be required"):
        await camera(media_devices, zoom={"exact": 2})
    track = await camera(media_devices, zoom=2)
    assert track.getSettings()["zoom"] == 2


@pytest.mark.spec("5.4", "4.18")
async def test_true_asks_for_a_camera_that_can_and_moves_nothing(
    media_devices: MediaDevices,
) -> None:
    stream = await media_devices.getUserMedia({"video": {"zoom": True}})
    [track] = stream.getTracks()
    assert track.label == PHONE  # type: ignore[attr-defined]
    assert track.getSettings()["zoom"] == 1  # type: ignore[attr-defined]
    await track.applyConstraints({"advanced": [{"zoom": True, "pan": True}]})  # type: ignore[attr-defined]
    stream = await media_devices.getUserMedia({"video": {"zoom": False}})
    assert stream.getTracks()[0].label == WEBCAM  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("constraints", "check"),
    [
        ({"brightness": 200}, lambda before, after: after.mean() > before.mean() + 50),
        ({"torch": True}, lambda before, after: after.mean() > before.mean() * 1.2),
        ({"contrast": 20}, lambda before, after: after[200:].std() < before[200:].std() * 0.6),
        (
            {"exposureMode": "manual", "exposureTime": 40},
            lambda before, after: after.mean() < before.mean() * 0.6,
        ),
    ],
)
async def test_the_picture_changes(
    media_devices: MediaDevices, constraints: Any, check: Any
) -> None:
    track = await camera(media_devices)
    before = await picture(track)
    await track.applyConstraints({"advanced": [constraints]})
    await picture(track, lambda after: bool(check(before, after)))


@pytest.mark.spec("4.16")
async def test_exposure_time_matters_in_manual_mode_only(media_devices: MediaDevices) -> None:
    track = await camera(media_devices)
    before = await picture(track)
    await track.applyConstraints({"exposureTime": 40})
    assert track.getSettings()["exposureTime"] == 40
    for _ in range(5):
        assert (await picture(track)).mean() > before.mean() * 0.9
    await track.applyConstraints({"exposureTime": 40, "exposureMode": "manual"})
    await picture(track, lambda after: bool(after.mean() < before.mean() * 0.6))


async def test_a_zoomed_picture_is_the_middle_enlarged_and_panning_moves_it(
    media_devices: MediaDevices,
) -> None:
    """The checked background has squares of 40 pixels at a zoom of 1."""
    track = await camera(media_devices)

    def steps(luma: np.ndarray) -> int:
        row = luma[440].astype(int)
        return int((np.abs(np.diff(row)) > 6).sum())

    plain = steps(await picture(track))
    await track.applyConstraints({"zoom": 4})
    zoomed = await picture(track, lambda luma: steps(luma) <= plain // 3)
    await track.applyConstraints({"zoom": 4, "pan": 3600})
    moved = await picture(track, lambda luma: not np.array_equal(luma[430:470], zoomed[430:470]))
    shift = round(3600 / 72000 * 640 * 4)
    np.testing.assert_allclose(moved[440, :-shift], zoomed[440, shift:], atol=3)


@pytest.mark.spec("4.17")
async def test_points_of_interest_are_clamped_and_marked(media_devices: MediaDevices) -> None:
    track = await camera(media_devices)
    assert track.getSettings()["pointsOfInterest"] == [{"x": 0, "y": 0}]
    await track.applyConstraints({"advanced": [{"pointsOfInterest": [{"x": 2, "y": 0.75}]}]})
    assert track.getSettings()["pointsOfInterest"] == [{"x": 1, "y": 0.75}]
    await picture(track, lambda luma: bool(luma[359, 635] > 225))
    with pytest.raises(TypeError, match="must be a list of points"):
        await track.applyConstraints({"pointsOfInterest": [1]})


@pytest.mark.spec("8.8")
async def test_tracks_of_one_camera_must_agree_on_what_is_required(
    media_devices: MediaDevices,
) -> None:
    first = await camera(media_devices)
    second = await camera(media_devices)
    await first.applyConstraints({"zoom": {"exact": 2}})
    assert second.getSettings()["zoom"] == 2, "there is one lens"
    with pytest.raises(OverconstrainedError) as failed:
        await second.applyConstraints({"zoom": {"exact": 3}})
    assert failed.value.constraint == "zoom"
    await second.applyConstraints({"zoom": 3})
    assert second.getSettings()["zoom"] == 2, "a wish gives way"
    first.stop()
    await second.applyConstraints({"zoom": 3})
    assert second.getSettings()["zoom"] == 3


@pytest.mark.spec("10.1")
async def test_others_are_told_and_who_asked_is_not(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    first, second = await camera(media_devices), await camera(media_devices)
    seen: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
    for name, track in (("first", first), ("second", second)):
        track.onconfigurationchange = lambda event, name=name, track=track: seen.put_nowait(
            (name, track.getSettings()["zoom"])
        )
    await first.applyConstraints({"zoom": 2})
    assert await seen.get() == ("second", 2)
    backend.set_controls(PHONE, {"zoom": 3})
    assert {await seen.get(), await seen.get()} == {("first", 3), ("second", 3)}
    assert seen.empty()


@pytest.mark.spec("10.1")
async def test_a_muted_track_is_told_once_it_is_unmuted(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    track = await camera(media_devices)
    seen: asyncio.Queue[str] = asyncio.Queue()
    for name in ("mute", "unmute", "configurationchange"):
        track.addEventListener(name, lambda event: seen.put_nowait(event.type))
    backend.set_muted(PHONE, True)
    assert await seen.get() == "mute"
    backend.set_controls(PHONE, {"zoom": 3})
    backend.set_muted(PHONE, False)
    assert [await seen.get(), await seen.get()] == ["unmute", "configurationchange"]


@pytest.mark.spec("4.17")
async def test_the_lamp_goes_out_with_the_track(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    lit, other = await camera(media_devices), await camera(media_devices)
    await lit.applyConstraints({"advanced": [{"torch": True}]})
    assert backend.controls(PHONE)["torch"] is True
    lit.stop()
    while backend.controls(PHONE)["torch"]:
        await other.recv()
    await other.applyConstraints({"advanced": [{"torch": True}]})
    other.stop()
    await media_devices.closed()
    assert backend.controls(PHONE)["torch"] is False


@pytest.mark.spec("2.15")
async def test_what_is_set_while_the_device_is_released_is_in_force_when_it_is_back(
    media_devices: MediaDevices, backend: VirtualBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer.capture.shared_device.RELEASE_DELAY", 0.0)
    track = await camera(media_devices)
    source = track._device._source
    assert source is not None
    track.enabled = False
    await source.wait_closed()
    await track.applyConstraints({"zoom": 3})
    assert track.getSettings()["zoom"] == 3
    assert backend.controls(PHONE)["zoom"] == 1, "nobody holds it"
    track.enabled = True
    await track.recv()
    while backend.controls(PHONE)["zoom"] != 3:
        await track.recv()
    assert track.getSettings()["zoom"] == 3


async def test_controls_stay_where_they_are_when_nobody_asks(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    backend.set_controls(PHONE, {"brightness": 140})
    track = await camera(media_devices)
    assert track.getSettings()["brightness"] == 140
    assert backend.controls(PHONE)["brightness"] == 140


@pytest.mark.spec("4.18")
async def test_without_permission_nothing_moves_and_nothing_is_known(
    backend: VirtualBackend,
) -> None:
    permissions = Permissions({"pan-tilt-zoom": "denied"})
    devices = MediaDevices([backend], salt=bytes(32), permissions=permissions)
    try:
        track = await camera(devices, zoom=3)
        assert backend.controls(PHONE)["zoom"] == 1
        await track.applyConstraints({"zoom": {"exact": 2}, "brightness": 150})
        assert backend.controls(PHONE)["zoom"] == 1
        assert track.getSettings()["brightness"] == 150
        for shown in (track.getSettings(), track.getCapabilities()):
            assert not {"pan", "tilt", "zoom"} & set(shown)
        permissions.set_state("pan-tilt-zoom", "granted")
        assert track.getSettings()["zoom"] == 1
    finally:
        devices.end()
        await devices.closed()


@pytest.mark.spec("4.18")
@pytest.mark.parametrize(
    ("zoom", "asked"),
    [
        (2, {"pan-tilt-zoom"}),
        (True, {"pan-tilt-zoom"}),
        (False, set()),
    ],
)
async def test_any_value_but_false_asks_for_the_permission(
    backend: VirtualBackend, zoom: Any, asked: set[str]
) -> None:
    prompts: list[frozenset[str]] = []

    async def handler(names: frozenset[str]) -> bool:
        prompts.append(names)
        return True

    permissions = Permissions({"pan-tilt-zoom": "prompt"}, handler=handler)
    devices = MediaDevices([backend], salt=bytes(32), permissions=permissions)
    try:
        track = await camera(devices, zoom=zoom)
        assert set().union(*prompts) == asked
        assert ("zoom" in track.getSettings()) is bool(asked)
    finally:
        devices.end()
        await devices.closed()


@pytest.mark.spec("4.18", "0.4")
async def test_the_permission_has_a_descriptor() -> None:
    permissions = Permissions()
    status = await permissions.query({"name": "camera", "panTiltZoom": True})
    assert (status.name, status.state) == ("pan-tilt-zoom", "granted")
    permissions.set_state("camera", "denied")
    assert permissions.state("pan-tilt-zoom") == "denied", "who may not use it may not move it"


@pytest.mark.spec("11.6")
async def test_the_cursor_of_a_screen_can_be_switched(media_devices: MediaDevices) -> None:
    stream = await media_devices.getDisplayMedia({"video": {"cursor": "always"}})
    [track] = stream.getVideoTracks()
    assert isinstance(track, MediaStreamTrack)
    assert track.getSettings()["cursor"] == "always"
    assert track.getCapabilities()["cursor"] == ["always", "motion", "never"]
    await track.applyConstraints({"cursor": {"exact": "never"}})
    assert track.getSettings()["cursor"] == "never"
