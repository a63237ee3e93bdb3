"""What viewers behind slow, lossy and changing lines get from one publisher, all at the same time.

720p pictures at 30 a second, aimed at 2 Mbit/s. Chromium decodes them; the lines are those of a
virtual network, 20 ms long, with 200 ms of queue. First all lines are steady; then one of them
halves for some seconds, and recovers.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import math
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path as FilePath
from typing import Any

from peer.connection.aiortc_seam.host_addresses import host_addresses
from peer.testing.network import Line, Path, VirtualNetwork
from tests.e2e.browsers import Page, chromium
from tests.interop.webrtcbin import SCRIPT

BITRATE = 2_000_000
PYTHON = "/usr/bin/python3"
"""Debian's own, which has GStreamer's bindings."""
LINES = {
    "0.3 Mbit/s": Path(300_000, 0.02),
    "1 Mbit/s": Path(1_000_000, 0.02),
    "5 % loss": Path(10_000_000, 0.02, loss=0.05),
    "3, 1.5, 3 Mbit/s": Path(3_000_000, 0.02),
}
CHANGING = "3, 1.5, 3 Mbit/s"
CHANGED = Path(1_500_000, 0.02)
SETTLING, STEADY, HALVED, AFTER = 12.0, 8.0, 10.0, 16.0
"""Seconds: until the steady lines are looked at, for how long, of the changed line, and then."""
JOINING = 20.0
FINDING = 10.0
"""Seconds after joining in which a viewer may still look for its size."""
INTERVAL = 0.5
"""Seconds between looks at what the viewers see."""
BACK = 0.9
"""Part of what was delivered before the change from which on the line has recovered."""
LINE_LIMIT = 1 << 20

Sample = dict[str, float]
"""Of one viewer at one moment, as the page's statistics have it."""
Tell = Callable[[dict[str, Any]], None]

PAGE = """
globalThis.viewers = {};
globalThis.answerTo = async (name, offer) => {
  const connection = (viewers[name] = new RTCPeerConnection());
  connection.ontrack = ({ track }) => {
    const video = document.createElement("video");
    video.muted = video.autoplay = true;
    video.width = 160;
    video.srcObject = new MediaStream([track]);
    document.body.append(video);
  };
  await connection.setRemoteDescription({ type: "offer", sdp: offer });
  await connection.setLocalDescription();
  while (connection.iceGatheringState !== "complete") {
    await new Promise((resolve) => (connection.onicegatheringstatechange = resolve));
  }
  return connection.localDescription.sdp;
};
globalThis.samples = async () => {
  const found = {};
  for (const [name, connection] of Object.entries(viewers)) {
    for (const report of (await connection.getStats()).values()) {
      if (report.type === "inbound-rtp" && report.kind === "video") found[name] = report;
    }
  }
  return found;
};
null
"""


# The contenders, each in a process of its own (`--one NAME`). They speak as
# tests/interop/webrtcbin_peer.py does, a line each way.


async def this(codec: str) -> Callable[[], Any]:
    """Ours."""
    import aiortc

    import peer
    from peer import RTCRtpSender

    from .fanout_media import tracks

    camera, _ = tracks()
    capabilities = RTCRtpSender.getCapabilities("video")
    assert capabilities is not None

    def connect() -> Any:
        connection = peer.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        transceiver = connection.addTransceiver(camera, direction="sendonly")
        transceiver.setCodecPreferences([one for one in capabilities.codecs if one.name == codec])
        return connection

    return connect


async def stock() -> Callable[[], Any]:
    """aiortc as it comes: an encoder for each viewer."""
    import aiortc
    from aiortc.codecs import vpx
    from aiortc.contrib.media import MediaRelay

    from .fanout_media import tracks

    vpx.MAX_BITRATE = BITRATE
    relay, (camera, _) = MediaRelay(), tracks()

    def connect() -> Any:
        connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        connection.addTrack(relay.subscribe(camera, buffered=False))
        return connection

    return connect


MEDIA = f"""
    webrtcbin name=rtc bundle-policy=max-bundle
    videotestsrc is-live=true ! video/x-raw,width=1280,height=720,framerate=30/1 ! videoconvert
        ! vp8enc deadline=1 cpu-used=8 end-usage=cbr target-bitrate={BITRATE}
          keyframe-max-dist=100000 error-resilient=default
        ! rtpvp8pay pt={{video}} picture-id-mode=15-bit
        ! application/x-rtp,media=video,encoding-name=VP8,payload={{video}} ! rtc.
"""
WEBRTCBIN = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import webrtcbin_peer
webrtcbin_peer.MEDIA = {MEDIA!r}
class Session(webrtcbin_peer.Session):
    def __init__(self, pipeline, session_id):
        super().__init__(pipeline, session_id)
        self.rtc.emit("get-transceiver", 0).set_property("do-nack", True)
webrtcbin_peer.Session = Session
sys.exit(webrtcbin_peer.main())
"""
CONTENDERS: dict[str, list[str]] = {
    name: [sys.executable, "-m", "scripts.benchmarks.adaptation", "--one", name]
    for name in ("this, VP8", "this, H264", "aiortc")
} | {"webrtcbin": [PYTHON, "-c", WEBRTCBIN, "producer"]}


async def contend(name: str) -> None:
    connect = await (stock() if name == "aiortc" else this(name.split()[1]))
    connections: dict[str, Any] = {}
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"event": "ready"}), flush=True)
    async for line in reader:
        message = json.loads(line)
        session = message["sessionId"]
        if message["type"] == "startSession":
            connection = connections[session] = connect()
            await connection.setLocalDescription(await connection.createOffer())
            sdp = {"type": "offer", "sdp": connection.localDescription.sdp}
            said = {"type": "peer", "sessionId": session, "sdp": sdp}
            print(json.dumps(said), flush=True)
        else:
            import aiortc

            answer = aiortc.RTCSessionDescription(message["sdp"]["sdp"], "answer")
            await connections[session].setRemoteDescription(answer)
    os._exit(0)


# The measurement.


class Audience:
    """The viewers of one contender, and what they have seen."""

    def __init__(self, page: Page, lines: dict[str, Line], tell: Tell) -> None:
        self._page, self._lines, self._tell = page, lines, tell
        self.seen: dict[str, list[Sample]] = {name: [] for name in lines}
        self._described: set[str] = set()
        self._early: list[tuple[str, dict[str, Any]]] = []

    async def hear(self, reader: asyncio.StreamReader) -> None:
        """Take up what the contender says, until it ends."""
        async for line in reader:
            message = json.loads(line)
            if message.get("type") != "peer":
                continue
            name = message["sessionId"]
            if "sdp" in message:
                offer = self._lines[name].here.hide(message["sdp"]["sdp"])
                sdp = await self._page.evaluate(
                    f"answerTo({json.dumps(name)}, {json.dumps(offer)})"
                )
                self._described.add(name)
                answer = {"type": "answer", "sdp": self._lines[name].there.hide(sdp)}
                self._tell({"type": "peer", "sessionId": name, "sdp": answer})
                for other, ice in self._early:
                    if other == name:
                        await self._add(name, ice)
            elif name in self._described:
                await self._add(name, message["ice"])
            else:
                self._early.append((name, message["ice"]))

    async def _add(self, name: str, ice: dict[str, Any]) -> None:
        candidate = self._lines[name].here.hide_candidate(ice["candidate"])
        if candidate is not None:
            told = json.dumps({"candidate": candidate, "sdpMLineIndex": ice["sdpMLineIndex"]})
            await self._page.evaluate(f"viewers[{json.dumps(name)}].addIceCandidate({told})")

    async def look(self, seconds: float) -> None:
        """Note what the viewers see."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, sample in (await self._page.evaluate("samples()")).items():
                self.seen[name].append(sample | {"at": time.monotonic()})
            await asyncio.sleep(INTERVAL)

    async def joined(self) -> None:
        """Wait until all of them are connected, and one sees pictures: not everyone ever does."""
        await self._page.wait_for(
            "samples().then(all => Object.values(all).some(one => one.framesDecoded > 0)"
            f" && Object.keys(all).length === {len(self._lines)})",
            JOINING,
        )


@contextlib.asynccontextmanager
async def contender(name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A contender that runs until the block is left."""
    process = await asyncio.create_subprocess_exec(
        *CONTENDERS[name], stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise FileNotFoundError(f"{name} can't run here")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def measure(name: str, page: Page, seed: int) -> list[str]:
    """The rows of one contender."""
    host = next(one for one in host_addresses() if ":" not in one)
    async with VirtualNetwork(seed, host=host) as network, contender(name) as process:
        stdin = process.stdin
        assert stdin is not None
        assert process.stdout is not None

        def tell(message: dict[str, Any]) -> None:
            stdin.write(json.dumps(message).encode() + b"\n")

        lines = {which: await network.line(path) for which, path in LINES.items()}
        audience = Audience(page, lines, tell)
        await page.evaluate(PAGE)
        hearing = asyncio.create_task(audience.hear(process.stdout))
        for which in lines:
            tell({"type": "startSession", "sessionId": which, "peerId": which})
        joined = asyncio.create_task(audience.joined())
        await asyncio.wait((joined, hearing), return_when=asyncio.FIRST_COMPLETED)
        await (joined if joined.done() else hearing)
        begun, cpu = time.monotonic(), _cpu(process.pid)
        await audience.look(SETTLING + STEADY)
        halved = time.monotonic()
        lines[CHANGING].outward = CHANGED
        await audience.look(HALVED)
        recovered = time.monotonic()
        lines[CHANGING].outward = LINES[CHANGING]
        await audience.look(AFTER)
        core = (_cpu(process.pid) - cpu) / (time.monotonic() - begun)
        hearing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await hearing
    rows = []
    for which, samples in audience.seen.items():
        changes = which == CHANGING
        constant = _between(samples, begun + FINDING, halved if changes else math.inf)
        steady = _between(samples, halved - STEADY, halved)
        cells = [name, which, *_cells(steady), _frozen(_between(samples, begun, begun + FINDING))]
        cells += [_frozen(constant), str(_switches(constant))]
        if changes:
            during = _between(samples, halved, recovered)
            cells += [*_cells(during)[:2], _frozen(_between(samples, halved, math.inf))]
            cells += [*_back(samples, steady, recovered), f"{core:.2f}"]
        else:
            cells += [""] * 6
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _between(samples: list[Sample], start: float, end: float) -> list[Sample]:
    return [sample for sample in samples if start <= sample["at"] <= end]


def _rate(samples: list[Sample]) -> float:
    """Bits a second."""
    first, last = samples[0], samples[-1]
    return 8 * (last["bytesReceived"] - first["bytesReceived"]) / (last["at"] - first["at"])


def _cells(samples: list[Sample]) -> tuple[str, str, str]:
    first, last = samples[0], samples[-1]
    frames = (last["framesDecoded"] - first["framesDecoded"]) / (last["at"] - first["at"])
    height = statistics.mode(sample.get("frameHeight", 0) for sample in samples)
    return f"{_rate(samples) / 1000:.0f}", f"{height:.0f}", f"{frames:.1f}"


def _frozen(samples: list[Sample]) -> str:
    """How many freezes, how long altogether, and the longest, as near as can be told."""
    count = samples[-1]["freezeCount"] - samples[0]["freezeCount"]
    longest = seconds = 0.0
    still = samples[0]["at"]
    for before, after in itertools.pairwise(samples):
        froze = after["totalFreezesDuration"] - before["totalFreezesDuration"]
        seconds += froze
        longest = max(longest, froze / max(1, after["freezeCount"] - before["freezeCount"]))
        if after["framesDecoded"] > before["framesDecoded"]:
            still = after["at"]
    if samples[-1]["at"] - still > 2 * INTERVAL:
        return "to the end"
    return f"{count:.0f}, {seconds:.1f} s, {longest:.1f} s" if count else "–"


def _switches(samples: list[Sample]) -> int:
    heights = [sample["frameHeight"] for sample in samples if "frameHeight" in sample]
    return sum(a != b for a, b in itertools.pairwise(heights))


def _back(samples: list[Sample], before: list[Sample], recovered: float) -> tuple[str, str]:
    """Seconds until the size is again what it was, and until what is delivered is, too."""
    wanted, height = BACK * _rate(before), max(one.get("frameHeight", 0) for one in before)
    size = rate = f"> {AFTER:.0f} s"
    for earlier, sample in reversed(list(zip(samples, samples[4:], strict=False))):
        if sample["at"] < recovered or sample.get("frameHeight", 0) < height:
            break
        size = f"{sample['at'] - recovered:.1f} s"
        if _rate([earlier, sample]) >= wanted:
            rate = size
    return size, rate


def _cpu(process: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = FilePath(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def compare(names: list[str], seed: int) -> None:
    head = (
        "", "line", "kbit/s", "lines", "fps", "frozen at first", "frozen", "changes of size",
        "halved: kbit/s", "lines", "frozen", "full size after", "rate after", "core",
    )  # fmt: skip
    rows = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    load = os.getloadavg()[0]
    for name in names:
        async with chromium() as browser:
            page = await browser.open("about:blank")
            try:
                rows += await measure(name, page, seed)
            except (FileNotFoundError, TimeoutError) as error:
                print(f"{name}: {error}", file=sys.stderr)
                rows.append(f"| {name} | failed |" + " |" * (len(head) - 2))
    print("\n".join(rows))
    print(
        f"\nFrozen: how often, for how long altogether, and the longest; at first: {FINDING:.0f} s."
    )
    print(f"Load of the machine before: {load:.1f}, after: {os.getloadavg()[0]:.1f}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=CONTENDERS, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        asyncio.run(contend(options.one))
    else:
        asyncio.run(compare(options.only or list(CONTENDERS), options.seed))


if __name__ == "__main__":
    main()
