"""Whether this is a container, and what it would have to be given."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..devices.nodes import read_attribute
from .finding import Finding


@dataclass(frozen=True)
class Surroundings:
    """What can be seen from inside."""

    kind: str
    """docker, podman, kubernetes, lxc or WSL; empty outside of them."""
    cameras: bool
    """Whether there is a /dev/video*."""
    sound: bool
    """Whether there is a /dev/snd."""
    display: bool
    """Whether DISPLAY is set."""
    bridged: bool
    """Whether the network is one that was made for the container."""


async def examine(root: Path = Path("/")) -> list[Finding]:
    """Look at the files that tell.

    :param root: the folder that stands for /.
    """
    return judge(
        Surroundings(
            kind=container_kind(root, os.environ),
            cameras=any((root / "dev").glob("video*")),
            sound=(root / "dev/snd").exists(),
            display=bool(os.environ.get("DISPLAY")),
            bridged=any(map(_is_one_end, (root / "sys/class/net").glob("*"))),
        )
    )


def _is_one_end(interface: Path) -> bool:
    """Of a pair whose other end is outside: the kernel then names another interface as its link."""
    number = read_attribute(interface / "ifindex")
    return read_attribute(interface / "iflink") not in ("", "0", number)


def container_kind(root: Path, environment: Mapping[str, str]) -> str:
    """What this runs in, by the files that each of them leaves; empty for none."""
    if "KUBERNETES_SERVICE_HOST" in environment:
        return "kubernetes"
    if (root / "run/.containerenv").exists():
        return "podman"
    if (root / ".dockerenv").exists():
        return "docker"
    named = environment.get("container", "") or read_attribute(root / "run/systemd/container")
    return named or kind_in_cgroup(read_attribute(root / "proc/1/cgroup")) or kind_in_version(
        read_attribute(root / "proc/version")
    )  # fmt: skip


def kind_in_cgroup(text: str) -> str:
    """What the paths in `/proc/1/cgroup` tell; empty for nothing (always so with cgroups 2 and a
    namespace of its own)."""
    marks = {"kubepods": "kubernetes", "libpod": "podman", "docker": "docker", "lxc": "lxc"}
    return next((kind for mark, kind in marks.items() if mark in text), "")


def kind_in_version(text: str) -> str:
    """What `/proc/version` tells; empty for nothing."""
    return "WSL" if "microsoft" in text.lower() else ""


def judge(here: Surroundings) -> list[Finding]:
    """What is missing in a container, and how to give it."""
    if not here.kind:
        return [Finding("container", "ok", "This is no container")]
    article = "an" if here.kind == "lxc" else "a"
    name = "WSL" if here.kind == "WSL" else f"{article} {here.kind} container"
    lacks = {
        "cameras": not here.cameras,
        "sound cards": not here.sound,
        "an X11 display": not here.display,
        "the host's network (viewers can't reach its UDP ports)": here.bridged,
    }
    missing = [thing for thing, is_missing in lacks.items() if is_missing]
    if not missing:
        return [Finding("container", "ok", f"This is {name}, and lacks nothing that is known of")]
    return [
        Finding(
            "container",
            "warning",
            f"This is {name} without {_listed(missing)}",
            _remedy(here),
        )
    ]


def _remedy(here: Surroundings) -> str:
    if here.kind == "kubernetes":
        return (
            "Of these, what is to be published needs in the pod: `hostNetwork: true` for UDP, and "
            "a device plugin (or a privileged pod with hostPath volumes) for /dev/video0, /dev/snd"
        )
    if here.kind == "WSL":
        return (
            "Attach a USB camera with `usbipd attach --wsl` (its kernel needs the uvcvideo "
            "driver), and set `networkingMode=mirrored` in .wslconfig for UDP"
        )
    if here.kind == "lxc":
        return (
            "Add what is to be published with `lxc config device add NAME video0 unix-char "
            "path=/dev/video0` (and /dev/snd), and a bridged network of the host's for UDP"
        )
    flags = []
    if not here.cameras:
        flags.append("--device /dev/video0 --group-add video")
    if not here.sound:
        flags.append("--device /dev/snd --group-add audio")
    if not here.display:
        flags.append("--env DISPLAY --volume /tmp/.X11-unix:/tmp/.X11-unix")
    if here.bridged:
        flags.append("--network host")
    command = "podman" if here.kind == "podman" else "docker"
    return f"Give what is to be published: `{command} run {' '.join(flags)} …`"


def _listed(things: list[str]) -> str:
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)
