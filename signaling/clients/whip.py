"""Publishing by WHIP (RFC 9725), and watching by WHEP (draft-ietf-wish-whep)."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urljoin

from ..errors import SignalingError
from ..session import Candidate, Description, Ended, EndReason, IceServer, Message
from .backoff import STABLE_AFTER, Backoff
from .fragment import SDPFRAG, trickle_fragment
from .http import HttpClient, Refused, Reply, Trust, Unavailable, check_url, origin
from .inbox import Inbox

logger = logging.getLogger(__name__)

SDP = "application/sdp"

MOST_ATTEMPTS = 5
"""Posts of one offer: after about half a minute its candidates may not be true any more."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds: no server makes us wait longer, whatever it asks for."""
END_TIMEOUT = 2.0
"""Seconds to tell a server that we leave: longer, nobody who pressed Ctrl-C waits."""
MOST_EARLY_CANDIDATES = 64
"""Candidates that wait for the answer; a computer has one or two for each address."""


class WhipSession:
    """One connection to a WHIP or WHEP server; it is asked by a POST, and ended by a DELETE."""

    peer_id = ""
    offers = True
    polite = False
    renegotiates = False
    may_control = False

    def __init__(
        self, http: HttpClient, backoff: Backoff, doing: str, ice_servers: tuple[IceServer, ...]
    ) -> None:
        self.id = secrets.token_urlsafe(32)
        self.ice_servers = ice_servers
        """Those of the preflight, then those that came with the answer, if any."""
        self.refusal: Refused | None = None
        """Why the server did not begin the session."""
        self.established = False
        """Whether the server has begun it."""
        self.inbox = Inbox()
        self._http = http
        self._backoff = backoff
        self._doing = doing
        self._offer = ""
        self._posting: asyncio.Task[None] | None = None
        self._resource: str | None = None
        self._etag: str | None = None
        self._candidates: list[Candidate] = []
        self._trickling = asyncio.Lock()
        self._trickles = True
        self._ending = asyncio.Lock()

    async def send(self, message: Description | Candidate) -> None:
        """Post the offer, or trickle a candidate.

        An offer that the server can't take at the moment is posted again, a few times.

        :raises SignalingError: the server refused the offer, or is still not there.
        :raises ValueError: it is an answer, or a second offer; neither can be told by WHIP.
        """
        if self.inbox.ended is not None:
            return
        if isinstance(message, Candidate):
            if self._trickles and len(self._candidates) < MOST_EARLY_CANDIDATES:
                self._candidates.append(message)
                await self._trickle()
            return
        if message.type != "offer" or self._posting is not None:
            raise ValueError("over WHIP and WHEP one offer can be sent, and nothing else")
        self._offer = message.sdp
        # Whoever sends may be cancelled; what the server has begun by then must be ended still.
        self._posting = asyncio.create_task(self._post())
        await asyncio.shield(self._posting)

    async def end(self, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        """End the session, on the server too; a second call changes nothing."""
        self.inbox.end(Ended(reason, detail))
        async with self._ending:
            if self._posting is not None:
                await asyncio.wait({self._posting}, timeout=END_TIMEOUT)
                self._posting.cancel()
                await asyncio.gather(self._posting, return_exceptions=True)
            if self._resource is None:
                return
            try:
                async with asyncio.timeout(END_TIMEOUT):
                    reply = await self._http.request("DELETE", self._resource)
                logger.debug("session %s: deleted (%d)", self.id[:6], reply.status)
            except (SignalingError, TimeoutError) as error:
                logger.info("the server was not told that we leave: %s", error or "no answer")
            self._resource = None

    def messages(self) -> AsyncIterator[Message]:
        """The answer, then the end."""
        return self.inbox.read()

    async def _post(self) -> None:
        try:
            reply = await self._attempts()
            if reply is not None:
                self._begin(reply)
        except Refused as error:
            self.refusal = error
            self.inbox.end(Ended(error.reason, str(error)))
            raise
        await self._trickle()

    async def _attempts(self) -> Reply | None:
        """The server's consent; None if the session was ended while we waited for it."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                reply = await self._http.request(
                    "POST",
                    self._http.url,
                    body=self._offer,
                    headers={"Content-Type": SDP, "Accept": SDP},
                )
                if reply.status == 201:
                    return reply
                raise reply.error(self._doing)
            except Unavailable as error:
                if attempt == MOST_ATTEMPTS:
                    raise
                delay = min(max(self._backoff.next_delay(), error.retry_after), LONGEST_RETRY_AFTER)
                logger.info("%s; trying again in %.1f s", error, delay)
            if await self.inbox.wait_ended(delay):
                break
        return None

    def _begin(self, reply: Reply) -> None:
        if reply.location is None:
            raise Refused(f"{self._doing}: the server began a session, but did not say where")
        try:
            resource = check_url(urljoin(reply.url, reply.location))
            same = origin(resource) == origin(reply.url)
        except ValueError:
            same = False
        if not same:
            raise Refused(f"{self._doing}: the server put the session on another server, "
                          "which this one can't vouch for")  # fmt: skip
        self._resource = resource
        if reply.content_type != SDP:
            raise Refused(f"{self._doing}: the server answered with {reply.content_type}, "
                          f"not {SDP}")  # fmt: skip
        self._etag = reply.etag
        self.established = True
        self.ice_servers = reply.ice_servers or self.ice_servers
        self.inbox.put(Description("answer", reply.body))

    async def _trickle(self) -> None:
        """Tell the candidates that wait, once there is somebody to tell."""
        async with self._trickling:
            while self._resource is not None and self._candidates and self.inbox.ended is None:
                told, self._candidates = self._candidates, []
                await self._patch(self._resource, trickle_fragment(self._offer, told))

    async def _patch(self, resource: str, fragment: str) -> None:
        headers = {"Content-Type": SDPFRAG}
        if self._etag is not None:
            headers["If-Match"] = self._etag
        try:
            reply = await self._http.request("PATCH", resource, body=fragment, headers=headers)
        except SignalingError as error:
            # The connection may stand without these candidates; if it doesn't, ICE says so.
            logger.info("candidates were not told: %s", error)
            return
        if not 200 <= reply.status < 300:
            logger.info("%s; no more candidates are told", reply.error("trickling candidates"))
            self._trickles = False


class WhipClient:
    """Publishes to a WHIP server: an SFU, or a peer that waits for one.

    One session at a time. One that was ended as failed or lost is followed by another; so is one
    that the server had no place for. One that was ended for another reason is the last.

    :param url: the endpoint; https, or http to this computer.
    :param token: a bearer token, for the URL's own origin.
    :param tls: what to trust instead of the usual authorities.
    :raises ValueError: the URL can't be used; the message is for a person.
    """

    _doing = "publishing"

    def __init__(self, url: str, token: str | None = None, *, tls: Trust | None = None) -> None:
        self._url = check_url(url)
        self._token = token
        self._tls = tls
        self._http: HttpClient | None = None
        self._ice_servers: tuple[IceServer, ...] = ()
        self._session: WhipSession | None = None
        self._closed = asyncio.Event()

    async def start(self) -> None:
        """Ask whether the server is there, and what ICE servers it has.

        :raises SignalingError: it can't be reached, or does not let us in.
        """
        self._http = HttpClient(self._url, self._token, self._tls)
        try:
            await self._preflight()
        except BaseException:
            await self._http.close()
            raise

    async def sessions(self) -> AsyncIterator[WhipSession]:
        """One session after another.

        :raises SignalingError: the server refused one for good.
        """
        assert self._http is not None, "start() comes first"
        backoff, clock = Backoff(), asyncio.get_running_loop().time
        welcome = False
        while not self._closed.is_set():
            session = WhipSession(self._http, backoff, self._doing, self._ice_servers)
            self._session, began = session, clock()
            yield session
            await session.inbox.wait_ended()
            welcome = welcome or session.established
            await session.end()
            if not self._is_followed(session, welcome):
                return
            if clock() - began > STABLE_AFTER and session.refusal is None:
                backoff.reset()
            delay = backoff.next_delay()
            logger.info("%s again in %.1f s", self._doing, delay)
            try:
                await asyncio.wait_for(self._closed.wait(), delay)
            except TimeoutError:
                await self._renew_ice_servers()

    async def set_meta(self, meta: Mapping[str, Any]) -> None:
        """Nobody can be told by WHIP."""

    async def close(self) -> None:
        """End the session, on the server too, and disconnect; a second call changes nothing."""
        self._closed.set()
        if self._session is not None:
            await self._session.end()
        if self._http is not None:
            await self._http.close()

    def _is_followed(self, session: WhipSession, welcome: bool) -> bool:
        """Whether another session may do better.

        :raises SignalingError: none will. Who was welcome once is turned away for good only by a
            token that is no longer taken: a server that restarts may not know its paths at once.
        """
        assert session.inbox.ended is not None
        reason, refusal = session.inbox.ended.reason, session.refusal
        if refusal is None:
            return reason in (EndReason.FAILED, EndReason.LOST)
        final = not isinstance(refusal, Unavailable)
        if final and (not welcome or reason is EndReason.UNAUTHORIZED):
            raise refusal
        return True

    async def _renew_ice_servers(self) -> None:
        """Their credentials don't live long."""
        try:
            await self._preflight()
        except SignalingError as error:
            logger.debug("no ICE servers were told: %s", error)

    async def _preflight(self) -> None:
        assert self._http is not None
        reply = await self._http.request("OPTIONS", self._url)
        if reply.status == 401:
            raise reply.error(self._doing)
        # Not every server has an answer to this; what matters is what it says to the offer.
        if reply.status < 300:
            self._ice_servers = reply.ice_servers


class WhepClient(WhipClient):
    """Watches what a WHEP server sends; in all else like `WhipClient`.

    A server that wants to make the offer itself (406) is refused: few do, and they must not.
    """

    _doing = "watching"
