"""A WHIP or WHEP client as a peer of the hub: it offers once, and hears one answer."""

import asyncio
import logging
from collections.abc import Callable

from .auth import Grant
from .clients.fragment import add_candidates, has_all_candidates
from .errors import Busy, NoAnswer, OfferRejected, SignalingError, error_for
from .hub import Hub
from .protocol import (
    ClientMessage,
    EndSession,
    PeerMessage,
    ServerMessage,
    SessionRequested,
    SessionStarted,
    StartSession,
)
from .sdp_guard import check_description
from .session import Candidate, Description, EndReason, IceServer
from .whip import Kind, Resource

logger = logging.getLogger(__name__)


class HttpPeer:
    """One session of an HTTP client.

    :param ended: called once, when the session that was begun is over.
    """

    def __init__(self, hub: Hub, kind: Kind, ended: Callable[["HttpPeer"], None]) -> None:
        self.kind = kind
        self.session_id = ""
        self.ice_servers: tuple[IceServer, ...] = ()
        self.resource: Resource | None = None
        """None until the answer is there."""
        self._hub = hub
        self._ended = ended
        self._id = ""
        self._error: SignalingError | None = None
        """Why the session is over."""
        self._answer: asyncio.Future[str] | None = None
        self._candidates: list[Candidate] = []
        self._gathered = asyncio.Event()

    async def start(self, target: str, offer: str, grant: Grant, address: str) -> Resource:
        """Begin a session with a peer.

        :raises SignalingError: NoSuchResource, Forbidden, Overloaded, NoAnswer, and what the peer
            ended the session with.
        """
        self._id = self._hub.join(self._hear, grant, address=address, renegotiates=False, room=None)
        try:
            answer = await self._ask(lambda: self._begin(target, offer))
            self.resource = Resource(offer, answer)
        except BaseException as error:
            cause = error if isinstance(error, SignalingError) else NoAnswer()
            self.leave(cause.reason, str(cause))
            raise
        return self.resource

    def _begin(self, target: str, offer: str) -> None:
        asked = StartSession(target, offer if self.kind == "whep" else None)
        session = self._hub.start_session(self._id, asked)
        if self.kind == "whip":
            # A producer is asked for its offer, even when the session is its own wish.
            self._say(PeerMessage(session.id, Description("offer", offer)))

    def trickle(self, candidates: tuple[Candidate, ...]) -> None:
        """Tell the peer more of the client's candidates."""
        for candidate in candidates:
            self._say(PeerMessage(self.session_id, candidate))

    async def restart(self, offer: str) -> str:
        """Let the peer answer an offer that restarts ICE; returns the fragment for the client.

        :raises SignalingError: Busy, NoAnswer, OfferRejected; the session is as it was then,
            unless the peer has ended it.
        """
        assert self.resource is not None, "the session has not begun"
        message = PeerMessage(self.session_id, Description("offer", offer))
        answer = await self._ask(lambda: self._say(message))
        return self.resource.restarted(offer, answer)

    def leave(self, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        """End the session; one that has ended is no error."""
        self._hub.leave(self._id, reason, detail)
        self._over(NoAnswer("the session has ended"))

    def _say(self, message: ClientMessage) -> None:
        self._hub.receive(self._id, message)

    async def _ask(self, ask: Callable[[], None]) -> str:
        """The answer to what `ask` sends, with all candidates in it."""
        if self._answer is not None:
            raise Busy("the session is negotiating already")
        limits = self._hub.limits
        self._answer = asyncio.get_running_loop().create_future()
        self._candidates.clear()
        self._gathered.clear()
        try:
            ask()
            try:
                async with asyncio.timeout(limits.answer_timeout):
                    answer = await self._answer
            except TimeoutError:
                raise NoAnswer("the other side did not answer in time") from None
            try:
                check_description(answer, limits)
            except SignalingError as error:
                raise NoAnswer("the other side's answer can't be used") from error
            if not has_all_candidates(answer):
                try:
                    async with asyncio.timeout(limits.gathering_wait):
                        await self._gathered.wait()
                except TimeoutError:
                    logger.debug("session %s: an answer with what is known", self.session_id[:6])
                answer = add_candidates(answer, [*self._candidates, Candidate("")])
            if self._error is not None:
                raise self._error
            return answer
        finally:
            self._answer = None

    def _hear(self, message: ServerMessage) -> None:
        match message:
            case SessionStarted() | SessionRequested():
                self.session_id = message.session_id
                self.ice_servers = message.ice_servers
            case PeerMessage(_, Description("answer", sdp)):
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(sdp)
            case PeerMessage(_, Description("offer")) if self.resource is None:
                # Some producers make every offer themselves; they would never answer.
                if self._answer is not None and not self._answer.done():
                    self._answer.set_exception(OfferRejected("the other side takes no offers"))
            case PeerMessage(_, Candidate("")):
                self._gathered.set()
            case PeerMessage(_, Candidate() as candidate):
                if len(self._candidates) < self._hub.limits.candidates:
                    self._candidates.append(candidate)
            case EndSession(_, reason, detail):
                # The hub is not called back from within.
                asyncio.get_running_loop().call_soon(self._hub.leave, self._id)
                self._over(error_for(reason, detail))

    def _over(self, error: SignalingError) -> None:
        self._error = error
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self._ended(self)
