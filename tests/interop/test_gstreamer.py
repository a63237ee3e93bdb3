"""GStreamer's webrtcbin, with a client of the signalling protocol that owes nothing to ours."""

import re
import sys
from itertools import pairwise
from pathlib import Path

import av
import pytest

from tests.e2e.peers import running_peer
from tests.e2e.programs import grows

from .libwebrtc import watch
from .webrtcbin import GStreamer, webrtcbin

SERVER = (sys.executable, "-m", "signaling")
SEND_TO = re.compile(r"Send to (http\S+/)")


async def sees_the_camera(viewer: GStreamer) -> None:
    """Wait until pictures of the virtual camera, 640x480, have come in order, and sound."""
    await viewer.sees("picture", 20)
    await viewer.sees("sound", 10)
    assert set(viewer.sizes) == {(640, 480)}
    assert len(viewer.stamps) >= 15, "the barcode can be read"
    assert all(later.frame > earlier.frame for earlier, later in pairwise(viewer.stamps))


# `offering` wants H.264 and nothing else.
@pytest.mark.parametrize(("role", "codec"), [("consumer", "VP8"), ("offering", "H264")])
async def test_it_watches_the_camera_until_the_peer_leaves(role: str, codec: str) -> None:
    async with (
        running_peer("--fake", "--port", "0", "--video", "640x480") as peer,
        webrtcbin(peer.url, role, "camera") as viewer,
    ):
        await sees_the_camera(viewer)
        assert viewer.events[f"track {codec}"] == 1
        assert await peer.leave() == 0
        await viewer.sees("session ended")


async def test_the_peer_records_what_it_sends(tmp_path: Path) -> None:
    record = tmp_path / "received.mp4"
    arguments = ("--answer", "--port", "0", "--publish-token", "0123456789abcdef")
    async with running_peer(*arguments, "--record", str(record), ready=SEND_TO) as peer:
        async with webrtcbin(f"{peer.url}#t=0123456789abcdef", "producer", "receiver") as producer:
            await producer.sees("connection connected")
            await peer.logged("picture is 640x480")
            await grows(record)
        await peer.logged("is over")
        assert await peer.leave() == 0
    with av.open(record) as container:
        assert {stream.type for stream in container.streams} == {"audio", "video"}
        assert sum(1 for _ in container.decode(video=0)) > 10


async def test_two_of_them_meet_at_the_server() -> None:
    async with (
        running_peer("--port", "0", command=SERVER) as server,
        webrtcbin(server.url, "producer") as producer,
    ):
        await producer.sees("registered")
        async with webrtcbin(server.url, "consumer", producer.peer_id) as consumer:
            await consumer.sees("picture", 10)
            await consumer.sees("sound", 10)
        await producer.sees("session ended")


async def test_it_is_watched_over_whep() -> None:
    async with (
        running_peer("--port", "0", command=SERVER) as server,
        webrtcbin(server.url, "producer") as producer,
    ):
        await producer.sees("registered")
        async with watch(server.url, producer.peer_id) as viewer:
            await viewer.pictures(10)
        await producer.sees("session ended")
