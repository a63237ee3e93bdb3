"""What `python -m peer --devices` prints: every device, and why one can't be used."""

import json
from typing import Any

from .devices.backend import Backend, DeviceDescription, VideoMode
from .devices.system import system_backends
from .devices.virtual import VirtualBackend

_TITLES = {"videoinput": "Cameras", "audioinput": "Microphones", "display": "Screens"}


def device_report(*, fake: bool = False, as_json: bool = False) -> str:
    """The devices of this computer, or the virtual ones, as a text for people or as JSON. Blocks.

    Nothing is opened for capture.
    """
    backends: list[Backend] = [VirtualBackend()] if fake else system_backends()
    devices = [device for backend in backends for device in backend.list_devices()]
    if as_json:
        return json.dumps([_as_dict(device) for device in devices], indent=2)
    lines: list[str] = []
    for kind, title in _TITLES.items():
        lines.append(f"{title}:")
        of_kind = [device for device in devices if device.kind == kind]
        if not of_kind:
            lines.append("  none")
        for device in of_kind:
            lines += _lines(device)
    return "\n".join(lines)


def _lines(device: DeviceDescription) -> list[str]:
    facing = f", faces {device.facing_mode}" if device.facing_mode else ""
    default = ", default" if device.default else ""
    lines = [f"  {device.label} ({device.location}{facing}{default})"]
    if device.unusable:
        return [*lines, f"    can't be used: {device.unusable}"]
    return [*lines, *(f"    {mode}" for mode in _modes(device))]


def _modes(device: DeviceDescription) -> list[str]:
    rates: dict[tuple[int, int], set[float]] = {}
    sounds: list[str] = []
    for mode in device.modes:
        if isinstance(mode, VideoMode):
            rates.setdefault((mode.width, mode.height), set()).add(mode.frame_rate)
        else:
            sounds.append(str(mode))
    pictures = [
        f"{width}x{height} at {', '.join(f'{rate:g}' for rate in sorted(of_size))}"
        for (width, height), of_size in sorted(rates.items())
    ]
    return [*pictures, *sounds]


def _as_dict(device: DeviceDescription) -> dict[str, Any]:
    modes = [
        {"width": m.width, "height": m.height, "frameRate": m.frame_rate, "format": m.pixel_format}
        if isinstance(m, VideoMode)
        else {"sampleRate": m.sample_rate, "channelCount": m.channel_count}
        for m in device.modes
    ]
    return {
        "kind": device.kind,
        "label": device.label,
        "location": device.location,
        "facingMode": device.facing_mode,
        "default": device.default,
        "unusable": device.unusable or None,
        "modes": modes,
    }
