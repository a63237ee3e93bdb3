"""One open device in its thread: shared, switched, lost, closed."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from peer.devices.backend import (
    Captured,
    DeviceBusy,
    DeviceDescription,
    DeviceError,
    DeviceLost,
    Mode,
    VideoMode,
)
from peer.devices.source import Source
from peer.devices.virtual import VirtualBackend, VirtualCapture


class Sink:
    """Collects what a source delivers; waited for from the loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.frames: asyncio.Queue[Captured] = asyncio.Queue()
        self.errors: asyncio.Queue[DeviceLost] = asyncio.Queue()
        self.mutes: asyncio.Queue[bool] = asyncio.Queue()
        self.threads: set[str] = set()

    def deliver(self, captured: Captured) -> None:
        self.threads.add(threading.current_thread().name)
        self.loop.call_soon_threadsafe(self.frames.put_nowait, captured)

    def mute_changed(self, muted: bool) -> None:
        self.loop.call_soon_threadsafe(self.mutes.put_nowait, muted)

    def lost(self, error: DeviceLost) -> None:
        self.loop.call_soon_threadsafe(self.errors.put_nowait, error)


@pytest.fixture
def backend() -> VirtualBackend:
    return VirtualBackend()


def camera(backend: VirtualBackend, label: str = "Cam A") -> DeviceDescription:
    return next(device for device in backend.list_devices() if device.label == label)


async def test_sinks_share_one_thread_and_the_last_one_closes_it(backend: VirtualBackend) -> None:
    device = camera(backend)
    source = await Source.open(backend, device, device.modes[0])
    first, second = Sink(), Sink()
    source.add_sink(first)
    assert (await first.frames.get()).frame.width == 640
    source.add_sink(second)
    await second.frames.get()
    source.remove_sink(first)
    await second.frames.get()
    assert source.alive
    source.remove_sink(second)
    await source.wait_closed()
    assert first.threads == second.threads == {"capture virtual:Cam A"}
    assert first.errors.empty(), "closing is no loss"
    with pytest.raises(DeviceLost):
        source.add_sink(first)


async def test_the_first_frame_is_not_lost_to_a_slow_caller(backend: VirtualBackend) -> None:
    device = camera(backend)
    source = await Source.open(backend, device, device.modes[0])
    await asyncio.to_thread(lambda: None)
    sink = Sink()
    source.add_sink(sink)
    await sink.frames.get()
    source.close()
    await source.wait_closed()


async def test_switching_the_mode_between_two_frames(backend: VirtualBackend) -> None:
    device = camera(backend)
    source = await Source.open(backend, device, device.modes[0])
    sink = Sink()
    source.add_sink(sink)
    await sink.frames.get()
    assert await source.set_mode(device.modes[1]) == device.modes[1]
    while (await sink.frames.get()).frame.width != 1280:
        pass
    assert sink.errors.empty()
    source.close()
    await source.wait_closed()
    with pytest.raises(DeviceLost):
        await source.set_mode(device.modes[0])


async def test_a_refused_mode_leaves_the_old_one(backend: VirtualBackend) -> None:
    device = camera(backend)
    source = await Source.open(backend, device, device.modes[0])
    sink = Sink()
    source.add_sink(sink)
    with pytest.raises(DeviceError, match="has no mode"):
        await source.set_mode(VideoMode(1, 1, 1))
    await sink.frames.get()
    assert source.mode == device.modes[0]
    source.remove_sink(sink)
    await source.wait_closed()


async def test_a_lost_device_is_told_once_to_every_sink(backend: VirtualBackend) -> None:
    device = camera(backend)
    source = await Source.open(backend, device, device.modes[0])
    sinks = [Sink(), Sink()]
    for sink in sinks:
        source.add_sink(sink)
    backend.unplug("Cam A")
    for sink in sinks:
        assert "unplugged" in str(await sink.errors.get())
    await source.wait_closed()
    assert all(sink.errors.empty() for sink in sinks)


async def test_muting_is_told(backend: VirtualBackend) -> None:
    device = camera(backend)
    source = await Source.open(backend, device, device.modes[0])
    sink = Sink()
    source.add_sink(sink)
    for muted in (True, False):
        backend.set_muted("Cam A", muted)
        assert await sink.mutes.get() is muted
    source.close()
    await source.wait_closed()


async def test_a_busy_device_is_told_to_the_opener(backend: VirtualBackend) -> None:
    device = camera(backend)
    backend.set_busy("Cam A", True)
    with pytest.raises(DeviceBusy, match="in use"):
        await Source.open(backend, device, device.modes[0])


class Broken(VirtualBackend):
    """A backend with a bug: it raises what no backend may."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when = when

    def open(self, device: DeviceDescription, mode: Mode) -> VirtualCapture:
        if self.when == "open":
            raise ZeroDivisionError("a bug")
        capture = super().open(device, mode)

        def read() -> Captured | None:
            raise ZeroDivisionError("a bug")

        capture.read = read  # type: ignore[method-assign]
        return capture


async def test_a_backend_with_a_bug_ends_the_tracks_instead_of_hanging_them() -> None:
    backend = Broken("open")
    device = camera(backend)
    with pytest.raises(DeviceError, match="a bug"):
        await Source.open(backend, device, device.modes[0])
    backend = Broken("read")
    source = await Source.open(backend, device, device.modes[0])
    sink = Sink()
    source.add_sink(sink)
    assert "a bug" in str(await sink.errors.get())


class Slow(VirtualBackend):
    """A device that takes its time to open."""

    def __init__(self) -> None:
        super().__init__()
        self.opening, self.go_on = threading.Event(), threading.Event()
        self.captures: list[VirtualCapture] = []

    def open(self, device: DeviceDescription, mode: Mode) -> VirtualCapture:
        self.opening.set()
        self.go_on.wait()
        capture = super().open(device, mode)
        self.captures.append(capture)
        return capture


async def test_cancelling_while_the_device_opens_closes_it() -> None:
    backend = Slow()
    device = camera(backend)
    opening = asyncio.create_task(Source.open(backend, device, device.modes[0]))
    await asyncio.to_thread(backend.opening.wait)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    backend.go_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("capture "):
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive()


def test_a_listing_is_told_of_changes(backend: VirtualBackend) -> None:
    calls: list[Sequence[Any]] = []
    changed: Callable[[], None] = lambda: calls.append(backend.list_devices())  # noqa: E731
    stop = backend.watch(changed)
    backend.unplug("Cam A")
    backend.plug("Cam A")
    stop()
    backend.unplug("Cam A")
    assert [len(call) for call in calls] == [4, 5]
