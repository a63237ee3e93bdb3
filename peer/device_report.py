"""What `python -m peer --devices` prints: every device, and why one can't be used."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from .capture.device_catalog import DeviceCatalog
from .capture.shared_device import SharedDevice
from .constraints.types import FacingMode
from .devices.backend import Backend, DeviceDescription, VideoMode
from .devices.system import system_backends
from .devices.virtual import VirtualBackend

_TITLES = {"videoinput": "Cameras", "audioinput": "Microphones", "display": "Screens and windows",
           "displayaudio": "Sound of the computer"}  # fmt: skip


def device_report(
    *,
    fake: bool = False,
    as_json: bool = False,
    facing_modes: Mapping[str, FacingMode] | None = None,
) -> str:
    """The devices of this computer, or the virtual ones, as a text for people or as JSON. Blocks.

    Nothing is opened for capture.

    :param facing_modes: as `MediaDevices` takes them.
    """
    backends: list[Backend] = [VirtualBackend()] if fake else system_backends()
    catalog = DeviceCatalog(backends, facing_modes=facing_modes)
    kinds = list(_TITLES)
    devices = sorted(
        asyncio.run(catalog.devices()), key=lambda device: kinds.index(device.description.kind)
    )
    if as_json:
        return json.dumps([_as_dict(device) for device in devices], indent=2)
    lines: list[str] = []
    for kind, title in _TITLES.items():
        of_kind = [device for device in devices if device.description.kind == kind]
        if not of_kind and kind == "displayaudio":
            continue  # few systems have it, and nobody misses it
        lines.append(f"{title}:")
        if not of_kind:
            lines.append("  none")
        for device in of_kind:
            lines += _lines(device)
    return "\n".join(lines)


def _lines(device: SharedDevice) -> list[str]:
    description, fixed = device.description, device.constrainable.fixed
    facing = f", faces {fixed['facingMode']}" if "facingMode" in fixed else ""
    default = ", default" if description.default else ""
    lines = [f"  {description.label} ({description.location}{facing}{default})"]
    if description.unusable:
        return [*lines, f"    can't be used: {description.unusable}"]
    if description.kind in ("videoinput", "audioinput"):
        lines.append(f"    deviceId {fixed['deviceId']}")
    lines += [f"    {mode}" for mode in _modes(description)]
    if description.controls:
        lines.append(f"    can be set: {', '.join(c.name for c in description.controls)}")
    return lines


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


def _as_dict(device: SharedDevice) -> dict[str, Any]:
    description, fixed = device.description, device.constrainable.fixed
    modes = [
        {"width": m.width, "height": m.height, "frameRate": m.frame_rate, "format": m.pixel_format}
        if isinstance(m, VideoMode)
        else {"sampleRate": m.sample_rate, "channelCount": m.channel_count}
        for m in description.modes
    ]
    chosen_by_id = description.kind in ("videoinput", "audioinput")
    return {
        "kind": description.kind,
        "label": description.label,
        "deviceId": fixed["deviceId"] if chosen_by_id else None,
        "location": description.location,
        "facingMode": fixed.get("facingMode"),
        "default": description.default,
        "unusable": description.unusable or None,
        "controls": [control.name for control in description.controls],
        "modes": modes,
    }
