"""How good pictures are at the same bitrate, encoded by ours and by Chromium's encoders.

A clip of eight seconds, 720p at 30: textures of nature's spectrum, one that is panned over and one
that moves before it, fine lines, and a sensor's noise. Chromium encodes it as a sender of WebRTC,
in real time; ours is given the very pictures that Chromium has encoded, and the bitrate that it has
used. Each picture has its number in a barcode. The first two seconds, in which rate control finds
its way, don't count.
"""

import argparse
import asyncio
import base64
import functools
import json
import math
import os
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from aiohttp import web
from av import CodecContext, Packet, VideoFormat, VideoFrame
from av.filter import Graph
from numpy.typing import NDArray

from peer.devices import barcode
from peer.media.video_encoders import VideoEncoder
from tests.e2e.browsers import Page, chromium

WIDTH, HEIGHT, RATE = 1280, 720, 30
PICTURES, SKIPPED = 8 * RATE, 2 * RATE
BITRATES = (1_000_000, 2_000_000)
CODECS = ("VP8", "H264", "VP9", "AV1")
ATTEMPTS, TOLERANCE = 4, 0.03
"""To have ours use as many bits as Chromium has: how often it is tried, and what is near enough."""
FALL = 1.4
"""How fast the spectrum of the textures falls: 1 is sharp, 2 is blurred."""
NOISE = 1.5
"""Standard deviation of the sensor's noise, of 255."""
SCRIPT = Path(__file__).with_suffix(".js")
YUV420P = VideoFormat("yuv420p")
DECODERS = {"VP8": "vp8", "H264": "h264", "VP9": "vp9", "AV1": "libdav1d"}

Planes = NDArray[np.uint8]
"""Of yuv420p, one below the other."""


def texture(height: int, width: int, seed: int) -> NDArray[np.float64]:
    """Noise that has less of what is fine, as pictures of nature do: from 0 to 1."""
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal((height, width)))
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    spectrum = noise / np.maximum(np.hypot(rows, columns), 1 / width) ** FALL
    image = np.fft.irfft2(spectrum, (height, width))
    image -= image.mean()
    clipped: NDArray[np.float64] = np.clip(0.5 + image / image.std() / 6, 0, 1)
    return clipped


@functools.cache
def clip() -> Sequence[Planes]:
    """The pictures."""
    background, face = texture(HEIGHT, 2 * WIDTH, 1), texture(320, 240, 2)
    tints = [texture(HEIGHT // 2, WIDTH, seed) for seed in (3, 4)]
    rows, columns = np.mgrid[-1:1:320j, -1:1:240j]
    inside = rows**2 + columns**2 < 1
    lines = np.indices((60, 300)).sum(0) % 6 < 3
    random = np.random.default_rng(5)
    noise = [random.normal(0, NOISE, (HEIGHT, WIDTH)) for _ in range(8)]
    pictures = []
    for number in range(PICTURES):
        pan = number * 2 % WIDTH
        luma = 30 + 180 * background[:, pan : pan + WIDTH]
        left = round(520 + 300 * math.sin(number / 40))
        top = round(240 + 80 * math.sin(number / 17))
        luma[top : top + 320, left : left + 240][inside] = (60 + 160 * face)[inside]
        luma[640:700, 100:400] = np.where(np.roll(lines, number, 1), 210, 40)
        seen = np.clip(luma + noise[number % len(noise)], 16, 235).astype(np.uint8)
        barcode.draw(seen, barcode.Stamp(number, number / RATE))
        half = pan // 2
        chroma = [(88 + 80 * tint[:, half : half + WIDTH // 2]).astype(np.uint8) for tint in tints]
        planes = np.concatenate([seen.reshape(-1), *(plane.reshape(-1) for plane in chroma)])
        pictures.append(planes.reshape(-1, WIDTH))
    return pictures


@dataclass
class Encoded:
    """What an encoder made of the clip."""

    packets: list[bytes]
    numbers: list[int]
    """Of the decoded pictures, by their barcodes."""
    scores: list[tuple[float, float]]
    """SSIM and PSNR of the luma, in dB both."""
    milliseconds: float | None = None
    """Of CPU for each picture."""

    @property
    def bitrate(self) -> float:
        """Bits a second of clip time."""
        counted = self.packets[SKIPPED * len(self.packets) // PICTURES :]
        return 8 * sum(map(len, counted)) * RATE / (PICTURES - SKIPPED)


def decode(codec: str, packets: Iterable[bytes]) -> Iterator[VideoFrame]:
    decoder = CodecContext.create(DECODERS[codec], "r")
    decoder.thread_count = 1
    for data in (*packets, None):
        yield from decoder.decode(Packet(data) if data else None)  # type: ignore[attr-defined]


def compared(codec: str, packets: list[bytes], milliseconds: float | None = None) -> Encoded:
    """Decode, and compare with the clip."""
    graph = Graph()
    sources = [
        graph.add_buffer(width=WIDTH, height=HEIGHT, format=YUV420P, time_base=Fraction(1, RATE))
        for _ in range(2)
    ]
    ssim, sink = graph.add("ssim"), graph.add("buffersink")
    for number, source in enumerate(sources):
        source.link_to(ssim, 0, number)
    ssim.link_to(sink)
    graph.configure()
    numbers, scores = [], []
    for position, frame in enumerate(decode(codec, packets)):
        if (frame.width, frame.height) != (WIDTH, HEIGHT):
            continue
        seen: Planes = frame.to_ndarray(format="yuv420p").astype(np.uint8, copy=False)
        stamp = barcode.read(seen[:HEIGHT])
        if stamp is None or stamp.frame >= PICTURES:
            continue
        numbers.append(stamp.frame)
        if stamp.frame < SKIPPED:
            continue
        original = clip()[stamp.frame]
        for source, planes in zip(sources, (seen, original), strict=True):
            one = VideoFrame.from_ndarray(planes, "yuv420p")
            one.pts = position
            source.push(one)
        similarity = float(sink.pull().metadata["lavfi.ssim.Y"])
        error = np.square(seen[:HEIGHT].astype(float) - original[:HEIGHT]).mean()
        scores.append((-10 * math.log10(1 - similarity), 10 * math.log10(255**2 / error)))
    return Encoded(packets, numbers, scores, milliseconds)


async def by_chromium(page: Page, codec: str, bitrate: int) -> Encoded:
    await page.evaluate(f"quality.connect({json.dumps(codec)}, {bitrate})")
    frames = await page.evaluate(f"quality.play({WIDTH}, {HEIGHT}, {RATE})")
    packets = [base64.b64decode(frame["data"]) for frame in frames]
    return await asyncio.to_thread(compared, codec, packets)


def by_ours(codec: str, wanted: float, numbers: Sequence[int]) -> Encoded:
    """Ours at so many bits a second in effect: aiming at as many gives more or less."""
    bitrate = wanted
    for _ in range(ATTEMPTS):
        found = encoded(codec, bitrate, numbers)
        if abs(found.bitrate / wanted - 1) < TOLERANCE:
            break
        bitrate *= wanted / found.bitrate
    return found


def encoded(codec: str, bitrate: float, numbers: Sequence[int]) -> Encoded:
    encoder = VideoEncoder(codec.lower(), bitrate=round(bitrate))
    packets, spent = [], 0.0
    for count, number in enumerate(numbers):
        frame = VideoFrame.from_ndarray(clip()[number], "yuv420p")
        before = time.process_time()
        picture = encoder.encode(frame, number * 90000 // RATE, RATE, keyframe=count == 0)
        spent += time.process_time() - before
        if picture is not None:
            packets.append(picture.data)
    return compared(codec, packets, 1000 * spent / max(1, len(packets)))


def row(codec: str, bitrate: int, name: str, found: Encoded) -> str:
    similarity, noise = (sorted(scores) for scores in zip(*found.scores, strict=True))
    worst = len(similarity) // 20
    cells = [
        codec, f"{bitrate / 1e6:g}", name, f"{found.bitrate / 1000:.0f}",
        f"{len(found.scores) * RATE / (PICTURES - SKIPPED):.1f}",
        f"{1 - 10 ** (-statistics.fmean(similarity) / 10):.4f}",
        f"{statistics.fmean(similarity):.2f}", f"{similarity[worst]:.2f}",
        f"{statistics.fmean(noise):.2f}",
        "" if found.milliseconds is None else f"{found.milliseconds:.1f}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


async def measure(codecs: Sequence[str]) -> None:
    load = os.getloadavg()[0]
    rows = [
        "| codec | Mbit/s | by | kbit/s | fps | SSIM | SSIM dB | worst 5 % | PSNR dB | ms |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    raw = b"".join(planes.tobytes() for planes in clip())
    app = web.Application()
    app.router.add_get("/", lambda request: _respond(b"<!doctype html>", "text/html"))
    app.router.add_get("/clip", lambda request: _respond(raw, "application/octet-stream"))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with chromium() as browser:
            page = await browser.open(f"http://127.0.0.1:{runner.addresses[0][1]}/")
            await page.evaluate(SCRIPT.read_text())
            await page.evaluate("quality.load('/clip')")
            for codec in codecs:
                for bitrate in BITRATES:
                    theirs = await by_chromium(page, codec, bitrate)
                    ours = await asyncio.to_thread(
                        by_ours, codec, theirs.bitrate, sorted(set(theirs.numbers))
                    )
                    rows.append(row(codec, bitrate, "this", ours))
                    rows.append(row(codec, bitrate, "Chromium", theirs))
    finally:
        await runner.cleanup()
    print("\n".join(rows))
    print(
        "\nSSIM and PSNR of the luma; dB of SSIM are -10 log10(1 - SSIM). Milliseconds of CPU",
        end="",
    )
    print(
        f" for a picture. Load of the machine before: {load:.1f}, after: {os.getloadavg()[0]:.1f}."
    )


async def _respond(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, content_type=content_type)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=CODECS)
    asyncio.run(measure(parser.parse_args().codecs))


if __name__ == "__main__":
    main()
