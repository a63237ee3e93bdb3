"""What a device is to the rest of the program: the protocols that every backend implements.

A backend lists devices without opening them for capture, opens one into a capture, and reports
arrivals and departures. Everything here blocks, and so is called from worker threads only;
`source.py` is the caller.

* DeviceError
  * DeviceBusy          another program holds the device
  * DeviceForbidden     this user may not open it
  * DeviceLost          it was unplugged, or failed for good
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from av import AudioFrame, VideoFrame

from ..controls import Control

DeviceKind = Literal["audioinput", "videoinput", "display", "displayaudio"]
"""`displayaudio` is what the computer plays: the sound that belongs to its screens."""


class DeviceError(Exception):
    """A device could not be opened or read; the message is a sentence for a person."""


class DeviceBusy(DeviceError):
    """Another program holds the device; the message names it where that can be known."""


class DeviceForbidden(DeviceError):
    """This user may not open the device; the message says what would allow it."""


class DeviceLost(DeviceError):
    """The device is gone, or failed in a way that does not heal."""


@dataclass(frozen=True, slots=True)
class VideoMode:
    """One native mode of a camera or screen."""

    width: int
    height: int
    frame_rate: float
    """Frames a second."""
    pixel_format: str = ""
    """FFmpeg's name of a pixel format, or of a codec (`mjpeg`, `h264`); empty when the backend
    has no choice to make."""

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at {self.frame_rate:g}"


@dataclass(frozen=True, slots=True)
class AudioMode:
    """One native mode of a microphone."""

    sample_rate: int
    """Samples a second."""
    channel_count: int
    sample_size: int = 16
    """Bits of one linear sample."""
    latency: float = 0.02
    """Seconds from capture to the frame that carries it."""

    def __str__(self) -> str:
        channels = {1: "mono", 2: "stereo"}.get(self.channel_count)
        return f"{self.sample_rate} Hz, {channels or f'{self.channel_count} channels'}"


Mode = VideoMode | AudioMode


@dataclass(frozen=True)
class DeviceDescription:
    """One device, as a backend lists it; equal descriptions mean that nothing has changed."""

    kind: DeviceKind
    hardware_id: str
    """Names the device across restarts and replugging: a bus path or serial number."""
    label: str
    """What the system calls it. Comes from hardware: hostile input to a page."""
    modes: tuple[Mode, ...]
    """Native modes, the backend's preferred one first. Empty when the device can't be used."""
    location: str
    """What the backend opens, for example `/dev/video0`; may change when it is plugged again."""
    group: str = ""
    """Equal for the functions of one physical device, for example a webcam and its microphone."""
    facing_mode: str | None = None
    """user, environment, left or right, where it is known."""
    default: bool = False
    """The system's default device of this kind."""
    display_surface: str | None = None
    """monitor or window, for a display."""
    controls: tuple[Control, ...] = ()
    """What can be set while it captures; then its captures are `Controllable`."""
    unusable: str = ""
    """Why the device can't be used, as a sentence; empty when it can."""
    native_ids: dict[str, str] = field(default_factory=dict, compare=False)
    """Anything else worth printing about the device, for example its driver."""


class EncodedPicture(NamedTuple):
    """A picture as the device compressed it."""

    codec: str
    """FFmpeg's name: `mjpeg` or `h264` (Annex B, each key frame with its parameter sets)."""
    data: bytes
    keyframe: bool
    """Whether a decoder can begin with it."""


class Captured(NamedTuple):
    """A frame and when it was captured."""

    frame: VideoFrame | AudioFrame | None
    """Video of the mode's size in any pixel format; audio as packed `s16`, of any length. None
    for a picture that is compressed: it is decoded where somebody wants it decoded."""
    at: float
    """`time.monotonic()` when the picture, or the first of the samples, was captured."""
    encoded: EncodedPicture | None = None
    """The picture as the device compressed it, if it did. Pictures come in the order in which
    they are shown (no B-frames)."""


class Capture(Protocol):
    """An open device. One thread opens, reads and closes it."""

    mode: Mode
    """The mode that the driver really took; changes with a captured surface's size, then before
    the first frame of the new size is returned."""
    muted: bool
    """True while the device delivers nothing on purpose: a privacy switch, a suspended device."""

    def read(self) -> Captured | None:
        """The next frame; None when there was none for a while (at most about 100 ms).

        :raises DeviceLost: when there will be no more.
        """

    def close(self) -> None:
        """Release the device. Never raises, and may be called twice."""


class Backend(Protocol):
    """Devices of one sort."""

    name: str
    """For messages, for example `v4l2`."""

    def list_devices(self) -> Sequence[DeviceDescription]:
        """The devices that are there now, without opening any for capture.

        Devices that exist but can't be used are listed with `unusable` set. Not being available
        on this system at all is an empty list, not an error.
        """

    def open(self, device: DeviceDescription, mode: Mode) -> Capture:
        """Start capturing in one of the device's modes.

        :raises DeviceBusy: another program holds it.
        :raises DeviceForbidden: this user may not open it.
        :raises DeviceLost: it is gone.
        :raises DeviceError: anything else.
        """

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed()`, from any thread, soon after `list_devices()` would answer differently.

        It may be called more often than that. The returned function ends the watch, and does not
        return before no further call can come.
        """
