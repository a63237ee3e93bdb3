"""The program behind `python -m peer`: capture, serve, tell, and leave in order."""

import asyncio
import logging
import signal
from dataclasses import dataclass, field

from aiortc import RTCIceServer

from signaling import ServerConfig, ServerStartError, SignalingServer, Switchboard, generate_token

from .capture.media_devices import MediaDevices
from .publisher import Publisher
from .streams import ProgramError, Wanted, capture

logger = logging.getLogger("peer")


@dataclass(frozen=True)
class Publication:
    """What to publish, and where."""

    wanted: Wanted = field(default_factory=Wanted)
    resume: bool = True
    """Whether a device that was unplugged is captured again when it is back."""
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    """What viewers must present; made up when None."""
    control_token: str | None = None
    """What viewers must present who may control the camera; made up when None."""
    authenticate: bool = True
    ice_servers: tuple[RTCIceServer, ...] = ()


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
            control_token=publication.control_token or generate_token(),
            open_to_all=not publication.authenticate,
        ),
        switchboard,
    )
    devices: list[MediaDevices] = []
    publishers: list[Publisher] = []
    try:
        # The address first: it fails faster, and before a camera's light goes on.
        await server.start()
        for named in await capture(publication.wanted, devices):
            publisher = Publisher(
                named.stream,
                id=named.name,
                label=named.label,
                session_ended=switchboard.end_session,
                ice_servers=publication.ice_servers,
                resume=named.resumable if publication.resume else None,
            )
            publishers.append(publisher)
            switchboard.add_producer(publisher)
        for warning in server.warnings:
            logger.warning("%s", warning)
        print(f"Watch at {server.url}", flush=True)
        print(f"Control at {server.control_url}", flush=True)
        await stopping.wait()
        logger.info("leaving")
    except ServerStartError as error:
        raise ProgramError(str(error)) from error
    finally:
        for publisher in publishers:
            await publisher.stop_resuming()
        for media_devices in devices:
            media_devices.end()
        await server.stop()
        for media_devices in devices:
            await media_devices.closed()
    return 0
