"""libwebrtc, the engine of Chrome, as a peer without a browser (the PyPI package `wrtc`)."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from urllib.parse import urldefrag, urljoin

import aiohttp
import numpy as np
import webrtc
from numpy.typing import NDArray

from peer.devices import barcode

WAIT_SECONDS = 30.0  # far more than anything takes that tests wait for
FILM_WIDTH, FILM_HEIGHT, FILM_RATE = 640, 480, 30


class Endpoint:
    """A connection, and what happened to it."""

    def __init__(self) -> None:
        self.connection = webrtc.RTCPeerConnection()
        self.tracks: dict[str, webrtc.MediaStreamTrack] = {}
        """Those that the other side sends, by kind."""
        self.streams: dict[str, list[str]] = {}
        """The ids of their streams."""
        self.channels: dict[str, webrtc.RTCDataChannel] = {}
        """Data channels that the other side made, by label."""
        self.events: list[str] = []
        """States of the connection, and events of tracks such as `video ended`, in order."""
        self.on_candidate: Callable[[dict[str, object]], None] | None = None
        """What is called with each candidate that is found."""
        self._news = asyncio.Event()
        self._transports: list[webrtc.RTCDtlsTransport] = []
        self.connection.on("connectionstatechange", lambda _: self._saw(self._state))
        self.connection.on("track", self._on_track)
        self.connection.on("datachannel", self._on_channel)
        self.connection.on("icecandidate", self._on_candidate)

    @property
    def _state(self) -> str:
        return str(self.connection.connection_state.value)

    async def description(self) -> str:
        """Make an offer, or the answer, and return it with all candidates."""
        complete = asyncio.Event()
        self.connection.on("icegatheringstatechange", lambda _: complete.set())
        await self.connection.set_local_description()
        async with asyncio.timeout(WAIT_SECONDS):
            while self.connection.ice_gathering_state != "complete":
                complete.clear()
                await complete.wait()
        assert self.connection.local_description is not None
        return self.connection.local_description.sdp

    async def answer(self, offer: str) -> str:
        """The answer to an offer, with all candidates."""
        await self.connection.set_remote_description(
            webrtc.RTCSessionDescriptionInit(type="offer", sdp=offer)
        )
        return await self.description()

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
        self.streams[kind] = [stream.id for stream in event.streams]
        for name in ("mute", "unmute", "ended"):
            track.on(name, lambda event: self._saw(f"{kind} {event.type}"))
        self._saw(f"{kind} track")
        if (transport := event.receiver.transport) is not None and not self._transports:
            self._transports.append(transport)
            transport.on("statechange", lambda _: self._saw(f"dtls {transport.state.value}"))

    def _on_candidate(self, event: webrtc.RTCPeerConnectionIceEvent) -> None:
        if self.on_candidate is not None and (one := event.candidate) is not None:
            self.on_candidate(
                {
                    "candidate": one.candidate,
                    "sdpMid": one.sdp_mid,
                    "sdpMLineIndex": one.sdp_m_line_index,
                }
            )

    def _on_channel(self, event: webrtc.RTCDataChannelEvent) -> None:
        self.channels[event.channel.label] = event.channel
        self._saw(f"channel {event.channel.label}")


@contextlib.asynccontextmanager
async def camera() -> AsyncIterator[webrtc.MediaStreamTrack]:
    """A track of pictures, 640x480 at 30, with barcodes."""
    generator = webrtc.VideoTrackGenerator()
    writer = generator.writable.get_writer()

    async def film() -> None:
        for number in itertools.count():
            planes = np.full((FILM_HEIGHT * 3 // 2, FILM_WIDTH), 128, np.uint8)
            barcode.draw(planes[:FILM_HEIGHT], barcode.Stamp(number, 0))
            init = webrtc.VideoFrameBufferInit(
                format="I420",
                coded_width=FILM_WIDTH,
                coded_height=FILM_HEIGHT,
                timestamp=number * 1_000_000 // FILM_RATE,
            )
            await writer.write(webrtc.VideoFrame(planes.tobytes(), init))
            await asyncio.sleep(1 / FILM_RATE)

    task = asyncio.create_task(film())
    try:
        yield generator.track
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await writer.close()


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
