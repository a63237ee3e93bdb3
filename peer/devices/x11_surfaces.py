"""What an X11 screen shows that can be captured: all of it, its monitors, its windows."""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from ..controls import Control
from .backend import DeviceDescription, VideoMode
from .x11 import BAD_VALUE, Connection, XError
from .x11_requests import (
    Geometry,
    Monitor,
    composite_name_window_pixmap,
    composite_redirect_window,
    free_pixmap,
    get_atom_name,
    get_geometry,
    get_property,
    get_window_attributes,
    intern_atom,
    query_tree,
    randr_get_monitors,
)

FRAME_RATES = (30.0, 60.0)
"""The cheaper first: capturing and converting a screen costs more than a camera."""
PIXEL_FORMATS = {(24, 32): "bgr0", (32, 32): "bgr0", (16, 16): "rgb565le"}
"""FFmpeg's names, by the bits of colour and the bits of a pixel. A window's transparency is not
taken: what shines through it isn't its own."""
NOT_WINDOWS = ("DESKTOP", "DOCK", "SPLASH", "TOOLTIP", "NOTIFICATION", "DND")
"""What a window manager looks after, and nobody calls a window; of _NET_WM_WINDOW_TYPE."""
DETAILS = ("_NET_WM_NAME", "WM_NAME", "WM_CLASS", "_NET_WM_WINDOW_TYPE")
"""Properties of a window that the list of devices depends on."""


@dataclass(frozen=True)
class Place:
    """Where a surface's pixels are at the moment."""

    drawable: int
    border: int
    """Pixels of the drawable that come before the upper left corner, each way."""
    x: int
    y: int
    """The picture's upper left corner, from that of the surface's `window`."""
    width: int
    height: int
    depth: int
    shown: bool = field(default=True, compare=False)
    """False of a window that is minimised or otherwise has no pixels."""


CURSOR_VALUES = ("always", "motion", "never")
CURSOR = Control("cursor", CURSOR_VALUES, "always")
"""Whether the mouse's pointer is drawn: `motion` is only while it moves (Screen Capture 5.4)."""


class Surface(Protocol):
    """Something to capture, on a connection of its own."""

    description: DeviceDescription
    window: int
    """The window that a pointer over this surface is looked for in."""

    def begin(self) -> None:
        """Ask for what capturing needs, once."""

    def locate(self) -> Callable[[], Place]:
        """Ask for its place; the answer, once all answers are there, raises XError when the
        surface is no more. A picture may be asked for next."""

    def release(self) -> None:
        """After `locate()` and after asking for a picture."""


class WholeScreen:
    """The root window."""

    def __init__(self, connection: Connection, geometry: Geometry) -> None:
        self._connection = connection
        self.window = connection.screen.root
        name = str(connection.display)
        self.description = _description(
            connection, geometry, "monitor", f"x11/{name}", f"Screen {name}", default=True
        )

    def begin(self) -> None:
        pass

    def locate(self) -> Callable[[], Place]:
        geometry = self._connection.send(get_geometry(self.window))

        def place() -> Place:
            depth, width, height, _ = geometry.get()
            return Place(self.window, 0, 0, 0, width, height, depth)

        return place

    def release(self) -> None:
        pass


class MonitorSurface:
    """What one of several monitors shows of the root window."""

    def __init__(self, connection: Connection, randr: int, monitor: Monitor, name: str) -> None:
        self._connection = connection
        self._randr = randr
        self._name = monitor.name
        self._depth = connection.screen.depth
        self.window = connection.screen.root
        self.description = _description(
            connection,
            Geometry(self._depth, monitor.width, monitor.height, 0),
            "monitor",
            f"x11/{connection.display}/monitor/{name}",
            f"Monitor {name}",
        )

    def begin(self) -> None:
        pass

    def locate(self) -> Callable[[], Place]:
        monitors = self._connection.send(randr_get_monitors(self._randr, self.window))

        def place() -> Place:
            for name, x, y, width, height in monitors.get():
                if name == self._name:
                    return Place(self.window, 0, x, y, width, height, self._depth)
            raise XError(BAD_VALUE)

        return place

    def release(self) -> None:
        pass


class WindowSurface:
    """A window, also where others cover it: it gets memory of its own by the Composite extension.

    That memory changes when the window is resized, and when it is mapped again, so it is named
    anew for each picture; which costs the server next to nothing.
    """

    def __init__(
        self, connection: Connection, composite: int, window: int, geometry: Geometry, label: str
    ) -> None:
        self._connection = connection
        self._composite = composite
        self._pixmap = 0
        self.window = window
        self.description = _description(
            connection,
            geometry,
            "window",
            f"x11/{connection.display}/window/{window:#x}",
            label,
            unusable=""
            if composite
            else f"{label} can't be captured: the X server has no Composite extension",
        )

    def begin(self) -> None:
        self._pixmap = self._connection.new_id()
        self._connection.send(composite_redirect_window(self._composite, self.window))

    def locate(self) -> Callable[[], Place]:
        attributes = self._connection.send(get_window_attributes(self.window))
        geometry = self._connection.send(get_geometry(self.window))
        self._connection.send(
            composite_name_window_pixmap(self._composite, self.window, self._pixmap)
        )

        def place() -> Place:
            shown = attributes.get().viewable
            depth, width, height, border = geometry.get()
            return Place(self._pixmap, border, 0, 0, width, height, depth, shown)

        return place

    def release(self) -> None:
        self._connection.send(free_pixmap(self._pixmap))


def find_surfaces(connection: Connection) -> list[Surface]:
    """The whole screen, then its monitors if there are several, then its windows.

    :raises OSError: the connection is lost.
    """
    root = connection.screen.root
    surfaces: list[Surface] = [WholeScreen(connection, connection.ask(get_geometry(root)))]
    if randr := connection.extension("RANDR", 1, 5):
        monitors = connection.ask(randr_get_monitors(randr, root))
        if len(monitors) > 1:
            for monitor in monitors:
                name = connection.ask(get_atom_name(monitor.name))
                surfaces.append(MonitorSurface(connection, randr, monitor, name))
    surfaces += _windows(connection)
    return surfaces


def _windows(connection: Connection) -> list[Surface]:
    composite = connection.extension("Composite", 0, 2)
    atoms = intern_atoms(connection, DETAILS)
    ignored = {
        atom.to_bytes(4, "little")
        for atom in intern_atoms(
            connection, [f"_NET_WM_WINDOW_TYPE_{name}" for name in NOT_WINDOWS]
        ).values()
    }
    managed = _managed_windows(connection)
    windows = connection.ask(query_tree(connection.screen.root)) if managed is None else managed
    asked = [
        (
            window,
            connection.send(get_window_attributes(window)),
            connection.send(get_geometry(window)),
            {name: connection.send(get_property(window, atom)) for name, atom in atoms.items()},
        )
        for window in windows
    ]
    connection.settle_all()
    surfaces: list[Surface] = []
    for window, asked_attributes, asked_geometry, asked_details in asked:
        try:
            attributes, geometry = asked_attributes.get(), asked_geometry.get()
            details = {name: answer.get() for name, answer in asked_details.items()}
        except XError:  # closed since
            continue
        label = _label(details)
        shown = attributes.viewable and not attributes.override_redirect
        known = managed is not None or (shown and label)
        if known and attributes.has_pixels and details["_NET_WM_WINDOW_TYPE"][:4] not in ignored:
            surfaces.append(
                WindowSurface(connection, composite, window, geometry, label or f"{window:#x}")
            )
    return surfaces


def _managed_windows(connection: Connection) -> list[int] | None:
    """The programs' windows as the window manager lists them; None when there is no manager.

    One that has died leaves its list behind, but not the window that shows that it lives (Extended
    Window Manager Hints, _NET_SUPPORTING_WM_CHECK).
    """
    check, client_list = intern_atoms(
        connection, ("_NET_SUPPORTING_WM_CHECK", "_NET_CLIENT_LIST")
    ).values()
    root = connection.screen.root
    mark = connection.ask(get_property(root, check))
    if len(mark) != 4:
        return None
    try:
        alive = connection.ask(get_property(int.from_bytes(mark, "little"), check)) == mark
    except XError:
        return None
    windows = connection.ask(get_property(root, client_list))
    return [window for (window,) in struct.iter_unpack("<I", windows)] if alive else None


def intern_atoms(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """The numbers of some names."""
    answers = {name: connection.send(intern_atom(name)) for name in names}
    connection.settle_all()
    return {name: answer.get() for name, answer in answers.items()}


def _label(details: dict[str, bytes]) -> str:
    """A window's title and, in brackets, its program; empty when it has neither."""
    title = _text(details["_NET_WM_NAME"]) or _text(details["WM_NAME"])
    _, _, program = _text(details["WM_CLASS"].rstrip(b"\0")).rpartition("\0")
    return f"{title} ({program})" if title and program else title or program


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:  # an older program's
        return data.decode("latin-1")


def _description(
    connection: Connection,
    geometry: Geometry,
    display_surface: str,
    hardware_id: str,
    label: str,
    default: bool = False,
    unusable: str = "",
) -> DeviceDescription:
    pixel_format = pixel_format_of(connection, geometry.depth)
    if not pixel_format:
        unusable = f"{label} has {geometry.depth} bits of colour: only 16 and 24 can be captured"
    modes = [VideoMode(geometry.width, geometry.height, rate, pixel_format) for rate in FRAME_RATES]
    return DeviceDescription(
        kind="display",
        hardware_id=hardware_id,
        label=label,
        modes=() if unusable else tuple(modes),
        location=str(connection.display),
        group=f"x11/{connection.display}",
        default=default,
        display_surface=display_surface,
        controls=() if unusable else (CURSOR,),
        unusable=unusable,
    )


def pixel_format_of(connection: Connection, depth: int) -> str:
    """FFmpeg's name of what a drawable of so many bits of colour consists of; empty when it has
    none."""
    return PIXEL_FORMATS.get((depth, connection.bits_per_pixel.get(depth, 0)), "")
