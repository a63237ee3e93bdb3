"""The controls of the kernel's camera, set from Python and seen in its picture."""

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from peer import ImageCapture, MediaDevices, MediaStreamTrack, OverconstrainedError
from peer.devices import v4l2_abi as abi
from peer.devices.v4l2 import V4L2Backend


@pytest.fixture
async def track(camera: Path) -> AsyncIterator[MediaStreamTrack]:
    devices = MediaDevices([V4L2Backend()], salt=bytes(32))
    stream = await devices.getUserMedia({"video": {"width": 640, "height": 480}})
    [track] = stream.getTracks()
    assert isinstance(track, MediaStreamTrack)
    assert track.label == "vivid"
    yield track
    await track.applyConstraints(
        {"brightness": 128, "contrast": 128, "pan": 0, "tilt": 0, "zoom": 1, "focusDistance": 0}
    )
    devices.end()
    await devices.closed()


def of_the_kernel(camera: Path, control: abi.ControlID, value: int | None = None) -> int | None:
    """What another program reads, after setting it if told to."""
    fd = os.open(camera, os.O_RDWR)
    try:
        if value is not None:
            abi.set_control(fd, control, value)
        return abi.get_control(fd, control)
    finally:
        os.close(fd)


@pytest.mark.spec("4.15")
async def test_ranges_are_the_driver_s_in_the_specification_s_units(
    track: MediaStreamTrack,
) -> None:
    capabilities = track.getCapabilities()
    assert capabilities["brightness"] == {"min": 0, "max": 255, "step": 1}
    assert capabilities["pan"] == {"min": -36000, "max": 36000, "step": 3600}
    assert capabilities["zoom"] == {"min": 1, "max": 5, "step": 0.1}
    assert capabilities["focusDistance"] == {"min": 0, "max": 0.25, "step": 0.005}
    assert not {"torch", "iso", "whiteBalanceMode"} & set(capabilities)


@pytest.mark.spec("4.15")
async def test_what_is_set_is_what_the_kernel_has(camera: Path, track: MediaStreamTrack) -> None:
    await track.applyConstraints({"zoom": 2.34, "pan": 7000, "focusDistance": 0.1})
    settings = track.getSettings()
    assert (settings["zoom"], settings["pan"], settings["focusDistance"]) == (2.3, 7200, 0.1)
    assert of_the_kernel(camera, abi.ControlID.ZOOM_ABSOLUTE) == 230
    assert of_the_kernel(camera, abi.ControlID.PAN_ABSOLUTE) == 7200
    assert of_the_kernel(camera, abi.ControlID.FOCUS_ABSOLUTE) == 100
    with pytest.raises(OverconstrainedError):
        await track.applyConstraints({"zoom": {"exact": 6}})
    assert of_the_kernel(camera, abi.ControlID.ZOOM_ABSOLUTE) == 230


async def test_brightness_is_seen_in_the_picture(track: MediaStreamTrack) -> None:
    async def lower_half() -> float:
        frame = await track.recv()
        return float(np.mean(frame.to_ndarray(format="gray")[240:480]))  # type: ignore[call-arg]

    before = await lower_half()
    await track.applyConstraints({"brightness": {"exact": 200}})
    while await lower_half() < before + 30:
        pass
    await track.applyConstraints({"brightness": {"exact": 60}})
    while await lower_half() > before - 30:
        pass


@pytest.mark.spec("10.1")
async def test_another_program_s_change_is_told(camera: Path, track: MediaStreamTrack) -> None:
    changed = asyncio.Event()
    track.onconfigurationchange = lambda event: changed.set()
    await track.applyConstraints({"zoom": 3})
    assert not changed.is_set()
    await asyncio.to_thread(of_the_kernel, camera, abi.ControlID.ZOOM_ABSOLUTE, 150)
    await changed.wait()
    assert track.getSettings()["zoom"] == 1.5


async def test_controls_stay_when_a_camera_is_opened(camera: Path) -> None:
    of_the_kernel(camera, abi.ControlID.BRIGHTNESS, 140)
    devices = MediaDevices([V4L2Backend()], salt=bytes(32))
    stream = await devices.getUserMedia({"video": {"width": 640}})
    assert stream.getTracks()[0].getSettings()["brightness"] == 140  # type: ignore[attr-defined]
    devices.end()
    await devices.closed()
    assert of_the_kernel(camera, abi.ControlID.BRIGHTNESS, 128) == 128


@pytest.mark.spec("9.3")
async def test_a_photograph_has_the_camera_s_largest_size(track: MediaStreamTrack) -> None:
    """The camera changes its mode for it, and back; viewers keep their size."""
    seen: list[str] = []
    for name in ("mute", "unmute", "ended"):
        track.addEventListener(name, lambda event: seen.append(event.type))
    await track.applyConstraints({"width": 640, "height": 480, "brightness": 140})
    capture = ImageCapture(track)
    largest = (await capture.getPhotoCapabilities())["imageWidth"]["max"]
    photo = await capture.takePhoto()
    assert seen == ["mute", "unmute"]
    image = Image.open(io.BytesIO(bytes(photo)))
    assert image.width == largest > 640
    assert "brightness 140" in image.getexif()[Base.ImageDescription]
    frame = await track.recv()
    assert (frame.width, frame.height) == (640, 480)  # type: ignore[union-attr]
