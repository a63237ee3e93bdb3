"""A window as a track: resized, minimised, closed, its pointer hidden; on a real X server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from peer import MediaDevices, MediaStreamTrack
from peer.devices.screen import ScreenBackend

from ..devices.x11_program import BLUE, GREEN, Program, needs_xvfb, program_on, x_server

pytestmark = needs_xvfb


@pytest.fixture
def display() -> Iterator[str]:
    with x_server() as (display, _):
        yield display


@pytest.fixture
def program(display: str) -> Iterator[Program]:
    with program_on(display) as program:
        yield program


@pytest.fixture
async def devices(display: str) -> AsyncIterator[MediaDevices]:
    devices = MediaDevices([ScreenBackend(display)], salt=bytes(32))
    yield devices
    devices.end()
    await devices.closed()


async def capture(devices: MediaDevices, **video: Any) -> MediaStreamTrack:
    stream = await devices.getDisplayMedia({"video": {"displaySurface": "window", **video}})
    [track] = stream.getTracks()
    assert isinstance(track, MediaStreamTrack)
    return track


def size(track: MediaStreamTrack) -> tuple[int, int]:
    settings = track.getSettings()
    return settings["width"], settings["height"]


async def frame_of(track: MediaStreamTrack, wanted: tuple[int, int]) -> None:
    while True:
        frame: Any = await track.recv()
        if (frame.width, frame.height) == wanted:
            return


@pytest.mark.spec("11.4")
async def test_windows_are_preferred_when_asked_for(
    program: Program, devices: MediaDevices
) -> None:
    await asyncio.to_thread(program.window, "Blue", (10, 10, 100, 60), BLUE)
    window = await capture(devices)
    assert (window.getSettings()["displaySurface"], size(window)) == ("window", (100, 60))
    assert "Blue" in window.label
    stream = await devices.getDisplayMedia({"video": {"displaySurface": "monitor"}})
    [screen] = stream.getVideoTracks()
    assert isinstance(screen, MediaStreamTrack)
    assert (screen.getSettings()["displaySurface"], size(screen)) == ("monitor", (320, 240))


@pytest.mark.spec("11.10")
async def test_a_window_that_is_resized(program: Program, devices: MediaDevices) -> None:
    window = await asyncio.to_thread(program.window, "Blue", (10, 10, 100, 60), BLUE)
    track = await capture(devices)
    scaled = track.clone()
    await scaled.applyConstraints({"width": {"max": 50}})
    changed: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
    track.onconfigurationchange = lambda event: changed.put_nowait(size(track))
    track.onmute = lambda event: pytest.fail("it does not mute")
    await frame_of(track, (100, 60))
    await asyncio.to_thread(program.resize, window, 160, 120)
    assert await changed.get() == (160, 120)
    capabilities: Any = track.getCapabilities()
    assert (capabilities["width"]["max"], capabilities["height"]["max"]) == (160, 120)
    await frame_of(track, (160, 120))
    assert size(scaled)[0] <= 50, "its constraints hold"
    assert scaled.getSettings()["aspectRatio"] == pytest.approx(160 / 120)
    # A minimum that the smaller window can't have is ignored while it can't.
    await track.applyConstraints({"width": {"min": 120}})
    await asyncio.to_thread(program.resize, window, 80, 40)
    while size(track) != (80, 40):
        await changed.get()
    await frame_of(track, (80, 40))


@pytest.mark.spec("11.10")
async def test_a_window_that_is_minimised_is_muted(program: Program, devices: MediaDevices) -> None:
    window = await asyncio.to_thread(program.window, "Blue", (10, 10, 100, 60), BLUE)
    track = await capture(devices)
    seen: asyncio.Queue[str] = asyncio.Queue()
    for name in ("mute", "unmute", "ended"):
        track.addEventListener(name, lambda event: seen.put_nowait(event.type))
    await track.recv()
    await asyncio.to_thread(program.unmap, window)
    assert await seen.get() == "mute"
    await asyncio.to_thread(program.map, window)
    assert await seen.get() == "unmute"
    assert track.readyState == "live"


@pytest.mark.spec("11.10", "2.8")
async def test_a_window_that_is_closed_ends_its_track_and_no_other(
    program: Program, devices: MediaDevices
) -> None:
    window = await asyncio.to_thread(program.window, "Blue", (10, 10, 100, 60), BLUE)
    track = await capture(devices)
    await asyncio.to_thread(program.window, "Green", (150, 10, 60, 60), GREEN)
    stream = await devices.getDisplayMedia()
    [screen] = stream.getVideoTracks()
    ended = asyncio.Event()
    track.onended = lambda event: ended.set()
    await track.recv()
    await asyncio.to_thread(program.close, window)
    await ended.wait()
    assert track.readyState == "ended"
    await screen.recv()
