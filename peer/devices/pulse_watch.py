"""When the sources of a sound server change, and when the server itself comes or goes."""

import os
import re
import threading
from collections.abc import Callable, Sequence

from . import libpulse
from .backend import DeviceDescription
from .hotplug import watch_paths
from .pulse_connection import Connection, PulseError

RETRY_INTERVAL = 5.0
"""Seconds until a server is looked for again where its socket gives no sign: one on another
computer. A look where there is none takes about a millisecond."""
STARTING = 0.05
"""The same after a sign, twice as many each time: a socket is there before who listens to it."""


def watch_server(
    server: str | None,
    look: Callable[[Connection], Sequence[DeviceDescription]],
    changed: Callable[[], None],
) -> Callable[[], None]:
    """Call `changed()` in a thread when the server starts or ends, and when what there is to see
    has changed.

    Returns once it is known what there is now, to notice every change from then on.

    :return: ends the watch; `changed` isn't called again once it has returned.
    """
    watch = _Watch(server, look, changed)
    thread = threading.Thread(target=watch.run, name="sound server watch", daemon=True)
    thread.start()
    watch.ready.wait()

    def stop() -> None:
        watch.end()
        if thread is not threading.current_thread():
            thread.join()

    return stop


class _Watch:
    def __init__(
        self,
        server: str | None,
        look: Callable[[Connection], Sequence[DeviceDescription]],
        changed: Callable[[], None],
    ) -> None:
        self.ready = threading.Event()
        self._server = server
        self._look = look
        self._changed = changed
        self._ended = threading.Event()
        self._sign = threading.Event()
        """Of a server that may have come, or of the end."""
        self._connection: Connection | None = None
        self._known: Sequence[DeviceDescription] | None = None
        """None before the first look, and then nothing is news."""
        self._dirty = False

    def end(self) -> None:
        self._ended.set()
        self._sign.set()
        if (connection := self._connection) is not None:
            connection.wake()

    def run(self) -> None:
        stop_paths = watch_paths(sockets(self._server), self._sign.set)
        patience = RETRY_INTERVAL
        try:
            while not self._ended.is_set():
                self._sign.clear()
                try:
                    self._follow()
                except PulseError:  # there is none, or no longer
                    self._learn([])
                self.ready.set()
                if not self._ended.is_set():
                    is_sign = self._sign.wait(patience)
                    patience = STARTING if is_sign else min(2 * patience, RETRY_INTERVAL)
        finally:
            self.ready.set()
            stop_paths()

    def _follow(self) -> None:
        """Follow a server to its end, or the watch's.

        :raises PulseError: there is no server, or no longer.
        """
        connection = self._connection = Connection(self._server)
        try:
            connection.subscribe(libpulse.EVENTS_SOURCE | libpulse.EVENTS_SERVER, self._soil)
            self._dirty = True
            while not self._ended.is_set():
                if self._dirty:
                    self._dirty = False
                    self._learn(self._look(connection))
                    self.ready.set()
                else:
                    connection.turn(None)
        finally:
            self._connection = None
            connection.close()

    def _soil(self) -> None:
        self._dirty = True

    def _learn(self, descriptions: Sequence[DeviceDescription]) -> None:
        known, self._known = self._known, descriptions
        if known is not None and known != descriptions and not self._ended.is_set():
            self._changed()


def sockets(server: str | None) -> list[str]:
    """Where the sockets of a server appear when it starts, as paths; none for another computer's.

    :param server: as in `$PULSE_SERVER`: addresses with spaces between them.
    """
    if addresses := (server or os.environ.get("PULSE_SERVER", "")):
        plain = [re.sub(r"^(\{.*?\})?(unix:)?", "", address) for address in addresses.split()]
        return [path for path in plain if path.startswith("/")]
    user = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    own = os.environ.get("PULSE_RUNTIME_PATH", f"{user}/pulse")
    return [f"{own}/native", "/run/pulse/native"]
