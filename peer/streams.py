"""What the program publishes: streams of cameras and microphones, of the screen, of files."""

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from .capture.media_devices import MediaDevices
from .capture.media_stream import MediaStream
from .capture.media_stream_track import MediaStreamTrack
from .capture.permissions import Permissions
from .constraints.types import FacingMode, MediaTrackSettings
from .devices.backend import AudioMode, VideoMode
from .devices.media_source import media_source
from .devices.virtual import VirtualBackend
from .errors import DOMException, OverconstrainedError

logger = logging.getLogger("peer")

_NOUNS = {"audio": "microphone", "video": "camera"}

Constraints = dict[str, Any] | bool


class ProgramError(Exception):
    """The program can't do what it was asked; the message is one line for a person."""


@dataclass(frozen=True)
class Wanted:
    """What to capture."""

    video: Constraints = True
    audio: Constraints = True
    screen: Constraints = False
    chosen: frozenset[str] = frozenset()
    """The kinds (`video`, `audio`) that were asked for by name: doing without is an error."""
    files: tuple[str, ...] = ()
    """Paths and addresses; when there are any, devices are captured only if they are `chosen`."""
    loop: bool = False
    """Whether files begin again at their end."""
    fake: bool = False
    facing_modes: Mapping[str, FacingMode] | None = None


@dataclass(frozen=True)
class NamedStream:
    """A stream that is captured."""

    name: str
    """How viewers name it, URL-safe."""
    label: str
    stream: MediaStream
    resumable: MediaDevices | None = None
    """Where its devices can be captured again, if they can."""


def granted(wanted: Wanted) -> Permissions:
    """What the command line grants: the kinds that it names, and no others."""
    return Permissions(
        {
            "camera": "denied" if wanted.video is False else "granted",
            "microphone": "denied" if wanted.audio is False else "granted",
            "display-capture": "denied" if wanted.screen is False else "prompt",
        }
    )


async def capture(wanted: Wanted, opened: list[MediaDevices]) -> list[NamedStream]:
    """Capture what is wanted.

    :param opened: what was opened is added to it, for the caller to end and close, in any case.
    :raises ProgramError: something can't be captured.
    """
    try:
        streams = await _from_files(wanted, opened)
        if not wanted.files or wanted.chosen or wanted.screen is not False:
            streams += await _from_devices(wanted, opened)
    except OverconstrainedError as error:
        raise ProgramError(f"no device fits: {error}") from error
    except (DOMException, TypeError) as error:
        raise ProgramError(str(error)) from error
    for named in streams:
        for track in named.stream.getTracks():
            if isinstance(track, MediaStreamTrack):
                logger.info("publishing %s: %s", track.label, _described(track.getSettings()))
    return streams


async def _from_files(wanted: Wanted, opened: list[MediaDevices]) -> list[NamedStream]:
    streams: list[NamedStream] = []
    for address in wanted.files:
        try:
            source = media_source(address, loop=wanted.loop)
        except ValueError as error:
            raise ProgramError(f"--file: {error}") from error
        devices = MediaDevices([source])
        opened.append(devices)
        kinds = {info.kind.removesuffix("input") for info in await devices.enumerateDevices()}
        stream = await devices.getUserMedia(dict.fromkeys(kinds, True))
        [label, *_] = [t.label for t in stream.getTracks() if isinstance(t, MediaStreamTrack)]
        taken = {named.name for named in streams}
        streams.append(NamedStream(url_safe(label, taken), label, stream))
    return streams


def url_safe(label: str, taken: Collection[str]) -> str:
    """A name for the address of a stream, made of its label, that is not taken yet."""
    base = re.sub(r"[^a-z0-9]+", "-", PurePath(label).stem.lower()).strip("-") or "file"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name


async def _from_devices(wanted: Wanted, opened: list[MediaDevices]) -> list[NamedStream]:
    permissions = granted(wanted)
    devices = MediaDevices(
        [VirtualBackend()] if wanted.fake else None,
        permissions=permissions,
        facing_modes=wanted.facing_modes,
    )
    opened.append(devices)
    streams: list[NamedStream] = []
    camera = None
    if wanted.chosen or not wanted.files:
        camera = await _camera_and_microphone(wanted, devices)
        if camera is None and wanted.screen is False:
            logger.warning("publishing virtual devices")
            devices = MediaDevices([VirtualBackend()], permissions=permissions)
            opened.append(devices)
            camera = await _camera_and_microphone(wanted, devices)
    if camera is not None:
        streams.append(NamedStream("camera", "Camera", camera, resumable=devices))
    if wanted.screen is not False:
        screen = await devices.getDisplayMedia({"video": wanted.screen})
        streams.append(NamedStream("screen", "Screen", screen))
    return streams


async def _camera_and_microphone(wanted: Wanted, devices: MediaDevices) -> MediaStream | None:
    """One stream of what there is; None when there is nothing. Of the two kinds one may be
    missing, unless it was asked for."""
    present = {info.kind for info in await devices.enumerateDevices()}
    constraints: dict[str, Constraints] = {}
    for kind, asked in (("audio", wanted.audio), ("video", wanted.video)):
        if asked is False or (wanted.files and kind not in wanted.chosen):
            continue
        if f"{kind}input" in present or kind in wanted.chosen:
            constraints[kind] = asked
        else:
            logger.warning("no %s here", _NOUNS[kind])
    return await devices.getUserMedia(constraints) if constraints else None


def _described(settings: MediaTrackSettings) -> VideoMode | AudioMode:
    """A track's settings, to be printed as a mode is."""
    if "width" in settings:
        return VideoMode(settings["width"], settings["height"], settings["frameRate"])
    return AudioMode(settings["sampleRate"], settings["channelCount"])
