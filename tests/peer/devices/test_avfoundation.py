"""What FFmpeg prints on Macs, read as devices and modes; no Mac is needed."""

import ctypes
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from av.container import InputContainer

from peer.devices.avfoundation import (
    ASSUMED_VIDEO,
    IMPOSSIBLE_RATE,
    AVFoundationBackend,
    capture_options,
    open_error,
    parse_devices,
    parse_modes,
    screen_allowed,
    screen_sizes,
)
from peer.devices.backend import (
    AudioMode,
    DeviceBusy,
    DeviceError,
    DeviceForbidden,
    DeviceLost,
    VideoMode,
)
from peer.devices.libav_capture import InputRefused, open_input
from peer.testing.backend_contract import check_backend, check_listing, check_watch

RECORDED = Path(__file__).parent / "recorded"
FACETIME, GRABBER = "avfoundation_modes_facetime.txt", "avfoundation_modes_grabber.txt"
FORBIDDEN = "avfoundation_modes_forbidden.txt"

CORE_GRAPHICS = """
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
static int count, times, denied;
struct mode { uint32_t display; };
int kept(void) { return count; }
int asked(void) { return times; }
void deny(void) { denied = 1; }
int32_t CGGetActiveDisplayList(uint32_t most, uint32_t *displays, uint32_t *found) {
    if (most < 2) return 1001;
    displays[0] = 4000000001u; displays[1] = 2; *found = 2;
    return 0;
}
struct mode *CGDisplayCopyDisplayMode(uint32_t display) {
    struct mode *mode = malloc(sizeof *mode);
    mode->display = display; count++;
    return mode;
}
size_t CGDisplayModeGetPixelWidth(struct mode *mode) { return mode->display == 2 ? 1920 : 3024; }
size_t CGDisplayModeGetPixelHeight(struct mode *mode) { return mode->display == 2 ? 1080 : 1964; }
void CGDisplayModeRelease(struct mode *mode) { free(mode); count--; }
bool CGPreflightScreenCaptureAccess(void) { return false; }
bool CGRequestScreenCaptureAccess(void) { times++; return !denied; }
"""


def recorded(name: str) -> str:
    """What the program was told, without what FFmpeg's own program puts before each line."""
    _, _, text = (RECORDED / name).read_text(encoding="utf-8").partition("\n")
    return re.sub(r"^\[[^\]]+ @ 0x\w+\] ", "", text, flags=re.M)


def a_mac(devices: str = "avfoundation_devices.txt", modes: str = FACETIME) -> AVFoundationBackend:
    return AVFoundationBackend(
        lambda: recorded(devices),
        lambda number: recorded(modes),
        lambda: [(3024, 1964), (1920, 1080)],
    )


def test_devices() -> None:
    entries = parse_devices(recorded("avfoundation_devices.txt"))
    found = [(entry.kind, entry.number, entry.name) for entry in entries]
    assert found == [
        ("videoinput", 0, "FaceTime HD Camera"),
        ("videoinput", 1, "HD Pro Webcam C920"),
        ("videoinput", 2, "HD Pro Webcam C920"),
        ("videoinput", 3, "Kamera von „Zoë“"),
        ("videoinput", 4, "OBS Virtual Camera"),
        ("display", 5, "Capture screen 0"),
        ("display", 6, "Capture screen 1"),
        ("audioinput", 0, "MacBook Pro Microphone"),
        ("audioinput", 1, "HD Pro Webcam C920"),
        ("audioinput", 2, "BlackHole 2ch [64 kHz]"),
    ]


def test_a_listing_fulfils_the_contract() -> None:
    backend = a_mac()
    check_listing(backend)
    check_watch(backend)


def test_unique_ids_are_taken_where_ffmpeg_tells_them() -> None:
    listed = {
        device.label: device for device in a_mac("avfoundation_devices_with_ids.txt").list_devices()
    }
    assert listed["HD Pro Webcam C920"].hardware_id == "0x1400000046d082d"
    assert listed["MacBook Pro Microphone"].hardware_id == "BuiltInMicrophoneDevice"
    assert listed["Screen 1"].kind == "display"


def test_devices_of_one_name_are_told_apart_and_grouped_with_their_sound() -> None:
    listed = a_mac().list_devices()
    webcams = [device for device in listed if device.label == "HD Pro Webcam C920"]
    first, second, microphone = webcams
    assert first.hardware_id != second.hardware_id
    assert microphone.group == first.group != second.group
    assert (first.location, second.location, microphone.location) == ("1", "2", ":1")


def test_screens_have_their_size_and_are_no_cameras() -> None:
    screens = [device for device in a_mac().list_devices() if device.kind == "display"]
    assert [screen.label for screen in screens] == ["Screen 1", "Screen 2"]
    assert screens[0].modes[0] == VideoMode(3024, 1964, 30.0)
    assert screens[1].modes[0] == VideoMode(1920, 1080, 30.0)
    assert [screen.default for screen in screens] == [True, False]


def test_a_screen_of_unknown_size_is_unusable() -> None:
    backend = AVFoundationBackend(
        lambda: recorded("avfoundation_devices.txt"), lambda number: recorded(FACETIME), list
    )
    screens = [device for device in backend.list_devices() if device.kind == "display"]
    assert all("asleep" in screen.unusable for screen in screens)
    check_listing(backend)


def test_modes_once_each_nearest_to_the_usual_one_first() -> None:
    assert parse_modes(recorded(FACETIME)) == (
        VideoMode(640, 480, 30.0, "nv12"),
        VideoMode(320, 240, 30.0, "nv12"),
        VideoMode(1280, 720, 30.0, "nv12"),
    )


def test_rates_are_kept_to_what_ffmpeg_accepts() -> None:
    modes = parse_modes(recorded(GRABBER))
    assert VideoMode(1280, 720, 29.97, "nv12") in modes
    assert len(modes) == len(set(modes)) == 6
    for mode in modes:
        asked = float(capture_options("videoinput", mode)["framerate"])
        assert asked == pytest.approx(mode.frame_rate, abs=0.001), "FFmpeg wants it within 0.01"


def test_modes_are_asked_for_once_and_again_when_the_camera_comes_back() -> None:
    asked: list[int] = []
    there = [True]

    def modes(number: int) -> str:
        asked.append(number)
        return recorded(FACETIME)

    backend = AVFoundationBackend(
        lambda: recorded("avfoundation_devices_with_ids.txt") if there[0] else "",
        modes,
        lambda: [(1920, 1080)],
    )
    assert backend.list_devices() == backend.list_devices()
    assert asked == [0, 1]
    there[0] = False
    assert backend.list_devices() == []
    there[0] = True
    backend.list_devices()
    assert asked == [0, 1, 0, 1]


def test_a_camera_that_tells_no_modes_gets_common_ones() -> None:
    backend = AVFoundationBackend(
        lambda: recorded("avfoundation_devices.txt"), lambda number: "", lambda: [(8, 8)] * 2
    )
    assert backend.list_devices()[0].modes == ASSUMED_VIDEO
    check_listing(backend)


def test_a_camera_that_is_not_allowed_says_where_to_allow_it() -> None:
    camera = a_mac(modes=FORBIDDEN).list_devices()[0]
    assert camera.modes == ()
    assert "System Settings › Privacy & Security › Camera" in camera.unusable


def test_options() -> None:
    camera = capture_options("videoinput", VideoMode(1280, 720, 29.97, "nv12"))
    assert camera == {"framerate": "29.970000", "pixel_format": "nv12", "video_size": "1280x720"}
    screen = capture_options("display", VideoMode(3024, 1964, 30.0))
    assert screen["capture_cursor"] == "1"
    assert "video_size" not in screen
    assert capture_options("audioinput", AudioMode(48000, 1)) == {}
    assert float(IMPOSSIBLE_RATE) > 240


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (recorded(FORBIDDEN), DeviceForbidden),
        ("This app is not authorized to use FaceTime HD Camera\n", DeviceForbidden),
        ("can't add video input to capture session\n", DeviceBusy),
        ("Could not lock device for configuration", DeviceBusy),
        ("Video device not found\n", DeviceLost),
        ("Invalid audio device index\n", DeviceLost),
        ("audio format is not supported\n", DeviceError),
    ],
)
def test_errors(said: str, error: type[DeviceError]) -> None:
    found = open_error(InputRefused("Input/output error", said), "Camera", "videoinput")
    assert type(found) is error
    assert "Camera" in str(found)


def test_each_kind_has_its_page_of_the_settings() -> None:
    refused = InputRefused("Input/output error", recorded(FORBIDDEN))
    assert "› Microphone" in str(open_error(refused, "Mic", "audioinput"))
    assert "› Screen" in str(open_error(refused, "Screen 1", "display"))


def test_what_cannot_be_opened_is_refused() -> None:
    backend = a_mac()
    camera = backend.list_devices()[0]
    with pytest.raises(DeviceError, match="another sort"):
        backend.open(camera, AudioMode(48000, 1))
    gone = AVFoundationBackend(lambda: "", lambda number: "", list)
    with pytest.raises(DeviceLost, match="no longer there"):
        gone.open(camera, camera.modes[0])


def test_the_whole_contract_with_a_source_of_ffmpegs_in_each_devices_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def opening(form: str, location: str, options: Mapping[str, str]) -> InputContainer:
        if location.startswith(":"):
            return open_input("lavfi", "sine=sample_rate=48000,arealtime", options)
        size = options.get("video_size", "320x240")
        graph = f"testsrc=size={size}:rate={options['framerate']},realtime,format=uyvy422"
        return open_input("lavfi", graph, {})

    monkeypatch.setattr("peer.devices.avfoundation.open_input", opening)
    monkeypatch.setattr("peer.devices.avfoundation.screen_allowed", lambda: True)
    backend = AVFoundationBackend(
        lambda: recorded("avfoundation_devices_with_ids.txt"),
        lambda number: recorded(FACETIME),
        lambda: [(320, 240)],
    )
    checked = check_backend(backend)
    assert [device.kind for device in checked] == [
        "videoinput",
        "videoinput",
        "display",
        "audioinput",
    ]


@pytest.fixture
def core_graphics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library with CoreGraphics' functions, to be called as C calls them."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler: install the package gcc")
    library = tmp_path / "CoreGraphics.so"
    (tmp_path / "graphics.c").write_text(CORE_GRAPHICS)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(tmp_path / "graphics.c")],
        check=True,
        timeout=60,
    )
    monkeypatch.setattr("peer.devices.avfoundation.CORE_GRAPHICS", str(library))
    return library


def test_sizes_of_screens_are_learned_from_core_graphics(core_graphics: Path) -> None:
    assert screen_sizes() == [(3024, 1964), (1920, 1080)]
    assert ctypes.CDLL(str(core_graphics)).kept() == 0, "each mode was given back"


def test_macos_is_asked_once_whether_screens_may_be_captured(core_graphics: Path) -> None:
    assert screen_allowed()
    assert ctypes.CDLL(str(core_graphics)).asked() == 1


def test_a_screen_that_is_not_allowed_is_refused(core_graphics: Path) -> None:
    ctypes.CDLL(str(core_graphics)).deny()
    screen = next(device for device in a_mac().list_devices() if device.kind == "display")
    with pytest.raises(DeviceForbidden, match="Privacy & Security › Screen"):
        a_mac().open(screen, screen.modes[0])


def test_nothing_is_listed_on_other_systems() -> None:
    assert AVFoundationBackend().list_devices() == []
