"""Microphones, and the computer's own sound, from a sound server: PulseAudio or PipeWire."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from av import AudioFrame

from . import libpulse
from .alsa import STANDARD_RATES
from .backend import (
    AudioMode,
    Captured,
    DeviceBusy,
    DeviceDescription,
    DeviceError,
    DeviceForbidden,
    DeviceLost,
    Mode,
)
from .nodes import physical_parent
from .pulse_connection import Connection, Defaults, PulseError, Recording, SourceDetails
from .pulse_watch import watch_server
from .sample_clock import SampleClock

logger = logging.getLogger(__name__)

READ_TIMEOUT = 0.1
"""Seconds until `read()` answers that there is nothing: the protocol's limit."""
FRAGMENT = 0.01
"""Seconds of sound to have at once: adds less delay than a network packet of 20 ms, at a hundred
wake-ups a second."""
MOST_CHANNELS = 2
"""What a call has use for. The server mixes what has more."""


class PulseBackend:
    """The sources of a sound server: each input, and each output's sound (its monitor).

    PipeWire is spoken to through the PulseAudio socket that it has, too. `default` follows what
    the user chooses in the system's settings, while a capture stays with the source it was opened
    on: `watch()` tells of it, and who wants the new default opens that.

    A source is known by the server's name of it, as in the server's own settings: for hardware it
    is made of the bus path, or the maker's and serial number, and the profile.

    :param server: as in `$PULSE_SERVER`, for example `unix:/run/user/1000/pulse/native`; None for
        the user's own. A server that doesn't run isn't started.
    :param sys: where the kernel shows its sound cards.
    """

    name = "pulse"

    def __init__(self, server: str | None = None, sys: Path = Path("/sys")) -> None:
        self._server, self._sys = server, sys

    def list_devices(self) -> list[DeviceDescription]:
        try:
            connection = Connection(self._server)
            try:
                return self._describe_all(connection)
            finally:
                connection.close()
        except PulseError as error:
            logger.debug("no sound server: %s", error)
            return []

    def _describe_all(self, connection: Connection) -> list[DeviceDescription]:
        defaults = connection.defaults()
        return [self._describe(source, defaults) for source in connection.sources()]

    def _describe(self, source: SourceDetails, defaults: Defaults) -> DeviceDescription:
        monitor = bool(source.monitored_sink)
        return DeviceDescription(
            kind="displayaudio" if monitor else "audioinput",
            hardware_id=_hardware_id(source),
            label=source.description or source.name,
            modes=_modes(source),
            location=source.name,
            group="" if monitor else self._group(source.card),
            default=(
                source.monitored_sink == defaults.sink
                if monitor
                else source.name == defaults.source
            ),
            native_ids={"pulse": source.name, "driver": source.driver},
        )

    def _group(self, card: str) -> str:
        """As the ALSA backend has it: the USB device or PCI card of a sound card."""
        hardware = self._sys / "class" / "sound" / f"card{card}" / "device"
        if not card or not hardware.exists():
            return ""
        return str(physical_parent(hardware) or hardware.resolve())

    def open(self, device: DeviceDescription, mode: Mode) -> "PulseCapture":
        if not isinstance(mode, AudioMode):
            raise DeviceError(f"{device.label} has sound: it needs an AudioMode, not {mode}")
        try:
            connection = Connection(self._server)
        except PulseError as error:
            raise DeviceLost(f"{device.label} is gone with its sound server: {error}") from error
        try:
            if device.hardware_id not in map(_hardware_id, connection.sources()):
                raise DeviceLost(f"{device.label} is no longer there")
            return PulseCapture(connection, device.label, device.location, mode)
        except PulseError as error:
            connection.close()
            raise _open_error(error, device.label) from error
        except DeviceError:
            connection.close()
            raise

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        if libpulse.library() is None:
            return lambda: None
        return watch_server(self._server, self._describe_all, changed)


class PulseCapture:
    """A recording, whose connection turns while it is read.

    Nothing is recorded before the first read, so that it is about what is heard then.

    :param connection: one of its own, which is closed with it.
    :raises PulseError: the server refuses.
    """

    def __init__(self, connection: Connection, label: str, source: str, mode: AudioMode) -> None:
        self._connection: Connection | None = connection
        self._label = label
        self._source = source
        self.mode: Mode = AudioMode(mode.sample_rate, mode.channel_count, latency=FRAGMENT)
        self._sample_rate = mode.sample_rate
        self._layout = "mono" if mode.channel_count == 1 else "stereo"
        self._bytes_per_sample = 2 * mode.channel_count
        self._clock = SampleClock(mode.sample_rate)
        self.muted = False
        self._muted_in_mixer = False
        self._mixer_changed = True
        self._recording: Recording | None = None
        connection.subscribe(
            libpulse.EVENTS_SOURCE | libpulse.EVENTS_SOURCE_OUTPUT, self._hear_of_mixer
        )
        self._recording = Recording(
            connection, source, label, mode.sample_rate, mode.channel_count, FRAGMENT
        )

    def read(self) -> Captured | None:
        deadline = time.monotonic() + READ_TIMEOUT
        connection, recording = self._connection, self._recording
        assert connection is not None, "a closed capture is not read"
        assert recording is not None, "a closed capture is not read"
        try:
            recording.start()
            wanted = int(FRAGMENT * self._sample_rate) * self._bytes_per_sample
            left = READ_TIMEOUT
            while left > 0 and (self._mixer_changed or recording.readable < wanted):
                if self._mixer_changed:
                    self._look_at_mixer(connection, recording, left)
                else:
                    connection.turn(left)
                left = deadline - time.monotonic()
            self.muted = self._muted_in_mixer or recording.suspended
            return self._take(recording)
        except PulseError as error:
            raise DeviceLost(f"{self._label} stopped delivering sound: {error}") from error

    def _take(self, recording: Recording) -> Captured | None:
        next_at, data = recording.next_at, recording.take()
        if not data:
            recording.forget_time()
            return None
        samples = len(data) // self._bytes_per_sample
        frame = AudioFrame(format="s16", layout=self._layout, samples=samples, align=1)
        frame.sample_rate = self._sample_rate
        frame.planes[0].update(data)
        duration = samples / self._sample_rate
        now = time.monotonic()
        # The sound of an output that is heard only later is of now: nothing is of the future.
        end = now if next_at is None else min(now, next_at + duration)
        return Captured(frame, self._clock.stamp(samples, end))

    def _hear_of_mixer(self) -> None:
        self._mixer_changed = True

    def _look_at_mixer(self, connection: Connection, recording: Recording, timeout: float) -> None:
        self._mixer_changed = False
        try:
            self._muted_in_mixer = connection.source_muted(
                self._source, timeout
            ) or connection.recording_muted(recording.index, timeout)
        except PulseError as error:
            if error.code != libpulse.ERROR_TIMEOUT:
                raise
            self._mixer_changed = True  # the server is busy: next time

    def close(self) -> None:
        if self._connection is not None:
            if self._recording is not None:
                self._recording.close()
            self._connection.close()
        self._connection = self._recording = None


def _hardware_id(source: SourceDetails) -> str:
    return f"pulse/{source.name}"


def _modes(source: SourceDetails) -> tuple[AudioMode, ...]:
    """48 kHz as the source has it, then all else that the server makes of it.

    The server makes any rate of any other, and mono of stereo; it could make stereo of mono, which
    would be none.
    """
    rates = dict.fromkeys((*STANDARD_RATES, source.sample_rate))
    channel_counts = range(min(source.channel_count, MOST_CHANNELS), 0, -1)
    return tuple(
        AudioMode(rate, channels, latency=FRAGMENT) for rate in rates for channels in channel_counts
    )


def _open_error(error: PulseError, label: str) -> DeviceError:
    if error.code == libpulse.ERROR_NO_ENTITY:
        return DeviceLost(f"{label} is no longer there")
    if error.code == libpulse.ERROR_ACCESS:
        return DeviceForbidden(f"The sound server does not let this program record {label}")
    if error.code == libpulse.ERROR_BUSY:
        return DeviceBusy(f"{label} is in use by another program")
    return DeviceError(f"{label} could not be opened: {error}")
