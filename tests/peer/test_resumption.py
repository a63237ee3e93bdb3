"""A device that was unplugged and is plugged in again goes on, for its viewers too."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable

import aiortc
import pytest
from aiortc.mediastreams import MediaStreamError

from peer import MediaDevices, MediaStream, MediaStreamTrack
from peer.capture.resumption import Resumption
from peer.devices import barcode
from peer.devices.virtual import VirtualBackend
from signaling import EndReason

from .published import Refused, published
from .whep_viewer import answered, offer

CAMERA = "Cam A"
MICROPHONE = "Mic A"


@pytest.fixture
def backend() -> VirtualBackend:
    return VirtualBackend()


@pytest.fixture
async def devices(backend: VirtualBackend) -> AsyncIterator[MediaDevices]:
    devices = MediaDevices([backend], salt=bytes(32))
    yield devices
    devices.end()
    await devices.closed()


@pytest.fixture
async def stream(devices: MediaDevices) -> MediaStream:
    return await devices.getUserMedia({"video": {"width": 320, "height": 240}, "audio": True})


class Replacements:
    """What a resumption has replaced, to be waited for."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[MediaStreamTrack, MediaStreamTrack]] = asyncio.Queue()

    def __call__(self, old: MediaStreamTrack, new: MediaStreamTrack) -> None:
        self.queue.put_nowait((old, new))


@pytest.fixture
def replaced() -> Replacements:
    return Replacements()


@pytest.fixture
async def resumption(
    devices: MediaDevices, stream: MediaStream, replaced: Replacements
) -> AsyncIterator[Resumption]:
    resumption = Resumption(devices, stream, replaced)
    yield resumption
    await resumption.close()


def local(stream: MediaStream, kind: str) -> MediaStreamTrack:
    [track] = [track for track in stream.getTracks() if track.kind == kind]
    assert isinstance(track, MediaStreamTrack)
    return track


async def ended(track: MediaStreamTrack) -> None:
    done = asyncio.Event()
    if track.readyState == "live":
        track.addEventListener("ended", lambda event: done.set())
        await done.wait()


@pytest.mark.usefixtures("resumption")
@pytest.mark.parametrize(("kind", "label"), [("video", CAMERA), ("audio", MICROPHONE)])
async def test_a_new_track_takes_the_place_of_the_one_that_ended(
    backend: VirtualBackend, stream: MediaStream, replaced: Replacements, kind: str, label: str
) -> None:
    old = local(stream, kind)
    before, asked = old.getSettings(), old.getConstraints()
    backend.unplug(label)
    await ended(old)
    backend.plug(label)
    was, again = await replaced.queue.get()
    assert was is old
    assert local(stream, kind) is again
    assert again.id != old.id
    assert again.readyState == "live"
    assert (again.getSettings(), again.getConstraints()) == (before, asked)
    await again.recv()


async def test_it_comes_back_as_often_as_it_leaves(
    backend: VirtualBackend,
    devices: MediaDevices,
    stream: MediaStream,
    replaced: Replacements,
    resumption: Resumption,
) -> None:
    track = local(stream, "video")
    threads = threading.active_count()
    for _ in range(5):
        backend.unplug(CAMERA)
        await ended(track)
        assert resumption.awaited == [track]
        backend.plug(CAMERA)
        _, track = await replaced.queue.get()
        await track.recv()
        assert resumption.awaited == []
    assert len(stream.getTracks()) == 2
    assert threading.active_count() <= threads + 1, "one is about to end"


@pytest.mark.usefixtures("resumption")
async def test_whoever_disabled_it_still_has_it_disabled(
    backend: VirtualBackend, stream: MediaStream, replaced: Replacements
) -> None:
    track = local(stream, "video")
    track.enabled = False
    backend.unplug(CAMERA)
    await ended(track)
    backend.plug(CAMERA)
    _, again = await replaced.queue.get()
    assert not again.enabled


@pytest.mark.usefixtures("resumption")
async def test_a_device_that_is_busy_at_first_is_tried_again(
    backend: VirtualBackend, stream: MediaStream, replaced: Replacements
) -> None:
    track = local(stream, "video")
    backend.unplug(CAMERA)
    await ended(track)
    backend.set_busy(CAMERA, True)
    attempts = count_attempts(backend)
    backend.plug(CAMERA)
    await attempts.wait()
    backend.set_busy(CAMERA, False)
    _, again = await replaced.queue.get()
    await again.recv()


def count_attempts(backend: VirtualBackend) -> asyncio.Event:
    """Set when somebody has tried to open a device."""
    tried, loop, real = asyncio.Event(), asyncio.get_running_loop(), backend.open

    def spy(*arguments: object) -> object:
        loop.call_soon_threadsafe(tried.set)
        return real(*arguments)  # type: ignore[arg-type]

    backend.open = spy  # type: ignore[method-assign,assignment]
    return tried


def stopped(devices: MediaDevices, track: MediaStreamTrack) -> None:
    track.stop()


def revoked(devices: MediaDevices, track: MediaStreamTrack) -> None:
    devices.permissions.set_state("camera", "denied")


@pytest.mark.parametrize("end", [stopped, revoked])
async def test_what_was_ended_on_purpose_stays_ended(
    devices: MediaDevices,
    stream: MediaStream,
    resumption: Resumption,
    end: Callable[[MediaDevices, MediaStreamTrack], None],
) -> None:
    track = local(stream, "video")
    end(devices, track)
    if track.readyState == "live":
        await ended(track)
    tasks = [task for task in asyncio.all_tasks() if "_resume" in repr(task)]
    await asyncio.gather(*tasks)
    assert resumption.awaited == []
    assert stream.getVideoTracks() == [track]


async def test_closing_waits_for_nothing(
    backend: VirtualBackend, devices: MediaDevices, stream: MediaStream, replaced: Replacements
) -> None:
    resumption = Resumption(devices, stream, replaced)
    track = local(stream, "video")
    backend.unplug(CAMERA)
    await ended(track)
    await resumption.close()
    assert resumption.awaited == []
    assert not [task for task in asyncio.all_tasks() if "_resume" in repr(task)]


async def number_in(track: aiortc.MediaStreamTrack) -> int:
    while True:
        frame = await track.recv()
        if (stamp := barcode.read(frame.to_ndarray(format="gray"))) is not None:
            return stamp.frame


async def test_viewers_see_black_and_then_the_picture_again(
    backend: VirtualBackend, devices: MediaDevices, stream: MediaStream
) -> None:
    async with published(stream, resume=devices) as publisher:
        connection, sdp = await offer()
        async with answered(connection, await publisher.start_session("one", sdp)) as tracks:
            await number_in(tracks["video"])
            backend.unplug(CAMERA)
            while (await tracks["video"].recv()).to_ndarray(format="gray").mean() > 20:
                pass
            [described] = [one for one in publisher.meta["tracks"] if one["kind"] == "video"]
            assert (described["readyState"], described["awaited"]) == ("ended", True)
            await tracks["audio"].recv()
            backend.plug(CAMERA)
            await number_in(tracks["video"])
            # Who comes while the camera is away waits with the others.
            backend.unplug(CAMERA)
            await ended(local(stream, "video"))
            late, sdp = await offer()
            async with answered(late, await publisher.start_session("two", sdp)) as late_tracks:
                backend.plug(CAMERA)
                await number_in(late_tracks["video"])
    assert publisher.told, "others are told of what changes"


async def test_without_resuming_the_session_ends_with_the_last_track(
    backend: VirtualBackend, devices: MediaDevices
) -> None:
    stream = await devices.getUserMedia({"video": {"width": 320, "height": 240}})
    async with published(stream) as publisher:
        connection, sdp = await offer(("video",))
        async with answered(connection, await publisher.start_session("one", sdp)) as tracks:
            await number_in(tracks["video"])
            backend.unplug(CAMERA)
            with contextlib.suppress(MediaStreamError):
                while True:
                    await tracks["video"].recv()
            assert publisher.meta["live"] is False
        late, sdp = await offer(("video",))
        with pytest.raises(Refused) as refused:
            await publisher.start_session("two", sdp)
        assert refused.value.reason == EndReason.NOT_LIVE
        await late.close()
