"""A signalling session and its connection, from the first message to the last."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from aiortc import RTCConfiguration, RTCIceServer

from signaling import Ended, EndReason, SignalingError, SignalingSession

from ..errors import DOMException
from ..events import Event
from .candidate_policy import candidate_policy
from .perfect_negotiation import Negotiation
from .rtc_peer_connection import RTCPeerConnection

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 15.0
"""Seconds to connect: who means it does within a second or two; what has not by then is a session
whose other side is gone (SECURITY: phantom sessions)."""


class AttendedSession:
    """Keeps a connection negotiated, and looks for another way when the one there is gets lost.

    :param ice_servers: what is configured; the session's own are added.
    :param accept: as `Negotiation` has it.
    :param allow_loopback: whether the other side may be reached at this machine's loopback
        addresses.
    """

    def __init__(
        self,
        session: SignalingSession,
        *,
        ice_servers: Iterable[RTCIceServer],
        accept: Callable[[], None],
        allow_loopback: bool,
    ) -> None:
        self.session = session
        servers = [
            RTCIceServer(one.urls, one.username, one.credential) for one in session.ice_servers
        ]
        self.connection = RTCPeerConnection(
            # A server that both name is asked once, with the account that lasts longer.
            RTCConfiguration(
                iceServers=list({str(s.urls): s for s in (*ice_servers, *servers)}.values())
            ),
            alwaysNegotiateDataChannels=session.offers,
            allowRemoteCandidate=candidate_policy(allow_loopback=allow_loopback),
        )
        self.negotiation = Negotiation(self.connection, session, accept)
        self.connected = asyncio.Event()
        """Whether media could ever get through."""
        self.connection.addEventListener("connectionstatechange", self._state_changed)
        self.connection.on("close", self._closed)

    @property
    def name(self) -> str:
        """What the log calls it; who knows the whole id may end the session."""
        return f"session {self.session.id[:6]}"

    async def run(self) -> Ended:
        """Attend to it until one side leaves, or can't be reached; returns why it is over. The
        connection is closed then."""
        reaper = asyncio.create_task(self._reap())
        try:
            return await self._negotiate()
        finally:
            reaper.cancel()
            await asyncio.gather(reaper, return_exceptions=True)
            await self.session.end()
            await self.connection.close()

    async def _negotiate(self) -> Ended:
        try:
            return await self.negotiation.run()
        except SignalingError as error:
            ended = Ended(error.reason, str(error))
        except (DOMException, TypeError) as error:
            logger.info("%s: a description was refused: %s", self.name, error)
            ended = Ended(EndReason.MALFORMED, "the description could not be understood")
        await self.session.end(ended.reason, ended.detail)
        return ended

    async def _reap(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self.connected.wait()
        except TimeoutError:
            detail = f"no connection came about within {CONNECT_TIMEOUT:g} s"
            await self.session.end(EndReason.FAILED, detail)

    async def _state_changed(self, event: Event) -> None:
        state = self.connection.connectionState
        logger.debug("%s: %s", self.name, state)
        if state == "connected":
            self.connected.set()
        elif state == "disconnected" and self.session.renegotiates:
            self.connection.restartIce()  # there may be another way
        elif state == "failed":
            await self.session.end(EndReason.FAILED, "the connection was lost")

    async def _closed(self) -> None:
        await self.session.end()
