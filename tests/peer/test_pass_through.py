"""A camera's own H.264 reaches who can take it, untouched, and is decoded for who can't."""

import asyncio
from collections.abc import AsyncIterator

import aiortc
import pytest

from peer import MediaDevices, MediaStream, MediaStreamTrack
from peer.capture.encoded_reader import EncodedReader
from peer.devices import barcode
from peer.devices.backend import VideoMode
from peer.devices.decoder import PictureDecoder
from peer.devices.virtual import VirtualBackend, virtual_camera
from peer.media.video_encoders import VideoEncoder

from .published import Published, published
from .whep_viewer import answered, offer

CAMERA = virtual_camera("Compressing", [VideoMode(640, 480, 30.0, "h264")], default=True)


@pytest.fixture
async def stream() -> AsyncIterator[MediaStream]:
    devices = MediaDevices([VirtualBackend([CAMERA])], salt=bytes(32))
    yield await devices.getUserMedia({"video": True})
    devices.end()
    await devices.closed()


@pytest.fixture
async def publisher(stream: MediaStream) -> AsyncIterator[Published]:
    async with published(stream) as publisher:
        yield publisher


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding and encoding are errors."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("the picture was decoded or encoded")

    monkeypatch.setattr(PictureDecoder, "decode", refuse)
    monkeypatch.setattr(VideoEncoder, "encode", refuse)


async def number_in(track: aiortc.MediaStreamTrack) -> int:
    while True:
        frame = await track.recv()
        if (stamp := barcode.read(frame.to_ndarray(format="gray"))) is not None:
            return stamp.frame


def track_of(stream: MediaStream) -> MediaStreamTrack:
    [track] = stream.getVideoTracks()
    assert isinstance(track, MediaStreamTrack)
    return track


@pytest.mark.usefixtures("untouched")
async def test_h264_is_passed_through(publisher: Published) -> None:
    connection, sdp = await offer(("video",))
    async with answered(connection, await publisher.start_session("one", sdp)) as tracks:
        first = await number_in(tracks["video"])
        later = await number_in(tracks["video"])
        assert later > first


@pytest.mark.usefixtures("untouched")
async def test_who_joins_between_key_frames_sees_a_picture_at_once(
    publisher: Published, stream: MediaStream
) -> None:
    """The latest key frame and what follows it are sent first."""
    reader = EncodedReader(track_of(stream))
    for _ in range(5):
        assert await reader.read() is not None
    late = EncodedReader(track_of(stream))
    packet = await late.read()
    assert packet is not None
    assert packet.is_keyframe
    again = await reader.read()
    assert again is not None
    assert packet.pts < again.pts, "one that was there before"


async def test_other_viewers_get_what_they_can_take(publisher: Published) -> None:
    h264, h264_offer = await offer(("video",))
    vp8, vp8_offer = await offer(("video",), codec="VP8")
    async with (
        answered(h264, await publisher.start_session("one", h264_offer)) as passed,
        answered(vp8, await publisher.start_session("two", vp8_offer)) as encoded,
    ):
        numbers = await asyncio.gather(number_in(passed["video"]), number_in(encoded["video"]))
        assert all(number >= 0 for number in numbers)


async def test_constraints_that_need_frames_get_frames_and_back(
    publisher: Published, stream: MediaStream
) -> None:
    track = track_of(stream)
    connection, sdp = await offer(("video",))
    async with answered(connection, await publisher.start_session("one", sdp)) as tracks:
        await number_in(tracks["video"])
        await track.applyConstraints({"width": 320, "height": 240})
        await until_width(tracks["video"], 320)
        await number_in(tracks["video"])
        await track.applyConstraints({})
        await until_width(tracks["video"], 640)
        await number_in(tracks["video"])
        track.enabled = False
        while (await tracks["video"].recv()).to_ndarray()[100, 100] > 20:
            pass
        track.enabled = True
        await number_in(tracks["video"])


async def until_width(track: aiortc.MediaStreamTrack, width: int) -> None:
    while (await track.recv()).width != width:
        pass


async def test_a_viewer_that_asks_for_a_key_frame_gets_the_camera_s(
    publisher: Published, stream: MediaStream
) -> None:
    """The camera makes one every two seconds by itself: two in a row were asked for."""
    connection, sdp = await offer(("video",))
    reader = EncodedReader(track_of(stream))
    async with answered(connection, await publisher.start_session("one", sdp)) as tracks:
        await number_in(tracks["video"])
        [receiver] = [t.receiver for t in connection.getTransceivers()]
        spacing = []
        since = 0
        while len(spacing) < 3:
            packet = await reader.read()
            assert packet is not None
            since += 1
            if packet.is_keyframe:
                spacing.append(since)
                since = 0
                [ssrc] = receiver._RTCRtpReceiver__remote_streams  # the one that is received
                await receiver._send_rtcp_pli(ssrc)
        assert min(spacing[1:]) < 45  # one a second is made for one viewer


async def test_a_reader_that_fell_behind_goes_on_at_a_key_frame(stream: MediaStream) -> None:
    track = track_of(stream)
    reader = EncodedReader(track)
    assert await reader.read() is not None
    samples = track._sink.encoded
    for _ in range(200):  # more than are kept
        newest = samples.newer(samples.count - 1)
        assert newest is not None
        samples.put(newest[1])
    reader.request_keyframe()
    packet = await reader.read()
    assert packet is not None
    assert packet.is_keyframe
