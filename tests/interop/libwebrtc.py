"""libwebrtc, the engine of Chrome, as a peer without a browser (the PyPI package `wrtc`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urldefrag, urljoin

import aiohttp
import numpy as np
import webrtc
from numpy.typing import NDArray

from peer.devices import barcode

WAIT_SECONDS = 15.0


class Endpoint:
    """A connection, and what happened to it."""

    def __init__(self) -> None:
        self.connection = webrtc.RTCPeerConnection()
        self.tracks: dict[str, webrtc.MediaStreamTrack] = {}
        """Those that the other side sends, by kind."""
        self.events: list[str] = []
        """States of the connection, and events of tracks such as `video ended`, in order."""
        self._news = asyncio.Event()
        self._transports: list[webrtc.RTCDtlsTransport] = []
        self.connection.on("connectionstatechange", lambda _: self._saw(self._state))
        self.connection.on("track", self._on_track)

    @property
    def _state(self) -> str:
        return str(self.connection.connection_state.value)

    async def sees(self, event: str) -> None:
        """Wait until this has happened."""
        async with asyncio.timeout(WAIT_SECONDS):
            while event not in self.events:
                self._news.clear()
                await self._news.wait()

    async def stamps(self, count: int) -> list[barcode.Stamp]:
        """What the barcodes of the next pictures say, as far as they can be read."""
        pictures = await self.pictures(count)
        return [stamp for luma in pictures if (stamp := barcode.read(luma)) is not None]

    async def pictures(self, count: int) -> list[NDArray[np.uint8]]:
        """The luma of the next pictures."""
        frames = webrtc.MediaStreamTrackProcessor(
            webrtc.MediaStreamTrackProcessorInit(track=self.tracks["video"])
        ).readable.get_reader()
        pictures = []
        async with asyncio.timeout(WAIT_SECONDS):
            for _ in range(count):
                frame = (await frames.read()).value
                assert isinstance(frame, webrtc.VideoFrame)
                pixels = bytearray(frame.allocation_size())
                luma, *_ = await frame.copy_to(pixels)
                rows = np.frombuffer(pixels, np.uint8)[luma.offset :]
                rows = rows[: luma.stride * frame.coded_height].reshape(-1, luma.stride)
                pictures.append(rows[:, : frame.coded_width])
                frame.close()
        await frames.cancel()
        return pictures

    def _saw(self, event: str) -> None:
        self.events.append(event)
        self._news.set()

    def _on_track(self, event: webrtc.RTCTrackEvent) -> None:
        track = event.track
        kind = str(track.kind.value)
        self.tracks[kind] = track
        for name in ("mute", "unmute", "ended"):
            track.on(name, lambda event: self._saw(f"{kind} {event.type}"))
        self._saw(f"{kind} track")
        if (transport := event.receiver.transport) is not None and not self._transports:
            self._transports.append(transport)
            transport.on("statechange", lambda _: self._saw(f"dtls {transport.state.value}"))


@contextlib.asynccontextmanager
async def watch(url: str, producer: str = "camera") -> AsyncIterator[Endpoint]:
    """Watch a producer over WHEP, of the server whose address, token in the fragment, is `url`."""
    base, fragment = urldefrag(url)
    headers = {"Authorization": f"Bearer {fragment.removeprefix('t=')}"}
    endpoint = Endpoint()
    connection = endpoint.connection
    for kind in ("audio", "video"):
        connection.add_transceiver(kind, webrtc.RTCRtpTransceiverInit(direction="recvonly"))
    await connection.set_local_description()
    assert connection.local_description is not None
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.post(
            urljoin(base, f"/whep/{producer}"),
            data=connection.local_description.sdp,
            headers={"Content-Type": "application/sdp"},
        ) as response:
            assert response.status == 201, await response.text()
            answer = webrtc.RTCSessionDescriptionInit(type="answer", sdp=await response.text())
            session = urljoin(base, response.headers["Location"])
        try:
            await connection.set_remote_description(answer)
            yield endpoint
        finally:
            connection.close()
            with contextlib.suppress(aiohttp.ClientConnectionError):  # it may be the peer that left
                await http.delete(session)
