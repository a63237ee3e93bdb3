"""How old pictures are when they are on a page's canvas, and when their last packet is there.

720p at 30 pictures a second in Chromium, over loopback. Each picture carries the time of capture as
a barcode; the page reads it as soon as a picture is presented (`requestVideoFrameCallback()`). When
its last packet came, the browser says itself. From Chromium to Chromium a canvas's track is sent,
which has the very same code in it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.e2e.browsers import Browser, Page, chromium

WIDTH, HEIGHT, RATE = 1280, 720, 30
CODECS = ("VP8", "H264")
WARM_UP, SECONDS = 4.0, 15.0
SCRIPT = Path(__file__).with_suffix(".js")
LINE_LIMIT = 1 << 20

Seen = list[dict[str, float]]


async def publish(codec: str) -> None:
    """Ours, in a process of its own: an offer on standard output, the answer on standard input."""
    import aiortc

    import peer
    from peer.devices.virtual import VirtualBackend

    devices = peer.MediaDevices([VirtualBackend()])
    video = {"width": {"exact": WIDTH}, "height": {"exact": HEIGHT}, "frameRate": RATE}
    [track] = (await devices.getUserMedia({"video": video})).getTracks()
    connection = peer.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    transceiver = connection.addTransceiver(track, direction="sendonly")
    capabilities = peer.RTCRtpSender.getCapabilities("video")
    assert capabilities is not None
    transceiver.setCodecPreferences([one for one in capabilities.codecs if one.name == codec])
    await connection.setLocalDescription()
    assert connection.localDescription is not None
    print(json.dumps(connection.localDescription.sdp), flush=True)
    loop = asyncio.get_running_loop()
    line = await loop.run_in_executor(None, sys.stdin.readline)
    await connection.setRemoteDescription(aiortc.RTCSessionDescription(json.loads(line), "answer"))
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


@contextlib.asynccontextmanager
async def from_this(page: Page, codec: str) -> AsyncIterator[None]:
    """The page watches ours."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.benchmarks.latency", "--one", codec,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_LIMIT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        offer = (await process.stdout.readline()).decode()
        answer = await page.evaluate(f"latency.answer({offer})")
        process.stdin.write(json.dumps(answer).encode() + b"\n")
        yield
    finally:
        process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def from_chromium(browser: Browser, page: Page, codec: str) -> AsyncIterator[None]:
    """The page watches another page."""
    sender = await open_page(browser)
    offer = await sender.evaluate(f"latency.offer({json.dumps(codec)})")
    answer = await page.evaluate(f"latency.answer({json.dumps(offer)})")
    await sender.evaluate(f"latency.answered({json.dumps(answer)})")
    yield
    await sender.close()


async def open_page(browser: Browser) -> Page:
    page = await browser.open("about:blank")
    await page.evaluate(SCRIPT.read_text())
    return page


async def watched(page: Page, seconds: float) -> Seen:
    """What the page saw of its pictures, once it has warmed up."""
    await page.wait_for("latency.seen.length > 0")
    await asyncio.sleep(WARM_UP)
    await page.evaluate("latency.seen.length = 0")
    await asyncio.sleep(seconds)
    seen: Seen = await page.evaluate("latency.seen")
    return seen


def row(name: str, codec: str, seen: Seen, seconds: float) -> str:
    cells = [name, codec]
    for key in ("received", "shown"):
        percentiles = statistics.quantiles([one[key] for one in seen], n=100)
        cells += [f"{percentiles[at - 1]:.0f}" for at in (50, 95, 99)]
    cells.append(f"{len({one['frame'] for one in seen}) / seconds:.1f}")
    return "| " + " | ".join(cells) + " |"


async def measure(seconds: float) -> None:
    load = os.getloadavg()[0]
    rows = [
        "| | codec | last packet: p50 | p95 | p99 | canvas: p50 | p95 | p99 | fps |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for codec in CODECS:
        for name in ("this", "Chromium"):
            async with chromium() as browser:
                page = await open_page(browser)
                sending = (
                    from_this(page, codec)
                    if name == "this"
                    else from_chromium(browser, page, codec)
                )
                async with sending:
                    rows.append(row(name, codec, await watched(page, seconds), seconds))
    print("\n".join(rows))
    print("\nMilliseconds since capture. Load of the machine", end=" ")
    print(f"before: {load:.1f}, after: {os.getloadavg()[0]:.1f}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--one", choices=CODECS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    asyncio.run(publish(options.one) if options.one else measure(options.seconds))


if __name__ == "__main__":
    main()
