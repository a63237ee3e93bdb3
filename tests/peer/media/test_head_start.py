"""Encoders get going while a viewer connects, and for nobody else; who joins begins at once."""

import asyncio
import threading
from contextlib import AsyncExitStack
from typing import Any

import pytest

from peer import MediaStreamTrack
from peer.media import outgoing
from peer.media.outgoing import OutgoingStream
from peer.media.shared_encoder import KEPT_FOR, KEPT_PICTURES, SharedEncoder, _encoders

from .loopback import Viewer, parameters, viewer
from .test_outgoing import is_black, picture_that, until, watch


def set_ready(viewer: Viewer, ready: bool) -> None:
    """Whether the transport says that it can send; it could all the time."""
    viewer.stream._transport.ready = ready  # type: ignore[misc]


def encoder_of(stream: OutgoingStream) -> SharedEncoder:
    assert stream._feed is not None
    return stream._feed.encoder


async def pictures(camera: MediaStreamTrack, count: int) -> None:
    """Wait until the camera has made some more."""
    reader = camera.reader()
    for _ in range(count):
        await reader.read()


async def test_the_first_picture_is_made_while_the_viewer_connects(
    camera: MediaStreamTrack,
) -> None:
    async with viewer(parameters()) as one:
        set_ready(one, False)
        await watch(one, camera)
        encoder = encoder_of(one.stream)
        await until(lambda: encoder._fan_out.keeps)
        kept = list(encoder._fan_out._group)
        await pictures(camera, 5)
        assert encoder._fan_out._group == kept, "nothing more is encoded for nobody"
        assert one.stream.statistics.packetsSent == 0
        set_ready(one, True)
        one.stream.start(parameters())
        assert await one.number() is not None
        await until(lambda: one.stream.statistics.framesSent > 5)
        assert one.stream.statistics.keyFramesEncoded == 1
        assert encoder_of(one.stream) is encoder


async def test_a_transport_that_is_ready_first_waits_for_the_same_key_frame(
    camera: MediaStreamTrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with viewer(parameters()) as one:
        set_ready(one, False)
        await watch(one, camera)
        encoder = encoder_of(one.stream)
        compress, connected = encoder._compress, threading.Event()

        def compress_slowly(*arguments: Any) -> Any:
            assert connected.wait(10)
            return compress(*arguments)

        monkeypatch.setattr(encoder, "_compress", compress_slowly)
        await until(lambda: encoder._making_keyframe)
        set_ready(one, True)
        one.stream.start(parameters())
        connected.set()
        assert await one.number() is not None
        assert encoder._keyframes._due is None, "and has no other made"


async def test_for_who_does_not_connect_nothing_goes_on(
    camera: MediaStreamTrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "HEAD_START", 0.2)
    async with viewer(parameters()) as one:
        set_ready(one, False)
        await watch(one, camera)
        assert encoder_of(one.stream)
        await until(lambda: one.stream._feed is None)
        assert not _encoders.get(camera)
        set_ready(one, True)  # later than anybody thought
        one.stream.start(parameters())
        assert await one.number() is not None


async def test_who_leaves_before_connecting_leaves_nothing_behind(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one:
        set_ready(one, False)
        await watch(one, camera)
        await one.stream.close()
        assert not _encoders.get(camera)


async def test_the_encoder_begins_with_what_is_offered(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one:
        one.stream.set_track(camera)
        one.stream.expect(parameters().codec)
        encoder = encoder_of(one.stream)
        await until(lambda: encoder._fan_out.keeps)
        assert one.stream.statistics.packetsSent == 0, "nobody has agreed"
        one.stream.start(parameters())
        assert await one.number() is not None
        assert encoder_of(one.stream) is encoder


async def test_another_codec_may_be_agreed_on(camera: MediaStreamTrack) -> None:
    async with viewer(parameters("H264")) as one:
        one.stream.set_track(camera)
        one.stream.expect(parameters("VP8").codec)
        await until(lambda: encoder_of(one.stream)._fan_out.keeps)
        one.stream.start(parameters("H264"))
        assert [encoding.codec for encoding in _encoders[camera]] == ["h264"]
        assert await one.number() is not None


async def test_an_offer_does_not_bother_who_watches_already(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one, viewer(parameters()) as other:
        await watch(one, camera)
        await until(lambda: one.stream.statistics.framesSent > KEPT_PICTURES)
        other.stream.set_track(camera)
        other.stream.expect(parameters().codec)
        await until(lambda: one.stream.statistics.framesSent > 2 * KEPT_PICTURES)
        assert one.stream.statistics.keyFramesEncoded == 1
        set_ready(other, False)
        other.stream.start(parameters())  # agreed: a key frame is at hand when it has connected
        await until(lambda: one.stream.statistics.keyFramesEncoded == 2)


async def test_a_crowd_needs_one_key_frame(camera: MediaStreamTrack) -> None:
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(viewer(parameters())) for _ in range(4)]
        first, *others = crowd
        await watch(first, camera)
        await until(lambda: encoder_of(first.stream)._fan_out.keeps)
        for other in others:
            await watch(other, camera)
        numbers = [await one.number() for one in crowd]
        assert len(set(numbers)) == 1, "all begin with it"
        assert first.stream.statistics.keyFramesEncoded == 1


async def test_who_joins_a_track_that_is_disabled_sees_nothing_of_before(
    camera: MediaStreamTrack,
) -> None:
    async with viewer(parameters()) as one, viewer(parameters()) as other:
        await watch(one, camera)
        assert await one.number() is not None
        camera.enabled = False
        await picture_that(one, is_black)
        await watch(other, camera)
        assert is_black(await other.frame())


async def test_who_joins_as_a_track_is_disabled_sees_nothing_of_before(
    camera: MediaStreamTrack,
) -> None:
    async with viewer(parameters()) as one, viewer(parameters()) as other:
        await watch(one, camera)
        await until(lambda: encoder_of(one.stream)._fan_out.keeps)
        camera.enabled = False
        await watch(other, camera)  # before the first black picture has been read
        assert is_black(await other.frame())


async def test_what_is_kept_for_who_is_expected_is_never_old(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one:
        set_ready(one, False)
        await watch(one, camera)
        fan_out = encoder_of(one.stream)._fan_out
        await until(lambda: fan_out.keeps)
        [kept] = fan_out._group
        await until(lambda: fan_out.keeps and fan_out._group[0] is not kept)
        assert fan_out._group[0].at - kept.at > KEPT_FOR / 2, "but not for each picture"


async def test_one_who_fails_begins_anew_when_started_again(
    camera: MediaStreamTrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with viewer(parameters()) as one, viewer(parameters()) as other:
        await watch(one, camera)
        await watch(other, camera)
        assert await one.number() is not None

        def fails(burst: Any) -> bool:
            raise RuntimeError("once")

        with monkeypatch.context() as patch:
            patch.setattr(one.stream._transport, "send_rtp", fails)
            one.stream._transport.way.end()  # no other way leads past it
            await until(lambda: bool(one.failures))
        assert [str(error) for error in one.failures] == ["once"]
        assert one.stream._feed is None
        one.stream.start(parameters())
        before = other.stream.statistics.framesSent
        assert await one.number() is not None
        await until(lambda: other.stream.statistics.framesSent > before)
        assert not other.failures


async def test_who_comes_to_an_idle_camera_need_not_wait_for_its_next_picture(
    camera: MediaStreamTrack,
) -> None:
    await camera.applyConstraints({"frameRate": {"exact": 1}})
    await pictures(camera, 1)
    made = camera._sink.samples.count
    async with viewer(parameters()) as one:
        set_ready(one, False)
        await watch(one, camera)
        async with asyncio.timeout(30):
            await until(lambda: encoder_of(one.stream)._fan_out.keeps)
        assert camera._sink.samples.count == made
