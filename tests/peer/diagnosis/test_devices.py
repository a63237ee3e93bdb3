"""The devices: those that can be used, those that can't, and drivers that hang."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from peer.devices.backend import Capture, DeviceDescription, DeviceError, DeviceKind, Mode
from peer.devices.virtual import VirtualBackend
from peer.diagnosis import devices

CAMERA = DeviceDescription("videoinput", "usb-1", "HD Camera", (), "/dev/video0")


class Broken:
    """A backend whose driver does what the test says when it is asked for its devices."""

    name = "v4l2"

    def __init__(self, answer: Callable[[], Sequence[DeviceDescription]]) -> None:
        self.list_devices = answer

    def open(self, device: DeviceDescription, mode: Mode) -> Capture:
        raise AssertionError("the doctor opens no device")

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        raise AssertionError("the doctor watches nothing")


async def test_virtual_devices_are_listed() -> None:
    findings = await devices.examine([VirtualBackend()])
    assert [(finding.subject, finding.level) for finding in findings] == [
        ("camera", "ok"),
        ("microphone", "ok"),
        ("screen", "ok"),
    ]
    assert findings[0].text.startswith("2 cameras can be used: ")


async def test_this_computer_is_examined() -> None:
    subjects = {finding.subject for finding in await devices.examine()}
    assert subjects >= {"camera", "microphone", "screen"}


async def test_nothing_at_all_is_a_problem() -> None:
    findings = await devices.examine([])
    assert [(finding.subject, finding.level) for finding in findings] == [
        ("camera", "warning"),
        ("microphone", "warning"),
        ("screen", "warning"),
        ("devices", "problem"),
    ]
    assert "--fake" in findings[0].remedy


@pytest.mark.parametrize(
    ("kind", "why", "text", "remedy"),
    [
        (
            "videoinput",
            "This user may not open HD Camera (/dev/video0): add the user to the group video",
            "This user may not open HD Camera (/dev/video0)",
            "Add the user to the group video",
        ),
        (
            "videoinput",
            "HD Camera (/dev/video0) offers no picture format",
            "HD Camera (/dev/video0) offers no picture format",
            "Unplug it and plug it in again",
        ),
        (
            "display",
            "The X11 display :0 can't be used: it refuses this program",
            "The X11 display :0 can't be used: it refuses this program",
            "Let DISPLAY and XAUTHORITY",
        ),
    ],
)
def test_an_unusable_device_says_why(kind: DeviceKind, why: str, text: str, remedy: str) -> None:
    device = replace(CAMERA, kind=kind, unusable=why)
    (finding,) = (f for f in devices.judge([device]) if f.text == text)
    assert finding.level == "warning"
    assert finding.remedy.startswith(remedy)


def test_one_camera_is_enough() -> None:
    unusable = replace(CAMERA, hardware_id="usb-2", unusable="HD Camera is broken")
    findings = devices.judge([CAMERA, unusable])
    assert [finding.level for finding in findings] == ["ok", "warning", "warning", "warning"]
    assert findings[0].text == "1 camera can be used: HD Camera (/dev/video0)"


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_a_driver_that_hangs_does_not_hang_the_doctor(
    released: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "LISTING_TIMEOUT", 0.1)

    def hang() -> Sequence[DeviceDescription]:
        released.wait()
        return []

    findings = await devices.examine([Broken(hang), VirtualBackend()])
    assert findings[0].text == "The v4l2 devices could not be listed within 0.1 s"
    assert [finding.level for finding in findings] == ["warning", "ok", "ok", "ok"]


async def test_a_driver_that_fails_is_told() -> None:
    def fail() -> Sequence[DeviceDescription]:
        raise DeviceError("the bus is on fire")

    findings = await devices.examine([Broken(fail)])
    assert findings[0].text == "The v4l2 devices could not be listed: the bus is on fire"
