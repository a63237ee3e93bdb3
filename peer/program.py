"""The program behind `python -m peer`: capture, serve, tell, and leave in order."""

import asyncio
import logging
import signal
from dataclasses import dataclass
from typing import Any

from signaling import ServerConfig, ServerStartError, SignalingServer, Switchboard, generate_token

from .capture.media_devices import MediaDevices
from .capture.media_stream import MediaStream
from .capture.media_stream_track import MediaStreamTrack
from .capture.permissions import Permissions
from .constraints.types import MediaTrackSettings
from .devices.backend import AudioMode, VideoMode
from .devices.virtual import VirtualBackend
from .errors import DOMException, OverconstrainedError
from .publisher import Publisher

logger = logging.getLogger("peer")

_NOUNS = {"audio": "microphone", "video": "camera"}

Constraints = dict[str, Any] | bool


class ProgramError(Exception):
    """The program can't do what it was asked; the message is one line for a person."""


@dataclass(frozen=True)
class Publication:
    """What to publish, and where."""

    video: Constraints = True
    audio: Constraints = True
    screen: Constraints = False
    chosen: frozenset[str] = frozenset()
    """The kinds (`video`, `audio`) that were asked for by name: doing without is an error."""
    resume: bool = True
    """Whether a device that was unplugged is captured again when it is back."""
    fake: bool = False
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    """What viewers must present; made up when None."""
    authenticate: bool = True


async def publish(publication: Publication) -> int:
    """Publish until SIGINT or SIGTERM; returns the exit status.

    :raises ProgramError: a device or the address can't be had.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    token = (publication.token or generate_token()) if publication.authenticate else None
    switchboard = Switchboard()
    server = SignalingServer(
        ServerConfig(
            host=publication.host,
            port=publication.port,
            token=token,
            open_to_all=not publication.authenticate,
        ),
        switchboard,
    )
    devices: list[MediaDevices] = []
    try:
        # The address first: it fails faster, and before a camera's light goes on.
        await server.start()
        streams = await _capture(publication, devices)
        publishers = [
            Publisher(
                stream, id=name, label=name.capitalize(), session_ended=switchboard.end_session
            )
            for name, stream in streams.items()
        ]
        for publisher in publishers:
            switchboard.add_producer(publisher)
        for warning in server.warnings:
            logger.warning("%s", warning)
        print(f"Watch at {server.url}", flush=True)
        await stopping.wait()
        logger.info("leaving")
    except ServerStartError as error:
        raise ProgramError(str(error)) from error
    finally:
        for media_devices in devices:
            media_devices.end()
        await server.stop()
        for media_devices in devices:
            await media_devices.closed()
    return 0


def granted(publication: Publication) -> Permissions:
    """What the command line grants: the kinds that it names, and no others."""
    return Permissions(
        {
            "camera": "denied" if publication.video is False else "granted",
            "microphone": "denied" if publication.audio is False else "granted",
            "display-capture": "denied" if publication.screen is False else "prompt",
        }
    )


async def _capture(publication: Publication, opened: list[MediaDevices]) -> dict[str, MediaStream]:
    """The streams to publish, by name; what was opened is added to `opened` for closing."""
    permissions = granted(publication)
    media_devices = MediaDevices(
        [VirtualBackend()] if publication.fake else None, permissions=permissions
    )
    opened.append(media_devices)
    streams: dict[str, MediaStream] = {}
    try:
        camera = await _camera_and_microphone(publication, media_devices)
        if camera is None and publication.screen is False:
            logger.warning("publishing virtual devices")
            media_devices = MediaDevices([VirtualBackend()], permissions=permissions)
            opened.append(media_devices)
            camera = await _camera_and_microphone(publication, media_devices)
        if camera is not None:
            streams["camera"] = camera
        if publication.screen is not False:
            screen = await media_devices.getDisplayMedia({"video": publication.screen})
            streams["screen"] = screen
    except OverconstrainedError as error:
        raise ProgramError(f"no device fits: {error}") from error
    except (DOMException, TypeError) as error:
        raise ProgramError(str(error)) from error
    for stream in streams.values():
        for track in stream.getTracks():
            if isinstance(track, MediaStreamTrack):
                logger.info("publishing %s: %s", track.label, _described(track.getSettings()))
    return streams


async def _camera_and_microphone(
    publication: Publication, media_devices: MediaDevices
) -> MediaStream | None:
    """One stream of what there is; None when there is nothing. Of the two kinds one may be
    missing, unless it was asked for."""
    present = {info.kind for info in await media_devices.enumerateDevices()}
    wanted: dict[str, Constraints] = {}
    for kind, constraints in (("audio", publication.audio), ("video", publication.video)):
        if constraints is False:
            continue
        if f"{kind}input" in present or kind in publication.chosen:
            wanted[kind] = constraints
        else:
            logger.warning("no %s here", _NOUNS[kind])
    return await media_devices.getUserMedia(wanted) if wanted else None


def _described(settings: MediaTrackSettings) -> VideoMode | AudioMode:
    """A track's settings, to be printed as a mode is."""
    if "width" in settings:
        return VideoMode(settings["width"], settings["height"], settings["frameRate"])
    return AudioMode(settings["sampleRate"], settings["channelCount"])
