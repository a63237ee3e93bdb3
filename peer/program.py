"""The program behind `python -m peer`: capture, publish, receive, tell, and leave in order."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiortc import RTCIceServer

from signaling import (
    LocalClient,
    PeerRole,
    ServerStartError,
    SignalingClient,
    SignalingError,
    SignalingServer,
)
from signaling.clients import StdioClient, client_for
from signaling.tls import TlsError

from .capture.media_devices import MediaDevices
from .connection.rtc_peer_connection import RTCPeerConnection
from .publisher import Publisher
from .receiver import Receiver
from .serving import Serving, announce, make_server
from .streams import ProgramError, Wanted, capture

logger = logging.getLogger("peer")

OWN = ""
"""The address of the server that this process runs itself."""
RECEIVER = "receiver"
"""How the receiving side is named there: WHIP clients send to /whip/receiver."""


@dataclass(frozen=True)
class Plan:
    """What to do."""

    wanted: Wanted = field(default_factory=Wanted)
    offers: tuple[str, ...] = (OWN,)
    """Where to publish: addresses of signalling servers and WHIP endpoints, `-` for copy and paste,
    or `OWN`."""
    answers: tuple[str, ...] = ()
    """Where to receive from, likewise; or `OWN`, for whoever sends to this computer."""
    record: Path | None = None
    """Where to keep what is received."""
    resume: bool = True
    """Whether a device that was unplugged is captured again when it is back."""
    codecs: tuple[str, ...] = ()
    """Video codecs to send, best first; all when empty."""
    serving: Serving = field(default_factory=Serving)
    token: str | None = None
    """What servers elsewhere want to see."""
    room: str | None = None
    ice_servers: tuple[RTCIceServer, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether a server of its own is needed."""
        return OWN in self.offers or OWN in self.answers


async def run(plan: Plan) -> int:
    """Publish and receive until SIGINT or SIGTERM, or until there is nobody left to talk to;
    returns the exit status.

    :raises ProgramError: a device, an address or a server can't be had.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        # Whoever there is to take leave of is told before anything is closed.
        async with AsyncExitStack() as resources, AsyncExitStack() as farewells:
            talking = await _begin(plan, resources, farewells)
            over: asyncio.Future[list[None]] = asyncio.gather(*talking)
            over.add_done_callback(lambda _: stopping.set())
            await stopping.wait()
            logger.info("leaving")
            stopped = not over.done()
        await over
    except (ServerStartError, SignalingError, TlsError) as error:
        raise ProgramError(str(error)) from error
    # Without copy and paste, which is over some time, nobody to talk to any more is a failure.
    return 0 if stopped or "-" in (*plan.offers, *plan.answers) else 1


async def _begin(
    plan: Plan, resources: AsyncExitStack, farewells: AsyncExitStack
) -> list[asyncio.Task[None]]:
    """Start everything; how it is ended is put on the two stacks."""
    # Made while devices open: a process's first certificate takes up to a fifth of a second.
    warm = asyncio.create_task(RTCPeerConnection.generateCertificate())
    resources.push_async_callback(asyncio.gather, warm)
    server = None
    if plan.serves:
        # The address first: it fails faster, and before a camera's light goes on.
        server = await make_server(plan.serving)
        await server.start()
        resources.push_async_callback(server.stop)
    talking: list[asyncio.Task[None]] = []
    if plan.offers:
        talking += await _publish(plan, server, resources, farewells)
    if plan.answers:
        talking += await _receive(plan, server, resources, farewells)
    if server is not None:
        announce(server, plan.serving, watch=OWN in plan.offers, send=OWN in plan.answers)
    return talking


async def _publish(
    plan: Plan,
    server: SignalingServer | None,
    resources: AsyncExitStack,
    farewells: AsyncExitStack,
) -> list[asyncio.Task[None]]:
    devices: list[MediaDevices] = []

    async def release() -> None:
        for media_devices in devices:
            media_devices.end()
        for media_devices in devices:
            await media_devices.closed()

    resources.push_async_callback(release)
    publishers = []
    for named in await capture(plan.wanted, devices):
        publisher = Publisher(
            named.stream,
            label=named.label,
            ice_servers=plan.ice_servers,
            resume=named.resumable if plan.resume else None,
            codecs=plan.codecs,
        )
        farewells.push_async_callback(publisher.close)
        publishers.append((named.name, publisher))
    talking = []
    for address in plan.offers:
        for number, (name, publisher) in enumerate(publishers):
            client: SignalingClient
            if address == OWN:
                assert server is not None
                client = LocalClient(server.hub, name, meta=publisher.meta, room=plan.room or "")
            elif number and not address.startswith("ws"):
                logger.warning("%s takes one stream: %s is not sent there", address, name)
                continue
            else:
                client = client_for(
                    address, offer=True, token=plan.token, name=name, meta=publisher.meta,
                    room=plan.room,
                )  # fmt: skip
            talking.append(await _talk(publisher.serve(client), client, resources))
    return talking


async def _receive(
    plan: Plan,
    server: SignalingServer | None,
    resources: AsyncExitStack,
    farewells: AsyncExitStack,
) -> list[asyncio.Task[None]]:
    receiver = Receiver(ice_servers=plan.ice_servers, record=plan.record)
    farewells.push_async_callback(receiver.close)
    talking = []
    for address in plan.answers:
        client: SignalingClient
        if address == OWN:
            assert server is not None
            roles = {PeerRole.CONSUMER}
            client = LocalClient(
                server.hub, RECEIVER, roles=roles, meta={"label": "Receiver"}, room=plan.room or ""
            )
        else:
            client = client_for(
                address, offer=False, token=plan.token, name=RECEIVER, room=plan.room
            )
        talking.append(await _talk(receiver.serve(client), client, resources))
    return talking


async def _talk(
    serve: Coroutine[Any, Any, None], client: SignalingClient, resources: AsyncExitStack
) -> asyncio.Task[None]:
    """Connect a client, and attend to who comes through it.

    :raises SignalingError: the server can't be reached, or refuses.
    """
    try:
        await client.start()
    except SignalingError:
        serve.close()
        await client.close()
        raise
    resources.push_async_callback(client.close)
    if isinstance(client, StdioClient):
        print("Paste the other side's description, then press Enter.", file=sys.stderr)
    return asyncio.create_task(serve)
