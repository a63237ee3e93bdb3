"""Two connections of this process, negotiated without any signalling, for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from peer import Event, MediaDevices, MediaStream
from peer.connection.rtc_peer_connection import RTCPeerConnection
from peer.devices.virtual import VirtualBackend

WAIT = 30.0  # seconds; nothing here takes one


async def negotiate(offerer: RTCPeerConnection, answerer: RTCPeerConnection) -> None:
    """One offer, and its answer."""
    await offerer.setLocalDescription()
    await answerer.setRemoteDescription(offerer.localDescription)
    await answerer.setLocalDescription()
    await offerer.setRemoteDescription(answerer.localDescription)


@contextlib.asynccontextmanager
async def pair(*, data: bool = False) -> AsyncIterator[tuple[RTCPeerConnection, RTCPeerConnection]]:
    """Two connections, closed afterwards."""
    first = RTCPeerConnection(alwaysNegotiateDataChannels=data)
    second = RTCPeerConnection()
    try:
        yield first, second
    finally:
        await first.close()
        await second.close()


@contextlib.asynccontextmanager
async def captured(**constraints: object) -> AsyncIterator[MediaStream]:
    """A small virtual camera and a microphone, or what is asked for."""
    devices = MediaDevices([VirtualBackend()], salt=bytes(32))
    wanted = constraints or {"video": {"width": 320, "height": 240}, "audio": True}
    yield await devices.getUserMedia(wanted)
    devices.end()
    await devices.closed()


class Diary:
    """The events of some targets, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def keep(self, target: object, *types: str) -> "Diary":
        """Listen for these."""
        for type_ in types:
            target.addEventListener(type_, self._note)  # type: ignore[attr-defined]
        return self

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    async def has(self, type_: str, count: int = 1) -> Event:
        """Wait until an event has come so many times; returns the last of them."""
        async with asyncio.timeout(WAIT):
            while self.types.count(type_) < count:
                self._news.clear()
                await self._news.wait()
        return [event for event in self.events if event.type == type_][count - 1]


async def settled() -> None:
    """Let what was put off to the next turns of the loop happen."""
    for _ in range(3):
        await asyncio.sleep(0)
