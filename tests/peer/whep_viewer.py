"""A viewer without a browser: stock aiortc over WHEP, for tests."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urldefrag, urljoin

import aiohttp
from aioice import ice
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)


def gather_loopback_when_alone() -> None:
    """Let stock aiortc use 127.0.0.1 on a computer that has no other address."""
    gathered = ice.get_host_addresses
    if getattr(gathered, "with_loopback", False):
        return

    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return gathered(use_ipv4, use_ipv6) or ["127.0.0.1"]

    get_host_addresses.with_loopback = True  # type: ignore[attr-defined]
    ice.get_host_addresses = get_host_addresses


@dataclass
class Viewer:
    """A connected viewer."""

    connection: RTCPeerConnection
    session_url: str
    tracks: dict[str, MediaStreamTrack] = field(default_factory=dict)


async def offer(
    kinds: tuple[str, ...] = ("video", "audio"),
    codec: str | None = None,
    channel: str | None = None,
) -> tuple[RTCPeerConnection, str]:
    """A connection that wants to receive, and its offer.

    :param codec: the only one that it can decode; all that aiortc has by default.
    :param channel: the label of a data channel, which is then its `control` attribute.
    """
    gather_loopback_when_alone()
    connection = RTCPeerConnection(
        RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    )
    for kind in kinds:
        transceiver = connection.addTransceiver(kind, direction="recvonly")
        if codec is not None:
            known = RTCRtpReceiver.getCapabilities(kind).codecs
            transceiver.setCodecPreferences([one for one in known if one.name == codec])
    if channel is not None:
        connection.control = connection.createDataChannel(channel)  # type: ignore[attr-defined]
    await connection.setLocalDescription(await connection.createOffer())
    return connection, connection.localDescription.sdp


@contextlib.asynccontextmanager
async def answered(
    connection: RTCPeerConnection, answer: str
) -> AsyncIterator[dict[str, MediaStreamTrack]]:
    """The tracks that an answered offer brings, by kind; closes the connection afterwards."""
    tracks: dict[str, MediaStreamTrack] = {}
    connection.on("track", lambda track: tracks.setdefault(track.kind, track))
    try:
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        yield tracks
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def watch(
    url: str, producer: str = "camera", kinds: tuple[str, ...] = ("video", "audio")
) -> AsyncIterator[Viewer]:
    """Watch a producer of the server whose address, token in the fragment, is `url`."""
    base, fragment = urldefrag(url)
    headers = {"Authorization": f"Bearer {fragment.removeprefix('t=')}"} if fragment else {}
    connection, sdp = await offer(kinds)
    tracks: dict[str, MediaStreamTrack] = {}
    connection.on("track", lambda track: tracks.setdefault(track.kind, track))
    async with aiohttp.ClientSession(headers=headers) as http:
        endpoint = urljoin(base, f"/whep/{producer}")
        async with http.post(
            endpoint, data=sdp, headers={"Content-Type": "application/sdp"}
        ) as response:
            assert response.status == 201, await response.text()
            answer = await response.text()
            session_url = urljoin(endpoint, response.headers["Location"])
        try:
            await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            yield Viewer(connection, session_url, tracks)
        finally:
            await connection.close()
            async with http.delete(session_url) as response:
                assert response.status in (200, 404)
