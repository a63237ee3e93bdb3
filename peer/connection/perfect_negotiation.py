"""Keeps a connection negotiated over a signalling session (WebRTC 10.7, "perfect negotiation")."""

import asyncio
import logging
from collections.abc import Callable

from aiortc import RTCIceCandidate

from signaling.limits import Limits
from signaling.sdp_guard import check_description
from signaling.session import Candidate, Description, Ended, SignalingSession

from ..errors import DOMException, InvalidStateError
from ..events import Event
from .events import RTCPeerConnectionIceEvent
from .rtc_peer_connection import RTCPeerConnection

logger = logging.getLogger(__name__)

GATHERING_LIMIT = 2.0
"""Seconds for STUN and TURN servers to answer, where all candidates must be in the description."""
LIMITS = Limits(media_sections=32)
"""Of a description, however it comes; a server's own limits are below."""
_BACKLOG = 256
"""Messages of the other side that wait to be taken: far more than a negotiation has."""

_NEEDED = object()


class Negotiation:
    """Offers when something is to be negotiated, answers when it is offered, trickles candidates.

    When offers collide the polite side gives way. Everything is done in one task, in order.

    :param accept: called with each offer of the other side's in force, before it is answered; what
        it raises ends `run()`.
    """

    def __init__(
        self,
        connection: RTCPeerConnection,
        session: SignalingSession,
        accept: Callable[[], None] | None = None,
    ) -> None:
        self._connection, self._session, self._accept = connection, session, accept
        self._work: asyncio.Queue[object] = asyncio.Queue(_BACKLOG)
        self._needed = False
        self._over = False
        self._offered = self._heard = False
        self._ignoring = False
        self._told: str = ""
        self._settled = asyncio.Event()

    async def run(self) -> Ended:
        """Negotiate until the session is over.

        :raises DOMException: a description of the other side's can't be taken.
        :raises SignalingError: the server refused the first description, or one of the other
            side's is beyond all limits.
        """
        connection = self._connection
        connection.addEventListener("negotiationneeded", self._negotiation_needed)
        connection.addEventListener("icecandidate", self._candidate_found)
        reader = asyncio.create_task(self._read())
        try:
            while True:
                item = await self._work.get()
                if isinstance(item, Ended):
                    return item
                await self._take(item)
        except InvalidStateError:
            if connection.signalingState != "closed":
                raise
            return Ended()  # closed while something was on its way
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            connection.removeEventListener("negotiationneeded", self._negotiation_needed)
            connection.removeEventListener("icecandidate", self._candidate_found)
            self._over = True
            self._settled.set()

    async def _take(self, item: object) -> None:
        if item is _NEEDED:
            self._needed = False
            await self._offer()
        elif isinstance(item, Description):
            await self._described(item)
        elif isinstance(item, Candidate):
            await self._add(item)
        elif isinstance(item, RTCIceCandidate):
            await self._tell(item)

    async def negotiate(self) -> None:
        """Offer what the transceivers are now, and wait for the answer, or the session's end."""
        self._want_offer()
        await self._settled.wait()

    async def _read(self) -> None:
        async for message in self._session.messages():
            await self._work.put(message)

    def _negotiation_needed(self, event: Event) -> None:
        session = self._session
        begun = self._offered or self._heard
        if session.renegotiates if begun else session.offers:
            self._want_offer()

    def _want_offer(self) -> None:
        if not self._needed and not self._over and not self._work.full():
            self._needed = True
            self._settled.clear()
            self._work.put_nowait(_NEEDED)

    def _candidate_found(self, event: RTCPeerConnectionIceEvent) -> None:
        # Where nothing can be added later, the description has waited for all of them.
        if self._session.renegotiates and event.candidate is not None and not self._work.full():
            self._work.put_nowait(event.candidate)

    async def _offer(self) -> None:
        if self._connection.signalingState != "stable":
            return  # negotiationneeded fires again once it is
        self._offered = True
        self._settled.clear()
        await self._connection.setLocalDescription()
        await self._send()

    async def _described(self, message: Description) -> None:
        connection = self._connection
        self._heard = True
        collides = message.type == "offer" and connection.signalingState == "have-local-offer"
        self._ignoring = collides and not self._session.polite
        if self._ignoring:
            return
        check_description(message.sdp, LIMITS)
        await connection.setRemoteDescription({"type": message.type, "sdp": message.sdp})
        if message.type == "offer":
            if self._accept is not None:
                self._accept()
            await connection.setLocalDescription()
            await self._send()
        elif not self._needed:
            self._settled.set()

    async def _send(self) -> None:
        if not self._session.renegotiates:
            await gathered(self._connection)
        description = self._connection.localDescription
        assert description is not None
        self._told = description.sdp
        await self._session.send(Description(description.type, description.sdp))  # type: ignore[arg-type]

    async def _add(self, message: Candidate) -> None:
        try:
            await self._connection.addIceCandidate(
                {
                    "candidate": message.candidate,
                    "sdpMid": message.sdp_mid,
                    "sdpMLineIndex": message.sdp_m_line_index,
                }
            )
        except (DOMException, TypeError) as error:
            # One that can't be used does no harm; those of an offer that was ignored can't.
            if not self._ignoring:
                logger.debug("a candidate was not taken: %s", error)

    async def _tell(self, candidate: RTCIceCandidate) -> None:
        text = getattr(candidate, "candidate", "")
        if text and f"a={text}" not in self._told:
            await self._session.send(Candidate(text, candidate.sdpMid, candidate.sdpMLineIndex))


async def gathered(connection: RTCPeerConnection, limit: float = GATHERING_LIMIT) -> None:
    """Wait until all candidates are found, or the limit, in seconds, is reached."""
    done = asyncio.Event()

    def changed(event: Event) -> None:
        if connection.iceGatheringState == "complete":
            done.set()

    connection.addEventListener("icegatheringstatechange", changed)
    try:
        if connection.iceGatheringState != "complete":
            async with asyncio.timeout(limit):
                await done.wait()
    except TimeoutError:
        logger.warning("some STUN or TURN servers did not answer within %g s", limit)
    finally:
        connection.removeEventListener("icegatheringstatechange", changed)
