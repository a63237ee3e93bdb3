"""The program behind `python -m peer`: capture, publish, receive, tell, and leave in order."""

import asyncio
import logging
import secrets
import signal
from collections.abc import Collection, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiortc import RTCIceServer

from signaling import (
    LocalClient,
    PeerRole,
    ServerStartError,
    SignalingClient,
    SignalingError,
    SignalingServer,
)
from signaling.clients import ANY_PRODUCER, Trust, WebSocketClient, client_for
from signaling.tls import TlsError

from .capture.media_devices import MediaDevices
from .connection.rtc_peer_connection import RTCPeerConnection
from .media.encoder_settings import settings
from .publisher import Publisher
from .receiver import Receiver
from .serving import Serving, announce, make_server
from .streams import ProgramError, Wanted, capture

logger = logging.getLogger("peer")

OWN = ""
"""The address of the server that this process runs itself."""
RECEIVER = "receiver"
"""How the receiving side is named there: WHIP clients send to /whip/receiver."""
COPY_AND_PASTE = "-"

_INSTANCE = secrets.token_urlsafe(9)  # this process, which must not watch itself


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
    hardware: tuple[str, ...] = ()
    """Encoders in hardware to try first, by FFmpeg's names."""
    dtx: bool = False
    """Whether pauses in sound are left out for everybody."""
    serving: Serving = field(default_factory=Serving)
    token: str | None = None
    """What servers elsewhere want to see."""
    trust: Trust | None = None
    """What servers elsewhere are believed by; the usual authorities when None."""
    name: str | None = None
    """What others call this peer."""
    watch: str = ANY_PRODUCER
    """Whom to watch at a signalling server, by name."""
    room: str | None = None
    ice_servers: tuple[RTCIceServer, ...] = ()
    allow_loopback: bool = True
    """Whether other peers may be reached at this computer's loopback addresses."""

    @property
    def serves(self) -> bool:
        """Whether a server of its own is needed."""
        return OWN in self.offers or OWN in self.answers

    def client(
        self,
        address: str,
        *,
        offer: bool,
        name: str | None = None,
        meta: Mapping[str, Any] | None = None,
        roles: Collection[PeerRole] | None = None,
    ) -> SignalingClient:
        """Of a server elsewhere, or of a person.

        :raises ValueError: the address is none.
        """
        return client_for(
            address,
            offer=offer,
            roles=roles,
            token=self.token,
            tls=self.trust,
            name=name,
            meta=meta,
            room=self.room,
            watch=self.watch,
            instance=_INSTANCE,
        )


async def run(plan: Plan) -> int:
    """Publish and receive until SIGINT or SIGTERM, or until there is nobody left to talk to;
    returns the exit status.

    :raises ProgramError: a device, an address or a server can't be had.
    """
    settings.hardware, settings.dtx = plan.hardware, plan.dtx
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        # Whoever there is to take leave of is told before anything is closed.
        async with AsyncExitStack() as resources, AsyncExitStack() as farewells:
            beginning = asyncio.create_task(_begin(plan, resources, farewells))
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, _stop, stopping, beginning)
            try:
                talking = await beginning
            except asyncio.CancelledError:
                if stopping.is_set():
                    return 0
                raise
            over: asyncio.Future[list[bool]] = asyncio.gather(*talking)
            over.add_done_callback(lambda _: stopping.set())
            await stopping.wait()
            stopped = not over.done()
            if stopped:
                logger.info("leaving")
        refused = not all(await over)
    except (ServerStartError, SignalingError, TlsError) as error:
        raise ProgramError(str(error)) from error
    if stopped:
        return 0
    # Without copy and paste, which is over some time, nobody to talk to any more is a failure.
    return 2 if refused else 0 if COPY_AND_PASTE in (*plan.offers, *plan.answers) else 1


def _stop(stopping: asyncio.Event, beginning: asyncio.Task[Any]) -> None:
    stopping.set()
    beginning.cancel()  # which changes nothing once it is done


async def _begin(
    plan: Plan, resources: AsyncExitStack, farewells: AsyncExitStack
) -> list[asyncio.Task[bool]]:
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
    talking: list[asyncio.Task[bool]] = []
    if plan.offers:
        await _knock(plan)
        talking += await _publish(plan, server, resources, farewells)
    if plan.answers:
        talking += await _receive(plan, server, resources, farewells)
    if server is not None:
        announce(
            server, plan.serving, plan.room, watch=OWN in plan.offers, send=OWN in plan.answers
        )
    return talking


async def _knock(plan: Plan) -> None:
    """See whether the servers elsewhere are there and let us in: before a camera's light goes on.

    :raises SignalingError: one is not, or does not.
    """
    for offer, addresses in ((True, plan.offers), (False, plan.answers)):
        for address in addresses:
            if _is_server(address):
                client = plan.client(address, offer=offer, roles=())
                try:
                    await client.start()
                finally:
                    await client.close()


async def _publish(
    plan: Plan,
    server: SignalingServer | None,
    resources: AsyncExitStack,
    farewells: AsyncExitStack,
) -> list[asyncio.Task[bool]]:
    devices: list[MediaDevices] = []

    async def release() -> None:
        for media_devices in devices:
            media_devices.end()
        for media_devices in devices:
            await media_devices.closed()

    resources.push_async_callback(release)
    publishers = []
    for number, named in enumerate(await capture(plan.wanted, devices)):
        name, label = named.name, named.label
        if plan.name is not None:
            name = f"{plan.name}-{named.name}" if number else plan.name
            label = f"{plan.name}: {label}"
        publisher = Publisher(
            named.stream,
            label=label,
            ice_servers=plan.ice_servers,
            resume=named.resumable if plan.resume else None,
            codecs=plan.codecs,
            allow_loopback=plan.allow_loopback,
        )
        farewells.push_async_callback(publisher.close)
        publishers.append((name, publisher))
    talking = []
    for address in plan.offers:
        for number, (name, publisher) in enumerate(publishers):
            client: SignalingClient
            if address == OWN:
                assert server is not None
                client = LocalClient(server.hub, name, meta=publisher.meta, room=plan.room or "")
            else:
                client = plan.client(address, offer=True, name=name, meta=publisher.meta)
                if number and not isinstance(client, WebSocketClient):
                    logger.warning("%s takes one stream: %s is not sent", _where(address), name)
                    continue
            talking.append(await _talk(publisher.serve(client), client, resources))
            if _is_server(address):
                logger.info("publishing %s at %s", name, _where(address))
    return talking


async def _receive(
    plan: Plan,
    server: SignalingServer | None,
    resources: AsyncExitStack,
    farewells: AsyncExitStack,
) -> list[asyncio.Task[bool]]:
    receiver = Receiver(
        ice_servers=plan.ice_servers, record=plan.record, allow_loopback=plan.allow_loopback
    )
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
            name = plan.name or RECEIVER
            client = plan.client(address, offer=False, name=name, meta={"label": name})
        talking.append(await _talk(receiver.serve(client), client, resources))
        if _is_server(address):
            logger.info("receiving from %s", _where(address))
    return talking


def _is_server(address: str) -> bool:
    """Whether it is one elsewhere."""
    return address not in (OWN, COPY_AND_PASTE)


def _where(address: str) -> str:
    """A server in messages; the rest of its address may be secret."""
    return urlsplit(address).netloc or address


async def _talk(
    serve: Coroutine[Any, Any, None], client: SignalingClient, resources: AsyncExitStack
) -> asyncio.Task[bool]:
    """Connect a client, and attend to who comes through it.

    :raises SignalingError: the server can't be reached, or refuses.
    """
    try:
        await client.start()
    except BaseException:  # a signal's cancellation, too
        serve.close()
        await client.close()
        raise
    resources.push_async_callback(client.close)
    return asyncio.create_task(_attend(serve))


async def _attend(serve: Coroutine[Any, Any, None]) -> bool:
    """Whether it was not refused; the others go on without it."""
    try:
        await serve
    except SignalingError as error:
        logger.error("%s", error)
        return False
    return True
