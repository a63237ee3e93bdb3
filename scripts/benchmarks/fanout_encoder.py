"""Encodes what the others publish, for a publisher that can't, and sends it as RTP to two ports."""

import asyncio
import sys
from fractions import Fraction
from typing import Any

import av

from .fanout_media import BITRATE, HEIGHT, RATE, WIDTH, tracks

PACKET = 1200
OPTIONS = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "g": "100000"}
CBR = {"minrate": str(BITRATE), "maxrate": str(BITRATE), "bufsize": str(BITRATE)}


async def send(track: Any, codec: str, port: int, **options: str) -> None:
    """Send a track to a port of this machine, one key frame first and then none.

    :param options: of FFmpeg's RTP: `payload_type`, `ssrc`.
    """
    url = f"rtp://127.0.0.1:{port}?pkt_size={PACKET}"
    with av.open(url, "w", format="rtp", options=options) as container:
        stream: Any
        if track.kind == "video":
            stream = container.add_stream(codec, rate=RATE, options=OPTIONS | CBR)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.bit_rate, stream.time_base = BITRATE, Fraction(1, 90000)
        else:
            stream = container.add_stream(codec, rate=48000, options={"frame_duration": "20"})
            stream.layout, stream.format = "stereo", "s16"
        while True:
            for packet in stream.encode(await track.recv()):
                container.mux(packet)


async def main(video: int, audio: int) -> None:
    camera, microphone = tracks()
    await asyncio.gather(
        send(camera, "libvpx", video, payload_type="96", ssrc="1001"),
        send(microphone, "libopus", audio, payload_type="97", ssrc="1002"),
    )


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
