"""Negotiation over a session: who offers when, and what is refused."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from peer import RTCPeerConnection
from peer.connection.perfect_negotiation import Negotiation
from signaling import (
    Candidate,
    Description,
    Ended,
    EndReason,
    IceServer,
    Message,
    OfferMalformed,
    SignalingError,
)

from .pairs import WAIT, Diary, captured, settled


class Side:
    """One end of a session in this process (`signaling.SignalingSession`)."""

    id = "0" * 43
    peer_id = ""
    may_control = False
    ice_servers: tuple[IceServer, ...] = ()

    def __init__(self, *, offers: bool, polite: bool, renegotiates: bool = True) -> None:
        self.offers, self.polite, self.renegotiates = offers, polite, renegotiates
        self.sent: list[Description | Candidate] = []
        self.other: Side | None = None
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()

    async def send(self, message: Description | Candidate) -> None:
        self.sent.append(message)
        if self.other is not None:
            self.other.inbox.put_nowait(message)

    async def end(self, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        self.inbox.put_nowait(Ended(reason, detail))

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            message = await self.inbox.get()
            yield message
            if isinstance(message, Ended):
                return

    def types(self) -> list[str]:
        return [one.type for one in self.sent if isinstance(one, Description)]


def session(**options: bool) -> tuple[Side, Side]:
    one = Side(offers=True, polite=False, **options)
    other = Side(offers=False, polite=True, **options)
    one.other, other.other = other, one
    return one, other


async def test_who_is_to_answer_waits_for_the_offer() -> None:
    """Though it has something to negotiate: an offer of its own would collide with the other's."""
    async with captured() as stream:
        first, second = session()
        connections = RTCPeerConnection(), RTCPeerConnection()
        running = [
            asyncio.create_task(Negotiation(connection, side).run())
            for connection, side in zip(connections, (first, second), strict=True)
        ]
        connections[1].addTrack(stream.getVideoTracks()[0], stream)
        await settled()
        assert second.sent == []
        connections[0].addTrack(stream.getAudioTracks()[0], stream)
        diary = Diary().keep(connections[0], "track")
        await diary.has("track")
        assert second.types() == ["answer", "offer"], "what is its own comes afterwards"
        await first.end()
        await second.end()
        await asyncio.gather(*running)
        for connection in connections:
            await connection.close()


async def test_nothing_is_offered_again_where_that_can_not_be() -> None:
    async with captured() as stream:
        first, second = session(renegotiates=False)
        ours, theirs = RTCPeerConnection(), RTCPeerConnection()
        running = [
            asyncio.create_task(Negotiation(ours, first).run()),
            asyncio.create_task(Negotiation(theirs, second).run()),
        ]
        ours.addTrack(stream.getVideoTracks()[0], stream)
        states = Diary().keep(ours, "connectionstatechange")
        await states.has("connectionstatechange", 2)
        offer = first.sent[0]
        assert isinstance(offer, Description)
        assert "a=end-of-candidates" in offer.sdp, "complete, since nothing can follow"
        ours.addTrack(stream.getAudioTracks()[0], stream)
        await settled()
        assert first.types() == ["offer"]
        assert all(isinstance(one, Description) for one in first.sent)
        await first.end()
        await second.end()
        await asyncio.gather(*running)
        await ours.close()
        await theirs.close()


@pytest.mark.parametrize(
    ("sdp", "error"),
    [
        ("hello", OfferMalformed),
        ("v=0\r\n" + "a=x:y\r\n" * 2000, SignalingError),
    ],
)
async def test_what_no_parser_should_see_ends_it(sdp: str, error: type[Exception]) -> None:
    side = Side(offers=False, polite=True)
    connection = RTCPeerConnection()
    side.inbox.put_nowait(Description("offer", sdp))
    with pytest.raises(error):
        await asyncio.wait_for(Negotiation(connection, side).run(), WAIT)
    await connection.close()
