"""A camera's own H.264 is sent as it is to who can take it."""

import asyncio

import pytest

from peer import MediaDevices, MediaStreamTrack
from peer.devices.backend import VideoMode
from peer.devices.virtual import VirtualBackend, virtual_camera
from peer.media.outgoing import preferred_codecs, sendable_codecs
from peer.media.video_encoders import VideoEncoder

from .loopback import parameters, viewer
from .test_outgoing import is_black, picture_that, until, watch

CAMERA = virtual_camera("Compressing", [VideoMode(640, 480, 30.0, "h264")], default=True)


@pytest.fixture
def backend() -> VirtualBackend:
    return VirtualBackend([CAMERA])


@pytest.fixture
async def camera(media_devices: MediaDevices) -> MediaStreamTrack:
    stream = await media_devices.getUserMedia({"video": True})
    return stream.getVideoTracks()[0]


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoding is an error."""

    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("the picture was encoded")

    monkeypatch.setattr(VideoEncoder, "encode", refuse)


@pytest.mark.usefixtures("untouched")
async def test_its_packets_are_sent_as_they_are(camera: MediaStreamTrack) -> None:
    async with viewer(parameters("H264")) as one:
        await watch(one, camera, "H264")
        numbers = [await one.number() for _ in range(10)]
        statistics = one.stream.statistics
    assert None not in numbers
    assert numbers == sorted(set(numbers)), "the camera skips what a busy machine is too late for"  # type: ignore[type-var]
    assert statistics.packetsLost == 0
    assert statistics.encoderImplementation == "camera"
    assert (statistics.frameWidth, statistics.frameHeight) == (640, 480)
    assert statistics.targetBitrate == 0
    assert not one.failures


@pytest.mark.usefixtures("untouched")
async def test_who_joins_between_key_frames_sees_a_picture_at_once(
    camera: MediaStreamTrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with viewer(parameters("H264")) as one, viewer(parameters("H264")) as other:
        await watch(one, camera, "H264")
        first = await one.number()
        keyframes = one.stream.statistics.keyFramesEncoded
        for _ in range(5):
            await one.number()
        monkeypatch.setattr(type(camera._device), "request_keyframe", lambda device: None)
        await watch(other, camera, "H264")
        assert await other.number() == first, "the latest key frame"
        assert one.stream.statistics.keyFramesEncoded == keyframes
        assert await other.number() == first + 1  # type: ignore[operator]
        await until(lambda: not other.stream._feed.encoder._fan_out._late)  # type: ignore[union-attr]
        last = await other.number()
        assert last == await one.number() or last is not None


async def test_it_is_encoded_where_it_is_not_what_the_track_shows(
    camera: MediaStreamTrack,
) -> None:
    async with viewer(parameters("H264")) as one:
        await watch(one, camera, "H264")
        assert await one.number() is not None
        camera.enabled = False
        await picture_that(one, is_black)
        assert one.stream.statistics.encoderImplementation == "libx264"
        camera.enabled = True
        await picture_that(one, lambda frame: not is_black(frame))
        await until(lambda: one.stream.statistics.encoderImplementation == "camera")
        camera.stop()
        frame = await picture_that(one, is_black)
    assert (frame.width, frame.height) == (640, 480)


async def test_it_is_decoded_for_who_cannot_take_it(camera: MediaStreamTrack) -> None:
    async with viewer(parameters("VP8")) as one, viewer(parameters("H264")) as other:
        await watch(one, camera, "VP8")
        await watch(other, camera, "H264")
        assert await one.number() is not None
        assert await other.number() is not None


async def test_a_key_frame_is_asked_of_the_camera(camera: MediaStreamTrack) -> None:
    async with viewer(parameters("H264")) as one:
        await watch(one, camera, "H264")
        await one.number()
        before = one.stream.statistics.keyFramesEncoded
        await asyncio.sleep(0.3)  # more than KEYFRAME_SPACING, less than the camera's own
        one.stream._ask_for_keyframe()
        await until(lambda: one.stream.statistics.keyFramesEncoded > before)


async def test_h264_is_preferred(camera: MediaStreamTrack) -> None:
    names = [codec.name for codec in preferred_codecs(camera, sendable_codecs("video"))]
    assert names == ["H264", "VP8", "VP9", "AV1"]
