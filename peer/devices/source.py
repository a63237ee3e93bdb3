"""One open device in one capture thread, shared by any number of sinks.

The thread opens the device, reads it and closes it, so that no blocking call ever runs on an
event loop. A source lives from `open()` until its last sink is removed or the device is lost.
"""

import asyncio
import atexit
import contextlib
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Protocol, runtime_checkable

from ..controls import Controllable, ControlValue
from .backend import (
    Backend,
    Capture,
    Captured,
    DeviceDescription,
    DeviceError,
    DeviceLost,
    Mode,
)
from .decoder import PictureDecoder

logger = logging.getLogger(__name__)

# An interpreter that ends while FFmpeg reads a device in another thread can crash; a read takes
# at most about 100 ms, so a second is ample, and a hung driver does not keep the process alive.
EXIT_TIMEOUT = 1.0

_open_sources: "weakref.WeakSet[Source]" = weakref.WeakSet()


class Sink(Protocol):
    """Who wants a source's samples. Every method is called from the capture thread."""

    @property
    def wants_frames(self) -> bool:
        """Whether compressed pictures are to be decoded for it; read with each picture."""

    def deliver(self, captured: Captured) -> None:
        """Take a frame, without blocking; the frame is shared with others and read-only."""

    def controls_changed(self, values: Mapping[str, ControlValue]) -> None:
        """The device's controls have other values, set by whomever."""

    def mode_changed(self, mode: Mode) -> None:
        """What is captured changed its size by itself; frames of the new size follow."""

    def mute_changed(self, muted: bool) -> None:
        """The device stopped, or began again, to deliver."""

    def lost(self, error: DeviceLost) -> None:
        """The device is gone; nothing follows."""


@runtime_checkable
class KeyframeSource(Protocol):
    """A capture whose device can be told to make a key frame."""

    def request_keyframe(self) -> None:
        """Let the next picture be a key frame."""


class Source:
    """One open device. Made by `Source.open()`; every method may be called from any thread."""

    def __init__(self, backend: Backend, device: DeviceDescription) -> None:
        self.backend = backend
        self.device = device
        self.muted = False
        self._mode: Mode | None = None
        self._lock = threading.Lock()
        self._sinks: tuple[Sink, ...] = ()
        self._claimed = threading.Event()
        self._stopping = False
        self._switch: tuple[Mode, Future[Mode]] | None = None
        self._settings: deque[tuple[Mapping[str, ControlValue], Future[None]]] = deque()
        self.controls: Mapping[str, ControlValue] = {}
        """What the device's controls are set to."""
        self._decoder = PictureDecoder()
        self._keyframe_wanted = False
        self._closed: Future[None] = Future()

    def __repr__(self) -> str:
        return f"<Source {self.backend.name} {self.device.location} {self.device.label!r}>"

    @classmethod
    async def open(cls, backend: Backend, device: DeviceDescription, mode: Mode) -> "Source":
        """Open the device in a thread of its own.

        Nothing is read before the caller adds the first sink, or calls `close()`.

        :raises DeviceBusy, DeviceForbidden, DeviceLost, DeviceError: as `Backend.open()`.
        """
        source = cls(backend, device)
        opened: Future[Mode] = Future()
        threading.Thread(
            target=source._run,
            args=(mode, opened),
            name=f"capture {device.location}",
            daemon=True,
        ).start()
        _open_sources.add(source)
        try:
            await asyncio.wrap_future(opened)
        except asyncio.CancelledError:
            source.close()
            raise
        return source

    @property
    def mode(self) -> Mode:
        """The mode that the driver took."""
        assert self._mode is not None, "a source is handed out only once it is open"
        return self._mode

    @property
    def alive(self) -> bool:
        """False once the device is lost or the source is closing."""
        return not self._stopping and not self._closed.done()

    def add_sink(self, sink: Sink) -> None:
        """Give the source's samples to this sink, too; once, however often it is added.

        :raises DeviceLost: when the source is closed or closing.
        """
        with self._lock:
            if not self.alive:
                raise DeviceLost(f"{self.device.label} is no longer open")
            if sink not in self._sinks:
                self._sinks = (*self._sinks, sink)
        self._claimed.set()

    def remove_sink(self, sink: Sink) -> None:
        """Stop giving it samples; without any sink the device is closed."""
        with self._lock:
            self._sinks = tuple(present for present in self._sinks if present is not sink)
            if not self._sinks:
                self._stopping = True
        self._claimed.set()

    def close(self) -> None:
        """Close the device soon; `wait_closed()` tells when that is done."""
        with self._lock:
            self._stopping = True
        self._claimed.set()

    def request_keyframe(self) -> None:
        """Ask a device that compresses its pictures for one that a decoder can begin with; not
        all can be asked."""
        self._keyframe_wanted = True

    async def wait_closed(self) -> None:
        """Return once the device is released."""
        await asyncio.shield(asyncio.wrap_future(self._closed))

    async def set_mode(self, mode: Mode) -> Mode:
        """Switch the device to another native mode, between two frames.

        Returns the mode that the driver took. When the device refuses, the old mode goes on.

        :raises DeviceError: the device refused, or is gone.
        """
        switched: Future[Mode] = Future()
        with self._lock:
            if not self.alive:
                raise DeviceLost(f"{self.device.label} is no longer open")
            if self._switch is not None:
                raise DeviceError(f"{self.device.label} is already switching its mode")
            self._switch = (mode, switched)
        return await asyncio.wrap_future(switched)

    async def set_controls(self, values: Mapping[str, ControlValue]) -> None:
        """Set some of the device's controls, between two frames; `controls` then has what they
        were really set to.

        :raises DeviceError: the device refused, or is gone.
        """
        done: Future[None] = Future()
        with self._lock:
            if not self.alive:
                raise DeviceLost(f"{self.device.label} is no longer open")
            self._settings.append((values, done))
        self._claimed.set()
        await asyncio.wrap_future(done)

    # The capture thread.

    def _run(self, mode: Mode, opened: "Future[Mode]") -> None:
        capture: Capture | None = None
        error: DeviceLost | None = None
        opened.set_running_or_notify_cancel()
        try:
            capture = self.backend.open(self.device, mode)
            self._mode = capture.mode
            if isinstance(capture, Controllable):
                self.controls = capture.controls
            logger.info("opened %s (%s), %s", self.device.label, self.device.location, self._mode)
            opened.set_result(self._mode)
            self._wait_for_a_sink(capture)
            while not self._stopping:
                if self._switch is not None:
                    capture = self._switch_mode(capture)
                if self._keyframe_wanted:
                    self._keyframe_wanted = False
                    if isinstance(capture, KeyframeSource):
                        capture.request_keyframe()
                if self._settings:
                    self._set_controls(capture)
                self._pass_on(capture, capture.read())
        except DeviceError as reason:
            error = reason if isinstance(reason, DeviceLost) else DeviceLost(str(reason))
            if not opened.done():
                opened.set_exception(reason)
        except Exception as reason:
            # A backend must not raise anything else; but tracks that never end would be worse.
            logger.exception("%s failed", self)
            error = DeviceLost(f"{self.device.label} failed: {reason}")
            if not opened.done():
                opened.set_exception(DeviceError(str(error)))
        finally:
            if capture is not None:
                self._douse(capture)
                capture.close()
            self._finish(error)

    def _wait_for_a_sink(self, capture: Capture) -> None:
        """Read nothing before somebody wants it; the device may be set up meanwhile."""
        while not self._sinks and not self._stopping:
            self._claimed.wait()
            self._claimed.clear()
            if self._settings:
                self._set_controls(capture)

    def _pass_on(self, capture: Capture, captured: Captured | None) -> None:
        """Tell the sinks what a read brought."""
        self._compare_controls(capture)
        if capture.mode != self._mode:
            self._mode = capture.mode
            for sink in self._sinks:
                sink.mode_changed(capture.mode)
        if capture.muted != self.muted:
            self.muted = capture.muted
            for sink in self._sinks:
                sink.mute_changed(self.muted)
        if captured is None:
            return
        encoded = captured.encoded
        if captured.frame is None and encoded is not None:
            if any(sink.wants_frames for sink in self._sinks):
                captured = captured._replace(frame=self._decoder.decode(encoded))
            else:
                self._decoder.skip(encoded)
        for sink in self._sinks:
            sink.deliver(captured)

    def _set_controls(self, capture: Capture) -> None:
        with self._lock:
            values, done = self._settings.popleft()
        if not done.set_running_or_notify_cancel():
            return
        try:
            if not isinstance(capture, Controllable):
                raise DeviceError(f"{self.device.label} has nothing that can be set")
            capture.set_controls(values)
        except DeviceError as refused:
            self._compare_controls(capture)
            done.set_exception(refused)
        except Exception as failure:  # the thread ends with it; whoever waits must be told
            done.set_exception(DeviceError(f"{self.device.label} failed: {failure}"))
            raise
        else:
            self._compare_controls(capture)  # the sinks know before the caller does
            done.set_result(None)

    def _compare_controls(self, capture: Capture) -> None:
        if isinstance(capture, Controllable) and capture.controls != self.controls:
            self.controls = capture.controls
            for sink in self._sinks:
                sink.controls_changed(self.controls)

    def _switch_mode(self, capture: Capture) -> Capture:
        assert self._switch is not None
        mode, switched = self._switch
        switched.set_running_or_notify_cancel()
        capture.close()
        self._decoder.restart()
        try:
            new = self.backend.open(self.device, mode)
        except DeviceError as refused:
            with self._lock:
                self._switch = None
            switched.set_exception(refused)
            new = self.backend.open(self.device, self.mode)
        else:
            with self._lock:
                self._switch = None
            self._mode = new.mode
            logger.info("switched %s to %s", self.device.label, new.mode)
            switched.set_result(new.mode)
        return new

    def _douse(self, capture: Capture) -> None:
        """A lamp does not burn longer than somebody captures (Image Capture 8, torch)."""
        if isinstance(capture, Controllable) and capture.controls.get("torch"):
            with contextlib.suppress(DeviceError):  # it may be gone
                capture.set_controls({"torch": False})

    def _finish(self, error: DeviceLost | None) -> None:
        with self._lock:
            was_stopping, self._stopping = self._stopping, True
            sinks, self._sinks = self._sinks, ()
            switch, self._switch = self._switch, None
            settings, self._settings = list(self._settings), deque()
        if switch is not None and switch[1].set_running_or_notify_cancel():
            switch[1].set_exception(error or DeviceLost(f"{self.device.label} was closed"))
        for _, done in settings:
            if done.set_running_or_notify_cancel():
                done.set_exception(error or DeviceLost(f"{self.device.label} was closed"))
        if self._mode is not None:
            if error is not None and not was_stopping:
                logger.warning("lost %s: %s", self.device.label, error)
            else:
                logger.info("closed %s", self.device.label)
        for sink in sinks:
            sink.lost(error or DeviceLost(f"{self.device.label} was closed"))
        self._closed.set_result(None)


def _close_all() -> None:
    sources = list(_open_sources)
    for source in sources:
        source.close()
    deadline = time.monotonic() + EXIT_TIMEOUT
    for source in sources:
        try:
            source._closed.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            logger.warning("%s did not close in time", source)


atexit.register(_close_all)
