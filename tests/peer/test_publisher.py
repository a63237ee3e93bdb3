"""One stream, many viewers: stock aiortc watches over the real server."""

import asyncio
import random
from collections.abc import AsyncIterator

import aiohttp
import pytest

from peer import MediaDevices, MediaStream
from peer.connection import attended_session
from peer.devices import barcode
from peer.devices.virtual import VirtualBackend
from peer.publisher import Publisher
from signaling import Limits, LocalClient, ServerConfig, SignalingServer, generate_token

from .whep_viewer import offer, watch


@pytest.fixture
def backend() -> VirtualBackend:
    return VirtualBackend()


@pytest.fixture
async def stream(backend: VirtualBackend) -> AsyncIterator[MediaStream]:
    devices = MediaDevices([backend], salt=bytes(32))
    yield await devices.getUserMedia({"video": {"width": 320, "height": 240}, "audio": True})
    devices.end()
    await devices.closed()


@pytest.fixture
async def server(stream: MediaStream) -> AsyncIterator[SignalingServer]:
    # The mutated offers come by the hundred, from one address.
    limits = Limits(starts_per_address=10000)
    server = SignalingServer(ServerConfig(port=0, token=generate_token(), limits=limits))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(autouse=True)
async def publisher(server: SignalingServer, stream: MediaStream) -> AsyncIterator[Publisher]:
    publisher = Publisher(stream, label="Camera")
    client = LocalClient(server.hub, "camera", meta=publisher.meta)
    await client.start()
    serving = asyncio.create_task(publisher.serve(client))
    yield publisher
    await publisher.close()
    await client.close()
    await serving


async def frame_number(track: object) -> int:
    """The number in the next picture that can be read; the first ones are still blurred."""
    while True:
        frame = await track.recv()  # type: ignore[attr-defined]
        if (stamp := barcode.read(frame.to_ndarray()[: frame.height])) is not None:
            return stamp.frame


async def test_two_viewers_see_the_same_camera_and_one_may_leave(
    server: SignalingServer, stream: MediaStream, publisher: Publisher
) -> None:
    async with watch(server.url) as first:
        async with watch(server.url) as second:
            numbers = await asyncio.gather(
                frame_number(first.tracks["video"]), frame_number(second.tracks["video"])
            )
            assert all(number >= 0 for number in numbers)
            assert publisher.meta["viewers"] == 2
        later = await frame_number(first.tracks["video"])
        while later <= numbers[0]:
            later = await frame_number(first.tracks["video"])
        assert all(track.readyState == "live" for track in stream.getTracks())


async def test_a_viewer_may_want_one_kind_only(server: SignalingServer) -> None:
    async with watch(server.url, kinds=("video",)) as viewer:
        await frame_number(viewer.tracks["video"])
        assert set(viewer.tracks) == {"video"}
    async with watch(server.url, kinds=("audio",)) as viewer:
        frame = await viewer.tracks["audio"].recv()
        assert frame.sample_rate == 48000  # type: ignore[union-attr]


async def test_sound_only_is_published_to_who_offers_both(
    server: SignalingServer, stream: MediaStream
) -> None:
    stream.getVideoTracks()[0].stop()
    async with watch(server.url) as viewer:
        await viewer.tracks["audio"].recv()
        directions = {t.kind: t.currentDirection for t in viewer.connection.getTransceivers()}
        assert directions == {"video": "inactive", "audio": "recvonly"}


async def test_a_stream_that_has_ended_is_not_live(
    server: SignalingServer, stream: MediaStream
) -> None:
    for track in stream.getTracks():
        track.stop()
    connection, sdp = await offer()
    assert await posted(server, sdp) == 409
    await connection.close()


async def test_who_wants_nothing_that_is_on_the_air_is_refused(
    server: SignalingServer, stream: MediaStream
) -> None:
    stream.getAudioTracks()[0].stop()
    connection, sdp = await offer(("audio",))
    assert await posted(server, sdp) == 422
    await connection.close()


async def test_a_viewer_who_never_connects_is_let_go(
    server: SignalingServer, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attended_session, "CONNECT_TIMEOUT", 0.05)
    connection, sdp = await offer()
    assert await posted(server, sdp) == 201
    while publisher.meta["viewers"]:  # noqa: ASYNC110  # the time-out is what is waited for
        await asyncio.sleep(0.01)
    assert await asyncio.wait_for(connection.close(), 30) is None


async def posted(server: SignalingServer, sdp: str) -> int:
    """The status of the answer to an offer."""
    base, _, token = server.url.partition("#t=")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{base}whep/camera", data=sdp) as response,
    ):
        return response.status


async def test_mutated_offers_are_refused_and_the_watching_viewer_watches_on(
    server: SignalingServer, publisher: Publisher
) -> None:
    """Whatever the parser raises is a 4xx of ours; a fixed seed, so that every run is the same."""
    chance = random.Random(1)
    connection, sdp = await offer()
    await connection.close()
    base, _, token = server.url.partition("#t=")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    statuses = set()
    async with watch(server.url) as viewer, aiohttp.ClientSession(headers=headers) as http:
        before = await frame_number(viewer.tracks["video"])
        for _ in range(150):
            async with http.post(f"{base}whep/camera", data=mutated(sdp, chance)) as response:
                statuses.add(response.status)
                if response.status == 201:
                    await http.delete(f"{base.rstrip('/')}{response.headers['Location']}")
        after = await frame_number(viewer.tracks["video"])
        while after <= before:
            after = await frame_number(viewer.tracks["video"])
        async with asyncio.timeout(30):
            while publisher.meta["viewers"] > 1:
                await frame_number(viewer.tracks["video"])
    assert statuses <= {201, 400, 413, 422}
    assert 400 in statuses


def mutated(sdp: str, chance: random.Random) -> str:
    lines = sdp.splitlines()
    for _ in range(chance.randint(1, 3)):
        index = chance.randrange(1, len(lines))
        match chance.randrange(5):
            case 0:
                del lines[index]
            case 1:
                lines.insert(index, lines[chance.randrange(len(lines))])
            case 2:
                lines[index] = lines[index][: chance.randrange(2, len(lines[index]) + 1)]
            case 3:
                position = chance.randrange(2, len(lines[index]) + 1)
                lines[index] = lines[index][:position] + "9" + lines[index][position + 1 :]
            case _:
                lines[index] = lines[index].replace("a=", chance.choice("mtb") + "=", 1)
    return "\r\n".join(lines) + "\r\n"
