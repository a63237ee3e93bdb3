"""Which cameras, microphones and screens can be used, and why the others can't."""

import asyncio
from collections.abc import Sequence

from ..devices.backend import Backend, DeviceDescription, DeviceError
from ..devices.system import system_backends
from .finding import Finding
from .threads import in_thread

LISTING_TIMEOUT = 5.0
"""Seconds for one backend: a working driver answers in milliseconds, one whose device hangs on the
bus after its own time-out of some seconds, or never."""

_SUBJECTS = {"videoinput": "camera", "audioinput": "microphone", "display": "screen"}

_NONE = {
    "camera": (
        "There is no camera",
        "Plug one in (`ls /dev/video*` shows it), give a container `--device /dev/video0 "
        "--group-add video`, or publish a virtual one with `--fake`",
    ),
    "microphone": (
        "There is no microphone",
        "Plug one in (`arecord -l` shows it), give a container `--device /dev/snd "
        "--group-add audio`, or publish a virtual one with `--fake`",
    ),
    "screen": (
        "There is no X11 screen",
        "Run it in a desktop session, or let DISPLAY name the X11 server if a screen is to be "
        "published",
    ),
}


async def examine(backends: Sequence[Backend] | None = None) -> list[Finding]:
    """List the devices of every backend, side by side.

    :param backends: those of this system when None.
    """
    listed = await asyncio.gather(
        *(_list(backend) for backend in (system_backends() if backends is None else backends))
    )
    devices: list[DeviceDescription] = []
    failures: list[Finding] = []
    for outcome in listed:
        if isinstance(outcome, Finding):
            failures.append(outcome)
        else:
            devices += outcome
    return [*failures, *judge(devices)]


async def _list(backend: Backend) -> Sequence[DeviceDescription] | Finding:
    try:
        return await in_thread(backend.list_devices, LISTING_TIMEOUT)
    except TimeoutError:
        text = f"The {backend.name} devices could not be listed within {LISTING_TIMEOUT:g} s"
    except (DeviceError, OSError) as error:
        text = f"The {backend.name} devices could not be listed: {error}"
    return Finding(
        "devices",
        "warning",
        text,
        "See the end of `dmesg`, and unplug the device that it names",
    )


def judge(devices: Sequence[DeviceDescription]) -> list[Finding]:
    """What the list of devices means."""
    findings: list[Finding] = []
    for kind, subject in _SUBJECTS.items():
        of_kind = [device for device in devices if device.kind == kind]
        usable = [device for device in of_kind if not device.unusable]
        if usable:
            findings.append(Finding(subject, "ok", _named(subject, usable)))
        elif not of_kind:
            findings.append(Finding(subject, "warning", *_NONE[subject]))
        findings += [_why_unusable(subject, device) for device in of_kind if device.unusable]
    if not any(finding.level == "ok" for finding in findings):
        findings.append(
            Finding(
                "devices",
                "problem",
                "Nothing can be published but virtual devices",
                "Follow what is said of the camera, the microphone or the screen; `--fake` shows "
                "meanwhile whether viewers can connect",
            )
        )
    return findings


def _named(subject: str, devices: Sequence[DeviceDescription]) -> str:
    names = ", ".join(f"{device.label} ({device.location})" for device in devices)
    count = len(devices)
    return f"{count} {subject}{'' if count == 1 else 's'} can be used: {names}"


def _why_unusable(subject: str, device: DeviceDescription) -> Finding:
    """The sentences of the backends end with what to do, after a colon, where they know it."""
    why, _, remedy = device.unusable.rpartition(": ")
    if subject == "screen":
        why, remedy = device.unusable, (
            "Let DISPLAY and XAUTHORITY have the values that they have in the desktop session"
        )  # fmt: skip
    elif not why:
        why, remedy = device.unusable, (
            "Unplug it and plug it in again; a virtual camera needs a program that feeds it"
        )  # fmt: skip
    return Finding(subject, "warning", why, remedy[0].upper() + remedy[1:])
