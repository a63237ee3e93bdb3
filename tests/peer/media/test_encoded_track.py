"""Pictures encoded once, sent by aiortc's own peer connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from unittest.mock import patch

import aioice.ice
import aiortc
import pytest
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.mediastreams import MediaStreamError

from peer import MediaStreamTrack
from peer.media.encoded_track import BACKLOG, EncodedTrack
from peer.media.shared_encoder import _encoders

from .moving_pictures import number_in
from .test_outgoing import until


@asynccontextmanager
async def watched(track: aiortc.MediaStreamTrack) -> AsyncIterator[aiortc.MediaStreamTrack]:
    """The track as it arrives over a connection of aiortc's."""
    configuration = aiortc.RTCConfiguration(iceServers=[])
    sender, receiver = (aiortc.RTCPeerConnection(configuration) for _ in range(2))
    arrived: asyncio.Future[aiortc.MediaStreamTrack] = asyncio.get_running_loop().create_future()
    receiver.on("track", arrived.set_result)
    sender.addTrack(track)
    with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"]):
        await sender.setLocalDescription(await sender.createOffer())
        await receiver.setRemoteDescription(sender.localDescription)
        await receiver.setLocalDescription(await receiver.createAnswer())
        await sender.setRemoteDescription(receiver.localDescription)
    try:
        yield await arrived
    finally:
        await sender.close()
        await receiver.close()


async def test_stock_connections_share_one_encoder(
    camera: MediaStreamTrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("aiortc has encoded a picture")

    monkeypatch.setattr(Vp8Encoder, "encode", refuse)
    async with AsyncExitStack() as stack:
        tracks = [
            await stack.enter_async_context(watched(EncodedTrack(camera, "VP8"))) for _ in range(2)
        ]
        async with asyncio.timeout(30):
            for track in tracks:
                numbers = [number_in(await track.recv()) for _ in range(5)]  # type: ignore[arg-type]
                assert None not in numbers
        assert len(_encoders[camera]) == 1
    assert camera.readyState == "live", "stock senders stop what they are given, and no more"
    assert not _encoders[camera]


async def test_it_begins_with_a_key_frame_and_has_others_made(camera: MediaStreamTrack) -> None:
    one, other = EncodedTrack(camera, "H264"), EncodedTrack(camera, "H264")
    try:
        async with asyncio.timeout(30):
            assert (await one.recv()).is_keyframe
            assert (await other.recv()).is_keyframe
            assert not (await one.recv()).is_keyframe
            one.request_keyframe()
            while not (await one.recv()).is_keyframe:
                pass
    finally:
        one.stop()
        other.stop()


async def test_it_ends_with_its_track(camera: MediaStreamTrack) -> None:
    track = EncodedTrack(camera, "VP8")
    await track.recv()
    camera.stop()
    assert track.readyState == "ended"
    with pytest.raises(MediaStreamError):
        await track.recv()


async def test_a_slow_reader_goes_on_at_a_key_frame(camera: MediaStreamTrack) -> None:
    track = EncodedTrack(camera, "VP8")
    try:
        async with asyncio.timeout(30):
            await until(lambda: bool(track._packets))
            first = track._packets[0]
            await until(lambda: bool(track._packets) and track._packets[0] is not first)
            assert len(track._packets) <= BACKLOG
            later = await track.recv()
        assert later.is_keyframe, "what came before is gone"
        assert later.pts > first.pts  # type: ignore[operator]
    finally:
        track.stop()


async def test_sound(microphone: MediaStreamTrack) -> None:
    track = EncodedTrack(microphone, "opus")
    try:
        async with asyncio.timeout(30):
            packets = [await track.recv() for _ in range(3)]
        assert [b.pts - a.pts for a, b in pairwise(packets)] == [960, 960]  # type: ignore[operator]
    finally:
        track.stop()
