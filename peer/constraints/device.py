"""What constraint selection knows of a device: what is fixed, and what can be chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..controls import Control, ControlRange

RESIZE_MODES = ("none", "crop-and-scale")

# Opus carries nothing higher than 48 kHz, and nothing lower than 8 kHz is of use to speech.
MIN_SAMPLE_RATE = 8000


class VideoGeometry(NamedTuple):
    """A native mode of a camera or screen."""

    width: int
    height: int
    frame_rate: float


class AudioFormat(NamedTuple):
    """A native mode of a microphone."""

    sample_rate: int
    channel_count: int
    sample_size: int
    latency: float


@dataclass(frozen=True)
class ConstrainableObject:
    """A device, as constraint selection sees it."""

    kind: str
    """audio or video."""
    label: str
    """For messages."""
    fixed: Mapping[str, Any]
    """Settings that can't be changed: deviceId, groupId, facingMode, echoCancellation, …"""
    video_modes: tuple[VideoGeometry, ...] = ()
    audio_modes: tuple[AudioFormat, ...] = ()
    controls: Mapping[str, Control] = field(default_factory=dict)
    """What can be set on the device itself, by name."""
    keeps_aspect: bool = False
    """A display surface is scaled, never cropped (Screen Capture 5.4)."""
    lists: frozenset[str] = field(
        default=frozenset({"facingMode", "echoCancellation", "autoGainControl", "noiseSuppression"})
    )
    """The fixed properties whose capability is a list of values."""

    def resized(self, width: int, height: int) -> "ConstrainableObject":
        """The same surface in another size."""
        modes = tuple(VideoGeometry(width, height, mode.frame_rate) for mode in self.video_modes)
        return replace(self, video_modes=modes)


def capabilities(device: ConstrainableObject) -> dict[str, Any]:
    """What `getCapabilities()` returns: a fresh dictionary in which every setting lies."""
    result: dict[str, Any] = {
        name: [value] if name in device.lists else value for name, value in device.fixed.items()
    }
    if device.video_modes:
        width = max(mode.width for mode in device.video_modes)
        height = max(mode.height for mode in device.video_modes)
        rate = max(mode.frame_rate for mode in device.video_modes)
        result |= {
            "width": {"min": 1, "max": width},
            "height": {"min": 1, "max": height},
            "aspectRatio": {"min": round(1 / height, 10), "max": float(width)},
            "frameRate": {"min": 0.0, "max": float(rate)},
            "resizeMode": list(RESIZE_MODES),
        }
        if device.keeps_aspect:
            aspect = round(width / height, 10)
            result["aspectRatio"] = {"min": aspect, "max": aspect}
            result["width"]["min"] = max(1, round(aspect))
            result["height"]["min"] = max(1, round(1 / aspect))
    for name, control in device.controls.items():
        if isinstance(control.allowed, ControlRange):
            allowed = control.allowed
            result[name] = {"min": allowed.min, "max": allowed.max, "step": allowed.step}
        elif isinstance(control.allowed, tuple):
            result[name] = list(control.allowed)
    if device.audio_modes:
        sizes = [mode.sample_size for mode in device.audio_modes]
        latencies = [mode.latency for mode in device.audio_modes]
        result |= {
            "sampleRate": {"min": MIN_SAMPLE_RATE, "max": max_sample_rate(device)},
            "channelCount": {"min": 1, "max": max(m.channel_count for m in device.audio_modes)},
            "sampleSize": {"min": min(sizes), "max": max(sizes)},
            "latency": {"min": min(latencies), "max": max(latencies)},
        }
    return result


def max_sample_rate(device: ConstrainableObject) -> int:
    """The highest rate that the microphone has, or that lower ones are resampled to."""
    return max(MIN_SAMPLE_RATE, *(mode.sample_rate for mode in device.audio_modes))
