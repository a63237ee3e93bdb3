"""What files of web-platform-tests check, in tests of our own; each names its files."""

from typing import Any

import pytest

from peer import InputDeviceInfo, MediaDevices, MediaStream, OverconstrainedError


async def video_track(devices: MediaDevices, constraints: Any = True) -> Any:
    [track] = (await devices.getUserMedia({"video": constraints})).getVideoTracks()
    return track


VIDEO_ONLY = [
    {"width": {"min": 0}, "aspectRatio": {"min": 0}, "facingMode": {"ideal": "environment"}},
    {"width": {"min": 1e8}, "frameRate": {"min": 1e8}, "resizeMode": {"exact": "invalid"}},
]
AUDIO_ONLY = [
    {"sampleRate": {"min": 0}, "echoCancellation": {"ideal": True}, "latency": {"min": 0}},
    {"sampleRate": {"min": 1e8}, "echoCancellation": {"exact": True}, "channelCount": {"max": 0}},
]


@pytest.mark.spec("3.7", wpt=["GUM-non-applicable-constraint.https.html"])
@pytest.mark.parametrize(
    ("kind", "foreign"),
    [*(("audio", one) for one in VIDEO_ONLY), *(("video", one) for one in AUDIO_ONLY)],
)
async def test_constraints_of_the_other_kind_are_ignored(
    media_devices: MediaDevices, kind: str, foreign: dict[str, Any]
) -> None:
    [track] = (await media_devices.getUserMedia({kind: foreign})).getTracks()
    assert track.kind == kind


@pytest.mark.spec("5.9", wpt=["GUM-required-constraint-with-ideal-value.https.html"])
async def test_an_ideal_within_a_bound_is_hit(media_devices: MediaDevices) -> None:
    track = await video_track(media_devices, {"width": {"ideal": 320, "min": 160}})
    assert track.getSettings()["width"] == 320
    assert (await track.recv()).width == 320


@pytest.mark.spec("4.7", wpt=["MediaDevices-getUserMedia.https.html"])
async def test_resize_modes(media_devices: MediaDevices) -> None:
    for mode in ("none", "crop-and-scale"):
        track = await video_track(media_devices, {"resizeMode": {"exact": mode}})
        assert track.getSettings()["resizeMode"] == mode
        track.stop()
    with pytest.raises(OverconstrainedError) as caught:
        await video_track(media_devices, {"resizeMode": {"exact": "invalid"}})
    assert caught.value.constraint == "resizeMode"


@pytest.mark.spec("4.2", "7.8", wpt=["MediaDevices-getUserMedia.https.html"])
async def test_a_group_can_be_asked_for(media_devices: MediaDevices) -> None:
    await media_devices.getUserMedia({"audio": True, "video": True})
    infos = await media_devices.enumerateDevices()
    for kind in ("audio", "video"):
        groups = {info.groupId for info in infos if info.kind == f"{kind}input"}
        for info in infos:
            asked = media_devices.getUserMedia({kind: {"groupId": {"exact": info.groupId}}})
            if info.groupId in groups:
                [track] = (await asked).getTracks()
                assert track.getSettings()["groupId"] == info.groupId
                continue
            with pytest.raises(OverconstrainedError) as caught:
                await asked
            assert caught.value.constraint == "groupId"


@pytest.mark.spec("7.1", "7.2", "7.4", wpt=["MediaDevices-enumerateDevices-returned-objects.https.html", "MediaDevices-enumerateDevices.https.html"])  # fmt: skip  # noqa: E501
async def test_the_device_list_is_made_of_fresh_objects(media_devices: MediaDevices) -> None:
    for captured in (False, True):
        if captured:
            await media_devices.getUserMedia({"audio": True, "video": True})
        lists = [await media_devices.enumerateDevices() for _ in range(2)]
        for one, other in zip(*lists, strict=True):
            assert one is not other
            assert one.toJSON() == other.toJSON()
            assert isinstance(one, InputDeviceInfo)
            assert bool(one.deviceId) == bool(one.label) == bool(one.groupId) == captured
        if not captured:
            assert len({info.kind for info in lists[0]}) == len(lists[0])


@pytest.mark.spec("2.16", "4.14", wpt=["MediaStreamTrack-getSettings.https.html"])
async def test_a_device_opened_twice(media_devices: MediaDevices) -> None:
    first = (await video_track(media_devices)).getSettings()
    half = {"deviceId": first["deviceId"], "width": {"exact": first["width"] // 2}}
    for constraints in ({"deviceId": first["deviceId"]}, half):
        second = (await video_track(media_devices, constraints)).getSettings()
        assert second["deviceId"] == first["deviceId"]
    assert second["width"] == first["width"] // 2
    for info in await media_devices.enumerateDevices():
        kind = info.kind.removesuffix("input")
        exact = {"deviceId": {"exact": info.deviceId}}
        if info.deviceId:
            [track] = (await media_devices.getUserMedia({kind: exact})).getTracks()
            assert track.getSettings()["groupId"] == info.groupId


@pytest.mark.spec("4.7", "8.3", wpt=["MediaStreamTrack-applyConstraints.https.html"])
async def test_an_unknown_resize_mode_later(media_devices: MediaDevices) -> None:
    track = await video_track(media_devices)
    with pytest.raises(OverconstrainedError) as caught:
        await track.applyConstraints({"resizeMode": {"exact": "invalid"}})
    assert caught.value.constraint == "resizeMode"
    await track.applyConstraints({"resizeMode": "invalid"})
    assert track.getSettings()["resizeMode"] == "none"


@pytest.mark.spec("1.3", "1.8", "2.11", wpt=["MediaStream-clone.https.html"])
async def test_streams_and_clones_of_clones(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"audio": True, "video": True})
    first = stream.clone()
    for track in stream.getTracks():
        track.stop()
    assert (stream.active, first.active) == (False, True)
    first.getAudioTracks()[0].stop()
    second = first.clone()
    assert [t.readyState for t in second.getTracks()] == ["ended", "live"]
    for one in (first, second):
        one.getVideoTracks()[0].stop()
    third = second.clone()
    assert not third.active
    ids = {t.id for one in (stream, first, second, third) for t in one.getTracks()}
    assert len(ids) == 8
    again = (await video_track(media_devices)).clone()
    empty = MediaStream()
    empty.addTrack(again)
    assert empty.active
    again.stop()
    assert not empty.active


@pytest.mark.spec("10.2", wpt=["mediacapture-extensions/MediaStreamTrack-getStats-video.https.html"])  # fmt: skip  # noqa: E501
async def test_frames_are_counted_without_a_reader_and_when_thinned_out(
    media_devices: MediaDevices,
) -> None:
    track = await video_track(media_devices)
    reader = track.clone().reader()  # to wait by; the track itself is not read
    while track.stats.deliveredFrames < 2:
        await reader.read()
    assert track.stats.discardedFrames == 0
    await track.applyConstraints({"frameRate": {"max": 10}})
    while track.stats.discardedFrames < 2:
        await reader.read()


OPTIONS = [None, {}, {"video": True}, {"video": True, "audio": False}, {"audio": False},
           {"audio": True}, {"video": {"displaySurface": "browser"}}]  # fmt: skip


@pytest.mark.spec("11.1", "11.4", "11.5", wpt=["screen-capture/getdisplaymedia.https.html"])
@pytest.mark.parametrize("options", OPTIONS)
async def test_display_options_that_succeed(media_devices: MediaDevices, options: Any) -> None:
    stream = await media_devices.getDisplayMedia(options)
    [track] = stream.getTracks()
    assert (track.kind, track.enabled, track.readyState) == ("video", True, "live")
    settings = track.getSettings()
    assert settings["displaySurface"] in ("monitor", "window", "browser")
    assert settings["logicalSurface"] in (True, False)
    assert settings["cursor"] in ("never", "always", "motion")


@pytest.mark.spec("11.2", wpt=["screen-capture/getdisplaymedia.https.html"])
@pytest.mark.parametrize("bound", ["min", "exact"])
@pytest.mark.parametrize("name", ["width", "height", "frameRate"])
async def test_display_bounds_that_are_refused(
    media_devices: MediaDevices, name: str, bound: str
) -> None:
    for video in ({name: {bound: 4}}, {"advanced": [{name: 320}]}, False):
        with pytest.raises(TypeError):
            await media_devices.getDisplayMedia({"video": video})
    for most in (0, -1):
        with pytest.raises(OverconstrainedError) as caught:
            await media_devices.getDisplayMedia({"video": {name: {"max": most}}})
        assert caught.value.constraint == name


@pytest.mark.spec("11.8", wpt=["screen-capture/getdisplaymedia.https.html"])
async def test_display_sizes_are_hit_precisely(media_devices: MediaDevices) -> None:
    [track] = (await media_devices.getDisplayMedia({"video": {"height": 240}})).getTracks()
    assert track.getSettings()["height"] == 240
    for wish in ({"width": 160}, {"height": 120}, {"width": 158}, {"height": 118}):
        await track.applyConstraints(wish)
        assert wish.items() <= track.getSettings().items()
    most = {"frameRate": {"max": 4}, "width": {"max": 360}, "height": {"max": 240}}
    [small] = (await media_devices.getDisplayMedia({"video": most})).getTracks()
    assert all(1 <= small.getSettings()[name] <= bound["max"] for name, bound in most.items())


@pytest.mark.spec("11.8", wpt=["screen-capture/getdisplaymedia-framerate.https.html"])
async def test_a_display_is_thinned_out_to_its_rate(media_devices: MediaDevices) -> None:
    slow = {"width": 160, "frameRate": 5}
    [track] = (await media_devices.getDisplayMedia({"video": slow})).getTracks()
    assert track.getSettings()["frameRate"] == 5
    first, second = await track.recv(), await track.recv()
    assert (second.pts - first.pts) * second.time_base >= 0.19
