"""Servers as processes of their own on one Redis: what is seen at one of what happens at another.

`python -m signaling --redis …` runs twice; a camera is at the first, viewers are at the second.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamTrack

from ...processes import send_signal
from ..conftest import answer
from ..test_sdp_guard import OFFER
from .redis_server import RedisServer

TOKEN = "0123456789abcdef"
SDP = {"Content-Type": "application/sdp"}
START_TIMEOUT = 30
"""Seconds for a server to start: far more than it takes."""
PATIENCE = 20
"""Seconds for anything to be heard; a dead node is given up after three."""


class Server:
    """One `python -m signaling`."""

    def __init__(self, process: asyncio.subprocess.Process, http: aiohttp.ClientSession) -> None:
        self.process = process
        self.http = http

    async def join(self, *roles: str, name: str = "") -> "Peer":
        """A client, with these roles, and this name for WHIP and WHEP."""
        peer = Peer(await self.http.ws_connect("/ws"))
        peer.id = (await peer.hears("welcome"))["peerId"]
        await peer.says("setPeerStatus", roles=roles, meta={"name": name})
        return peer

    async def producers(self) -> list[str]:
        async with self.http.get("/api/producers") as response:
            return [producer["name"] for producer in (await response.json())["producers"]]

    async def knows(self, *names: str) -> None:
        """Wait until these producers are on the air, and no others."""
        async with asyncio.timeout(PATIENCE):
            while await self.producers() != list(names):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def post(self, path: str, offer: str = OFFER) -> aiohttp.ClientResponse:
        async with self.http.post(path, data=offer, headers=SDP) as response:
            await response.read()
            return response


class Peer:
    """A WebSocket client."""

    id: str

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def says(self, type: str, **fields: Any) -> None:
        await self._socket.send_json({"type": type, **fields})

    async def hears(self, type: str) -> dict[str, Any]:
        """The next message of this type, but for news of who comes and goes."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message: dict[str, Any] = await self._socket.receive_json()
                if message["type"] == type:
                    return message
                assert message["type"] == "peerStatusChanged", message

    async def answers(self) -> str:
        """Answer the next session's offer; returns its id."""
        session_id = str((await self.hears("startSession"))["sessionId"])
        await self.says("peer", sessionId=session_id, sdp={"type": "answer", "sdp": answer()})
        return session_id


@asynccontextmanager
async def server(redis: RedisServer) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "signaling", "--port", "0", "--token", TOKEN, "--redis", redis.url,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT):
            line = (await process.stdout.readline()).decode()
        match = re.fullmatch(r"Watch at (http://.*)/#t=\w+\n", line)
        assert match, line
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(match[1], headers=headers) as http:
            yield Server(process, http)
    finally:
        send_signal(process, signal.SIGKILL)
        await process.wait()


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    redis = RedisServer(tmp_path)
    await redis.start()
    yield redis
    await redis.stop()


@pytest.fixture
async def servers(redis: RedisServer) -> AsyncIterator[tuple[Server, Server]]:
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(server(redis)),
            await stack.enter_async_context(server(redis)),
        )


Servers = tuple[Server, Server]


async def test_by_websocket(servers: Servers) -> None:
    here, there = servers
    camera = await here.join("producer", name="camera")
    await there.knows("camera")
    viewer = await there.join()
    await viewer.says("list")
    [listed] = (await viewer.hears("list"))["producers"]
    assert listed == {"id": camera.id, "meta": {"name": "camera"}}

    await viewer.says("startSession", peerId=camera.id, offer=OFFER)
    started = await viewer.hears("sessionStarted")
    session_id = await camera.answers()
    assert session_id == started["sessionId"]
    assert (await viewer.hears("peer"))["sdp"] == {"type": "answer", "sdp": answer()}
    ice = {"candidate": "candidate:1 1 udp 1 192.0.2.9 5001 typ host", "sdpMLineIndex": 0}
    for sender, other in ((camera, viewer), (viewer, camera)):
        await sender.says("peer", sessionId=session_id, ice=ice)
        assert (await other.hears("peer"))["ice"] == ice
    await viewer.says("endSession", sessionId=session_id)
    assert (await camera.hears("endSession"))["reason"] == "closed"


async def test_by_whep_and_whip(servers: Servers) -> None:
    here, there = servers
    camera = await here.join("producer", name="camera")
    await there.knows("camera")
    posting = asyncio.create_task(there.post("/whep/camera"))
    session_id = await camera.answers()
    created = await posting
    assert created.status == 201
    assert await created.text() == answer()
    location = created.headers["Location"]
    async with there.http.delete(location) as response:
        assert response.status == 200
    ended = await camera.hears("endSession")
    assert (ended["sessionId"], ended["reason"]) == (session_id, "closed")

    screen = await here.join("consumer", name="screen")
    async with asyncio.timeout(PATIENCE):
        while (await there.http.head("/whip/screen")).status != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    pushing = asyncio.create_task(there.post("/whip/screen", OFFER.replace("recvonly", "sendonly")))
    started = await screen.hears("sessionStarted")
    assert (await screen.hears("peer"))["sdp"]["type"] == "offer"
    sdp = {"type": "answer", "sdp": answer().replace("sendonly", "recvonly")}
    await screen.says("peer", sessionId=started["sessionId"], sdp=sdp)
    assert (await pushing).status == 201


async def test_pictures_come_through(servers: Servers) -> None:
    """Both ends are aiortc's, the camera at a WebSocket and the viewer a WHEP player."""
    here, there = servers
    camera = await here.join("producer", name="camera")
    await there.knows("camera")
    sending, watching = RTCPeerConnection(), RTCPeerConnection()
    arrived: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
    watching.on("track", arrived.set_result)
    try:
        watching.addTransceiver("video", direction="recvonly")
        await watching.setLocalDescription(await watching.createOffer())
        posting = asyncio.create_task(there.post("/whep/camera", watching.localDescription.sdp))
        asked = await camera.hears("startSession")
        sending.addTrack(VideoStreamTrack())
        await sending.setRemoteDescription(RTCSessionDescription(asked["offer"], "offer"))
        await sending.setLocalDescription(await sending.createAnswer())
        sdp = {"type": "answer", "sdp": sending.localDescription.sdp}
        await camera.says("peer", sessionId=asked["sessionId"], sdp=sdp)
        created = await posting
        assert created.status == 201
        await watching.setRemoteDescription(RTCSessionDescription(await created.text(), "answer"))
        async with asyncio.timeout(PATIENCE):
            assert (await (await arrived).recv()).pts is not None
    finally:
        await asyncio.gather(sending.close(), watching.close())


async def test_a_killed_server_takes_its_cameras_along(servers: Servers) -> None:
    here, there = servers
    camera = await here.join("producer", name="camera")
    await there.knows("camera")
    page = await there.join("listener")
    posting = asyncio.create_task(there.post("/whep/camera"))
    await camera.answers()
    location = (await posting).headers["Location"]
    await page.says("startSession", peerId=camera.id, offer=OFFER)
    started = await page.hears("sessionStarted")
    await camera.answers()
    await page.hears("peer")

    send_signal(here.process, signal.SIGKILL)
    ended = await page.hears("endSession")
    assert (ended["sessionId"], ended["reason"]) == (started["sessionId"], "lost")
    gone = await page.hears("peerStatusChanged")
    assert (gone["peerId"], gone["roles"]) == (camera.id, [])
    assert await there.producers() == []
    async with there.http.get(location) as response:
        assert response.status == 404
    assert (await there.post("/whep/camera")).status == 404


async def test_a_killed_server_takes_its_viewers_along(servers: Servers) -> None:
    here, there = servers
    camera = await here.join("producer", name="camera")
    await there.knows("camera")
    viewer = await there.join()
    await viewer.says("startSession", peerId=camera.id, offer=OFFER)
    session_id = await camera.answers()
    send_signal(there.process, signal.SIGKILL)
    ended = await camera.hears("endSession")
    assert (ended["sessionId"], ended["reason"]) == (session_id, "lost")


async def test_who_asks_for_a_camera_of_a_dead_server_need_not_wait(servers: Servers) -> None:
    here, there = servers
    await here.join("producer", name="camera")
    await there.knows("camera")
    send_signal(here.process, signal.SIGKILL)
    await here.process.wait()
    refused = await there.post("/whep/camera")
    assert refused.status == 503
    assert "Retry-After" in refused.headers
    assert await there.producers() == ["camera"], "the silence was not noticed yet"


async def test_a_server_that_stops_in_order_says_so(servers: Servers) -> None:
    here, there = servers
    camera = await here.join("producer", name="camera")
    await there.knows("camera")
    viewer = await there.join()
    await viewer.says("startSession", peerId=camera.id, offer=OFFER)
    await viewer.hears("sessionStarted")
    await camera.answers()
    await viewer.hears("peer")
    send_signal(here.process, signal.SIGTERM)
    assert (await viewer.hears("endSession"))["reason"] == "closed"
    assert await here.process.wait() == 0
    await there.knows()


async def test_a_server_that_freezes_is_gone_and_comes_back(servers: Servers) -> None:
    here, there = servers
    await here.join("producer", name="camera")
    await there.knows("camera")
    os.kill(here.process.pid, signal.SIGSTOP)
    await there.knows()
    os.kill(here.process.pid, signal.SIGCONT)
    await there.knows("camera")


async def test_without_redis_a_server_says_so_in_one_line(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "signaling", "--port", "0", "--redis", f"unix://{tmp_path}/none",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, error = await process.communicate()
    assert process.returncode == 2
    assert output == b""
    [line] = error.decode().splitlines()
    assert "Redis can't be used" in line
