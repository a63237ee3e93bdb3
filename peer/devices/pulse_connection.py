"""A connection to a sound server: asked what there is, told of changes, and recorded through.

libpulse's plain main loop turns only while its owner asks it to, and then in the owner's thread:
so there is no thread to end, nothing to lock, and no callback after `close()`.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from . import libpulse

ANSWER_TIMEOUT = 1.0
"""Seconds to wait for the server, which answers within milliseconds: so that one that hangs is
soon no longer waited for. (libpulse's own limit is 30 s.)"""
LONGEST_QUEUE = 1.0
"""Seconds of sound that the server keeps for a program that doesn't read; then it drops some."""
MEASURED_SHARE = 0.25
"""The part of the difference from the time so far that one measurement makes good. Servers look at
their clocks some milliseconds early or late; a device's own drifts by microseconds."""
JUMP = 0.05
"""Seconds of difference that can only be sound that was dropped."""
CLIENT_NAME = b"getusermedia"
"""What mixers call this program."""


class PulseError(Exception):
    """The server refused, didn't answer, or is gone.

    :param code: of libpulse, for example `libpulse.ERROR_ACCESS`.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class SourceDetails(NamedTuple):
    """Something to record from."""

    name: str
    """The server's own name of it."""
    description: str
    channel_count: int
    sample_rate: int
    monitored_sink: str
    """The name of the output whose sound it is; empty for an input."""
    card: str
    """The number of the kernel's sound card; empty for what is not one's."""
    driver: str


class Defaults(NamedTuple):
    """The names of what programs use that have no choice of their own; empty for none."""

    source: str
    sink: str


class Connection:
    """For one thread: only `wake()` may be called from another.

    :param server: as in `$PULSE_SERVER`; None for the user's own. No server is ever started.
    :raises PulseError: there is none, or it refuses.
    """

    def __init__(self, server: str | None = None) -> None:
        pulse = libpulse.library()
        if pulse is None:
            raise PulseError(libpulse.ERROR_REFUSED, f"{libpulse.LIBRARY} is not installed")
        self.pulse = pulse
        self._lock = threading.Lock()
        self._closed = self._woken = False
        self._event_callback: Any = libpulse.EventCallback()
        self._loop = pulse.pa_mainloop_new()
        self.context = pulse.pa_context_new(pulse.pa_mainloop_get_api(self._loop), CLIENT_NAME)
        try:
            address = server.encode() if server else None
            if pulse.pa_context_connect(self.context, address, libpulse.NO_AUTOSPAWN, None) < 0:
                raise self.error()
            self.settle(self._ready)
        except PulseError:
            self.close()
            raise

    def _ready(self) -> bool:
        return bool(self.pulse.pa_context_get_state(self.context) == libpulse.CONTEXT_READY)

    @property
    def local(self) -> bool:
        """Whether the server is on this computer, and its cards are this computer's."""
        return bool(self.pulse.pa_context_is_local(self.context) == 1)

    def error(self) -> PulseError:
        """What the last failure was."""
        code: int = self.pulse.pa_context_errno(self.context)
        return PulseError(code, self.pulse.pa_strerror(code).decode(errors="replace"))

    def turn(self, timeout: float | None) -> None:
        """Wait for something to happen, and let its callbacks run.

        :param timeout: seconds after which nothing has happened; None for never.
        :raises PulseError: the connection is lost.
        """
        self.pulse.pa_mainloop_prepare(self._loop, -1 if timeout is None else int(timeout * 1e6))
        with self._lock:
            if self._woken:  # prepare() forgets a wake-up that came before it
                self.pulse.pa_mainloop_wakeup(self._loop)
            self._woken = False
        self.pulse.pa_mainloop_poll(self._loop)
        self.pulse.pa_mainloop_dispatch(self._loop)
        if self.pulse.pa_context_get_state(self.context) >= libpulse.CONTEXT_FAILED:
            raise self.error()

    def wake(self) -> None:
        """Make `turn()` return, or the next one. From any thread; does nothing once closed."""
        with self._lock:
            if not self._closed:
                self._woken = True
                self.pulse.pa_mainloop_wakeup(self._loop)

    def settle(self, done: Callable[[], bool], timeout: float = ANSWER_TIMEOUT) -> None:
        """Turn until something is done.

        :raises PulseError: it takes too long, or the connection is lost.
        """
        deadline = time.monotonic() + timeout
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                raise PulseError(libpulse.ERROR_TIMEOUT, "the sound server does not answer")
            self.turn(left)

    def finish(self, operation: int | None, timeout: float = ANSWER_TIMEOUT) -> None:
        """Wait for an answer; its callback isn't called after that, whatever happens.

        :raises PulseError: as `settle()`.
        """
        if operation is None:
            raise self.error()
        state = self.pulse.pa_operation_get_state
        try:
            self.settle(lambda: state(operation) != libpulse.OPERATION_RUNNING, timeout)
        finally:
            self.pulse.pa_operation_cancel(operation)
            self.pulse.pa_operation_unref(operation)

    def defaults(self) -> Defaults:
        """:raises PulseError: as `settle()`."""
        found = Defaults("", "")

        def take(context: int, info: Any, data: int) -> None:
            nonlocal found
            if info:
                names = info.contents.default_source_name, info.contents.default_sink_name
                found = Defaults(*map(_text, names))

        callback = libpulse.ServerCallback(take)
        self.finish(self.pulse.pa_context_get_server_info(self.context, callback, None))
        return found

    def sources(self) -> list[SourceDetails]:
        """Everything that can be recorded from.

        :raises PulseError: as `settle()`.
        """
        found: list[SourceDetails] = []
        callback = libpulse.SourceCallback(self._list_into(found, self._source))
        self.finish(self.pulse.pa_context_get_source_info_list(self.context, callback, None))
        return found

    def source_muted(self, name: str, timeout: float) -> bool:
        """Whether a source is muted; not when it is gone.

        :raises PulseError: as `settle()`.
        """
        found: list[bool] = []
        callback = libpulse.SourceCallback(self._list_into(found, lambda info: bool(info.mute)))
        ask = self.pulse.pa_context_get_source_info_by_name
        self.finish(ask(self.context, name.encode(), callback, None), timeout)
        return any(found)

    def recording_muted(self, index: int, timeout: float) -> bool:
        """Whether the user has muted one program's recording, in a mixer.

        :raises PulseError: as `settle()`.
        """
        found: list[bool] = []
        take = self._list_into(found, lambda info: bool(info.mute))
        callback = libpulse.SourceOutputCallback(take)
        ask = self.pulse.pa_context_get_source_output_info
        self.finish(ask(self.context, index, callback, None), timeout)
        return any(found)

    @staticmethod
    def _list_into(found: list[Any], read: Callable[[Any], Any]) -> Callable[..., None]:
        def take(context: int, info: Any, end: int, data: int) -> None:
            if not end:
                found.append(read(info.contents))

        return take

    def _source(self, info: Any) -> SourceDetails:
        card = self.pulse.pa_proplist_gets(info.proplist, b"alsa.card")
        return SourceDetails(
            name=_text(info.name),
            description=_text(info.description),
            channel_count=info.sample_spec.channels,
            sample_rate=info.sample_spec.rate,
            monitored_sink=_text(info.monitor_of_sink_name),
            card=_text(card) if self.local else "",
            driver=_text(info.driver),
        )

    def subscribe(self, events: int, changed: Callable[[], None]) -> None:
        """Have `changed()` called, while this connection turns, for each of some events.

        :param events: a mask, for example `libpulse.EVENTS_SOURCE`.
        :raises PulseError: as `settle()`.
        """
        self._event_callback = libpulse.EventCallback(lambda *event: changed())
        set_callback = self.pulse.pa_context_set_subscribe_callback
        set_callback(self.context, self._event_callback, None)
        self.finish(self.pulse.pa_context_subscribe(self.context, events, None, None))

    def close(self) -> None:
        """Hang up. May be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        nothing = libpulse.EventCallback()
        self.pulse.pa_context_set_subscribe_callback(self.context, nothing, None)
        self.pulse.pa_context_disconnect(self.context)
        self.pulse.pa_context_unref(self.context)
        self.pulse.pa_mainloop_free(self._loop)


class Recording:
    """A stream of `s16` samples from one source, which begins with `start()`.

    When its source goes it ends: the server doesn't give it another one, which nobody has chosen.

    :param fragment: seconds of sound to have at once.
    :raises PulseError: the server refuses.
    """

    def __init__(
        self,
        connection: Connection,
        source: str,
        title: str,
        sample_rate: int,
        channel_count: int,
        fragment: float,
    ) -> None:
        self._connection = connection
        self._pulse = pulse = connection.pulse
        self._starting: int | None = None
        self._bytes_a_second = 2 * channel_count * sample_rate
        self._taken = 0  # bytes
        self._flowing = False
        self._began_at: float | None = None
        spec = libpulse.SampleSpec(libpulse.SAMPLES_S16LE, sample_rate, channel_count)
        self._stream = pulse.pa_stream_new(connection.context, title.encode(), spec, None)
        if self._stream is None:
            raise connection.error()
        self._timing_callback: Any = libpulse.TimingCallback(self._measure)
        set_callback = pulse.pa_stream_set_latency_update_callback
        set_callback(self._stream, self._timing_callback, None)
        buffers = libpulse.BufferAttributes(
            maxlength=int(LONGEST_QUEUE * self._bytes_a_second),
            tlength=libpulse.SERVER_DECIDES,
            prebuf=libpulse.SERVER_DECIDES,
            minreq=libpulse.SERVER_DECIDES,
            fragsize=int(fragment * sample_rate) * 2 * channel_count,
        )
        flags = (
            libpulse.STREAM_START_CORKED
            | libpulse.STREAM_DONT_MOVE
            | libpulse.STREAM_ADJUST_LATENCY
            | libpulse.STREAM_AUTO_TIMING_UPDATE
        )
        try:
            if pulse.pa_stream_connect_record(self._stream, source.encode(), buffers, flags) < 0:
                raise connection.error()
            connection.settle(self._ready)
        except PulseError:
            self.close()
            raise
        self.index: int = pulse.pa_stream_get_index(self._stream)
        """The server's number of it."""

    def _ready(self) -> bool:
        """:raises PulseError: the server has refused or ended it."""
        state = self._pulse.pa_stream_get_state(self._stream)
        if state >= libpulse.STREAM_FAILED:
            raise self._connection.error()
        return bool(state == libpulse.STREAM_READY)

    def start(self) -> None:
        """Begin, if that was not done. Sound from before would be old when it is read."""
        if self._starting is None:
            self._starting = self._pulse.pa_stream_cork(self._stream, 0, None, None)
            if self._starting is None:
                raise self._connection.error()

    @property
    def suspended(self) -> bool:
        """Whether the device was put to sleep by somebody; not when it is still waking up."""
        if self._starting is None or self._running(self._starting):
            return False
        return bool(self._pulse.pa_stream_is_suspended(self._stream) == 1)

    def _running(self, operation: int) -> bool:
        state = self._pulse.pa_operation_get_state(operation)
        return bool(state == libpulse.OPERATION_RUNNING)

    @property
    def readable(self) -> int:
        """Bytes that `take()` would return.

        :raises PulseError: the server has ended the stream.
        """
        if not self._ready():
            return 0
        return int(self._pulse.pa_stream_readable_size(self._stream))

    def take(self) -> bytes:
        """What has been recorded and not yet taken, which may be nothing."""
        taken: list[bytes] = []
        data, size = ctypes.c_void_p(), ctypes.c_size_t()
        while self._pulse.pa_stream_readable_size(self._stream):
            self._pulse.pa_stream_peek(self._stream, data, size)
            if not size.value:
                break
            # A hole has a size and no data: time went on in silence.
            taken.append(ctypes.string_at(data, size.value) if data else bytes(size.value))
            self._pulse.pa_stream_drop(self._stream)
            self._taken += size.value
            self._flowing = True
        return b"".join(taken)

    @property
    def next_at(self) -> float | None:
        """`time.monotonic()` when the next sample was captured; None while that isn't known. Of
        the sound of an output, when it is to be heard, which may be yet to come."""
        if self._began_at is None:
            return None
        return self._began_at + self._taken / self._bytes_a_second

    def forget_time(self) -> None:
        """The samples have stopped for a while, and time hasn't."""
        self._flowing, self._began_at = False, None

    def _measure(self, stream: int, data: int) -> None:
        """The server has said where it is. (libpulse's own smoothing of that is not used: with
        PipeWire it runs away, and takes seconds to recover from a source that begins slowly.)"""
        age, negative = ctypes.c_uint64(), ctypes.c_int()
        if not self._flowing:
            return
        if self._pulse.pa_stream_get_latency(self._stream, age, negative) < 0:
            return
        next_at = time.monotonic() + (age.value if negative else -age.value) / 1e6
        began_at = next_at - self._taken / self._bytes_a_second
        if self._began_at is None or abs(began_at - self._began_at) > JUMP:
            self._began_at = began_at
        else:
            self._began_at += (began_at - self._began_at) * MEASURED_SHARE

    def close(self) -> None:
        """End it. Not to be called twice, nor after the connection is closed."""
        if self._starting is not None:
            self._pulse.pa_operation_unref(self._starting)
        nothing = libpulse.TimingCallback()
        self._pulse.pa_stream_set_latency_update_callback(self._stream, nothing, None)
        self._pulse.pa_stream_disconnect(self._stream)
        self._pulse.pa_stream_unref(self._stream)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
