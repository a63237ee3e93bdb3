"""A device whose tracks are all disabled is let go, and taken again (SPEC 2.15)."""

import asyncio
import logging
import threading

import pytest

from peer import MediaDevices, MediaStreamTrack
from peer.capture import shared_device
from peer.devices import barcode
from peer.devices.backend import DeviceDescription, Mode
from peer.devices.virtual import VirtualBackend, VirtualCapture

from .conftest import SALT


@pytest.fixture
async def camera(media_devices: MediaDevices, monkeypatch: pytest.MonkeyPatch) -> MediaStreamTrack:
    monkeypatch.setattr(shared_device, "RELEASE_DELAY", 0.01)
    [track] = (await media_devices.getUserMedia({"video": True})).getVideoTracks()
    assert isinstance(track, MediaStreamTrack)
    return track


async def released(track: MediaStreamTrack) -> None:
    source = track._device._source
    assert source is not None
    await source.wait_closed()


async def picture(track: MediaStreamTrack) -> int:
    """The number in the next real picture."""
    while True:
        frame = await track.recv()
        if (stamp := barcode.read(frame.to_ndarray()[: frame.height])) is not None:
            return stamp.frame


@pytest.mark.spec("2.15")
async def test_it_is_released_and_taken_again(camera: MediaStreamTrack) -> None:
    await picture(camera)
    camera.enabled = False
    await released(camera)
    assert camera.readyState == "live"
    assert not camera.muted
    frame = await camera.recv()
    assert (frame.width, frame.height) == (640, 480)
    assert (frame.to_ndarray()[:480] == 16).all(), "black goes on without the device"
    camera.enabled = True
    await picture(camera)


@pytest.mark.spec("2.15")
async def test_one_enabled_track_keeps_it(
    camera: MediaStreamTrack, caplog: pytest.LogCaptureFixture
) -> None:
    clone = camera.clone()
    with caplog.at_level(logging.INFO):
        camera.enabled = False
        for _ in range(3):
            await picture(clone)
    assert "releasing" not in caplog.text
    clone.stop()
    await released(camera)


async def test_a_new_track_takes_it_for_all(
    camera: MediaStreamTrack, media_devices: MediaDevices
) -> None:
    camera.enabled = False
    await released(camera)
    [other] = (
        await media_devices.getUserMedia({"video": {"width": 320, "height": 240}})
    ).getVideoTracks()
    assert isinstance(other, MediaStreamTrack)
    await picture(other)
    camera.enabled = True
    await picture(camera)
    assert camera.getSettings()["width"] == 640


@pytest.mark.spec("2.15")
async def test_constraints_applied_meanwhile_are_in_force_afterwards(
    camera: MediaStreamTrack,
) -> None:
    camera.enabled = False
    await released(camera)
    await camera.applyConstraints({"width": {"exact": 1280}})
    assert camera.getSettings()["width"] == 1280
    assert (await camera.recv()).width == 1280
    camera.enabled = True
    await picture(camera)
    assert (await camera.recv()).width == 1280


@pytest.mark.spec("2.15", "2.8")
async def test_tracks_end_when_it_can_not_be_taken_again(
    camera: MediaStreamTrack, backend: VirtualBackend
) -> None:
    clone = camera.clone()
    camera.enabled = clone.enabled = False
    await released(camera)
    backend.set_busy("Cam A", True)
    ended = asyncio.Event()
    camera.onended = lambda event: ended.set()
    clone.enabled = True
    await ended.wait()
    assert clone.readyState == "ended"


async def test_a_clone_of_a_released_track_is_live(camera: MediaStreamTrack) -> None:
    camera.enabled = False
    await released(camera)
    clone = camera.clone()
    assert (clone.readyState, clone.enabled) == ("live", False)
    clone.enabled = True
    await picture(clone)


async def test_stopping_a_released_track_is_no_trouble(camera: MediaStreamTrack) -> None:
    camera.enabled = False
    await released(camera)
    camera.stop()
    assert camera.readyState == "ended"


class Gate(VirtualBackend):
    """Devices that open only when they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.opening, self.open_gate = threading.Event(), threading.Event()
        self.open_gate.set()

    def open(self, device: DeviceDescription, mode: Mode) -> VirtualCapture:
        self.opening.set()
        self.open_gate.wait()
        return super().open(device, mode)


async def test_stopping_while_it_is_taken_again_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_device, "RELEASE_DELAY", 0.01)
    gate = Gate()
    devices = MediaDevices([gate], salt=SALT)
    [track] = (await devices.getUserMedia({"video": True})).getVideoTracks()
    assert isinstance(track, MediaStreamTrack)
    track.enabled = False
    await released(track)
    gate.opening.clear()
    gate.open_gate.clear()
    track.enabled = True
    await asyncio.to_thread(gate.opening.wait)
    track.stop()
    gate.open_gate.set()
    await devices.closed()
    source = track._device._source
    assert source is not None
    assert not source.alive
