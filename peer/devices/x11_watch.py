"""When the surfaces of an X11 display change: by the events of its windows, in a thread."""

import select
import socket
import struct
import threading
from collections.abc import Callable

from .backend import DeviceDescription, DeviceError
from .hotplug import watch_paths
from .x11 import Connection, XError
from .x11_display import SOCKETS, Display
from .x11_requests import (
    CREATE_NOTIFY,
    PROPERTY_CHANGE,
    PROPERTY_NOTIFY,
    STRUCTURE_NOTIFY,
    SUBSTRUCTURE_NOTIFY,
    select_events,
)
from .x11_surfaces import DETAILS, find_surfaces, intern_atoms

LOOK_INTERVAL = 0.25
"""Seconds between two looks at the windows: moving one makes hundreds of events."""
RETRY_INTERVAL = 5.0
"""Seconds until a server is tried again that is there and doesn't answer; it may be starting."""


def watch_display(display: Display, changed: Callable[[], None]) -> Callable[[], None]:
    """Call `changed()` in a thread when the display's server starts or ends, and when the
    descriptions of its surfaces change.

    Returns once it is known what there is now, to notice every change from then on.

    :return: ends the watch; `changed` isn't called again once it has returned.
    """
    watch = _Watch(display, changed)
    thread = threading.Thread(target=watch.run, name=f"watch {display}", daemon=True)
    thread.start()
    watch.ready.wait()

    def stop() -> None:
        if thread.is_alive():
            watch.end()
        if thread is not threading.current_thread():
            thread.join()

    return stop


class _Watch:
    def __init__(self, display: Display, changed: Callable[[], None]) -> None:
        self.ready = threading.Event()
        self._display = display
        self._changed = changed
        self._ended = threading.Event()
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._known: list[DeviceDescription] | None = None
        """None before the first look, and then nothing is news."""
        self._dirty = False
        self._atoms: set[int] = set()
        self._selected: set[int] = set()

    def end(self) -> None:
        self._ended.set()
        self._wake()

    def run(self) -> None:
        with self._waker, self._woken:
            stop_paths = watch_paths([f"{SOCKETS}/X*"], self._wake)
            try:
                while not self._ended.is_set():
                    retry = self._try_server()
                    self.ready.set()
                    self._wait(None, retry)
            finally:
                stop_paths()
                self.ready.set()

    def _try_server(self) -> float | None:
        """Follow the server as long as it is there; when to try again, if not at its start."""
        try:
            connection = Connection(self._display, self._take_event)
            try:
                self._follow(connection)
            finally:
                connection.close()
        except (FileNotFoundError, DeviceError):  # not there, or not for us
            self._learn([])
        except (OSError, XError):
            self._learn([])
            return RETRY_INTERVAL
        return None

    def _follow(self, connection: Connection) -> None:
        self._selected = set()
        self._atoms = set(intern_atoms(connection, (*DETAILS, "_NET_CLIENT_LIST")).values())
        mask = SUBSTRUCTURE_NOTIFY | STRUCTURE_NOTIFY | PROPERTY_CHANGE
        connection.send(select_events(connection.screen.root, mask))
        self._look(connection)
        self.ready.set()
        while not self._ended.is_set():
            if self._dirty:
                self._wait(None, LOOK_INTERVAL)
                if not self._ended.is_set():
                    self._look(connection)
            else:
                self._wait(connection, None)
                connection.receive_events()

    def _look(self, connection: Connection) -> None:
        """See what there is, and have the events of windows that are new."""
        self._dirty = False
        surfaces = find_surfaces(connection)
        windows = {surface.window for surface in surfaces} - {connection.screen.root}
        for window in windows - self._selected:
            connection.send(select_events(window, STRUCTURE_NOTIFY | PROPERTY_CHANGE))
            self._dirty = True  # it may have changed before its events were to be had
        connection.settle_all()
        self._selected = windows
        self._learn([surface.description for surface in surfaces])

    def _learn(self, descriptions: list[DeviceDescription]) -> None:
        known, self._known = self._known, descriptions
        if known is not None and known != descriptions:
            self._changed()

    def _take_event(self, event: bytes) -> None:
        if event[0] == PROPERTY_NOTIFY:
            (atom,) = struct.unpack_from("<I", event, 8)
            self._dirty |= atom in self._atoms
        elif event[0] != CREATE_NOTIFY:  # a window is nothing to see until it is mapped
            self._dirty = True

    def _wake(self) -> None:
        self._waker.send(b"!")

    def _wait(self, connection: Connection | None, timeout: float | None) -> None:
        """Wait until something happens to the connection, or to the sockets of servers, or the
        watch is ended."""
        if self._ended.is_set():  # and what woke it may be read already
            return
        waited: list[socket.socket | Connection] = [self._woken]
        if connection is not None:
            waited.append(connection)
        ready, _, _ = select.select(waited, [], [], timeout)
        if self._woken in ready:
            self._woken.recv(1024)
            if not self._ended.is_set():
                self._changed()
