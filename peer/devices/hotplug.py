"""When device nodes come, go and are changed, by inotify or by looking."""

import ctypes
import glob
import os
import select
import struct
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from fnmatch import fnmatch

POLL_INTERVAL = 2.0
"""Seconds between looks where inotify isn't to be had: short enough for a person who plugs in a
camera and waits, long enough to cost nothing."""

IN_ATTRIB, IN_MOVED, IN_CREATE, IN_DELETE = 0x004, 0x0C0, 0x100, 0x200
IN_Q_OVERFLOW = 0x4000
EVENTS = IN_ATTRIB | IN_MOVED | IN_CREATE | IN_DELETE
EVENT_HEADER = struct.Struct("iIII")
Snapshot = set[tuple[str, int, int, int, int]]
"""Each path that is there, with what a change of permissions or another device would change."""
EVENT_BUFFER = 64 * 1024
"""Bytes of one read: some hundred events."""


def watch_paths(patterns: Iterable[str], changed: Callable[[], None]) -> Callable[[], None]:
    """Call `changed()` in a thread whenever a path that matches appears, goes or is changed.

    :param patterns: absolute paths with a glob in the last part, for example `/dev/video*`. Their
        folders need not exist yet.
    :return: ends the watch; `changed` isn't called again once it has returned.
    """
    patterns = list(patterns)
    run: Callable[[], None]
    try:
        inotify = _Inotify(patterns)
    except OSError:
        ended, known = threading.Event(), _snapshot(patterns)
        end, run = ended.set, lambda: _poll(patterns, changed, ended, known)
    else:
        end, run = inotify.end, lambda: inotify.run(changed)
    thread = threading.Thread(target=run, name="device watch", daemon=True)
    thread.start()

    def stop() -> None:
        if thread.is_alive():
            end()
        if thread is not threading.current_thread():
            thread.join()

    return stop


class _Inotify:
    """The kernel's events about some folders, and about folders that may yet be made."""

    def __init__(self, patterns: Iterable[str]) -> None:
        if sys.platform != "linux":
            raise OSError("inotify is Linux's own")
        self._names: dict[str, set[str]] = defaultdict(set)
        self._late: set[str] = set()
        for pattern in patterns:
            folder, name = os.path.split(pattern)
            self._names[folder].add(name)
            if folder != "/":
                parent, own_name = os.path.split(folder)
                self._names[parent].add(own_name)
                self._late.add(folder)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "no inotify")
        self._wake = os.eventfd(0)
        self._folders: dict[int, str] = {}
        self._add(sorted(self._names))  # a parent first: its folder may come in between

    def _add(self, folders: Iterable[str]) -> None:
        """Watch the folders that exist; adding one again does nothing."""
        for folder in folders:
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), EVENTS)
            if watch >= 0:
                self._folders[watch] = folder

    def end(self) -> None:
        os.eventfd_write(self._wake, 1)

    def run(self, changed: Callable[[], None]) -> None:
        try:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            poll.register(self._wake, select.POLLIN)
            while all(fd != self._wake for fd, _ in poll.poll()):
                if self._concerned(os.read(self._fd, EVENT_BUFFER)):
                    changed()
        finally:
            os.close(self._fd)
            os.close(self._wake)

    def _concerned(self, events: bytes) -> bool:
        concerned = False
        offset = 0
        while offset < len(events):
            watch, mask, _, length = EVENT_HEADER.unpack_from(events, offset)
            offset += EVENT_HEADER.size + length
            name = os.fsdecode(events[offset - length : offset].rstrip(b"\0"))
            folder = self._folders.get(watch, "")
            if os.path.join(folder, name) in self._late:
                self._add([os.path.join(folder, name)])
            concerned |= mask & IN_Q_OVERFLOW != 0
            concerned |= any(fnmatch(name, pattern) for pattern in self._names.get(folder, ()))
        return concerned


def _poll(
    patterns: list[str],
    changed: Callable[[], None],
    ended: threading.Event,
    known: Snapshot,
) -> None:
    while not ended.wait(POLL_INTERVAL):
        now = _snapshot(patterns)
        if now != known:
            known = now
            changed()


def _snapshot(patterns: list[str]) -> Snapshot:
    found: Snapshot = set()
    for pattern in patterns:
        for path in glob.glob(pattern):
            try:
                status = os.stat(path)
            except OSError:  # gone since, or a broken link
                continue
            found.add((path, status.st_ino, status.st_mode, status.st_uid, status.st_gid))
    return found
