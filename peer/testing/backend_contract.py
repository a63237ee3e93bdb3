"""What every device backend must satisfy: run `check_backend()` on yours.

Plain functions that raise AssertionError with a sentence; they need no test framework. They open
every usable device that is there, so keep other programs away from it.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from av import AudioFrame, VideoFrame

from peer.devices.backend import (
    AudioMode,
    Backend,
    Capture,
    Captured,
    DeviceDescription,
    DeviceError,
    DeviceKind,
    VideoMode,
)

FRAMES = 3
"""Frames of each capture to look at: the fewest that show time going on evenly or not."""
PATIENCE = 20.0
"""Seconds for those frames, before the device counts as one that delivers nothing."""


def check_backend(backend: Backend) -> Sequence[DeviceDescription]:
    """Check all that can be checked without hands: listing, capture, errors, watching.

    Unplugging, being busy and being muted need something that does it to the device.

    :return: the devices that were captured from; make sure that there are some.
    :raises AssertionError: saying which device did what.
    """
    assert backend.name, "a backend has a name, for messages"
    devices = check_listing(backend)
    usable = [device for device in devices if not device.unusable]
    for device in usable:
        check_device(backend, device)
    for device in devices:
        check_refusals(backend, device)
    check_watch(backend)
    return usable


def check_listing(backend: Backend) -> Sequence[DeviceDescription]:
    """Check the list of devices, that asking twice gives it twice, and that none stays open."""
    devices = backend.list_devices()
    for device in devices:
        check_description(device)
    ids = [(device.kind, device.hardware_id) for device in devices]
    assert len(ids) == len(set(ids)), f"hardware ids are unique, and these are not: {ids}"
    assert list(backend.list_devices()) == list(devices), "a second listing says the same"
    for device in devices:
        assert not _is_open(device.location), f"listing left {device.location} open"
    return devices


def check_description(device: DeviceDescription) -> None:
    """Check what a device says of itself."""
    name = device.label
    assert device.kind in get_args(DeviceKind), f"{name}: kind {device.kind!r}"
    assert device.label, f"{device.location} has a label"
    assert device.hardware_id, f"{name} has a hardware id"
    assert device.location, f"{name} has a location"
    assert device.facing_mode in (None, "user", "environment", "left", "right"), (
        f"{name}: facing mode {device.facing_mode!r}"
    )
    assert (device.display_surface is not None) == (device.kind == "display"), (
        f"{name}: a display, and nothing else, has a display surface"
    )
    assert device.modes or device.unusable, f"{name} is usable and has no modes"
    assert len(set(device.modes)) == len(device.modes), f"{name} lists a mode twice"
    for mode in device.modes:
        if device.kind in ("audioinput", "displayaudio"):
            assert isinstance(mode, AudioMode), f"{name} is an {device.kind} with {mode}"
            numbers = [mode.sample_rate, mode.channel_count, mode.sample_size, mode.latency]
        else:
            assert isinstance(mode, VideoMode), f"{name} is a {device.kind} with {mode}"
            numbers = [mode.width, mode.height, mode.frame_rate]
        assert min(numbers) > 0, f"{name} has a mode with nothing in it: {mode}"


def check_device(backend: Backend, device: DeviceDescription) -> None:
    """Capture in the preferred mode twice, and in the next one."""
    for number in (0, 0, 1):
        if number < len(device.modes):
            check_capture(backend, device, number)


def check_capture(backend: Backend, device: DeviceDescription, number: int) -> None:
    """Capture some frames in one of the device's modes, and close it."""
    mode = device.modes[number]
    capture = backend.open(device, mode)
    try:
        assert type(capture.mode) is type(mode), f"{device.label} took {capture.mode} for {mode}"
        assert isinstance(capture.muted, bool), f"{device.label}: muted is {capture.muted!r}"
        opened_at = time.monotonic()
        last = None
        for _ in range(FRAMES):
            captured = _read(capture, device)
            check_frame(capture, device, captured)
            if last is not None:
                assert captured.at > last, f"{device.label}: time went from {last} to {captured.at}"
            last = captured.at
        assert last is not None
        assert last > opened_at - 1, f"{device.label}: a frame of {last}, opened at {opened_at}"
        assert device in backend.list_devices(), f"{device.label} is listed as before while open"
    finally:
        capture.close()
        capture.close()
    assert not _is_open(device.location), f"{device.label} is still open after close()"


def check_frame(capture: Capture, device: DeviceDescription, captured: Captured) -> None:
    """Check that a frame is what the capture's mode says."""
    frame, at, encoded = captured
    mode = capture.mode
    if frame is None:
        assert encoded is not None, f"{device.label} delivered neither a frame nor a picture"
        assert encoded.codec in ("mjpeg", "h264"), f"{device.label}: codec {encoded.codec!r}"
        assert encoded.data, f"{device.label} delivered an empty picture"
    elif isinstance(mode, VideoMode):
        assert isinstance(frame, VideoFrame), f"{device.label} delivered {frame}"
        size = (mode.width, mode.height)
        assert (frame.width, frame.height) == size, f"{device.label}: {frame} in mode {mode}"
        assert not frame.pict_type, (
            f"{device.label}: the frame has a picture type, and would force an encoder's hand"
        )
    else:
        assert isinstance(frame, AudioFrame), f"{device.label} delivered {frame}"
        assert frame.format.name == "s16", f"{device.label}: {frame} is not packed s16"
        form = (frame.sample_rate, frame.layout.nb_channels)
        assert form == (mode.sample_rate, mode.channel_count), (
            f"{device.label}: {frame} in mode {mode}"
        )
        assert frame.samples > 0, f"{device.label} delivered an empty frame"
    assert at <= time.monotonic(), f"{device.label}: a frame of the future, {at}"


def check_refusals(backend: Backend, device: DeviceDescription) -> None:
    """Open what can't be opened: each must be a DeviceError."""
    some_mode = device.modes[0] if device.modes else VideoMode(640, 480, 30.0)
    other_sort = AudioMode(48000, 2) if isinstance(some_mode, VideoMode) else VideoMode(2, 2, 1.0)
    nowhere = replace(
        device, hardware_id="no such device", label="No such device", location="/no/such/device"
    )
    attempts = [("an unknown device", nowhere, some_mode)]
    if device.unusable:
        attempts.append(("an unusable device", device, some_mode))
    else:
        attempts.append(("a mode of the wrong sort", device, other_sort))
    for what, wrong_device, mode in attempts:
        capture = None
        refusal = ""
        try:
            capture = backend.open(wrong_device, mode)
        except DeviceError as error:
            refusal = str(error)
        if capture is not None:
            capture.close()
            raise AssertionError(f"{backend.name} opened {what}: {wrong_device} in {mode}")
        assert refusal, f"{backend.name}: the error for {what} says what is wrong"


def check_watch(backend: Backend) -> None:
    """Check that watching can be ended, and begun again."""
    for _ in range(2):
        end = backend.watch(lambda: None)
        end()


def _read(capture: Capture, device: DeviceDescription) -> Captured:
    """The next frame, and there must be one."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (captured := capture.read()) is not None:
            return captured
    raise AssertionError(f"{device.label} delivered nothing for {PATIENCE} s")


def _is_open(location: str) -> bool:
    """Whether this process holds a device node, where that can be known."""
    for descriptor in Path("/proc/self/fd").glob("*"):
        try:
            if os.readlink(descriptor) == location:
                return True
        except OSError:  # closed since
            continue
    return False
