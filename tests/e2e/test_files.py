"""A file on the air: its own H.264 for who can take it, VP8 for who can't."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from peer.devices.media_file import MediaFile
from peer.devices.test_pattern import AudioPattern, VideoPattern

from .browsers import Browser
from .ends_sides import captured, end, published
from .peers import running_peer
from .test_watch import hears, live, pictures

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECONDS, RATE = 20, 30
STATUS = "document.getElementById('status-text').textContent"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baseline H.264 with a key frame each second, and a tone."""
    path = tmp_path_factory.mktemp("clips") / "Front door.mp4"
    picture, sound = VideoPattern(640, 360, (140, 110)), AudioPattern(48000, 2, 440.0)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
        video.gop_size = RATE
        audio: Any = container.add_stream("aac", rate=48000, layout="stereo")
        for number in range(SECONDS * RATE):
            frame = picture.frame(number, number / RATE, RATE)
            frame.pts = number
            container.mux(video.encode(frame))
        for first in range(0, SECONDS * 48000, 1024):
            samples = sound.frame(first, 1024)
            samples.pts = first
            container.mux(audio.encode(samples))
        container.mux([*video.encode(), *audio.encode()])
    return path


async def test_a_file_is_watched(browser: Browser, clip: Path) -> None:
    async with running_peer("--file", str(clip), "--loop", "--port", "0") as peer:
        page = await live(browser, peer.url)
        seen = await pictures(page, 20)
        assert {(picture["width"], picture["height"]) for picture in seen} == {(640, 360)}
        numbers = [picture["frame"] for picture in seen if picture["frame"] is not None]
        assert len(numbers) >= 15
        assert all(
            later >= earlier or later < RATE  # the loop's seam
            for earlier, later in pairwise(numbers)
        )
        assert len(set(numbers)) > len(numbers) / 2, "and moving"
        assert await page.evaluate("document.title") == "Front door.mp4 – live"
        if browser.name == "chromium":
            await hears(page, 440, 1760)
        assert page.errors == []
        await page.close()


@pytest.fixture(scope="module")
def short(clip: Path) -> Path:
    """The first two seconds of its pictures."""
    short = clip.with_name("short.mp4")
    with av.open(str(clip)) as whole, av.open(str(short), "w") as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None and float(packet.dts * packet.time_base) < 2:
                packet.stream = stream
                part.mux(packet)
    return short


async def test_the_end_of_a_file_is_told(chromium: Browser, short: Path) -> None:
    source = MediaFile(short, loop=True)  # until somebody watches
    async with captured(source, audio=False) as (_, stream), published(stream) as url:
        page = await live(chromium, url)
        end(source)
        await page.wait_for(f"{STATUS} === 'The picture has ended'")
        assert page.errors == []
        await page.close()


async def test_who_comes_after_the_end_of_a_file_sees_nothing(
    chromium: Browser, short: Path
) -> None:
    async with running_peer("--file", str(short), "--port", "0") as peer:
        await peer.logged("short.mp4 has ended")
        page = await chromium.open(peer.url)
        await page.wait_for(f"{STATUS} === 'Nothing to see yet'")
        assert page.errors == []
        await page.close()
