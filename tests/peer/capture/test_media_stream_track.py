"""Tracks on the virtual devices (SPEC 2 and 8)."""

import asyncio
import itertools
from typing import Any

import aiortc
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from peer import MediaDevices, MediaStreamTrack, OverconstrainedError
from peer.devices import barcode
from peer.devices.virtual import VirtualBackend


@pytest.fixture
async def camera(media_devices: MediaDevices) -> MediaStreamTrack:
    [track] = (await media_devices.getUserMedia({"video": True})).getVideoTracks()
    assert isinstance(track, MediaStreamTrack)
    return track


@pytest.fixture
async def microphone(media_devices: MediaDevices) -> MediaStreamTrack:
    [track] = (await media_devices.getUserMedia({"audio": True})).getAudioTracks()
    assert isinstance(track, MediaStreamTrack)
    return track


def stamp(frame: Any) -> barcode.Stamp | None:
    return barcode.read(frame.to_ndarray()[: frame.height, : frame.width])


@pytest.mark.spec("2.1", "2.3")
async def test_attributes_are_read_only_but_enabled(camera: MediaStreamTrack) -> None:
    for name in ("kind", "id", "label", "muted", "readyState"):
        with pytest.raises(AttributeError):
            setattr(camera, name, "other")
    camera.enabled = 0
    assert camera.enabled is False
    assert isinstance(camera, aiortc.MediaStreamTrack)


@pytest.mark.spec("10.4")
async def test_frames_come_in_order_with_rising_time_stamps(camera: MediaStreamTrack) -> None:
    frames = [await camera.recv() for _ in range(5)]
    numbers = [read.frame for frame in frames if (read := stamp(frame))]
    assert len(numbers) == 5
    assert numbers == sorted(set(numbers))
    times = [frame.pts * frame.time_base for frame in frames]
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


async def test_two_readers_both_get_every_frame(camera: MediaStreamTrack) -> None:
    first, second = camera.reader(), camera.reader()
    for _ in range(3):
        one, two = await asyncio.gather(first.read(), second.read())
        assert stamp(one) == stamp(two)


async def test_a_slow_reader_gets_the_newest_frame(camera: MediaStreamTrack) -> None:
    reader = camera.reader()
    before = stamp(await reader.read())
    other = camera.reader()
    for _ in range(5):
        latest = stamp(await other.read())
    after = stamp(await reader.read())
    assert before is not None
    assert latest is not None
    assert after is not None
    assert after.frame >= latest.frame >= before.frame + 5


async def test_a_reader_may_begin_with_the_picture_that_is_there(camera: MediaStreamTrack) -> None:
    await camera.applyConstraints({"frameRate": {"exact": 1}})
    await camera.recv()
    there = camera._sink.samples.count
    frame = await camera.reader(newest=True).read()
    assert stamp(frame) is not None
    assert camera._sink.samples.count == there, "it has not waited"


async def test_but_not_with_one_from_before_a_pause(
    camera: MediaStreamTrack, backend: VirtualBackend
) -> None:
    await camera.recv()
    backend.set_muted(camera.label, True)
    async with asyncio.timeout(30):
        while not camera.muted:
            await camera.recv()
    last = camera._sink.samples.count
    await asyncio.sleep(0.2)
    backend.set_muted(camera.label, False)
    async with asyncio.timeout(30):
        while camera.muted:
            await camera.recv()
    reader = camera.reader(newest=True)
    await reader.read()
    assert reader._number > last


async def test_sound_is_continuous_frames_of_20_ms(microphone: MediaStreamTrack) -> None:
    frames = [await microphone.recv() for _ in range(10)]
    for earlier, later in itertools.pairwise(frames):
        assert later.pts > earlier.pts
        assert (later.pts - earlier.pts) % 960 == 0, "whole frames, on one clock"
    assert {(f.sample_rate, f.samples, f.format.name, f.layout.name) for f in frames} == {
        (48000, 960, "s16", "stereo")
    }
    spectrum = np.abs(np.fft.rfft(frames[0].to_ndarray()[0, ::2].astype(float)))
    loudest = np.fft.rfftfreq(960, 1 / 48000)[spectrum.argmax()]
    assert min(abs(loudest - tone) for tone in (440, 1760)) <= 50, "one bin of 20 ms"


@pytest.mark.spec("4.11")
async def test_sound_is_resampled_to_the_settings(media_devices: MediaDevices) -> None:
    wanted = {"sampleRate": {"exact": 16000}, "channelCount": {"exact": 1}}
    [track] = (await media_devices.getUserMedia({"audio": wanted})).getTracks()
    frame = await track.recv()
    assert (frame.sample_rate, frame.samples, frame.layout.name) == (16000, 320, "mono")


@pytest.mark.spec("2.4")
async def test_disabled_is_black_at_the_same_geometry(camera: MediaStreamTrack) -> None:
    camera.enabled = False
    frame = await camera.recv()
    planes = frame.to_ndarray()
    assert (frame.width, frame.height) == (640, 480)
    assert (planes[:480] == 16).all()
    assert (planes[480:] == 128).all()
    camera.enabled = True
    assert stamp(await camera.recv()) is not None


@pytest.mark.spec("2.4")
async def test_disabled_is_silent(microphone: MediaStreamTrack) -> None:
    microphone.enabled = False
    assert not (await microphone.recv()).to_ndarray().any()


@pytest.mark.spec("2.3", "2.12")
async def test_a_disabled_track_does_not_darken_its_clone(camera: MediaStreamTrack) -> None:
    clone = camera.clone()
    camera.enabled = False
    assert stamp(await clone.recv()) is not None


@pytest.mark.spec("2.4", "2.5", "2.6")
async def test_mute_and_unmute(camera: MediaStreamTrack, backend: VirtualBackend) -> None:
    events: asyncio.Queue[str] = asyncio.Queue()
    for name in ("mute", "unmute"):
        camera.addEventListener(name, lambda event: events.put_nowait(event.type))
    await camera.recv()
    backend.set_muted("Cam A", True)
    assert await events.get() == "mute"
    assert camera.muted
    assert camera.readyState == "live"
    for _ in range(3):
        frame = await camera.recv()
        assert (frame.to_ndarray()[:480] == 16).all(), "no real picture while muted"
    backend.set_muted("Cam A", False)
    assert await events.get() == "unmute"
    while stamp(await camera.recv()) is None:
        pass  # a black frame for the present moment may have been under way


@pytest.mark.spec("2.7", "2.9")
async def test_stop_is_silent_and_final(camera: MediaStreamTrack) -> None:
    fired: list[Any] = []
    emitted: list[str] = []
    camera.onended = fired.append
    camera.on("ended", lambda: emitted.append("ended"))

    async def read_on() -> None:
        while True:
            await camera.recv()

    waiting = asyncio.create_task(read_on())
    await asyncio.sleep(0)
    camera.stop()
    camera.stop()
    assert camera.readyState == "ended"
    with pytest.raises(MediaStreamError):
        await waiting
    assert fired == []
    assert emitted == ["ended"], "aiortc's own listeners are told"


@pytest.mark.spec("2.7")
async def test_the_device_closes_with_its_last_track(
    camera: MediaStreamTrack, backend: VirtualBackend
) -> None:
    clone = camera.clone()
    camera.stop()
    assert stamp(await clone.recv()) is not None
    source = clone._device._source
    assert source is not None
    clone.stop()
    await source.wait_closed()


@pytest.mark.spec("2.11", "2.12", "2.19", wpt=["MediaStream-clone.https.html"])
async def test_clone_has_an_id_and_settings_of_its_own(camera: MediaStreamTrack) -> None:
    camera.enabled = False
    clone = camera.clone()
    assert clone.id != camera.id
    assert clone.enabled is False
    assert clone.getSettings() == camera.getSettings()
    await clone.applyConstraints({"width": 320, "height": 240, "frameRate": {"max": 30}})
    assert (clone.getSettings()["width"], camera.getSettings()["width"]) == (320, 640)
    assert camera.getConstraints() == {}
    frames = await asyncio.gather(clone.recv(), camera.recv())
    assert [frame.width for frame in frames] == [320, 640]


@pytest.mark.spec("2.11")
async def test_a_clone_of_an_ended_track_is_ended(camera: MediaStreamTrack) -> None:
    camera.stop()
    clone = camera.clone()
    assert clone.readyState == "ended"
    assert clone.id != camera.id


@pytest.mark.spec("8.1", "8.4", "8.9", wpt=["MediaStreamTrack-applyConstraints.https.html"])
async def test_apply_constraints_replaces_and_switches_the_mode(camera: MediaStreamTrack) -> None:
    await camera.applyConstraints({"width": {"exact": 1280}})
    frame = await camera.recv()
    while frame.width != 1280:
        frame = await camera.recv()
    assert camera.getSettings()["height"] == 720
    assert camera.getConstraints() == {"width": {"exact": 1280}}
    await camera.applyConstraints()
    assert camera.getConstraints() == {}
    assert camera.getSettings()["width"] == 640


@pytest.mark.spec("8.3", wpt=["MediaStreamTrack-applyConstraints.https.html"])
async def test_apply_constraints_that_fails_changes_nothing(camera: MediaStreamTrack) -> None:
    settings = camera.getSettings()
    with pytest.raises(OverconstrainedError, match="width") as caught:
        await camera.applyConstraints({"width": {"min": 4000}})
    assert caught.value.constraint == "width"
    assert camera.getSettings() == settings
    assert camera.getConstraints() == {}
    with pytest.raises(TypeError, match=r"constraints\.width"):
        await camera.applyConstraints({"width": []})


@pytest.mark.spec("8.2")
async def test_apply_constraints_calls_take_effect_in_order(camera: MediaStreamTrack) -> None:
    await asyncio.gather(
        camera.applyConstraints({"width": 1280}),
        camera.applyConstraints({"width": {"exact": 320}}),
    )
    assert camera.getConstraints() == {"width": {"exact": 320}}
    assert camera.getSettings()["width"] == 320


@pytest.mark.spec("2.16", "8.7", "8.8", "6.15")
async def test_a_larger_track_of_the_same_camera_does_not_disturb_the_first(
    media_devices: MediaDevices, camera: MediaStreamTrack
) -> None:
    [large] = (await media_devices.getUserMedia({"video": {"width": 1280}})).getVideoTracks()
    assert large.label == camera.label
    frames = await asyncio.gather(large.recv(), camera.recv())
    assert [frame.width for frame in frames] == [1280, 640]
    # What was native is now made by scaling, and the settings say so.
    assert camera.getSettings()["resizeMode"] == "crop-and-scale"


@pytest.mark.spec("0.8")
async def test_what_is_returned_is_a_copy(camera: MediaStreamTrack) -> None:
    for get in (camera.getSettings, camera.getConstraints, camera.getCapabilities):
        get()["width"] = "mine"
        assert get().get("width") != "mine"


@pytest.mark.spec("2.14")
async def test_apply_constraints_after_the_end_does_nothing(camera: MediaStreamTrack) -> None:
    camera.stop()
    assert await camera.applyConstraints({"width": {"min": 100000}}) is None
