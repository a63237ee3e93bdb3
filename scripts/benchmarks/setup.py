"""From the page's load to the first picture: medians, and what takes how long of it.

All contenders send 720p at 30 and sound to the same page in the same Chromium, one join after the
other, by turns. The parts are seen by the page: until there is an offer, until there is an answer,
until ICE is connected, until DTLS is, until the first packet, until the picture is on the screen.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from tests.e2e.browsers import Browser, Page, chromium

WIDTH, HEIGHT, RATE = 1280, 720, 30
ROUNDS = 20
PARTS = ("offer", "answer", "ice", "dtls", "packet", "picture")
PAGE = Path(__file__).with_suffix(".html")
Times = dict[str, float]
Join = Callable[[], Awaitable[Times]]


# The contenders, each in a process of its own: `python -m scripts.benchmarks.setup NAME ORIGIN`.


async def this(origin: str) -> str:
    """Ours: a server with a publisher; returns its address."""
    from peer import MediaDevices
    from peer.connection.rtc_peer_connection import RTCPeerConnection
    from peer.devices.virtual import VirtualBackend
    from peer.publisher import Publisher
    from signaling import Limits, LocalClient, ServerConfig, SignalingServer

    devices = MediaDevices([VirtualBackend()])
    video = {"width": {"exact": WIDTH}, "height": {"exact": HEIGHT}, "frameRate": RATE}
    stream = await devices.getUserMedia({"video": video, "audio": True})
    limits = Limits(starts_per_address=10_000)
    server = SignalingServer(ServerConfig(port=0, origins=frozenset({origin}), limits=limits))
    await server.start()
    await RTCPeerConnection.generateCertificate()
    publisher = Publisher(stream, label="Camera", codecs=("VP8",))
    client = LocalClient(server.hub, "camera", meta=publisher.meta)
    await client.start()
    _kept.append(asyncio.create_task(publisher.serve(client)))
    return server.url


async def aiortc_example(origin: str) -> str:
    """aiortc's webcam example: an encoder for each viewer, an answer by HTTP."""
    import aiortc
    from aiortc.contrib.media import MediaRelay

    from .fanout_media import tracks

    relay, (camera, microphone) = MediaRelay(), tracks()

    async def answer(offer: str) -> str:
        connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        _kept.append(connection)
        await connection.setRemoteDescription(aiortc.RTCSessionDescription(offer, "offer"))
        connection.addTrack(relay.subscribe(camera, buffered=False))
        connection.addTrack(relay.subscribe(microphone, buffered=False))
        await connection.setLocalDescription(await connection.createAnswer())
        sdp: str = connection.localDescription.sdp
        return sdp

    return await _serve(origin, answer)


async def wrtc(origin: str) -> str:
    """libwebrtc, by PyPI's `wrtc`."""
    import numpy as np
    import webrtc

    generator = webrtc.VideoTrackGenerator()
    writer = generator.writable.get_writer()

    async def film() -> None:
        noise = np.random.default_rng(1).integers(0, 255, (HEIGHT * 3 // 2, WIDTH), np.uint8)
        for number in itertools.count():
            init = webrtc.VideoFrameBufferInit(
                format="I420", coded_width=WIDTH, coded_height=HEIGHT,
                timestamp=number * 1_000_000 // RATE,
            )  # fmt: skip
            planes = np.full_like(noise, 128)
            planes[:HEIGHT, (number * 8) % WIDTH :][:, :64] = 220
            await writer.write(webrtc.VideoFrame(planes.tobytes(), init))
            await asyncio.sleep(1 / RATE)

    _kept.append(asyncio.create_task(film()))

    async def answer(offer: str) -> str:
        connection = webrtc.RTCPeerConnection()
        _kept.append(connection)
        await connection.set_remote_description(
            webrtc.RTCSessionDescriptionInit(type="offer", sdp=offer)
        )
        connection.add_track(generator.track)
        await connection.set_local_description()
        complete = asyncio.Event()
        connection.on("icegatheringstatechange", lambda _: complete.set())
        while connection.ice_gathering_state != "complete":
            complete.clear()
            await complete.wait()
        assert connection.local_description is not None
        return str(connection.local_description.sdp)

    return await _serve(origin, answer)


CONTENDERS = {"this": this, "aiortc": aiortc_example, "wrtc": wrtc}
_kept: list[object] = []


async def _serve(origin: str, answer: Callable[[str], Awaitable[str]]) -> str:
    headers = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Headers": "*"}

    async def handle(request: web.Request) -> web.Response:
        text = await answer(await request.text()) if request.method == "POST" else ""
        return web.Response(text=text, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/offer", handle)
    return await _listen(app)


async def _listen(app: web.Application) -> str:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _kept.append(runner)
    return f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def contend(name: str, origin: str) -> None:
    print(await CONTENDERS[name](origin), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# The measurement.


@contextlib.asynccontextmanager
async def contender(name: str, origin: str) -> AsyncIterator[str]:
    """The address of a contender that runs until the block is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.benchmarks.setup", name, origin,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


async def seen(page: Page) -> Times:
    """When what has happened, once the picture is on the screen; closes the page."""
    await page.wait_for("'picture' in times")
    times: Times = await page.evaluate("times")
    await page.close()
    return times


def watching(browser: Browser, base: str, query: str) -> Join:
    """Joins by the page's own doing."""

    async def join() -> Times:
        return await seen(await browser.open(f"{base}?{query}"))

    return join


async def browser_to_browser(browser: Browser, base: str) -> Join:
    """Joins a page of the same browser, with its fake camera, by carrying the descriptions."""
    sender = await browser.open(base)
    await sender.evaluate("send().then(stream => (globalThis.stream = stream, null))")

    async def join() -> Times:
        offer = await sender.evaluate("offerOf(stream)")
        page = await browser.open(base)
        sdp = await page.evaluate(f"answer({json.dumps(offer)})")
        answer = json.dumps({"type": "answer", "sdp": sdp})
        await sender.evaluate(f"sender.setRemoteDescription({answer}).then(() => null)")
        return await seen(page)

    return join


async def measure(rounds: int) -> None:
    app = web.Application()
    page = PAGE.read_text()
    app.router.add_get("/", lambda request: _page(page))
    base = await _listen(app)
    origin = base.rstrip("/")
    async with contextlib.AsyncExitStack() as stack:
        browser = await stack.enter_async_context(chromium())
        enter = stack.enter_async_context
        ours = await enter(contender("this", origin))
        joins: dict[str, Join] = {
            "this, WebSocket (it offers)": watching(
                browser, base, f"socket={quote(ours.replace('http', 'ws') + 'ws')}"
            ),
            "this, WHEP": watching(browser, base, f"post={quote(ours + 'whep/camera')}"),
            "aiortc, webcam example": watching(
                browser, base,
                f"gather&post={quote(await enter(contender('aiortc', origin)) + 'offer')}",
            ),
        }  # fmt: skip
        with contextlib.suppress(ImportError):
            import webrtc  # noqa: F401

            address = await enter(contender("wrtc", origin))
            joins["wrtc (libwebrtc)"] = watching(
                browser, base, f"gather&post={quote(address + 'offer')}"
            )
        joins["Chromium to Chromium"] = await browser_to_browser(browser, base)
        found: dict[str, list[Times]] = {name: [] for name in joins}
        for number in range(rounds + 1):
            for name, join in joins.items():
                times = await join()
                if number:  # the first is a warm-up
                    found[name].append(times)
    print(table(found))


async def _page(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")


def table(found: dict[str, list[Times]]) -> str:
    """Medians in milliseconds: each part after the one before, and the whole."""
    head = (
        "",
        "page",
        "answer",
        "ICE",
        "DTLS",
        "packet",
        "picture",
        "offer→packet",
        "all",
        "worst",
    )
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for name, all_times in found.items():
        cells = []
        for before, part in zip((None, *PARTS), PARTS, strict=False):
            spans = [
                max(0.0, times.get(part, times["picture"]) - (times[before] if before else 0.0))
                for times in all_times
                if before is None or before in times
            ]
            cells.append(f"{statistics.median(spans):.0f}" if spans else "–")
        packets = [times["packet"] - times["offer"] for times in all_times if "packet" in times]
        whole = sorted(times["picture"] for times in all_times)
        cells.append(f"{statistics.median(packets):.0f}" if packets else "–")
        cells += [f"{statistics.median(whole):.0f}", f"{whole[-1]:.0f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("contender", nargs="?", choices=CONTENDERS)
    parser.add_argument("origin", nargs="?")
    options = parser.parse_args()
    if options.contender is not None:
        asyncio.run(contend(options.contender, options.origin))
    else:
        asyncio.run(measure(options.rounds))


if __name__ == "__main__":
    main()
