"""The screens, monitors and windows of an X11 display."""

import os
from collections.abc import Callable

from .backend import DeviceDescription, DeviceError, DeviceLost, Mode, VideoMode
from .hotplug import watch_paths
from .x11 import Connection, XError
from .x11_capture import X11Capture
from .x11_display import SOCKETS, Display
from .x11_surfaces import find_surfaces
from .x11_watch import watch_display


class ScreenBackend:
    """One screen of an X11 display: the whole, each of its monitors when there are several, and
    each window.

    :param display: as in the environment's DISPLAY, which it is by default.
    """

    name = "screen"

    def __init__(self, display: str | None = None) -> None:
        self._display = display

    def list_devices(self) -> list[DeviceDescription]:
        name = self._name()
        if not name:
            return []
        try:
            display = Display.parse(name)
        except ValueError as error:
            return [_unusable(name, str(error))]
        try:
            connection = Connection(display)
            try:
                return [surface.description for surface in find_surfaces(connection)]
            finally:
                connection.close()
        except (OSError, DeviceError, XError) as error:
            return [_unusable(str(display), f"The X11 display {display} can't be used: {error}")]

    def open(self, device: DeviceDescription, mode: Mode) -> X11Capture:
        if not isinstance(mode, VideoMode):
            raise DeviceError(f"{device.label} is a screen: it needs a VideoMode, not {mode}")
        try:
            connection = Connection(Display.parse(self._name()))
        except (ValueError, OSError, DeviceError) as error:
            raise DeviceLost(f"{device.label} can't be captured: {error}") from error
        try:
            for surface in find_surfaces(connection):
                if surface.description.hardware_id == device.hardware_id:
                    if surface.description.unusable:
                        raise DeviceError(surface.description.unusable)
                    return X11Capture(connection, surface, mode)
            raise DeviceLost(f"{device.label} is no longer there")
        except (OSError, XError) as error:
            connection.close()
            raise DeviceLost(f"{device.label} can't be captured: {error}") from error
        except BaseException:
            connection.close()
            raise

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Notices servers of this machine that start and end, windows and monitors that come, go
        and change their size, and windows that are renamed."""
        try:
            display = Display.parse(self._name())
        except ValueError:  # no display: what there is to notice is a server that starts
            return watch_paths([f"{SOCKETS}/X*"], changed)
        return watch_display(display, changed)

    def _name(self) -> str:
        return os.environ.get("DISPLAY", "") if self._display is None else self._display


def _unusable(name: str, reason: str) -> DeviceDescription:
    """The screen of a display that doesn't answer; known by the same id as when it does."""
    return DeviceDescription(
        kind="display",
        hardware_id=f"x11/{name}",
        label=f"Screen {name}",
        modes=(),
        location=name,
        group=f"x11/{name}",
        default=True,
        display_surface="monitor",
        unusable=reason,
    )
