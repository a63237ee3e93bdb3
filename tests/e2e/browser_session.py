"""A signalling session whose other end is a page: what a test says to it, and what it says."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from peer.connection.perfect_negotiation import Negotiation
from peer.connection.rtc_peer_connection import RTCPeerConnection
from signaling import Candidate, Description, Ended, EndReason, IceServer, Message

from .browsers import Browser, Page

REMOTE_PEER = (Path(__file__).parent / "remote_peer.js").read_text()


class BrowserSession:
    """`signaling.SignalingSession`, over the page's `peer` object."""

    id = "0" * 43
    peer_id = "browser"
    renegotiates = True
    may_control = False
    ice_servers: tuple[IceServer, ...] = ()

    def __init__(self, page: Page, *, offers: bool, polite: bool) -> None:
        self.offers, self.polite = offers, polite
        self._page = page
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()

    async def listen(self) -> None:
        """Fetch what the page says, until cancelled."""
        while True:
            for said in await self._page.evaluate("peer.next()"):
                if (description := said.get("description")) is not None:
                    self._inbox.put_nowait(Description(description["type"], description["sdp"]))
                elif (candidate := said["candidate"]) is not None:
                    self._inbox.put_nowait(Candidate(
                        candidate["candidate"], candidate["sdpMid"], candidate["sdpMLineIndex"]
                    ))  # fmt: skip

    async def send(self, message: Description | Candidate) -> None:
        said: dict[str, Any]
        if isinstance(message, Description):
            said = {"description": {"type": message.type, "sdp": message.sdp}}
        else:
            said = {"candidate": {
                "candidate": message.candidate,
                "sdpMid": message.sdp_mid,
                "sdpMLineIndex": message.sdp_m_line_index,
            }}  # fmt: skip
        await self._page.evaluate(f"peer.hear({json.dumps(said)})")

    async def end(self, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        self._inbox.put_nowait(Ended(reason, detail))

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            message = await self._inbox.get()
            yield message
            if isinstance(message, Ended):
                return


class Call:
    """A connection between this process and a page."""

    def __init__(self, page: Page, connection: RTCPeerConnection, negotiation: Negotiation) -> None:
        self.page, self.connection, self.negotiation = page, connection, negotiation

    async def diary(self, *kinds: str) -> list[tuple[str, str]]:
        """What the page has noted: the event, and the kind of track (or the state)."""
        entries = await self.page.evaluate("peer.diary")
        return [
            (entry["what"], entry.get("kind") or entry.get("state") or "")
            for entry in entries
            if not kinds or entry["what"] in kinds
        ]

    async def noted(self, what: str, kind: str = "", count: int = 1) -> None:
        """Wait until the page has noted an event so many times."""
        which = f'e.what === "{what}"' + (f' && e.kind === "{kind}"' if kind else "")
        await self.page.wait_for(f"peer.diary.filter(e => {which}).length >= {count}")

    async def stable(self) -> None:
        """Wait until both sides have nothing to negotiate."""
        await self.page.wait_for('peer.connection.signalingState === "stable"')
        while self.connection.signalingState != "stable":  # noqa: ASYNC110  # it only sinks in
            await asyncio.sleep(0.01)

    async def plays(self) -> None:
        """Wait until the page decodes more pictures than now."""
        before = await self.page.evaluate("peer.frames()")
        await self.page.wait_for(f"peer.frames().then(now => now > {before} + 2)")


@contextlib.asynccontextmanager
async def call(browser: Browser, *, polite: bool, data: bool = True) -> AsyncIterator[Call]:
    """A connection to a page, negotiated by whoever has something to say.

    :param polite: whether this process is the polite side.
    :param data: whether this side always negotiates data channels.
    """
    page = await browser.open("about:blank")
    await page.evaluate(f"(() => {{ {REMOTE_PEER} return null }})()")
    await page.evaluate(f"peer.setPolite({json.dumps(not polite)})")
    session = BrowserSession(page, offers=True, polite=polite)
    connection = RTCPeerConnection(alwaysNegotiateDataChannels=data)
    negotiation = Negotiation(connection, session)
    listening = asyncio.create_task(session.listen())
    running = asyncio.create_task(negotiation.run())
    try:
        yield Call(page, connection, negotiation)
        assert await page.evaluate("peer.errors()") == []
    finally:
        await session.end()
        await connection.close()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await running
        await page.close()
