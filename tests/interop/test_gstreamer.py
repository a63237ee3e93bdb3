"""GStreamer's webrtcbin, which speaks the signalling server's protocol by its own account."""

import sys

from tests.e2e.peers import running_peer

from .libwebrtc import watch
from .webrtcbin import webrtcbin

SERVER = (sys.executable, "-m", "signaling")


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
