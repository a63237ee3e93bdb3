"""What FFmpeg prints on Windows, read as devices and modes; no Windows is needed."""

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest
from av.container import InputContainer

from peer.devices.backend import (
    AudioMode,
    DeviceBusy,
    DeviceError,
    DeviceForbidden,
    DeviceLost,
    VideoMode,
)
from peer.devices.dshow import (
    ASSUMED_VIDEO,
    DirectShowBackend,
    GdiGrabBackend,
    capture_options,
    open_error,
    parse_audio_modes,
    parse_devices,
    parse_video_modes,
    requested_rate,
)
from peer.devices.libav_capture import InputRefused, open_input
from peer.testing.backend_contract import check_backend, check_listing, check_watch

RECORDED = Path(__file__).parent / "recorded"
C920 = (
    r"@device_pnp_\\?\usb#vid_046d&pid_082d&mi_00#6&11111111&0&0000"
    r"#{65e8773d-8f56-11d0-a3b9-00a0c9223196}\global"
)
SAID = "dshow_modes_c920.txt"


def recorded(name: str) -> str:
    """What the program was told, without what FFmpeg's own program puts before each line."""
    _, _, text = (RECORDED / name).read_text(encoding="utf-8").partition("\n")
    return re.sub(r"^\[[^\]]+ @ \w+\] ", "", text, flags=re.M)


def modes_of(location: str) -> str:
    if location.startswith("audio="):
        return recorded("dshow_modes_microphone.txt")
    return recorded("dshow_modes_softcam.txt" if "Softcam" in location else SAID)


def a_windows(devices: str = "dshow_devices.txt") -> DirectShowBackend:
    return DirectShowBackend(lambda: recorded(devices), modes_of)


def test_devices() -> None:
    entries = parse_devices(recorded("dshow_devices.txt"))
    assert [(entry.name, entry.sorts) for entry in entries] == [
        ("HD Pro Webcam C920", ("video",)),
        ("HD Pro Webcam C920", ("video",)),
        ("Microsoft Camera Front", ("video",)),
        ("OBS Virtual Camera", ()),
        ("DirectShow Softcam", ("video",)),
        ('AVerMedia "Live" Gamer', ("video", "audio")),
        ("麦克风 (High Definition Audio 设备)", ("audio",)),
        ("麦克风 (Microsoft Camera Front)", ("audio",)),
        ("virtual-audio-capturer", ()),
    ]
    assert entries[0].path == C920


def test_a_listing_fulfils_the_contract() -> None:
    backend = a_windows()
    check_listing(backend)
    check_watch(backend)


def test_cameras_are_listed_where_there_is_no_microphone() -> None:
    (camera,) = a_windows("dshow_no_microphone.txt").list_devices()
    assert (camera.kind, camera.label) == ("videoinput", "Integrated Webcam")


def test_each_device_is_known_and_opened_by_windows_own_name() -> None:
    first, second, *_ = a_windows().list_devices()
    assert first.hardware_id == C920 != second.hardware_id
    assert first.location == f"video={C920}"
    assert first.label == second.label


def test_a_device_with_pictures_and_sound_is_a_camera_and_a_microphone() -> None:
    listed = [device for device in a_windows().list_devices() if "AVerMedia" in device.label]
    assert [device.kind for device in listed] == ["videoinput", "audioinput"]
    assert listed[0].group == listed[1].group
    assert listed[1].location.startswith("audio=")


def test_a_camera_and_the_microphone_that_is_named_for_it_are_one_device() -> None:
    listed = {device.label: device for device in a_windows().list_devices()}
    camera, sound = listed["Microsoft Camera Front"], listed["麦克风 (Microsoft Camera Front)"]
    assert camera.group == sound.group != ""
    assert camera.facing_mode == "user"
    assert not listed["HD Pro Webcam C920"].group, "two have this name: it tells nothing"


def test_virtual_devices_without_a_program_that_feeds_them_are_unusable() -> None:
    listed = {device.label: device for device in a_windows().list_devices()}
    camera, sound = listed["OBS Virtual Camera"], listed["virtual-audio-capturer"]
    assert (camera.kind, camera.modes) == ("videoinput", ())
    assert (sound.kind, sound.modes) == ("audioinput", ())
    assert "start what feeds it" in camera.unusable
    with pytest.raises(DeviceError, match="start what feeds it"):
        a_windows().open(camera, VideoMode(640, 480, 30.0))


def test_a_camera_that_tells_no_modes_gets_a_common_one() -> None:
    listed = {device.label: device for device in a_windows().list_devices()}
    assert listed["DirectShow Softcam"].modes == ASSUMED_VIDEO


def test_modes_raw_where_the_camera_is_fast_enough() -> None:
    modes = parse_video_modes(recorded(SAID))
    assert modes[0] == VideoMode(640, 480, 30.0, "yuyv422")
    formats = {(mode.width, mode.height, mode.frame_rate): mode.pixel_format for mode in modes}
    assert formats[1280, 720, 10.0] == "yuyv422"
    assert formats[1280, 720, 30.0] == "mjpeg"
    assert formats[1280, 720, 60.0002] == "mjpeg"
    assert formats[1920, 1080, 30.0] == "mjpeg", "H.264 can't be asked for"
    assert len(modes) == len(formats)


def test_modes_of_any_size_are_the_common_ones_and_the_largest() -> None:
    modes = parse_video_modes(recorded("dshow_modes_range.txt"))
    sizes = {(mode.width, mode.height) for mode in modes}
    assert {(320, 240), (640, 480), (1300, 700)} <= sizes
    assert (1920, 1080) not in sizes, "its rate is no number"
    assert {mode.frame_rate for mode in modes} == {
        15.0,
        20.0,
        24.0,
        25.0,
        30.0,
        50.0,
        60.0,
        60.0002,
    }


def test_audio_modes_of_sixteen_bits_the_usual_one_first() -> None:
    modes = parse_audio_modes(recorded("dshow_modes_microphone.txt"))
    assert [(mode.sample_rate, mode.channel_count) for mode in modes] == [
        (48000, 2),
        (48000, 1),
        (96000, 2),
        (44100, 2),
        (44100, 1),
    ]


@pytest.mark.parametrize(
    "interval", [333333, 333334, 166666, 166667, 666666, 416666, 400000, 333667, 1333333, 2000000]
)
def test_the_rate_asked_for_is_the_one_windows_has(interval: int) -> None:
    listed = float(f"{1e7 / interval:g}")  # as FFmpeg prints it
    asked = f"{requested_rate(listed):.9f}"
    # As FFmpeg reads it: a fraction of numbers up to 1,001,000, and of that whole units of time.
    rate = Fraction(asked).limit_denominator(int(1_001_000 / listed))
    assert rate.denominator * 10_000_000 // rate.numerator == interval


def test_options() -> None:
    raw = capture_options(VideoMode(1280, 720, 10.0, "yuyv422"))
    assert (raw["video_size"], raw["pixel_format"]) == ("1280x720", "yuyv422")
    compressed = capture_options(VideoMode(1280, 720, 30.0, "mjpeg"))
    assert "pixel_format" not in compressed, "it would ask for raw pictures"
    sound = capture_options(AudioMode(48000, 2))
    assert (sound["sample_rate"], sound["channels"], sound["sample_size"]) == ("48000", "2", "16")
    assert 0 < int(sound["audio_buffer_size"]) <= 100


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("Could not run graph (sometimes caused by a device already in use by other application)",
         DeviceBusy),
        ("Could not find video device with name [x] among source devices of type video.\n",
         DeviceLost),
        ("Could not find audio only device with name [x] among source devices of type audio.\n",
         DeviceLost),
        ("Could not set video options\n", DeviceError),
        ("", DeviceError),
    ],
)  # fmt: skip
def test_errors(said: str, error: type[DeviceError]) -> None:
    found = open_error(InputRefused("I/O error", said), "Camera", "videoinput")
    assert type(found) is error
    assert "Camera" in str(found)


def test_privacy_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.devices.dshow.denied", lambda capability: capability == "microphone")
    refused = InputRefused("I/O error", "Could not run graph")
    found = open_error(refused, "Mic", "audioinput")
    assert isinstance(found, DeviceForbidden)
    assert "Settings › Privacy & security › Microphone" in str(found)
    assert isinstance(open_error(refused, "Camera", "videoinput"), DeviceBusy)


def test_what_cannot_be_opened_is_refused() -> None:
    camera = a_windows().list_devices()[0]
    with pytest.raises(DeviceError, match="another sort"):
        a_windows().open(camera, AudioMode(48000, 1))
    with pytest.raises(DeviceLost, match="no longer there"):
        DirectShowBackend(lambda: "", modes_of).open(camera, camera.modes[0])


def test_the_desktop_has_the_size_of_all_screens() -> None:
    backend = GdiGrabBackend(lambda: recorded("gdigrab_desktop.txt"))
    (desktop,) = check_listing(backend)
    assert desktop.modes[0] == VideoMode(3840, 1080, 30.0)
    check_watch(backend)


def opening(form: str, location: str, options: Mapping[str, str]) -> InputContainer:
    """Open a source of FFmpeg's own in the place of a device, with what was asked of that."""
    if "sample_rate" in options:
        layout = {"1": "mono", "2": "stereo"}[options["channels"]]
        graph = f"sine=sample_rate={options['sample_rate']},aformat=channel_layouts={layout}"
        return open_input("lavfi", f"{graph},arealtime", {})
    size = options.get("video_size", "3840x1080")
    graph = f"testsrc=size={size}:rate={options['framerate']},realtime"
    return open_input("lavfi", f"{graph},format={options.get('pixel_format', 'yuv420p')}", {})


def test_the_whole_contract_with_a_source_of_ffmpegs_in_each_devices_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("peer.devices.dshow.open_input", opening)
    checked = check_backend(a_windows())
    assert len(checked) == 8
    assert {device.kind for device in checked} == {"videoinput", "audioinput"}
    (desktop,) = check_backend(GdiGrabBackend(lambda: recorded("gdigrab_desktop.txt")))
    assert desktop.kind == "display"


def test_a_device_that_cannot_be_set_is_opened_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsettable(form: str, location: str, options: Mapping[str, str]) -> InputContainer:
        if "video_size" in options:
            raise InputRefused("I/O error", "Could not set video options\n")
        return opening(form, location, {"video_size": "800x600", "framerate": "25"})

    monkeypatch.setattr("peer.devices.dshow.open_input", unsettable)
    backend = a_windows()
    camera = next(device for device in backend.list_devices() if "Softcam" in device.label)
    capture = backend.open(camera, camera.modes[0])
    capture.close()
    assert str(capture.mode).startswith("800x600")


def test_nothing_is_listed_on_other_systems() -> None:
    assert DirectShowBackend().list_devices() == []
    assert GdiGrabBackend().list_devices() == []
