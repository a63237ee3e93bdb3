"""Cameras, microphones and the desktop of Windows, through FFmpeg's dshow and gdigrab.

Written after FFmpeg's documentation and sources, and tested with listings; not yet on Windows.
"""

import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

from av.container import InputContainer

from .backend import (
    AudioMode,
    DeviceBusy,
    DeviceDescription,
    DeviceError,
    DeviceForbidden,
    DeviceKind,
    DeviceLost,
    Mode,
    VideoMode,
)
from .libav_capture import InputRefused, LibavCapture, ask, open_input, watch_listing
from .v4l2 import COST, best_modes, facing_mode_of, stepwise_rates, stepwise_sizes

Sort = Literal["video", "audio"]

KINDS: dict[Sort, DeviceKind] = {"video": "videoinput", "audio": "audioinput"}
PLACEHOLDER = "dummy"
"""FFmpeg wants some name, though none is meant."""

BUFFER_SIZE = 100_000_000
"""Bytes that FFmpeg keeps until they are read. It drops pictures from 62 % on, and one of a camera
for 4K has 17 MB."""
AUDIO_BUFFER = 0.04
"""Seconds of sound in a piece. By default it is half a second; drivers fail with much less."""
AS_IT_IS = {
    "rtbufsize": str(BUFFER_SIZE),
    "audio_buffer_size": f"{AUDIO_BUFFER * 1000:.0f}",
}
"""Options that choose no mode."""
TICKS = 10_000_000
"""DirectShow's units of time in a second."""

COMPRESSED = {"mjpeg"}
"""A camera's H.264 can't be asked for: that is no option of FFmpeg's, but a setting of its C
interface, which PyAV hasn't got."""
ASSUMED_VIDEO = (VideoMode(640, 480, 30.0),)
ASSUMED_AUDIO = (AudioMode(44100, 2, latency=AUDIO_BUFFER),)
"""For a device that doesn't say. One that can't be set is opened as it is."""
DESKTOP_RATES = (30.0, 60.0, 15.0, 5.0)

DEVICE = re.compile(r'^\s*"(.+)" \(([a-z, ]+)\)\s*?\n\s*Alternative name "(.+)"', re.M)
VIDEO_MODE = re.compile(
    r"^\s*(pixel_format|vcodec)=(\S+)\s+min s=(\d+)x(\d+) fps=(\S+) max s=(\d+)x(\d+) fps=(\S+)",
    re.M,
)
AUDIO_MODE = re.compile(r"^\s*ch= *(\d+), bits= *(\d+), rate= *(\d+)", re.M)
DESKTOP = re.compile(r"Capturing whole desktop as (\d+)x(\d+)x\d+ at")

AUDIO_CATEGORY = "{33D9A762-90C8-11D0-BD43-00A0C911CE86}"
"""In the names of audio devices; others are among the cameras."""

GONE = re.compile(r"Could not find \w+(?: only)? device|Unable to BindToObject", re.IGNORECASE)
UNSETTABLE = re.compile(r"Could not set (?:video|audio) options", re.IGNORECASE)
BUSY = re.compile(r"Could not run graph|already in use", re.IGNORECASE)

CONSENT = r"Software\Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore"
"""Where Windows keeps what programs may do; below it a key for each capability, and in that one
for programs that are no apps of the store."""
CAPABILITIES: dict[DeviceKind, tuple[str, str]] = {
    "videoinput": ("webcam", "Camera"),
    "audioinput": ("microphone", "Microphone"),
}
"""Windows' name of a capability, and the page of its settings."""


class Entry(NamedTuple):
    """A device in FFmpeg's list."""

    name: str
    path: str
    """Windows' own name of it, which no two devices share."""
    sorts: tuple[Sort, ...]
    """What it delivers now: virtual devices deliver nothing while no program feeds them."""

    @property
    def own_sort(self) -> Sort:
        """What it is for, whether it delivers that now or not."""
        return "audio" if AUDIO_CATEGORY in self.path.upper() else "video"


def ask_devices() -> str:
    """FFmpeg's list of devices; empty on other systems.

    `av.enumerate_input_devices` fails where there are cameras and no microphones, or none of both.
    """
    return ask("dshow", PLACEHOLDER, {"list_devices": "1"})


def ask_modes(location: str) -> str:
    """FFmpeg's list of what a device can deliver, which doesn't start it."""
    return ask("dshow", location, {"list_options": "1"})


class DirectShowBackend:
    """Cameras and microphones of Windows.

    :param devices, modes: how to learn of them.
    """

    name = "dshow"

    def __init__(
        self, devices: Callable[[], str] = ask_devices, modes: Callable[[str], str] = ask_modes
    ) -> None:
        self._ask_devices, self._ask_modes = devices, modes

    def list_devices(self) -> list[DeviceDescription]:
        entries = parse_devices(self._ask_devices())
        groups = groups_of(entries)
        return [
            self._describe(entry, sort, groups.get(entry.path, ""))
            for entry in entries
            for sort in entry.sorts or (entry.own_sort,)
        ]

    def _describe(self, entry: Entry, sort: Sort, group: str) -> DeviceDescription:
        location = f"{sort}={entry.path}"
        modes: tuple[Mode, ...] = ()
        if sort == "video" and entry.sorts:
            modes = parse_video_modes(self._ask_modes(location)) or ASSUMED_VIDEO
        elif entry.sorts:
            modes = parse_audio_modes(self._ask_modes(location)) or ASSUMED_AUDIO
        return DeviceDescription(
            kind=KINDS[sort],
            hardware_id=entry.path,
            label=entry.name,
            modes=modes,
            location=location,
            group=group,
            facing_mode=facing_mode_of(entry.name) if sort == "video" else None,
            unusable="" if modes else f"{entry.name} delivers nothing: start what feeds it",
        )

    def open(self, device: DeviceDescription, mode: Mode) -> LibavCapture:
        if isinstance(mode, AudioMode) != (device.kind == "audioinput"):
            raise DeviceError(f"{device.label} is of another sort than {mode}")
        here = self._find(device)
        if here is None:
            raise DeviceLost(f"{device.label} is no longer there")
        if not here.sorts:
            raise DeviceError(f"{device.label} delivers nothing: start what feeds it")
        try:
            container = _open(device.location, mode)
        except InputRefused as refused:
            raise open_error(refused, device.label, device.kind) from refused
        return LibavCapture(device.label, container, mode, lambda: self._find(device) is not None)

    def _find(self, device: DeviceDescription) -> Entry | None:
        entries = parse_devices(self._ask_devices())
        return next((entry for entry in entries if entry.path == device.hardware_id), None)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return watch_listing(lambda: parse_devices(self._ask_devices()), changed)


class GdiGrabBackend:
    """The desktop of Windows: all its screens as one picture.

    :param desktop: how to learn of it; tells its size.
    """

    name = "gdigrab"

    def __init__(self, desktop: Callable[[], str] = lambda: ask("gdigrab", "desktop", {})) -> None:
        self._ask_desktop = desktop

    def list_devices(self) -> list[DeviceDescription]:
        size = parse_desktop(self._ask_desktop())
        if size is None:
            return []
        return [
            DeviceDescription(
                kind="display",
                hardware_id="desktop",
                label="Desktop",
                modes=tuple(VideoMode(*size, rate) for rate in DESKTOP_RATES),
                location="desktop",
                default=True,
                display_surface="monitor",
            )
        ]

    def open(self, device: DeviceDescription, mode: Mode) -> LibavCapture:
        if not isinstance(mode, VideoMode):
            raise DeviceError(f"{device.label} is a screen: it needs a VideoMode, not {mode}")
        if device.hardware_id != "desktop":
            raise DeviceLost(f"{device.label} is no longer there")
        try:
            container = open_input("gdigrab", "desktop", {"framerate": f"{mode.frame_rate:g}"})
        except InputRefused as refused:
            raise refused.as_device_error(device.label) from refused
        return LibavCapture(device.label, container, mode)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Notices a desktop that changes its size."""
        return watch_listing(lambda: parse_desktop(self._ask_desktop()), changed)


def _open(location: str, mode: Mode) -> InputContainer:
    try:
        return open_input("dshow", location, capture_options(mode))
    except InputRefused as refused:
        if not UNSETTABLE.search(refused.log):
            raise
        return open_input("dshow", location, AS_IT_IS)


def parse_devices(listing: str) -> list[Entry]:
    """The devices in what FFmpeg prints for `list_devices`, each with a path that is its own."""
    entries: dict[str, Entry] = {}
    for name, sorts, path in DEVICE.findall(listing):
        delivers: tuple[Sort, ...] = tuple(sort for sort in KINDS if sort in sorts.split(", "))
        entries.setdefault(path, Entry(name, path, delivers))
    return list(entries.values())


def groups_of(entries: Iterable[Entry]) -> dict[str, str]:
    """By path, the name that a camera shares with its microphone, `Microphone (HD Webcam)`.

    A name that several cameras have tells nothing.
    """
    entries = list(entries)
    cameras = Counter(entry.name for entry in entries if entry.own_sort == "video")
    groups = {}
    for entry in entries:
        inner = re.search(r"\((.+)\)", entry.name) if entry.own_sort == "audio" else None
        name = inner[1] if inner else entry.name
        if cameras[name] == 1:
            groups[entry.path] = name
    return groups


def parse_video_modes(said: str) -> tuple[VideoMode, ...]:
    """The modes in what FFmpeg prints for `list_options`."""
    return best_modes(_video_modes(said))


def _video_modes(said: str) -> Iterator[VideoMode]:
    for what, name, *limits in VIDEO_MODE.findall(said):
        if name not in (COMPRESSED if what == "vcodec" else COST):
            continue
        least_width, least_height, width, height = (int(limits[i]) for i in (0, 1, 3, 4))
        slowest, fastest = sorted((float(limits[2]), float(limits[5])))
        widths, heights = range(least_width, width + 1), range(least_height, height + 1)
        if not (widths and heights and 0 < fastest < math.inf):
            continue
        fixed = len(widths) == len(heights) == 1
        sizes = [(width, height)] if fixed else stepwise_sizes(widths, heights)
        for width, height in sizes:
            for rate in stepwise_rates(slowest, fastest):
                yield VideoMode(width, height, rate, name)


def parse_audio_modes(said: str) -> tuple[AudioMode, ...]:
    """The modes of 16 bits in what FFmpeg prints for `list_options`, 48 kHz first."""
    modes = {
        AudioMode(int(rate), int(channels), latency=AUDIO_BUFFER)
        for channels, bits, rate in AUDIO_MODE.findall(said)
        if bits == "16"
    }
    return tuple(
        sorted(
            modes,
            key=lambda mode: (mode.sample_rate != 48000, -mode.sample_rate, -mode.channel_count),
        )
    )


def parse_desktop(said: str) -> tuple[int, int] | None:
    """Width and height in pixels of the desktop, in what gdigrab says of it."""
    found = DESKTOP.search(said)
    return (int(found[1]), int(found[2])) if found else None


def capture_options(mode: Mode) -> dict[str, str]:
    """FFmpeg's options for a mode. Without a pixel format it takes the first mode of this size and
    rate: `best_modes()` has a compressed one only where there is no other."""
    if isinstance(mode, AudioMode):
        return {
            **AS_IT_IS,
            "sample_rate": str(mode.sample_rate),
            "channels": str(mode.channel_count),
            "sample_size": "16",
        }
    options = {
        **AS_IT_IS,
        "video_size": f"{mode.width}x{mode.height}",
        "framerate": f"{requested_rate(mode.frame_rate):.9f}",
    }
    if mode.pixel_format and mode.pixel_format not in COMPRESSED:
        options["pixel_format"] = mode.pixel_format
    return options


def requested_rate(listed: float) -> float:
    """The frame rate to ask for, for one that FFmpeg has listed with six digits.

    FFmpeg takes the part before the point of the units of time between two pictures, and Windows
    wants the number that it has: in the middle between that and the next, rounding does no harm.
    """
    interval = math.floor(TICKS / listed)
    if f"{TICKS / interval:g}" != f"{listed:g}":
        interval += 1
    return TICKS / (interval + 0.5)


def open_error(refused: InputRefused, label: str, kind: DeviceKind) -> DeviceError:
    """What FFmpeg's words about a device that didn't open mean."""
    capability, page = CAPABILITIES[kind]
    if denied(capability):
        return DeviceForbidden(
            f"Windows doesn't let programs use {label}: allow desktop apps in Settings › Privacy "
            f"& security › {page}"
        )
    if GONE.search(refused.log):
        return DeviceLost(f"{label} is no longer there")
    if BUSY.search(refused.log):
        return DeviceBusy(f"{label} is in use by another program: close it there")
    return refused.as_device_error(label)


def denied(capability: str) -> bool:
    """Whether Windows' settings keep programs from cameras (`webcam`) or microphones."""
    if sys.platform != "win32":
        return False
    import winreg

    for root in (winreg.HKEY_LOCAL_MACHINE, winreg.HKEY_CURRENT_USER):
        for key in (rf"{CONSENT}\{capability}", rf"{CONSENT}\{capability}\NonPackaged"):
            with suppress(OSError), winreg.OpenKey(root, key) as opened:  # none: nothing is denied
                if winreg.QueryValueEx(opened, "Value")[0] == "Deny":
                    return True
    return False
