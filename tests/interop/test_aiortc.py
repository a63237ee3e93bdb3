"""Stock aiortc at the signalling server, with nothing of this project but its addresses."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urldefrag, urljoin

import aiohttp
import aiortc
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from av import VideoFrame

from tests.e2e.peers import running_peer

TOKEN = "0123456789abcdef"
WAIT_SECONDS = 30.0  # nothing here takes one


@asynccontextmanager
async def signalling(url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    base, fragment = urldefrag(url)
    headers = {"Authorization": f"Bearer {fragment.removeprefix('t=')}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.ws_connect(urljoin(base, "/ws")) as socket,
    ):
        yield socket


@asynccontextmanager
async def connection() -> AsyncIterator[aiortc.RTCPeerConnection]:
    made = aiortc.RTCPeerConnection(
        aiortc.RTCConfiguration(iceServers=[], bundlePolicy=aiortc.RTCBundlePolicy.MAX_BUNDLE)
    )
    yield made
    await made.close()


async def message(socket: aiohttp.ClientWebSocketResponse, kind: str, field: str = "type") -> Any:
    """The next message of this type that has this field."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            data = await socket.receive_json()
            if data["type"] == kind and field in data:
                return data


async def described(made: aiortc.RTCPeerConnection) -> dict[str, str]:
    """Its offer or answer, with all candidates: aiortc does not trickle."""
    await made.setLocalDescription()
    return {"type": made.localDescription.type, "sdp": made.localDescription.sdp}


async def test_it_watches_the_camera() -> None:
    async with (
        running_peer("--fake", "--port", "0", "--video", "640x480") as peer,
        signalling(peer.url) as socket,
        connection() as viewer,
    ):
        tracks: dict[str, aiortc.MediaStreamTrack] = {}
        viewer.on("track", lambda track: tracks.setdefault(track.kind, track))
        await socket.send_json({"type": "setPeerStatus", "roles": ["consumer"], "meta": {}})
        await socket.send_json({"type": "startSession", "peerId": "camera"})
        session = (await message(socket, "sessionStarted"))["sessionId"]
        offer = (await message(socket, "peer", "sdp"))["sdp"]
        await viewer.setRemoteDescription(aiortc.RTCSessionDescription(**offer))
        answer = await described(viewer)
        await socket.send_json({"type": "peer", "sessionId": session, "sdp": answer})
        async with asyncio.timeout(WAIT_SECONDS):
            picture = await tracks["video"].recv()
            assert isinstance(picture, VideoFrame)
            assert (picture.width, picture.height) == (640, 480)
            await tracks["audio"].recv()


async def test_the_peer_receives_what_it_sends() -> None:
    arguments = ("--answer", "--port", "0", "--publish-token", TOKEN)
    async with (
        running_peer(*arguments, ready=re.compile(r"Send to (http\S+/)")) as peer,
        signalling(f"{peer.url}#t={TOKEN}") as socket,
        connection() as sender,
    ):
        sender.addTrack(VideoStreamTrack())
        sender.addTrack(AudioStreamTrack())
        await socket.send_json({"type": "setPeerStatus", "roles": ["producer"], "meta": {}})
        await socket.send_json({"type": "startSession", "peerId": "receiver"})
        session = (await message(socket, "startSession"))["sessionId"]
        offer = await described(sender)
        await socket.send_json({"type": "peer", "sessionId": session, "sdp": offer})
        answer = (await message(socket, "peer", "sdp"))["sdp"]
        await sender.setRemoteDescription(aiortc.RTCSessionDescription(**answer))
        await peer.logged("picture is 640x480")
        await sender.close()
        await peer.logged("is over")
