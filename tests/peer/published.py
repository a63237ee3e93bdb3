"""A publisher whose viewers come straight from a test, one offer each, as WHEP players do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from peer import MediaDevices, MediaStream
from peer.publisher import Publisher
from signaling import Candidate, Description, Ended, EndReason, IceServer, Message


class OfferedSession:
    """`signaling.SignalingSession`: an offer, and an answer or the reason why there is none."""

    peer_id = "viewer"
    offers = polite = renegotiates = False
    ice_servers: tuple[IceServer, ...] = ()

    def __init__(self, id: str, offer: str, *, may_control: bool) -> None:
        self.id, self.may_control = id, may_control
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.ended: Ended | None = None
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._messages.put_nowait(Description("offer", offer))

    async def send(self, message: Description | Candidate) -> None:
        if isinstance(message, Description):
            self.answer.set_result(message.sdp)

    async def end(self, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        if self.ended is None:
            self.ended = Ended(reason, detail)
            self._messages.put_nowait(self.ended)
            if not self.answer.done():
                self.answer.set_exception(Refused(reason, detail))

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            message = await self._messages.get()
            yield message
            if isinstance(message, Ended):
                return


class Refused(Exception):
    """The publisher ended the session instead of answering."""

    def __init__(self, reason: EndReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Published:
    """A publisher, and `signaling.SignalingClient` for it."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.told: list[Mapping[str, Any]] = []
        """What was said of the stream, each time that it was."""
        self._sessions: asyncio.Queue[OfferedSession | None] = asyncio.Queue()

    @property
    def meta(self) -> Mapping[str, Any]:
        return self.publisher.meta

    async def start_session(self, id: str, offer: str, *, may_control: bool = False) -> str:
        """The answer to a viewer's offer.

        :raises Refused: the session was ended instead.
        """
        session = OfferedSession(id, offer, may_control=may_control)
        self._sessions.put_nowait(session)
        return await session.answer

    async def start(self) -> None: ...

    async def sessions(self) -> AsyncIterator[OfferedSession]:
        while (session := await self._sessions.get()) is not None:
            yield session

    async def set_meta(self, meta: Mapping[str, Any]) -> None:
        self.told.append(meta)

    async def close(self) -> None:
        self._sessions.put_nowait(None)


@contextlib.asynccontextmanager
async def published(
    stream: MediaStream, *, resume: MediaDevices | None = None
) -> AsyncIterator[Published]:
    """A publisher on the air, until the block is left."""
    publisher = Publisher(stream, label="Camera", resume=resume)
    client = Published(publisher)
    serving = asyncio.create_task(publisher.serve(client))
    try:
        yield client
    finally:
        await publisher.close()
        await client.close()
        await serving
