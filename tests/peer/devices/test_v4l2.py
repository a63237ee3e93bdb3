"""What V4L2 decides without a camera: formats, sizes, rates, names."""

import subprocess
import sys
from pathlib import Path

import pytest

import peer
from peer.devices.backend import VideoMode
from peer.devices.v4l2 import (
    best_modes,
    cheapest_modes,
    clean_label,
    facing_mode_of,
    stepwise_rates,
    stepwise_sizes,
)


def test_cheapest_format_of_each_size_and_rate() -> None:
    modes = [
        VideoMode(640, 480, 30.0, "mjpeg"),
        VideoMode(640, 480, 30.0, "rgb24"),
        VideoMode(640, 480, 30.0, "yuyv422"),
        VideoMode(640, 480, 30.0, "yuv420p"),
        VideoMode(640, 480, 30.0, "nv12"),
        VideoMode(640, 480, 30.0, "gray"),
    ]
    order = []
    while modes:
        (best,) = best_modes(modes)
        order.append(best.pixel_format)
        modes.remove(best)
    assert order == ["yuv420p", "nv12", "yuyv422", "mjpeg", "rgb24", "gray"]


def test_compressed_where_raw_is_too_slow() -> None:
    """A USB 2 camera: raw video at 720p reaches 10 frames a second."""
    modes = best_modes(
        [
            VideoMode(1280, 720, 10.0, "yuyv422"),
            VideoMode(1280, 720, 30.0, "mjpeg"),
            VideoMode(1280, 720, 10.0, "mjpeg"),
        ]
    )
    assert set(modes) == {
        VideoMode(1280, 720, 10.0, "yuyv422"),
        VideoMode(1280, 720, 30.0, "mjpeg"),
    }


def ask(codes: dict[str, dict[tuple[int, int], list[float]]]) -> tuple[set[VideoMode], list[str]]:
    """The modes of a camera with such formats, and the formats whose rates were asked for."""
    asked = []

    def rates(code: str, width: int, height: int) -> list[float]:
        asked.append(code)
        return codes[code][width, height]

    return set(cheapest_modes(codes, codes.__getitem__, rates)), asked


def test_rates_are_asked_only_of_formats_that_can_win() -> None:
    vga = {(640, 480): [30.0]}
    modes, asked = ask({"RGB3": vga, "YUYV": vga, "MJPG": vga, "GREY": vga, "NV12": vga})
    assert modes == {VideoMode(640, 480, 30.0, "nv12")}
    assert asked == ["NV12", "MJPG", "GREY"]


def test_a_dearer_format_wins_where_it_is_slimmer_compressed_or_alone() -> None:
    modes, _ = ask(
        {
            "YUYV": {(640, 480): [30.0], (1280, 720): [10.0]},
            "RGB3": {(640, 480): [30.0], (320, 240): [15.0]},
            "GREY": {(640, 480): [90.0]},
            "MJPG": {(1280, 720): [10.0, 60.0]},
        }
    )
    assert modes == {
        VideoMode(640, 480, 30.0, "yuyv422"),
        VideoMode(1280, 720, 10.0, "yuyv422"),
        VideoMode(320, 240, 15.0, "rgb24"),
        VideoMode(640, 480, 90.0, "gray"),
        VideoMode(1280, 720, 60.0, "mjpeg"),
    }


def test_unknown_formats_are_passed_over() -> None:
    assert ask({"S910": {(640, 480): [30.0]}, "\xff\0\0\0": {(640, 480): [30.0]}}) == (set(), [])


def test_preferred_mode_is_what_browsers_take() -> None:
    modes = best_modes(
        VideoMode(width, height, rate, "nv12")
        for width, height in [(1920, 1080), (320, 240), (640, 480), (1280, 720)]
        for rate in (60.0, 15.0, 30.0)
    )
    assert modes[0] == VideoMode(640, 480, 30.0, "nv12")
    assert modes[-1] in {VideoMode(1920, 1080, 60.0, "nv12"), VideoMode(1920, 1080, 15.0, "nv12")}


def test_sizes_within_steps() -> None:
    sizes = stepwise_sizes(range(64, 1936 + 1, 16), range(64, 1096 + 1, 8))
    assert (640, 480) in sizes
    assert (1920, 1080) in sizes
    assert (2560, 1440) not in sizes, "larger than the camera's largest"
    assert (1936, 1096) in sizes, "the largest, which no list has"
    assert stepwise_sizes(range(640, 641), range(480, 481)) == [(640, 480)]


def test_largest_size_follows_the_steps() -> None:
    assert stepwise_sizes(range(16, 100 + 1, 16), range(16, 100 + 1, 16)) == [(96, 96)]


def test_rates_within_limits() -> None:
    assert stepwise_rates(7.5, 30.0) == [10.0, 15.0, 20.0, 24.0, 25.0, 30.0]
    assert stepwise_rates(1.0, 29.97)[-1] == 29.97
    assert stepwise_rates(60.0, 60.0) == [60.0]


@pytest.mark.parametrize(
    ("card", "label"),
    [
        ("Integrated Camera: Integrated C", "Integrated Camera"),
        ("USB Camera: USB Camera", "USB Camera"),
        ("HD Pro Webcam C920", "HD Pro Webcam C920"),
        ("Capture: HDMI 2", "Capture: HDMI 2"),
    ],
)
def test_label_is_said_once(card: str, label: str) -> None:
    assert clean_label(card) == label


@pytest.mark.parametrize(
    ("label", "facing"),
    [
        ("Surface Camera Front", "user"),
        ("User facing camera", "user"),
        ("ov5693 rear", "environment"),
        ("Back Camera", "environment"),
        ("World-facing", "environment"),
        ("Logitech BRIO", None),
        ("Backstage Frontier", None),
    ],
)
def test_facing_mode_from_label(label: str, facing: str | None) -> None:
    assert facing_mode_of(label) == facing


OTHER_SYSTEM = """
import ctypes, sys
import peer.devices.backend
sys.platform = "win32"
for module in ("fcntl", "grp"):
    sys.modules[module] = None
from peer.devices import alsa, screen, v4l2
v4l2.NODES = "/no/such/video*"
for backend in (v4l2.V4L2Backend(), screen.ScreenBackend("")):
    assert list(backend.list_devices()) == [], backend.name
    backend.watch(print)()
"""


def test_other_systems_have_none() -> None:
    """Neither modules that only Linux has nor inotify are needed to find that there is nothing."""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", OTHER_SYSTEM],
        cwd=Path(peer.__file__).parents[1],
        check=True,
    )
