"""getUserMedia on the virtual devices (SPEC 5 to 7)."""

import asyncio
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError

from peer import (
    AbortError,
    MediaDevices,
    NotAllowedError,
    NotFoundError,
    NotReadableError,
    OverconstrainedError,
    Permissions,
)
from peer.devices.virtual import VirtualBackend, standard_set

from .conftest import SALT


@pytest.mark.spec("6.11")
async def test_a_stream_of_exactly_one_track_of_each_kind(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"video": True, "audio": True})
    assert [track.kind for track in stream.getTracks()] == ["audio", "video"]
    assert stream.active


@pytest.mark.spec("4.13", "2.2", "6.11", wpt=["MediaStreamTrack-init.https.html"])
async def test_the_default_is_640x480_at_30_from_the_default_camera(
    media_devices: MediaDevices,
) -> None:
    [track] = (await media_devices.getUserMedia({"video": True})).getVideoTracks()
    settings = track.getSettings()
    assert (settings["width"], settings["height"], settings["frameRate"]) == (640, 480, 30)
    assert settings["resizeMode"] == "none"
    assert track.label == "Cam A"
    assert track.getConstraints() == {}


@pytest.mark.parametrize(
    ("constraints", "label", "size"),
    [
        pytest.param({"width": 1280, "height": 720}, "Cam A", (1280, 720), id="ideal size"),
        pytest.param({"width": {"exact": 1920}}, "Cam C", (1920, 1080), id="only one camera can"),
        pytest.param({"facingMode": "environment"}, "Cam C", (640, 480), id="ideal facing"),
        pytest.param({"facingMode": {"exact": ["left", "user"]}}, "Cam A", (640, 480), id="list"),
        pytest.param({"width": {"exact": 300}, "height": {"exact": 300}}, "Cam A", (300, 300),
                     id="cropped and scaled"),
        pytest.param({"aspectRatio": {"exact": 16 / 9}, "width": {"max": 700}}, "Cam A", None,
                     id="aspect ratio"),
    ],
)  # fmt: skip
@pytest.mark.spec(
    "4.3",
    "4.6",
    "4.8",
    "6.10",
    "6.11",
    wpt=["MediaDevices-getUserMedia.https.html"],
)
async def test_settings_follow_constraints_and_frames_follow_settings(
    media_devices: MediaDevices,
    constraints: dict[str, Any],
    label: str,
    size: tuple[int, int] | None,
) -> None:
    [track] = (await media_devices.getUserMedia({"video": constraints})).getVideoTracks()
    settings = track.getSettings()
    frame = await track.recv()
    assert track.label == label
    assert (frame.width, frame.height) == (settings["width"], settings["height"])
    assert frame.format.name == "yuv420p"
    assert size is None or (frame.width, frame.height) == size
    assert track.getConstraints() == constraints


@pytest.mark.spec("4.4", "4.7")
async def test_a_lower_rate_takes_every_nth_frame(media_devices: MediaDevices) -> None:
    [track] = (
        await media_devices.getUserMedia({"video": {"frameRate": {"exact": 10}}})
    ).getVideoTracks()
    assert track.getSettings()["resizeMode"] == "crop-and-scale"
    first = await track.recv()
    second = await track.recv()
    interval = (second.pts - first.pts) * second.time_base
    assert interval >= 0.09, "frames of the native rate are thinned out"


@pytest.mark.parametrize(
    ("constraints", "failed", "said"),
    [
        ({"width": {"min": 5000}}, "width", "1 to 1280"),
        ({"frameRate": {"min": 61}}, "frameRate", "60"),
        ({"facingMode": {"exact": "left"}}, "facingMode", "user"),
        ({"deviceId": {"exact": "no such"}}, "deviceId", "no such"),
        ({"width": {"exact": 1920}, "facingMode": {"exact": "user"}}, "", "together"),
    ],
)
@pytest.mark.spec(
    "6.5",
    "6.13",
    "6.14",
    "4.1",
    "5.12",
    wpt=["GUM-impossible-constraint.https.html"],
)
async def test_overconstrained_names_the_constraint(
    media_devices: MediaDevices, constraints: dict[str, Any], failed: str, said: str
) -> None:
    with pytest.raises(OverconstrainedError) as caught:
        await media_devices.getUserMedia({"video": constraints})
    assert caught.value.constraint == failed
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        (None, "audio or video"),
        ({}, "audio or video"),
        ({"video": False, "audio": False}, "audio or video"),
        ({"picture": True}, "audio or video"),
        ({"video": 1}, "video must be"),
        ("video", "dictionary"),
        ({"video": {"width": "wide"}}, "video.width must be a number"),
        ({"video": {"width": {"min": float("nan")}}}, "video.width.min"),
        ({"video": {"displaySurface": {"exact": "monitor"}}}, "displaySurface can't be required"),
    ],
)
@pytest.mark.spec("6.1", "6.4", "4.19", "0.6", wpt=["MediaDevices-getUserMedia.https.html"])
async def test_type_errors_say_what_is_wrong(
    media_devices: MediaDevices, constraints: Any, said: str
) -> None:
    with pytest.raises(TypeError, match=said.replace(".", r"\.")):
        await media_devices.getUserMedia(constraints)


@pytest.mark.spec("6.3", "6.14")
async def test_no_device_of_the_kind_is_not_found() -> None:
    cameras = [d for d in standard_set() if d.description.kind == "videoinput"]
    devices = MediaDevices([VirtualBackend(cameras)], salt=SALT)
    with pytest.raises(NotFoundError, match="no microphone"):
        await devices.getUserMedia({"audio": True, "video": True})


@pytest.mark.spec("6.9")
async def test_a_busy_device_falls_through_to_the_next(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    backend.set_busy("Cam A", True)
    [track] = (await media_devices.getUserMedia({"video": True})).getVideoTracks()
    assert track.label == "Cam C"


@pytest.mark.spec("6.9")
async def test_all_busy_is_not_readable_and_nothing_stays_open(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    backend.set_busy("Cam A", True)
    backend.set_busy("Cam C", True)
    with pytest.raises(NotReadableError, match=r"Cam A is in use.*Cam C is in use"):
        await media_devices.getUserMedia({"audio": True, "video": True})
    # The fixture's teardown fails if the microphone's thread were left.
    backend.set_busy("Cam A", False)
    assert (await media_devices.getUserMedia({"video": True})).active


@pytest.mark.spec("6.9")
async def test_a_device_unplugged_before_it_is_opened_is_an_abort(
    backend: VirtualBackend,
) -> None:
    class Vanishing(VirtualBackend):
        def list_devices(self) -> Any:
            found = super().list_devices()
            self.unplug("Cam A")
            return found

    devices = MediaDevices([Vanishing(standard_set()[2:3])], salt=SALT)
    with pytest.raises(AbortError, match="Cam A is not plugged in"):
        await devices.getUserMedia({"video": True})


@pytest.mark.spec("6.6", "6.12")
async def test_denied_permission_masks_what_there_is(backend: VirtualBackend) -> None:
    permissions = Permissions({"camera": "denied"})
    devices = MediaDevices([backend], salt=SALT, permissions=permissions)
    for constraints in (True, {"width": {"min": 5000}}):
        with pytest.raises(NotAllowedError, match="camera is denied"):
            await devices.getUserMedia({"video": constraints})
    assert (await devices.getUserMedia({"audio": True})).active
    devices.end()
    await devices.closed()


@pytest.mark.spec("2.10", "2.8")
async def test_revoking_ends_the_tracks_that_need_it(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"audio": True, "video": True})
    [camera], [microphone] = stream.getVideoTracks(), stream.getAudioTracks()
    ended = asyncio.Event()
    camera.onended = lambda event: ended.set()
    media_devices.permissions.set_state("camera", "denied")
    assert camera.readyState == "live", "the end comes in a task"
    await ended.wait()
    assert (camera.readyState, microphone.readyState) == ("ended", "live")


@pytest.mark.spec(
    "7.4",
    "7.6",
    "7.2",
    "7.3",
    "7.10",
    "11.11",
    wpt=["MediaDevices-enumerateDevices.https.html"],
)
async def test_enumerate_devices_opens_nothing_and_tells_little_before_capture(
    media_devices: MediaDevices,
) -> None:
    infos = await media_devices.enumerateDevices()
    assert [info.toJSON() for info in infos] == [
        {"deviceId": "", "kind": "audioinput", "label": "", "groupId": ""},
        {"deviceId": "", "kind": "videoinput", "label": "", "groupId": ""},
    ]
    assert infos[1].getCapabilities() == {}


@pytest.mark.spec(
    "7.1",
    "7.5",
    "6.8",
    "7.7",
    "7.8",
    "7.9",
    "4.1",
    wpt=["MediaDevices-enumerateDevices-returned-objects.https.html"],
)
async def test_after_capture_everything_is_listed_with_ids_that_last(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    stream = await media_devices.getUserMedia({"audio": True, "video": True})
    infos = await media_devices.enumerateDevices()
    assert [info.label for info in infos] == ["Mic A", "Mic B", "Cam A", "Cam C"]
    assert infos[0].groupId == infos[2].groupId != infos[3].groupId
    [track] = stream.getVideoTracks()
    assert track.getSettings()["deviceId"] == infos[2].deviceId
    assert track.getCapabilities() == infos[2].getCapabilities()

    again = MediaDevices([backend], salt=SALT)
    [same] = (
        await again.getUserMedia({"video": {"deviceId": {"exact": infos[3].deviceId}}})
    ).getVideoTracks()
    assert same.label == "Cam C"
    again.end()
    await again.closed()


@pytest.mark.spec("2.8", "2.9", "2.13")
async def test_an_unplugged_camera_ends_its_tracks_once_and_no_others(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    stream = await media_devices.getUserMedia({"audio": True, "video": True})
    [camera], [microphone] = stream.getVideoTracks(), stream.getAudioTracks()
    clone = camera.clone()
    events: list[Any] = []
    both = asyncio.Event()

    def ended(event: Any) -> None:
        events.append(event.target)
        if len(events) == 2:
            both.set()

    camera.addEventListener("ended", ended)
    clone.onended = ended
    device_id = camera.getSettings()["deviceId"]
    backend.unplug("Cam A")
    await both.wait()
    assert events == [camera, clone]
    assert camera.readyState == clone.readyState == "ended"
    assert microphone.readyState == "live"
    assert camera.getSettings()["deviceId"] == device_id
    assert "width" not in camera.getSettings()
    with pytest.raises(MediaStreamError):
        await camera.recv()
    assert (await microphone.recv()).samples == 960


@pytest.mark.spec(
    "11.1", "11.2", "11.5", "11.8", "0.3", wpt=["screen-capture/getdisplaymedia.https.html"]
)
async def test_get_display_media(media_devices: MediaDevices) -> None:
    [track] = (await media_devices.getDisplayMedia({"video": {"width": 960}})).getTracks()
    frame = await track.recv()
    assert (frame.width, frame.height) == (960, 540)
    assert track.getSettings()["displaySurface"] == "monitor"
    for bad in ({"video": False}, {"video": {"advanced": []}}, {"video": {"width": {"min": 1}}}):
        with pytest.raises(TypeError):
            await media_devices.getDisplayMedia(bad)
