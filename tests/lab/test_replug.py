"""A camera that is unplugged and plugged in again, fifty times, while a viewer watches."""

import asyncio
import gc
import os
import threading
import time
from pathlib import Path

import aiortc
import pytest

from peer import MediaDevices, MediaStream, MediaStreamTrack
from peer.devices.v4l2 import V4L2Backend

from ..peer.published import published
from ..peer.whep_viewer import answered, offer
from .kernel import unplugged

CYCLES = 50
POOLS = 4  # threads that pools may have grown by; one a cycle would be ten times as many


def resources() -> tuple[int, int]:
    """Open files and threads of this process."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def memory() -> int:
    """Resident memory in kilobytes."""
    status = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1])


async def is_bright(track: aiortc.MediaStreamTrack, bright: bool) -> None:
    """Read until the picture is one, or black."""
    while bool((await track.recv()).to_ndarray(format="gray").mean() > 30) is not bright:
        pass


@pytest.mark.timeout(300)
async def test_fifty_times(camera: Path, capsys: pytest.CaptureFixture[str]) -> None:
    devices = MediaDevices([V4L2Backend()], salt=bytes(32))
    stream: MediaStream = await devices.getUserMedia({"video": {"width": 640, "height": 480}})

    connection, sdp = await offer(("video",))
    before, memory_before, times = (0, 0), 0, []
    async with (
        published(stream, resume=devices) as publisher,
        answered(connection, await publisher.start_session("one", sdp)) as tracks,
    ):
        await is_bright(tracks["video"], True)
        for cycle in range(CYCLES):
            [track] = stream.getVideoTracks()
            assert isinstance(track, MediaStreamTrack)
            ended = asyncio.Event()
            track.onended = lambda event, ended=ended: ended.set()
            plug = unplugged("vivid", "vivid.0")
            await asyncio.to_thread(plug.__enter__)
            await ended.wait()
            if cycle % 10 == 0:  # each black picture takes a second
                await is_bright(tracks["video"], False)
            plugged = time.monotonic()
            await asyncio.to_thread(plug.__exit__, None, None, None)
            while stream.getVideoTracks() == [track]:
                await tracks["video"].recv()
            await is_bright(tracks["video"], True)
            times.append(time.monotonic() - plugged)
            if cycle == 4:
                before, memory_before = resources(), memory()
        after, memory_after = resources(), memory()
    devices.end()
    await devices.closed()
    with capsys.disabled():
        print(
            f"\nreplug to pictures at the viewer: median {sorted(times)[CYCLES // 2]:.2f} s, "
            f"worst {max(times):.2f} s; resident memory {memory_before} to {memory_after} kB"
        )
    assert after[0] <= before[0]
    assert after[1] <= before[1] + POOLS
