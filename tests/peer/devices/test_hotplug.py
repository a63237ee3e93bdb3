"""Watching folders, with the kernel's inotify and without; whose a device node is."""

import errno
import grp
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from peer.devices import hotplug
from peer.devices.backend import DeviceBusy, DeviceError, DeviceForbidden, DeviceLost
from peer.devices.hotplug import watch_paths
from peer.devices.nodes import forbidden, holders, open_error, physical_parent

PATIENCE = 20  # seconds; nothing that works takes a tenth of one


class Calls:
    """Counts calls from another thread."""

    def __init__(self) -> None:
        self._calls: queue.Queue[None] = queue.Queue()

    def __call__(self) -> None:
        self._calls.put(None)

    def wait(self, times: int = 1) -> None:
        """Return once there were so many calls since the last wait."""
        for _ in range(times):
            self._calls.get(timeout=PATIENCE)
        while not self._calls.empty():
            self._calls.get()


@pytest.fixture(params=["inotify", "polling"])
def mechanism(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "polling":
        monkeypatch.setattr(hotplug, "POLL_INTERVAL", 0.01)

        def unavailable(patterns: list[str]) -> None:
            raise OSError(errno.EMFILE, "too many inotify instances")

        monkeypatch.setattr(hotplug, "_Inotify", unavailable)
    return str(request.param)


@pytest.mark.usefixtures("mechanism")
def test_node_comes_changes_and_goes(tmp_path: Path) -> None:
    calls = Calls()
    stop = watch_paths([f"{tmp_path}/video*"], calls)
    node = tmp_path / "video0"
    node.touch(mode=0o600)
    calls.wait()
    node.chmod(0o660)  # what udev does after a moment
    calls.wait()
    node.unlink()
    calls.wait()
    stop()


@pytest.mark.usefixtures("mechanism")
def test_folder_comes_later_and_again(tmp_path: Path) -> None:
    calls = Calls()
    stop = watch_paths([f"{tmp_path}/snd/pcm*c"], calls)
    folder = tmp_path / "snd"
    for _ in range(2):
        folder.mkdir()
        (folder / "pcmC0D0c").touch()
        calls.wait()
        (folder / "pcmC1D0c").touch()
        calls.wait()
        for node in folder.iterdir():
            node.unlink()
        folder.rmdir()
        calls.wait()
    stop()


def test_event_soon_after_folder_comes(tmp_path: Path) -> None:
    """A watch is added to the folder before the caller is told, so that nothing falls between."""
    told = threading.Event()
    go_on = threading.Event()
    calls = Calls()

    def changed() -> None:
        told.set()
        go_on.wait(PATIENCE)
        calls()

    stop = watch_paths([f"{tmp_path}/snd/pcm*c"], changed)
    (tmp_path / "snd").mkdir()
    assert told.wait(PATIENCE)
    (tmp_path / "snd" / "pcmC0D0c").touch()
    go_on.set()
    calls.wait(times=2)
    stop()


@pytest.mark.usefixtures("mechanism")
def test_other_names_are_no_news(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    there = []
    calls = Calls()

    def changed() -> None:
        there.append(node.exists())
        calls()

    stop = watch_paths([f"{tmp_path}/video*"], changed)
    for number in range(20):
        (tmp_path / f"tty{number}").touch()
    node.touch()
    calls.wait()
    stop()
    assert there
    assert all(there)


@pytest.mark.usefixtures("mechanism")
def test_nothing_after_the_end(tmp_path: Path) -> None:
    threads = threading.active_count()
    calls: list[None] = []
    stop = watch_paths([f"{tmp_path}/video*"], lambda: calls.append(None))
    stop()
    assert threading.active_count() == threads, "the watching thread has ended"
    (tmp_path / "video0").touch()
    stop()
    assert calls == []


@pytest.mark.usefixtures("mechanism")
def test_end_from_within_a_call(tmp_path: Path) -> None:
    ended = threading.Event()
    stops: list[Callable[[], None]] = []

    def changed() -> None:
        stops[0]()
        ended.set()

    stops.append(watch_paths([f"{tmp_path}/video*"], changed))
    (tmp_path / "video0").touch()
    assert ended.wait(PATIENCE)
    stops[0]()


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        watch_paths([f"{tmp_path}/video*"], lambda: None)()
    assert len(os.listdir("/proc/self/fd")) == before


def test_holder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "node"
    path.touch()
    assert holders(str(path)) == []
    with path.open():
        (holder,) = holders(str(path))
    assert holder.endswith(f" (pid {os.getpid()})")


@pytest.mark.parametrize(
    ("code", "sort", "words"),
    [
        (errno.ENODEV, DeviceLost, "no longer at"),
        (errno.ENOENT, DeviceLost, "no longer at"),
        (errno.EACCES, DeviceForbidden, "may not open"),
        (errno.EBUSY, DeviceBusy, "in use by a program of another user"),
        (errno.ENOSPC, DeviceError, "USB bandwidth"),
        (errno.EIO, DeviceError, "Input/output error"),
    ],
)
def test_open_error(tmp_path: Path, code: int, sort: type[DeviceError], words: str) -> None:
    node = tmp_path / "video0"
    node.touch()
    error = open_error(code, "A camera", str(node))
    assert type(error) is sort
    assert "A camera" in str(error)
    assert words in str(error)


def test_forbidden_says_what_would_help(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch()
    node.chmod(0o600)
    assert f"sudo chgrp video {node}" in forbidden("A camera", str(node))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to any group")
def test_forbidden_names_the_group(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch()
    os.chown(node, -1, grp.getgrnam("games").gr_gid)
    node.chmod(0o660)
    assert "sudo usermod -aG games $USER" in forbidden("A camera", str(node))


def test_open_error_of_a_node_that_went(tmp_path: Path) -> None:
    assert isinstance(open_error(errno.EIO, "A camera", str(tmp_path / "gone")), DeviceLost)


def test_busy_names_the_holder(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    with node.open("w"):
        error = open_error(errno.EBUSY, "A camera", str(node))
    assert f"(pid {os.getpid()})" in str(error)


def test_functions_of_a_usb_device_have_one_parent(tmp_path: Path) -> None:
    webcam = tmp_path / "devices" / "pci0000:00" / "0000:00:14.0" / "usb1" / "1-2"
    for interface in ("1-2:1.0", "1-2:1.2"):
        (webcam / interface).mkdir(parents=True)
    (webcam / "idVendor").write_text("046d\n")
    assert physical_parent(webcam / "1-2:1.0") == webcam
    assert physical_parent(webcam / "1-2:1.2") == webcam


def test_parent_on_pci(tmp_path: Path) -> None:
    bus = tmp_path / "bus" / "pci"
    card = tmp_path / "devices" / "pci0000:00" / "0000:00:1f.3"
    (card / "dsp_generic").mkdir(parents=True)
    bus.mkdir(parents=True)
    (card / "subsystem").symlink_to(bus)
    assert physical_parent(card / "dsp_generic") == card


def test_no_parent(tmp_path: Path) -> None:
    assert physical_parent(tmp_path / "devices" / "platform" / "vivid.0") is None
