"""getUserMedia on the lab's kernel devices: real V4L2 cameras, a real ALSA card."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from peer import (
    DeviceChangeEvent,
    MediaDevices,
    MediaStreamTrack,
    NotReadableError,
    OverconstrainedError,
)
from peer.capture import shared_device

from ..peer.capture.test_extensions import within
from .kernel import unplugged


@pytest.fixture
async def media_devices() -> AsyncIterator[MediaDevices]:
    devices = MediaDevices(salt=bytes(32))
    yield devices
    devices.end()
    await devices.closed()


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720)])
@pytest.mark.spec("4.3", "4.7", "6.11")
async def test_the_camera_delivers_the_size_asked_for(
    media_devices: MediaDevices, width: int, height: int
) -> None:
    wanted = {"width": {"exact": width}, "height": {"exact": height}, "frameRate": 30}
    [track] = (await media_devices.getUserMedia({"video": wanted})).getVideoTracks()
    settings = track.getSettings()
    assert (settings["width"], settings["height"], settings["frameRate"]) == (width, height, 30)
    assert settings["resizeMode"] == "none"
    frames = [await track.recv() for _ in range(5)]
    assert {(f.width, f.height, f.format.name) for f in frames} == {(width, height, "yuv420p")}
    pictures = [frame.to_ndarray()[:height] for frame in frames]
    assert np.ptp(pictures[0]) > 100, "a picture, not a grey field"
    # vivid's test pattern has a counter in it.
    assert (pictures[0] != pictures[-1]).any(), "the picture moves"


@pytest.mark.spec("4.8")
async def test_a_size_that_the_camera_lacks_is_made_from_one_that_it_has(
    media_devices: MediaDevices,
) -> None:
    wanted = {"width": {"exact": 500}, "height": {"exact": 400}}
    [track] = (await media_devices.getUserMedia({"video": wanted})).getVideoTracks()
    frame = await track.recv()
    assert (frame.width, frame.height) == (500, 400)
    assert track.getSettings()["resizeMode"] == "crop-and-scale"


@pytest.mark.spec("6.5", "5.12")
async def test_what_no_camera_can_do_is_named(media_devices: MediaDevices) -> None:
    with pytest.raises(OverconstrainedError, match="vivid offers 1 to 3840") as caught:
        await media_devices.getUserMedia({"video": {"width": {"min": 10000}}})
    assert caught.value.constraint == "width"


async def test_the_sound_card_delivers_48_khz_in_20_ms(media_devices: MediaDevices) -> None:
    [track] = (await media_devices.getUserMedia({"audio": True})).getAudioTracks()
    assert track.getSettings()["sampleRate"] == 48000
    first = await track.recv()
    assert (first.sample_rate, first.samples, first.format.name) == (48000, 960, "s16")
    second = await track.recv()
    assert (second.pts - first.pts) % 960 == 0


@pytest.mark.spec("7.4")
async def test_devices_are_listed_without_being_opened(media_devices: MediaDevices) -> None:
    kinds = [info.kind for info in await media_devices.enumerateDevices()]
    assert kinds == ["audioinput", "videoinput"], "one blank entry a kind before capture"
    for handle in Path("/proc/self/fd").iterdir():  # noqa: ASYNC240 - memory, not disk
        assert not str(handle.resolve()).startswith(("/dev/video", "/dev/snd/pcm"))


@pytest.mark.spec("2.8", "2.9", "7.7")
async def test_an_unplugged_camera_ends_its_track_once_and_no_other(
    media_devices: MediaDevices,
) -> None:
    stream = await media_devices.getUserMedia({"video": True, "audio": True})
    [camera], [microphone] = stream.getVideoTracks(), stream.getAudioTracks()
    assert isinstance(camera, MediaStreamTrack)
    ended: list[object] = []
    happened = asyncio.Event()

    def on_ended(event: object) -> None:
        ended.append(event)
        happened.set()

    camera.onended = on_ended
    await camera.recv()
    with unplugged("vivid", "vivid.0"):
        await happened.wait()
        assert camera.readyState == "ended"
        with pytest.raises(MediaStreamError):
            await camera.recv()
        assert microphone.readyState == "live"
        assert (await microphone.recv()).samples == 960
        await asyncio.sleep(0)
        assert len(ended) == 1
        # The other camera takes its place for whoever asks now.
        [other] = (await media_devices.getUserMedia({"video": True})).getVideoTracks()
        assert other.label == "vividb"
    [again] = (
        await media_devices.getUserMedia(
            {"video": {"deviceId": {"exact": camera.getSettings()["deviceId"]}}}
        )
    ).getVideoTracks()
    assert (await again.recv()).width == 640


@pytest.mark.spec("2.8")
async def test_an_unplugged_sound_card_ends_its_track(media_devices: MediaDevices) -> None:
    [microphone] = (await media_devices.getUserMedia({"audio": True})).getAudioTracks()
    assert isinstance(microphone, MediaStreamTrack)
    ended = asyncio.Event()
    microphone.onended = lambda event: ended.set()
    await microphone.recv()
    with unplugged("snd_aloop", "snd_aloop.0"):
        await ended.wait()


@pytest.mark.spec("6.9")
async def test_a_camera_that_another_program_streams_is_not_readable(
    media_devices: MediaDevices,
) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import av, sys; c = av.open('/dev/video0', format='v4l2'); next(c.decode(video=0));"
        "print('streaming', flush=True); sys.stdin.read()",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    try:
        assert await holder.stdout.readline() == b"streaming\n"
        exact = {"deviceId": {"exact": await device_id(media_devices, "vivid")}}
        with pytest.raises(NotReadableError, match=str(holder.pid)):
            await media_devices.getUserMedia({"video": exact})
        [other] = (await media_devices.getUserMedia({"video": True})).getVideoTracks()
        assert other.label == "vividb", "a busy camera falls through to the next"
    finally:
        holder.stdin.close()
        await holder.wait()


async def device_id(media_devices: MediaDevices, label: str) -> str:
    """The id of a camera; another one is captured for a moment, so that ids are shown."""
    stream = await media_devices.getUserMedia({"audio": True})
    infos = await media_devices.enumerateDevices()
    for track in stream.getTracks():
        track.stop()
    return next(info.deviceId for info in infos if info.label == label)


async def camera_track(media_devices: MediaDevices) -> MediaStreamTrack:
    [track] = (await media_devices.getUserMedia({"video": True})).getVideoTracks()
    assert isinstance(track, MediaStreamTrack)
    return track


@pytest.mark.spec("2.11", "2.12", "2.16", "2.7")
async def test_tracks_of_one_camera(media_devices: MediaDevices) -> None:
    track = await camera_track(media_devices)
    clone = track.clone()
    await clone.applyConstraints({"width": 320, "height": 240})
    frames = await asyncio.gather(track.recv(), clone.recv())
    assert [frame.width for frame in frames] == [640, 320]
    other = await camera_track(media_devices)
    assert other.label == track.label
    track.stop()
    other.stop()
    assert (await clone.recv()).width == 320


@pytest.mark.spec("2.4", "2.15")
async def test_disabled_black_released_and_back(
    media_devices: MediaDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_device, "RELEASE_DELAY", 0.01)
    track = await camera_track(media_devices)
    await track.recv()
    track.enabled = False
    source = track._device._source
    assert source is not None
    await source.wait_closed()
    assert (await track.recv()).to_ndarray()[:480].max() == 16
    track.enabled = True
    while (await track.recv()).to_ndarray()[:480].max() == 16:
        pass


@pytest.mark.spec("4.14", "7.9")
async def test_settings_within_capabilities(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"audio": True, "video": True})
    infos = {info.deviceId: info for info in await media_devices.enumerateDevices()}
    for track in stream.getTracks():
        within(track.getSettings(), track.getCapabilities())
        device = infos[track.getSettings()["deviceId"]]
        assert device.getCapabilities() == track.getCapabilities()


@pytest.mark.spec("8.3", "8.4", "8.9")
async def test_constraints_later(media_devices: MediaDevices) -> None:
    track = await camera_track(media_devices)
    with pytest.raises(OverconstrainedError):
        await track.applyConstraints({"width": {"min": 10000}})
    assert track.getSettings()["width"] == 640
    await track.applyConstraints({"width": {"exact": 1280}})
    frame = await track.recv()
    while frame.width != 1280:
        frame = await track.recv()
    assert track.readyState == "live"


@pytest.mark.spec("7.11")
async def test_devicechange_when_a_camera_goes_and_comes(media_devices: MediaDevices) -> None:
    await camera_track(media_devices)
    events: asyncio.Queue[DeviceChangeEvent] = asyncio.Queue()
    media_devices.ondevicechange = events.put_nowait
    assert media_devices._watch is not None
    while not media_devices._watch.ready:  # noqa: ASYNC110 - the first list comes from a thread
        await asyncio.sleep(0)
    with unplugged("vividb", "vividb.0"):
        event = await events.get()
        while [i.label for i in event.devices if i.kind == "videoinput"] != ["vivid"]:
            event = await events.get()
    while not event.userInsertedDevices:
        event = await events.get()
    assert [info.label for info in event.userInsertedDevices] == ["vividb"]
