"""Device nodes of a Linux system: why one won't open, who holds it, what it is part of."""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

from .backend import DeviceBusy, DeviceError, DeviceForbidden, DeviceLost

if sys.platform != "win32":
    import grp


def holders(path: str) -> list[str]:
    """The programs that have a file open, as `name (pid 123)`, as far as this user may know."""
    return [
        f"{read_attribute(process / 'comm')} (pid {process.name})"
        for process in Path("/proc").glob("[0-9]*")
        if _has_open(process / "fd", path)
    ]


def _has_open(descriptors: Path, path: str) -> bool:
    try:
        names = os.listdir(descriptors)
    except OSError:  # another user's process, or one that has just ended
        return False
    for name in names:
        try:
            if os.readlink(descriptors / name) == path:
                return True
        except OSError:  # closed since
            continue
    return False


def forbidden(label: str, node: str) -> str:
    """Says that this user may not open a device node, and what would allow it."""
    with suppress(OSError):  # the node may have gone since
        status = os.stat(node)
        if status.st_gid and status.st_mode & 0o060 == 0o060:
            group = _group_name(status.st_gid)
            remedy = f"add the user to the group {group} (`sudo usermod -aG {group} $USER`)"
        else:
            group = "audio" if "/snd/" in node else "video"
            remedy = f"let its group (`sudo chgrp {group} {node} && sudo chmod g+rw {node}`)"
        return f"This user may not open {label} ({node}): {remedy} and log in again"
    return f"{label} is no longer at {node}"


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:  # a container that has the host's node and not its groups
        return str(number)


def open_error(code: int | None, label: str, node: str) -> DeviceError:
    """What a failure to open a device node or to start it means.

    :param code: the system's error number. The caller has closed the node again, so as not to be
        named as its holder.
    """
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or not os.path.exists(node):
        return DeviceLost(f"{label} is no longer at {node}")
    if code in (errno.EACCES, errno.EPERM):
        return DeviceForbidden(forbidden(label, node))
    if code == errno.EBUSY:
        by = " and ".join(holders(node)) or "a program of another user"
        return DeviceBusy(f"{label} ({node}) is in use by {by}")
    if code == errno.ENOSPC:
        return DeviceError(
            f"{label} ({node}) needs more USB bandwidth than is left: ask for a smaller picture, "
            "or plug it into another USB controller"
        )
    return DeviceError(f"{label} ({node}) could not be started: {os.strerror(code or errno.EIO)}")


def read_attribute(path: Path) -> str:
    """The text of a file in /sys or /proc; empty when there is none."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def physical_parent(device: Path) -> Path | None:
    """The folder in /sys of the USB device or PCI card that a device is a function of."""
    device = device.resolve()
    for folder in (device, *device.parents):
        if (folder / "idVendor").exists():
            return folder
        if (folder / "subsystem").resolve().name == "pci":
            return folder
    return None
