"""An input device of FFmpeg that PyAV opened, read in the capture thread; and what FFmpeg says."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import av
from av import AudioFrame, AudioResampler, AudioStream, Packet, VideoFrame, VideoStream
from av.container import InputContainer
from av.error import ExitError, FFmpegError, InvalidDataError

from .alsa import NON_BLOCKING
from .backend import AudioMode, Captured, DeviceError, DeviceLost, EncodedPicture, Mode, VideoMode
from .sample_clock import SampleClock

READ_TIMEOUT = 0.1
"""Seconds until `read()` answers that there is nothing: the protocol's limit."""
POLL = 0.003
"""Seconds between two looks. These devices have nothing to wait on, and FFmpeg's avfoundation keeps
one piece of sound only, which the next one replaces some 10 ms later."""
OPEN_TIMEOUT = 10.0
"""Seconds until a device counts as one that delivers nothing. Slow cameras take 3 to begin, and a
person needs some to allow it."""
SILENCE = 2.0
"""Seconds without anything after which the device is looked for: avfoundation says nothing of one
that was unplugged. Longer than between two pictures of any usual mode."""
WATCH_INTERVAL = 2.0
"""Seconds between two listings: short enough for a person who plugs in a camera and waits, long
enough to cost little."""

OPTIONS = {**NON_BLOCKING, "fpsprobesize": "0", "max_ts_probe": "0"}
"""Read nothing ahead that needn't be known: it would be late, and FFmpeg waits for it in a loop."""

Message = tuple[int, str, str]
T = TypeVar("T")


class InputRefused(Exception):
    """FFmpeg did not open an input.

    :param reason: the error's own name, for example `Input/output error`.
    :param log: what FFmpeg said about it, which is often more.
    """

    def __init__(self, reason: str, log: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log

    def as_device_error(self, label: str) -> DeviceError:
        """For a person, where the log says nothing that the system's backend knows."""
        said = [line.strip() for line in self.log.splitlines() if line.strip()]
        return DeviceError(f"{label} could not be opened: {said[-1] if said else self.reason}")


def available(form: str) -> bool:
    """Whether this FFmpeg has an input format; devices are those of its operating system."""
    return form in av.formats_available


def open_input(form: str, location: str, options: Mapping[str, str]) -> InputContainer:
    """Open an input device, to be read without waiting.

    :param form: FFmpeg's name of the format, for example `dshow`.
    :raises InputRefused: it didn't open, or delivered nothing for `OPEN_TIMEOUT`.
    """
    with heard(av.logging.ERROR) as messages:
        return _open(form, location, options, messages)


def ask(form: str, location: str, options: Mapping[str, str]) -> str:
    """What FFmpeg prints of an input device when asked by options such as `list_devices`.

    FFmpeg answers in its log and then refuses to go on. Empty where there is no such format.
    """
    if not available(form):
        return ""
    with heard(av.logging.INFO) as messages:
        try:
            _open(form, location, options, messages).close()
        except InputRefused as refused:
            return refused.log
        return _text(messages)


def _open(
    form: str, location: str, options: Mapping[str, str], messages: list[Message]
) -> InputContainer:
    try:
        return av.open(
            location, format=form, options={**OPTIONS, **options}, timeout=(OPEN_TIMEOUT, None)
        )
    except ExitError as error:
        reason = f"it delivered nothing for {OPEN_TIMEOUT:g} s"
        raise InputRefused(reason, "") from error
    except FFmpegError as error:
        raise InputRefused(error.strerror or str(error), _text(messages)) from error


def _text(messages: list[Message]) -> str:
    return "".join(text for _, _, text in messages)  # a line may come in pieces


class _LogLevel:
    """How much FFmpeg says, which is one level for the whole program: raised while it is heard."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: list[int] = []
        self._before: tuple[int | None, bool] = (None, True)

    @contextmanager
    def raised(self, level: int) -> Iterator[None]:
        with self._lock:
            if not self._wanted:
                self._before = av.logging.get_level(), av.logging.get_skip_repeated()
            self._wanted.append(level)
            self._apply()
        try:
            yield
        finally:
            with self._lock:
                self._wanted.remove(level)
                self._apply()

    def _apply(self) -> None:
        level, skip_repeated = self._before
        if self._wanted:
            level, skip_repeated = max(*self._wanted, level or av.logging.PANIC), False
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skip_repeated)


_log_level = _LogLevel()


@contextmanager
def heard(level: int) -> Iterator[list[Message]]:
    """Hear what FFmpeg says in this thread, up to a level of `av.logging`."""
    with _log_level.raised(level), av.logging.Capture() as messages:
        yield messages


def in_time(
    opening: Callable[[], T],
    discard: Callable[[T], object],
    label: str,
    timeout: float = OPEN_TIMEOUT,
) -> T:
    """Do something in a thread of its own that may never come back.

    :param discard: gets what comes after nobody waits any more.
    :raises DeviceError: it has taken longer than so many seconds.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            opened = opening()
        except BaseException as error:
            if answer.set_running_or_notify_cancel():  # else the caller has been told already
                answer.set_exception(error)
            return
        if answer.set_running_or_notify_cancel():
            answer.set_result(opened)
        else:
            discard(opened)

    threading.Thread(target=run, name=f"open {label}", daemon=True).start()
    try:
        return answer.result(timeout)
    except TimeoutError as error:
        if answer.cancel():
            raise DeviceError(f"{label} delivered nothing for {timeout:g} s") from error
        return answer.result()  # it came just now


class LibavCapture:
    """An open input device with one stream. What is wanted of it is never waited for in FFmpeg.

    :param container: open, with `OPTIONS`; belongs to the capture from here on.
    :param mode: what was asked for: its rate and latency are what FFmpeg doesn't tell.
    :param is_there: whether the device still is; asked when it has delivered nothing for a while.
    :raises DeviceError: the device has no stream of the mode's sort.
    """

    muted = False

    def __init__(
        self,
        label: str,
        container: InputContainer,
        mode: Mode,
        is_there: Callable[[], bool] = lambda: True,
    ) -> None:
        self._label, self._container, self._is_there = label, container, is_there
        streams = container.streams
        sort = streams.video if isinstance(mode, VideoMode) else streams.audio
        if not sort:
            container.close()
            raise DeviceError(f"{label} delivers no {mode}")
        self._stream: VideoStream | AudioStream = sort[0]
        self.mode: Mode
        if isinstance(self._stream, VideoStream) and isinstance(mode, VideoMode):
            self.mode, self._captured = self._prepare_video(self._stream, mode)
        elif isinstance(self._stream, AudioStream) and isinstance(mode, AudioMode):
            self.mode, self._captured = self._prepare_audio(self._stream, mode)
        self._silent_since = time.monotonic()

    def read(self) -> Captured | None:
        deadline = time.monotonic() + READ_TIMEOUT
        while (packet := self._take()) is None:
            now = time.monotonic()
            if now >= deadline:
                self._look_for_device(now)
                return None
            time.sleep(POLL)
        self._silent_since = time.monotonic()
        try:
            return self._captured(packet, self._silent_since)
        except InvalidDataError:  # damaged on its way: the next one won't be
            return None

    def _take(self) -> "Packet[Any] | None":
        try:
            packet = next(self._container.demux(self._stream))
        except BlockingIOError:
            return None
        except (FFmpegError, StopIteration) as error:
            raise DeviceLost(f"{self._label} stopped delivering: {error}") from error
        if not packet.size:
            raise DeviceLost(f"{self._label} has ended")
        return packet

    def _look_for_device(self, now: float) -> None:
        if now - self._silent_since < SILENCE:
            return
        if not self._is_there():
            raise DeviceLost(f"{self._label} is no longer there")
        self._silent_since = time.monotonic()

    def _prepare_video(
        self, stream: VideoStream, asked: VideoMode
    ) -> tuple[VideoMode, Callable[["Packet[Any]", float], Captured | None]]:
        clock = ArrivalClock()
        codec = stream.codec_context.name
        compressed = codec == "mjpeg"

        def captured(packet: "Packet[Any]", now: float) -> Captured | None:
            base = packet.time_base
            known = packet.pts is not None and base is not None
            at = clock.stamp(float(packet.pts * base), now) if known else now  # type: ignore[operator]
            if compressed:
                return Captured(None, at, EncodedPicture(codec, bytes(packet), True))
            frames = stream.decode(packet)
            return Captured(as_source_frame(frames[-1]), at) if frames else None

        pixel_format = codec if compressed else stream.codec_context.pix_fmt or ""
        mode = VideoMode(stream.width, stream.height, asked.frame_rate, pixel_format)
        return mode, captured

    def _prepare_audio(
        self, stream: AudioStream, asked: AudioMode
    ) -> tuple[AudioMode, Callable[["Packet[Any]", float], Captured | None]]:
        clock = SampleClock(stream.rate)
        resampler = AudioResampler(format="s16", layout=stream.layout, rate=stream.rate)

        def captured(packet: "Packet[Any]", now: float) -> Captured | None:
            frames: list[AudioFrame] = [
                converted
                for frame in stream.decode(packet)
                for converted in resampler.resample(frame)
            ]
            if not frames:
                return None
            (frame,) = frames  # linear samples: a packet is a frame
            frame.pts = None
            return Captured(frame, clock.stamp(frame.samples, now))

        return AudioMode(stream.rate, stream.channels, latency=asked.latency), captured

    def close(self) -> None:
        self._container.close()


def as_source_frame(frame: VideoFrame) -> VideoFrame:
    """A decoded frame as others expect one of a camera: not told to be a key frame, and with its
    upper line first in memory, which DirectShow's RGB has not."""
    if frame.planes[0].line_size < 0:
        frame = frame.reformat(format="yuv420p")
    frame.pict_type = 0
    frame.pts = None
    return frame


class ArrivalClock:
    """When pictures were captured, by their positions on a clock of the device's own.

    The picture that came fastest counts as one of no age; another is as old as it came later, by
    the device's clock, than that one. What all have in common can't be known from here.
    """

    DRIFT = 1e-4
    """Seconds a second by which clocks go wrong at most, and by which the fastest is forgotten."""
    RESTART = 1.0
    """Seconds late that can only be another beginning of the device's clock."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._last = 0.0

    def stamp(self, position: float, now: float) -> float:
        """The `time.monotonic()` of a position in seconds, which arrived now; never later."""
        measured = now - position
        if self._offset is not None:
            self._offset += self.DRIFT * (now - self._last)
        if self._offset is None or not 0 < measured - self._offset < self.RESTART:
            self._offset = measured
        self._last = now
        return min(now, position + self._offset)


def watch_listing(listing: Callable[[], object], changed: Callable[[], None]) -> Callable[[], None]:
    """Call `changed()` in a thread whenever a listing is another than two seconds before.

    :return: ends the watch; `changed` isn't called again once it has returned.
    """
    ended, known = threading.Event(), listing()

    def run(known: object) -> None:
        while not ended.wait(WATCH_INTERVAL):
            now = listing()
            if now != known and not ended.is_set():
                known = now
                changed()

    thread = threading.Thread(target=run, args=(known,), name="device watch", daemon=True)
    thread.start()

    def stop() -> None:
        ended.set()
        if thread is not threading.current_thread():
            thread.join()

    return stop
