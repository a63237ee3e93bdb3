"""getUserMedia on the lab's kernel devices: real V4L2 cameras, a real ALSA card."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from peer import MediaDevices, MediaStreamTrack, NotReadableError, OverconstrainedError

from .kernel import unplugged


@pytest.fixture
async def media_devices() -> AsyncIterator[MediaDevices]:
    devices = MediaDevices(salt=bytes(32))
    yield devices
    devices.end()
    await devices.closed()


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720)])
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


async def test_a_size_that_the_camera_lacks_is_made_from_one_that_it_has(
    media_devices: MediaDevices,
) -> None:
    wanted = {"width": {"exact": 500}, "height": {"exact": 400}}
    [track] = (await media_devices.getUserMedia({"video": wanted})).getVideoTracks()
    frame = await track.recv()
    assert (frame.width, frame.height) == (500, 400)
    assert track.getSettings()["resizeMode"] == "crop-and-scale"


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


async def test_devices_are_listed_without_being_opened(media_devices: MediaDevices) -> None:
    kinds = [info.kind for info in await media_devices.enumerateDevices()]
    assert kinds == ["audioinput", "videoinput"], "one blank entry a kind before capture"
    for handle in Path("/proc/self/fd").iterdir():  # noqa: ASYNC240 - memory, not disk
        assert not str(handle.resolve()).startswith(("/dev/video", "/dev/snd/pcm"))


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


async def test_an_unplugged_sound_card_ends_its_track(media_devices: MediaDevices) -> None:
    [microphone] = (await media_devices.getUserMedia({"audio": True})).getAudioTracks()
    assert isinstance(microphone, MediaStreamTrack)
    ended = asyncio.Event()
    microphone.onended = lambda event: ended.set()
    await microphone.recv()
    with unplugged("snd_aloop", "snd_aloop.0"):
        await ended.wait()


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
