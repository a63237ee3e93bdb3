"""Cameras, microphones and screens of macOS, through FFmpeg's avfoundation.

Written after FFmpeg's documentation and sources, and tested with listings; not yet on a Mac.
"""

import ctypes
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

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
from .libav_capture import (
    InputRefused,
    LibavCapture,
    ask,
    in_time,
    open_input,
    watch_listing,
)
from .v4l2 import best_modes, facing_mode_of

FORMAT = "avfoundation"
PIXEL_FORMAT = "nv12"
"""Cameras and screens have it, and an encoder needs little to use it. FFmpeg takes another where
there is none."""
IMPOSSIBLE_RATE = "1000"
"""Frames a second that no camera has: FFmpeg then says which it has."""

ASSUMED_VIDEO = (VideoMode(640, 480, 30.0, PIXEL_FORMAT), VideoMode(1280, 720, 30.0, PIXEL_FORMAT))
"""For a camera that doesn't say; opening it in a mode that it hasn't got is refused."""
ASSUMED_AUDIO = (AudioMode(48000, 1, latency=0.012),)
"""Neither rate nor channels are told, and neither can be chosen: the capture says what they are.
Pieces have 512 samples."""
SCREEN_RATES = (30.0, 60.0, 15.0, 5.0)

CORE_GRAPHICS = "/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics"
COUNT_OF_SCREENS = 16
"""Active displays to ask for: more than a Mac has."""

SETTINGS: Mapping[DeviceKind, str] = {
    "videoinput": "Camera",
    "audioinput": "Microphone",
    "display": "Screen & System Audio Recording",
}
"""Where macOS keeps what programs may do, in System Settings › Privacy & Security."""

SECTION = re.compile(r"AVFoundation (video|audio) devices:\s*$")
ENTRY = re.compile(r"\[(\d+)\] (.+?)(?:  \[uid:(.+?)\](?: \[serial:.*\])?)?\s*$")
"""FFmpeg after 8 adds the unique id."""
SCREEN = "Capture screen "
MODE = re.compile(r"^\s*(\d+)x(\d+)@\[([\d.]+) ([\d.]+)\]fps", re.M)
REFUSED = re.compile(r"not authorized|Cannot use|Failed to create AV capture input", re.IGNORECASE)
BUSY = re.compile(r"in use|can't add \w+ input|Could not lock device", re.IGNORECASE)
GONE = re.compile(r"device not found|Invalid (audio )?device index|No AV capture", re.IGNORECASE)


class Entry(NamedTuple):
    """A line of FFmpeg's list of devices."""

    kind: DeviceKind
    number: int
    """Among all that have pictures, or all that have sound; changes when one is plugged in."""
    name: str
    uid: str


def ask_devices() -> str:
    """FFmpeg's list of devices; empty on other systems."""
    return ask(FORMAT, "", {"list_devices": "1"})


def ask_modes(number: int) -> str:
    """What FFmpeg says of a mode that a camera hasn't got."""
    options = {"framerate": IMPOSSIBLE_RATE, "pixel_format": PIXEL_FORMAT}
    try:
        return in_time(
            lambda: ask(FORMAT, f"{number}", options), lambda said: None, f"Camera {number}"
        )
    except DeviceError:  # it has no modes to refuse, so it was started, and delivers nothing
        return ""


def screen_sizes() -> list[tuple[int, int]]:
    """Width and height in pixels of each active display, in the order in which FFmpeg counts."""
    id_, pointer, size = ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t
    graphics = ctypes.CDLL(CORE_GRAPHICS)
    current_mode = _function(graphics, "CGDisplayCopyDisplayMode", pointer, id_)
    width = _function(graphics, "CGDisplayModeGetPixelWidth", size, pointer)
    height = _function(graphics, "CGDisplayModeGetPixelHeight", size, pointer)
    release = _function(graphics, "CGDisplayModeRelease", None, pointer)
    displays, count = (id_ * COUNT_OF_SCREENS)(), id_()
    graphics.CGGetActiveDisplayList(id_(COUNT_OF_SCREENS), displays, ctypes.byref(count))
    sizes = []
    for display in displays[: count.value]:
        mode = current_mode(display)
        if not mode:
            break  # those after it would get another's number
        sizes.append((width(mode), height(mode)))
        release(mode)
    return sizes


def screen_allowed() -> bool:
    """Whether this program may capture screens; macOS asks the user when that isn't settled. A
    program that may not gets pictures of an empty desk, and no error."""
    graphics = ctypes.CDLL(CORE_GRAPHICS)
    return any(
        _function(graphics, name, ctypes.c_bool)()
        for name in ("CGPreflightScreenCaptureAccess", "CGRequestScreenCaptureAccess")
    )


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = library[name]
    function.restype, function.argtypes = result, arguments
    return function


class AVFoundationBackend:
    """What AVFoundation can capture.

    A camera's modes are learned by asking for one that it hasn't got, once for each camera: it
    isn't started for that, but macOS may ask the user then whether this program may use cameras.
    """

    name = FORMAT

    def __init__(
        self,
        devices: Callable[[], str] = ask_devices,
        modes: Callable[[int], str] = ask_modes,
        screens: Callable[[], list[tuple[int, int]]] = screen_sizes,
    ) -> None:
        self._ask_devices, self._ask_modes, self._ask_screens = devices, modes, screens
        self._modes: dict[str, tuple[VideoMode, ...]] = {}

    def list_devices(self) -> list[DeviceDescription]:
        entries, sizes = self._look()
        listed = [self._describe(entry, name, sizes) for entry, name in numbered(entries)]
        present = {device.hardware_id for device in listed if device.kind == "videoinput"}
        self._modes = {known: self._modes[known] for known in self._modes.keys() & present}
        return listed

    def _look(self) -> tuple[list[Entry], list[tuple[int, int]]]:
        """What is there, and the sizes of the screens."""
        entries = parse_devices(self._ask_devices())
        has_screens = any(entry.kind == "display" for entry in entries)
        return entries, self._ask_screens() if has_screens else []

    def _describe(self, entry: Entry, name: str, sizes: list[tuple[int, int]]) -> DeviceDescription:
        if entry.kind == "display":
            return _describe_screen(entry, sizes)
        hardware_id = entry.uid or name
        modes: tuple[Mode, ...] = ASSUMED_AUDIO
        unusable = ""
        if entry.kind == "videoinput":
            modes, unusable = self._camera_modes(entry, hardware_id)
        return DeviceDescription(
            kind=entry.kind,
            hardware_id=hardware_id,
            label=entry.name,
            modes=modes,
            location=_location(entry),
            group=name,
            facing_mode=facing_mode_of(entry.name) if entry.kind == "videoinput" else None,
            unusable=unusable,
        )

    def _camera_modes(self, entry: Entry, hardware_id: str) -> tuple[tuple[VideoMode, ...], str]:
        """A camera's modes, and why it can't be used."""
        if hardware_id not in self._modes:
            said = self._ask_modes(entry.number)
            if REFUSED.search(said):
                return (), forbidden(entry.name, entry.kind)
            self._modes[hardware_id] = parse_modes(said) or ASSUMED_VIDEO
        return self._modes[hardware_id], ""

    def open(self, device: DeviceDescription, mode: Mode) -> LibavCapture:
        if isinstance(mode, AudioMode) != (device.kind == "audioinput"):
            raise DeviceError(f"{device.label} is of another sort than {mode}")
        entry = self._find(device)
        if entry is None:
            raise DeviceLost(f"{device.label} is no longer there")
        if entry.kind == "display" and not screen_allowed():
            raise DeviceForbidden(forbidden(device.label, entry.kind))
        opening = partial(open_input, FORMAT, _location(entry), capture_options(entry.kind, mode))
        try:
            # FFmpeg waits for the first picture, and hears of no time-out meanwhile.
            container = in_time(opening, InputContainer.close, device.label)
        except InputRefused as refused:
            raise open_error(refused, device.label, entry.kind) from refused
        return LibavCapture(device.label, container, mode, lambda: self._find(device) is not None)

    def _find(self, device: DeviceDescription) -> Entry | None:
        for entry, name in numbered(parse_devices(self._ask_devices())):
            if (entry.kind, entry.uid or name) == (device.kind, device.hardware_id):
                return entry
        return None

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Notices what comes and goes, and screens that change their size."""
        return watch_listing(self._look, changed)


def parse_devices(listing: str) -> list[Entry]:
    """The devices in what FFmpeg prints for `list_devices`."""
    entries: list[Entry] = []
    section = ""
    for line in listing.splitlines():
        if found := SECTION.search(line):
            section = found[1]
        elif section and (found := ENTRY.match(line)):
            number, name, uid = int(found[1]), found[2].strip(), found[3] or ""
            kind: DeviceKind = "audioinput" if section == "audio" else "videoinput"
            if kind == "videoinput" and re.fullmatch(rf"{SCREEN}\d+", name):
                kind = "display"
            entries.append(Entry(kind, number, name, uid))
    return entries


def numbered(entries: Iterable[Entry]) -> list[tuple[Entry, str]]:
    """Each device and its name, with a number from the second one on that has the same."""
    seen: Counter[tuple[str, str]] = Counter()
    result = []
    for entry in entries:
        seen[entry.kind, entry.name] += 1
        number = seen[entry.kind, entry.name]
        result.append((entry, f"{entry.name} #{number}" if number > 1 else entry.name))
    return result


def parse_modes(said: str) -> tuple[VideoMode, ...]:
    """The modes in what FFmpeg says of one that a camera hasn't got. Each range has one rate that
    FFmpeg accepts: the fastest."""
    return best_modes(
        VideoMode(int(width), int(height), float(fastest), PIXEL_FORMAT)
        for width, height, _, fastest in MODE.findall(said)
        if float(fastest) > 0
    )


def _describe_screen(entry: Entry, sizes: list[tuple[int, int]]) -> DeviceDescription:
    number = int(entry.name.removeprefix(SCREEN))
    label = f"Screen {number + 1}"
    known = number < len(sizes)
    return DeviceDescription(
        kind="display",
        hardware_id=entry.name,
        label=label,
        modes=tuple(VideoMode(*sizes[number], rate) for rate in SCREEN_RATES) if known else (),
        location=_location(entry),
        default=number == 0,
        display_surface="monitor",
        unusable="" if known else f"{label} doesn't tell its size: is it asleep?",
    )


def _location(entry: Entry) -> str:
    return f":{entry.number}" if entry.kind == "audioinput" else f"{entry.number}"


def capture_options(kind: DeviceKind, mode: Mode) -> dict[str, str]:
    """FFmpeg's options for a mode; a screen's size and a microphone's rate can't be chosen."""
    if isinstance(mode, AudioMode):
        return {}
    options = {"framerate": f"{mode.frame_rate:.6f}", "pixel_format": PIXEL_FORMAT}
    if kind == "display":
        return {**options, "capture_cursor": "1"}
    return {**options, "video_size": f"{mode.width}x{mode.height}"}


def forbidden(label: str, kind: DeviceKind) -> str:
    """Says that macOS doesn't let this program use a device, and what would allow it."""
    return (
        f"macOS doesn't let this program use {label}: allow it in System Settings › Privacy & "
        f"Security › {SETTINGS[kind]}, for the terminal or program that started it, and start it "
        "again"
    )


def open_error(refused: InputRefused, label: str, kind: DeviceKind) -> DeviceError:
    """What FFmpeg's words about a device that didn't open mean."""
    if BUSY.search(refused.log):
        return DeviceBusy(f"{label} is in use by another program: close it there")
    if REFUSED.search(refused.log):
        return DeviceForbidden(forbidden(label, kind))
    if GONE.search(refused.log):
        return DeviceLost(f"{label} is no longer there")
    return refused.as_device_error(label)
