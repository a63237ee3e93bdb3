"""Both sides of what comes to an end: pages that watch or send, and this process, with diaries."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from peer import MediaDevices, MediaStream
from peer.capture.media_stream import MediaStreamTrackEvent
from peer.capture.permissions import Permissions
from peer.connection.events import RTCTrackEvent
from peer.connection.perfect_negotiation import Negotiation
from peer.connection.rtc_peer_connection import RTCPeerConnection
from peer.devices.backend import Backend
from peer.devices.media_file import MediaFile
from peer.events import Event
from peer.publisher import Publisher
from signaling import LocalClient, PeerRole, ServerConfig, SignalingServer, SignalingSession

from .browsers import Browser, Page
from .ends import Noted

NAME = "camera"
"""Of the peer of this process, whether it sends or receives."""
POLL_SECONDS = 0.01

_ENDS = (Path(__file__).parent / "ends.js").read_text()


@contextlib.asynccontextmanager
async def captured(
    backend: Backend, permissions: Permissions | None = None, *, audio: bool = True
) -> AsyncIterator[tuple[MediaDevices, MediaStream]]:
    """The picture, and the sound, of a backend's devices."""
    devices = MediaDevices([backend], permissions=permissions, salt=bytes(32))
    try:
        yield devices, await devices.getUserMedia({"video": True, "audio": audio})
    finally:
        devices.end()
        await devices.closed()


def end(file: MediaFile) -> None:
    """Let a file that is played again and again be played to its end, and no more."""
    reader: Any = file._reader
    reader._loop = False


async def remote_page(browser: Browser, url: str) -> Page:
    """A page of the server's origin, with `ends` and nothing else in it."""
    page = await browser.open(f"{url}healthz")
    await page.evaluate(f"(() => {{ {_ENDS} return null }})()")
    return page


async def watches(page: Page, via: str, name: str, kinds: list[str]) -> None:
    """Let a page watch a peer, until all these kinds have come."""
    await page.evaluate(f"ends.watch({json.dumps(via)}, {json.dumps(name)}).then(() => null)")
    await page.wait_for(f"ends.live({json.dumps(kinds)})")


async def diary(page: Page) -> list[Noted]:
    """What a page has noted; the time is this process's, in seconds."""
    return [(one["what"], one["at"] / 1000) for one in await page.evaluate("ends.diary")]


@contextlib.asynccontextmanager
async def serving_alone() -> AsyncIterator[SignalingServer]:
    """A signalling server."""
    server = SignalingServer(ServerConfig(port=0, watchers_publish=True))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def published(stream: MediaStream, resume: MediaDevices | None = None) -> AsyncIterator[str]:
    """The address of a server, behind which a publisher has this stream."""
    async with serving_alone() as server:
        client = LocalClient(server.hub, NAME)
        await client.start()
        publisher = Publisher(stream, label="Camera", resume=resume)
        serving = asyncio.create_task(publisher.serve(client))
        try:
            yield server.url
        finally:
            await publisher.close()
            await client.close()
            await serving


@contextlib.asynccontextmanager
async def connected(
    role: PeerRole, stream: MediaStream | None = None
) -> AsyncIterator[tuple[str, "OwnSide"]]:
    """The address of a server, and this process's own connection with whoever comes to it."""
    async with serving_alone() as server:
        client = LocalClient(server.hub, NAME, roles={role})
        await client.start()
        side = OwnSide(stream)
        serving = asyncio.create_task(side.serve(client))
        try:
            yield server.url, side
        finally:
            side.released.set()
            await client.close()
            await serving


class OwnSide:
    """A connection as a program makes it that uses the library, and what it sees of the other side.

    :param stream: what it sends.
    """

    def __init__(self, stream: MediaStream | None) -> None:
        self.diary: list[Noted] = []
        self.released = asyncio.Event()
        """Set when the connection may be closed; until then it outlasts its session."""
        self._stream = stream
        self._connection: RTCPeerConnection | None = None

    @property
    def connection(self) -> RTCPeerConnection:
        """The connection with the one that came."""
        assert self._connection is not None, "nobody came"
        return self._connection

    async def receives(self) -> None:
        """Wait until sound and pictures arrive."""
        while not self._is_live():  # noqa: ASYNC110  # there may be no connection yet
            await asyncio.sleep(POLL_SECONDS)

    def _is_live(self) -> bool:
        receivers = self._connection.getReceivers() if self._connection is not None else []
        return {one.track.kind for one in receivers if not one.track.muted} == {"audio", "video"}

    async def serve(self, client: LocalClient) -> None:
        """Attend to the first who comes."""
        async for session in client.sessions():
            await self._attend(session)
            return

    async def _attend(self, session: SignalingSession) -> None:
        connection = RTCPeerConnection(alwaysNegotiateDataChannels=session.offers)
        self._connection = connection
        if self._stream is not None:
            for track in self._stream.getTracks():
                connection.addTrack(track, self._stream)
        connection.addEventListener("track", self._track_came)
        connection.addEventListener("connectionstatechange", self._state_changed)
        ended = await Negotiation(connection, session).run()
        self._note(f"session ended ({ended.reason})")
        await self.released.wait()
        await connection.close()

    def _track_came(self, event: RTCTrackEvent) -> None:
        track = event.track
        self._note(f"{track.kind} track")
        for name in ("mute", "unmute", "ended"):
            track.addEventListener(name, self._noting(f"{track.kind} {name}"))
        for stream in event.streams:
            stream.onremovetrack = self._removed

    def _removed(self, event: MediaStreamTrackEvent) -> None:
        self._note(f"{event.track.kind} removetrack")

    def _state_changed(self, event: Event) -> None:
        self._note(f"connection {self.connection.connectionState}")

    def _noting(self, what: str) -> Callable[[Event], None]:
        return lambda event: self._note(what)

    def _note(self, what: str) -> None:
        self.diary.append((what, time.time()))
