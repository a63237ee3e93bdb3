"""What each further viewer of one camera costs: CPU and memory, beside aiortc's own ways.

720p pictures at 30 a second in VP8 at 2 Mbit/s, and Opus. The publisher has one core to itself, the
viewers another. A viewer's cost is the difference between many viewers and one, so that capturing
and encoding, which are done once, don't count. The floor is what protecting and sending the very
packets costs in the same process, by a loop that does nothing else.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, RATE = 1280, 720, 30
BITRATE = 2_000_000
PACKET = 1200
"""Bytes of a packet of pictures, about."""
WARM_UP, SECONDS = 2.0, 6.0
TIMEOUT = 150.0
"""Seconds for one contender and number of viewers: hundreds take a while to connect."""
VIEWERS = {"this": (1, 64, 150), "packets": (1, 32), "relay": (1, 2)}
NAMES = {
    "this": "this",
    "packets": "aiortc, packets of one encoder",
    "relay": "aiortc, MediaRelay",
}
FLOOR_SECONDS = 4.0
HERE = Path(__file__).parent

Measured = dict[str, Any]


# The contenders: each makes connections that send one picture and one sound.


class Pictures:
    """Pictures to encode: noise that costs bits, and something that moves."""

    def __init__(self) -> None:
        import numpy as np

        random = np.random.default_rng(1)
        small = random.integers(64, 190, (90, 160), np.uint8)
        texture = np.kron(small, np.ones((2, 2), np.uint8))
        slope = np.add.outer(np.arange(HEIGHT) * 0.15, np.arange(WIDTH) * 0.1) % 200 + 20
        still = slope.astype(np.uint8) + random.integers(0, 24, (HEIGHT, WIDTH), np.uint8)
        self._pictures = []
        for number in range(60):
            luma = still.copy()
            left, top = number * 12 % (WIDTH - 320), round(200 + 150 * np.sin(number / 60 * 6.283))
            luma[top : top + 180, left : left + 320] = texture
            chroma = np.full((HEIGHT // 2, WIDTH), 110 + number % 20, np.uint8)
            self._pictures.append(np.vstack((luma, chroma)))

    def frame(self, number: int) -> Any:
        from av import VideoFrame

        frame = VideoFrame.from_ndarray(self._pictures[number % 60], "yuv420p")
        frame.pts, frame.time_base = number * 90000 // RATE, Fraction(1, 90000)
        return frame


def tracks() -> tuple[Any, Any]:
    """A paced picture and a paced tone, as aiortc's tracks."""
    import aiortc
    import numpy as np
    from av import AudioFrame

    pictures = Pictures()

    class Paced(aiortc.MediaStreamTrack):
        def __init__(self) -> None:
            super().__init__()
            self.start: float | None = None
            self.number = -1

        async def next(self, interval: float) -> int:
            self.start = self.start or time.monotonic()
            self.number += 1
            await asyncio.sleep(self.start + self.number * interval - time.monotonic())
            return self.number

    class Camera(Paced):
        kind = "video"

        async def recv(self) -> Any:
            return pictures.frame(await self.next(1 / RATE))

    class Microphone(Paced):
        kind = "audio"

        async def recv(self) -> Any:
            number = await self.next(0.02)
            at = np.arange(number * 960, (number + 1) * 960)
            tone = (np.sin(at * 2 * np.pi * 440 / 48000) * 8000).astype(np.int16)
            frame = AudioFrame.from_ndarray(np.repeat(tone, 2).reshape(1, -1), "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, number * 960, Fraction(1, 48000)
            return frame

    return Camera(), Microphone()


class Connections:
    """The connections of one contender."""

    def __init__(self, contender: str) -> None:
        import aiortc
        from aiortc.codecs import vpx
        from aiortc.contrib.media import MediaRelay

        vpx.DEFAULT_BITRATE = vpx.MAX_BITRATE = BITRATE
        self._contender = contender
        self._tracks = tracks()
        self._relay = MediaRelay()
        self._configuration = aiortc.RTCConfiguration(iceServers=[])
        self._all: list[Any] = []

    def new(self) -> Any:
        import aiortc

        import peer
        from peer.media.encoded_track import EncodedTrack

        if self._contender == "this":
            connection: Any = peer.RTCPeerConnection(self._configuration)
            added = self._tracks
        else:
            connection = aiortc.RTCPeerConnection(self._configuration)
            if self._contender == "relay":
                added = tuple(self._relay.subscribe(one, buffered=False) for one in self._tracks)
            else:
                codecs = ("VP8", "opus")
                added = tuple(map(EncodedTrack, self._tracks, codecs))
        for track in added:
            connection.addTrack(track)
        self._all.append(connection)
        return connection


async def publish(contender: str, count: int) -> None:
    """Connect to so many viewers and measure; the result is a line of JSON."""
    import aioice.ice
    import aiortc

    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    met: asyncio.Future[tuple[Any, Any]] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(
        lambda reader, writer: met.set_result((reader, writer)), "127.0.0.1", 0, limit=1 << 20
    )
    port = server.sockets[0].getsockname()[1]
    receivers = subprocess.Popen(  # noqa: ASYNC220 - before anything is measured
        [*on_core(1), sys.executable, str(HERE / "fanout_receivers.py"), str(port)]
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await met

            async def ask(**message: Any) -> Any:
                writer.write(json.dumps(message).encode() + b"\n")
                line = await reader.readline()
                return json.loads(line or b"{}")

            connections = Connections(contender)
            cpu = time.process_time()
            for _ in range(count):
                connection = connections.new()
                await connection.setLocalDescription(await connection.createOffer())
                answer = await ask(offer=connection.localDescription.sdp)
                description = aiortc.RTCSessionDescription(answer["answer"], "answer")
                await connection.setRemoteDescription(description)
                connected = json.loads(await reader.readline())
                assert connected["connected"]
            setup = (time.process_time() - cpu) / count
            asked = asyncio.create_task(ask(measure=SECONDS, after=WARM_UP))
            await asyncio.sleep(WARM_UP)
            before, now = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
            await asyncio.sleep(SECONDS)
            after, elapsed = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - now
            found = await asked
            found["cpu_receivers"] = found.pop("cpu")
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            found |= {
                "cpu": spent / elapsed,
                "memory": resident(),
                "setup": setup,
                "floor": floor(found.pop("addresses"), PACKET),
            }
            print(json.dumps(found), flush=True)
    finally:
        receivers.kill()
        receivers.wait()
    os._exit(0)  # hundreds of connections close slowly, and nobody waits for them


def floor(viewers: list[tuple[str, int]], size: int) -> float:
    """Seconds of CPU a second that each viewer costs a loop that protects and sends such packets by
    `protect()` and `sendto()`, as many and as often as a publisher, and does nothing else."""
    from pylibsrtp import Policy, Session

    packets = round(BITRATE / 8 / size / RATE)
    sound = b"\x80\x60" + bytes(180)
    picture = b"\x80\x60" + bytes(max(12, size - 18))
    senders = []
    for address in viewers:
        profile = Policy.SRTP_PROFILE_AEAD_AES_256_GCM
        policy = Policy(bytes(44), Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        policy.allow_repeat_tx = True
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        senders.append((Session(policy).protect, own.sendto, tuple(address)))
    start, cpu = time.monotonic(), time.process_time()
    pictures = sounds = 0
    while (elapsed := time.monotonic() - start) < FLOOR_SECONDS:
        if elapsed >= pictures / RATE:
            pictures += 1
            for protect, send, address in senders:
                for _ in range(packets):
                    send(protect(picture), address)
        elif elapsed >= sounds / 50:
            sounds += 1
            for protect, send, address in senders:
                send(protect(sound), address)
        else:
            time.sleep(0.001)
    return (time.process_time() - cpu) / (time.monotonic() - start) / len(viewers)


def resident() -> float:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def on_core(number: int) -> list[str]:
    """The beginning of a command that is to run on one core, where there are several."""
    return ["taskset", "-c", str(number)] if (os.cpu_count() or 1) > 1 else []


# The comparison.


def measure(contender: str, count: int) -> Measured:
    """Run a contender with so many viewers in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--one", contender, str(count)]
    process = subprocess.Popen(
        [*on_core(0), *command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=TIMEOUT + 10)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if not output.startswith("{"):
        said = [
            line for line in errors.splitlines() if re.match(r"[\w.]*(Error|Exception)\b", line)
        ]
        print(f"{contender}, {count} viewers: {said[-1:] or errors[-300:]}", file=sys.stderr)
        return {}
    found: Measured = json.loads(output)
    return found


def table(results: dict[str, dict[int, Measured]]) -> str:
    lines = [
        f"{WIDTH}x{HEIGHT} at {RATE}, VP8 and Opus. Per added viewer: ms of CPU a second, us a",
        "packet, kB of memory. Worst: pictures a second of the viewer who got fewest. Age: ms from",
        "capture to a picture's last packet in the viewer's socket, median. Floor: ms a second for",
        "each viewer of a loop that only protects and sends, one by one, to the same viewers.",
        "",
        f"{'':<32}{'viewers':>8}{'core':>7}{'worst':>7}{'lost':>6}{'age':>6}"
        f"{'ms/s':>8}{'us/pkt':>8}{'kB':>6}{'joining':>9}{'floor':>7}",
    ]
    for contender, rows in results.items():
        first = rows.get(min(rows))
        for count, row in rows.items():
            lines.append(_line(NAMES[contender], count, row, first))
    return "\n".join(lines)


def _line(name: str, count: int, row: Measured, first: Measured | None) -> str:
    if not row:
        return f"{name:<32}{count:>8}  failed"
    age = "-" if row["age"] is None else f"{row['age'] * 1000:.1f}"
    line = f"{name:<32}{count:>8}{row['cpu']:>7.2f}{row['worst']:>7.1f}{row['lost']:>6.0f}{age:>6}"
    if first and row is not first:
        more = count - 1
        each = (row["cpu"] - first["cpu"]) / more
        packet = (row["cpu"] - first["cpu"]) / (row["packets"] * count - first["packets"])
        memory = (row["memory"] - first["memory"]) / more
        line += f"{each * 1000:>8.2f}{packet * 1e6:>8.2f}{memory / 1000:>6.0f}"
        line += f"{row['setup'] * 1000:>6.1f} ms{row['floor'] * 1000:>7.2f}"
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "VIEWERS"))
    parser.add_argument("--only", choices=VIEWERS, help="one contender instead of all")
    parser.add_argument("--viewers", type=int, nargs="+", help="numbers of viewers, 1 among them")
    options = parser.parse_args()
    if options.one:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 14, 1 << 14))
        asyncio.run(publish(options.one[0], int(options.one[1])))
        return
    results: dict[str, dict[int, Measured]] = {}
    for contender, counts in VIEWERS.items():
        if options.only in (None, contender):
            results[contender] = {n: measure(contender, n) for n in options.viewers or counts}
    print(table(results))


if __name__ == "__main__":
    main()
