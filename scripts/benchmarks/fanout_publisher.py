"""Publishers for the fan-out benchmark, those that are Python's: one in a process of its own.

It is told what to do by lines: `{"join": true}` is answered by an offer with all candidates,
`{"answer": …}` is that viewer's. First it says `{"ready": true}`, or `{"missing": …}` with what is
not installed.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any, Protocol

from .fanout_media import BITRATE, HEIGHT, WIDTH, tracks

LINE_LIMIT = 1 << 20
OPEN_FILES = 1 << 14


class Connection(Protocol):
    """One viewer's."""

    async def offer(self) -> str: ...

    async def answer(self, sdp: str) -> None: ...


Connect = Callable[[], Connection]


class AiortcConnection:
    """With aiortc's interface, so ours too."""

    def __init__(self, connection: Any, added: tuple[Any, ...]) -> None:
        self._connection = connection
        for track in added:
            connection.addTrack(track)

    async def offer(self) -> str:
        await self._connection.setLocalDescription(await self._connection.createOffer())
        sdp: str = self._connection.localDescription.sdp
        return sdp

    async def answer(self, sdp: str) -> None:
        import aiortc

        await self._connection.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "answer"))


def with_aiortc(contender: str) -> Connect:
    """Ours (`this`), or aiortc given packets of our encoder (`packets`) or pictures (`relay`)."""
    import aioice.ice
    import aiortc
    from aiortc.codecs import vpx
    from aiortc.contrib.media import MediaRelay

    import peer
    from peer.media.encoded_track import EncodedTrack

    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    vpx.DEFAULT_BITRATE = vpx.MAX_BITRATE = BITRATE
    camera, microphone = tracks()
    configuration = aiortc.RTCConfiguration(iceServers=[])
    relay = MediaRelay()

    def connect() -> Connection:
        if contender == "this":
            return AiortcConnection(peer.RTCPeerConnection(configuration), (camera, microphone))
        if contender == "packets":
            added: Any = (EncodedTrack(camera, "VP8"), EncodedTrack(microphone, "opus"))
        else:
            added = (relay.subscribe(one, buffered=False) for one in (camera, microphone))
        return AiortcConnection(aiortc.RTCPeerConnection(configuration), tuple(added))

    return connect


def with_wrtc() -> Connect:
    """libwebrtc, by PyPI's `wrtc`: it encodes for each viewer.

    :raises ImportError: it is not installed.
    """
    import webrtc

    camera, microphone = tracks()
    video, audio = (webrtc.MediaStreamTrackGenerator(kind) for kind in ("video", "audio"))

    async def film() -> None:
        writer = video.writable.get_writer()
        while True:
            frame = await camera.recv()
            init = webrtc.VideoFrameBufferInit(
                format="I420", coded_width=WIDTH, coded_height=HEIGHT,
                timestamp=int(frame.time * 1_000_000),
            )  # fmt: skip
            await writer.write(webrtc.VideoFrame(frame.to_ndarray().tobytes(), init))

    async def sound() -> None:
        writer = audio.writable.get_writer()
        while True:
            frame = await microphone.recv()
            init = webrtc.AudioDataInit(
                format="s16", sample_rate=frame.sample_rate, number_of_frames=frame.samples,
                number_of_channels=2, timestamp=int(frame.time * 1_000_000),
                data=frame.to_ndarray().tobytes(),
            )  # fmt: skip
            await writer.write(webrtc.AudioData(init))

    _kept.extend((asyncio.create_task(film()), asyncio.create_task(sound())))

    class WrtcConnection:
        def __init__(self) -> None:
            self._connection = webrtc.RTCPeerConnection()
            for track in (video, audio):
                self._connection.add_track(track)

        async def offer(self) -> str:
            complete = asyncio.Event()
            self._connection.on("icegatheringstatechange", lambda _: complete.set())
            await self._connection.set_local_description()
            while self._connection.ice_gathering_state != "complete":
                complete.clear()
                await complete.wait()
            assert self._connection.local_description is not None
            return self._connection.local_description.sdp

        async def answer(self, sdp: str) -> None:
            await self._connection.set_remote_description(
                webrtc.RTCSessionDescriptionInit(type="answer", sdp=_at_once(sdp))
            )
            sender = self._connection.get_senders()[0]
            parameters = sender.get_parameters()
            parameters.encodings[0].max_bitrate = BITRATE
            # By itself it makes the picture smaller, and the work less than that of the others.
            parameters.degradation_preference = webrtc.RTCDegradationPreference.maintain_resolution
            await sender.set_parameters(parameters)

    return WrtcConnection


def _at_once(answer: str) -> str:
    """An answer that has libwebrtc begin with the whole bit rate instead of feeling its way."""
    before, video, after = answer.partition("m=video")
    payload_type = after.split("SAVPF ")[1].split()[0]
    rate = f"a=fmtp:{payload_type} x-google-start-bitrate={BITRATE // 1000}\r\na=mid:"
    return before + video + after.replace("a=mid:", rate, 1)


_kept: list[object] = []


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


async def contend(contender: str) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        connect = with_wrtc() if contender == "wrtc" else with_aiortc(contender)
    except ImportError as error:
        say(missing=str(error))
        return
    say(ready=True)
    connections: list[Connection] = []
    async for line in reader:
        message = json.loads(line)
        if "answer" in message:
            await connections[-1].answer(message["answer"])
        else:
            connections.append(connect())
            say(offer=await connections[-1].offer())
    os._exit(0)  # hundreds of connections close slowly, and nobody waits for them


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    asyncio.run(contend(sys.argv[1]))
