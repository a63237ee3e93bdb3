"""FFmpeg's video encoders, and how they are set up for live pictures (pure).

For a codec there is one in software, and some in hardware that are used where a program has asked
for them by name; when one of those can't be opened, or fails, the one in software takes over.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

_REFERENCE_BITRATE = 2_000_000
"""Bits a second that make 1280x720 at 30 a good picture in H.264 or VP8."""
_REFERENCE_PIXELS = 1280 * 720 * 30
_GROWTH = 0.75
"""Larger pictures have more in them, but not by as much: the exponent of their pixels."""
_LEAST_BITRATE = 80_000
_SAVING = {"vp9": 0.75, "av1": 0.65}
"""What a codec needs for the same picture, as a part of what H.264 and VP8 do."""
SMALL = 352 * 288
_PIXELS_PER_THREAD = 1280 * 720 * 1.5
_MOST_THREADS = 4


def suitable_bitrate(codec: str, width: int, height: int, frame_rate: float) -> int:
    """Bits a second for pictures of this size and rate."""
    share = math.pow(width * height * frame_rate / _REFERENCE_PIXELS, _GROWTH)
    return max(_LEAST_BITRATE, round(_REFERENCE_BITRATE * share * _SAVING.get(codec, 1)))


def suitable_threads(width: int, height: int, cores: int) -> int:
    """How many threads an encoder may use: one, as long as it can keep up alone."""
    wanted = 1 + int(width * height / _PIXELS_PER_THREAD)
    return max(1, min(wanted, cores // 2, _MOST_THREADS))


@dataclass(frozen=True)
class Implementation:
    """One of FFmpeg's encoders."""

    name: str
    options: Mapping[str, str]
    pixel_format: str = "yuv420p"
    screen_options: Mapping[str, str] = field(default_factory=dict)
    """What is different for pictures of text and drawings."""
    small_options: Mapping[str, str] = field(default_factory=dict)
    """What is different for pictures of less than `SMALL` pixels."""
    rate_bound: bool = True
    """Whether it takes `maxrate` and `bufsize`."""
    constant_rate: bool = False
    """Whether a `minrate` of the same makes its rate constant."""
    adjustable: bool = False
    """Whether it takes another bitrate while it is open, without a key frame."""
    hardware: bool = False


_VPX = {
    "deadline": "realtime",
    "lag-in-frames": "0",
    "static-thresh": "1",
    "max-intra-rate": "900",
    "auto-alt-ref": "0",
}
_SOFTWARE = {
    "h264": Implementation(
        "libx264",
        {
            "preset": "superfast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "sc_threshold": "0",
        },
        adjustable=True,
    ),
    "vp8": Implementation(
        "libvpx",
        {**_VPX, "cpu-used": "-6", "undershoot-pct": "100", "overshoot-pct": "15"},
        screen_options={"screen-content-mode": "1"},
        constant_rate=True,
    ),
    "vp9": Implementation(
        "libvpx-vp9",
        {
            **_VPX,
            "cpu-used": "8",
            "row-mt": "1",
            "aq-mode": "3",
            "undershoot-pct": "50",
            "overshoot-pct": "50",
        },
        screen_options={"tune-content": "screen", "aq-mode": "0"},
        constant_rate=True,
    ),
    "av1": Implementation(
        "libsvtav1",
        # Parts of the picture before are left by faster presets (in small pictures by this one,
        # too), by what it does for pictures that it takes for screens, and by layers of pictures,
        # of which the upper ones have few bits.
        {
            "preset": "10",
            "svtav1-params": "rtc=1:pred-struct=1:hierarchical-levels=0:rc=2:scm=0:lp=1:keyint=-1",
        },
        small_options={"preset": "8"},
        rate_bound=False,
    ),
}
# What all have in common: no picture waits for another, and one that is asked to be a key frame is
# one with all that a decoder begins with. VAAPI isn't among them: FFmpeg's encoders for it take
# pictures in the graphics card's memory only, and PyAV has none there.
_HARDWARE = {
    "h264": (
        Implementation(
            "h264_nvenc",
            {
                "preset": "p2",
                "tune": "ull",
                "profile": "baseline",
                "rc": "cbr",
                "zerolatency": "1",
                "delay": "0",
                "no-scenecut": "1",
                "forced-idr": "1",
                "bf": "0",
            },
            hardware=True,
        ),
        Implementation(
            "h264_qsv",
            {
                "preset": "veryfast",
                "profile": "baseline",
                "scenario": "videoconference",
                "async_depth": "1",
                "forced_idr": "1",
                "bf": "0",
            },
            pixel_format="nv12",
            hardware=True,
        ),
        Implementation("h264_v4l2m2m", {"bf": "0"}, hardware=True),
        Implementation(
            "h264_amf",
            {
                "usage": "ultralowlatency",
                "profile": "constrained_baseline",
                "quality": "speed",
                "rc": "cbr",
                "async_depth": "1",
                "forced_idr": "1",
                "bf": "0",
            },
            pixel_format="nv12",
            hardware=True,
        ),
        Implementation(
            "h264_videotoolbox",
            {
                "profile": "constrained_baseline",
                "realtime": "1",
                "prio_speed": "1",
                "bf": "0",
            },
            pixel_format="nv12",
            hardware=True,
        ),
    ),
}
HARDWARE = tuple(one.name for several in _HARDWARE.values() for one in several)
"""FFmpeg's names of those in hardware that can be asked for."""
CODECS = tuple(_SOFTWARE)
"""Lower-case names of the codecs that can be encoded."""


def implementations(codec: str, hardware: tuple[str, ...] = ()) -> list[Implementation]:
    """The encoders to be tried for a codec, one after the other.

    :param hardware: FFmpeg's names of those in hardware that may be used.
    """
    wanted = [one for one in _HARDWARE.get(codec, ()) if one.name in hardware]
    return [*sorted(wanted, key=lambda one: hardware.index(one.name)), _SOFTWARE[codec]]
