"""This project's RTCPeerConnection with Chrome's engine at the other end, without signalling."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from itertools import pairwise

import aiortc
import pytest

from peer import MediaStreamTrack
from peer.connection.events import RTCPeerConnectionIceEvent
from peer.connection.rtc_peer_connection import RTCPeerConnection
from peer.devices import barcode
from tests.peer.connection.pairs import WAIT, Diary, captured

webrtc = pytest.importorskip("webrtc", reason="the PyPI package wrtc is not installed")

from .libwebrtc import Endpoint, camera  # noqa: E402  # it needs the package


def described(ours: RTCPeerConnection) -> str:
    assert ours.localDescription is not None
    return ours.localDescription.sdp


async def offered(ours: RTCPeerConnection, theirs: Endpoint) -> None:
    """One offer of ours, and their answer."""
    await ours.setLocalDescription()
    await gathered(ours)
    await theirs.connection.set_remote_description(
        webrtc.RTCSessionDescriptionInit(type="offer", sdp=described(ours))
    )
    await ours.setRemoteDescription(
        aiortc.RTCSessionDescription(await theirs.description(), "answer")
    )


async def answered(ours: RTCPeerConnection, theirs: Endpoint) -> None:
    """One offer of theirs, and our answer."""
    await ours.setRemoteDescription(
        aiortc.RTCSessionDescription(await theirs.description(), "offer")
    )
    await answer(ours, theirs)


async def answer(ours: RTCPeerConnection, theirs: Endpoint) -> None:
    """Our answer to an offer that has come."""
    await ours.setLocalDescription()
    await gathered(ours)
    await theirs.connection.set_remote_description(
        webrtc.RTCSessionDescriptionInit(type="answer", sdp=described(ours))
    )


async def gathered(ours: RTCPeerConnection) -> None:
    diary = Diary().keep(ours, "icegatheringstatechange")
    while ours.iceGatheringState != "complete":
        await diary.has("icegatheringstatechange", len(diary.types) + 1)


@contextlib.asynccontextmanager
async def ends() -> AsyncIterator[tuple[RTCPeerConnection, Endpoint]]:
    ours, theirs = RTCPeerConnection(), Endpoint()
    try:
        yield ours, theirs
    finally:
        await ours.close()
        theirs.connection.close()


@contextlib.asynccontextmanager
async def trickling(ours: RTCPeerConnection, theirs: Endpoint) -> AsyncIterator[None]:
    """Each side is told of the other's candidates that come after the first description."""
    async with asyncio.TaskGroup() as tasks:

        def found(event: RTCPeerConnectionIceEvent) -> None:
            one = event.candidate
            if one is not None and theirs.connection.remote_description is not None:
                candidate = webrtc.RTCIceCandidateInit(
                    candidate=getattr(one, "candidate", ""),
                    sdp_mid=one.sdpMid,
                    sdp_m_line_index=one.sdpMLineIndex,
                )
                tasks.create_task(theirs.connection.add_ice_candidate(candidate))

        def found_there(one: dict[str, object]) -> None:
            if ours.remoteDescription is not None:
                tasks.create_task(ours.addIceCandidate(one))

        ours.addEventListener("icecandidate", found)
        theirs.on_candidate = found_there
        yield
        ours.removeEventListener("icecandidate", found)
        theirs.on_candidate = None


def in_order(stamps: list[barcode.Stamp]) -> bool:
    return len(stamps) > 3 and all(a.frame < b.frame for a, b in pairwise(stamps))


async def test_they_see_what_is_sent_stopped_and_sent_again() -> None:
    async with captured() as stream, ends() as (ours, theirs):
        for track in stream.getTracks():
            ours.addTrack(track, stream)
        await offered(ours, theirs)
        await theirs.sees("video unmute")
        assert theirs.streams["video"] == [stream.id]
        assert in_order(await theirs.stamps(8))
        [transceiver] = [t for t in ours.getTransceivers() if t.receiver.track.kind == "video"]
        await transceiver.stop()
        await offered(ours, theirs)
        await theirs.sees("video ended")
        theirs.events.clear()
        # The same m-line, and a track that is new to them.
        ours.addTrack(stream.getVideoTracks()[0], stream)
        await offered(ours, theirs)
        await theirs.sees("video unmute")
        assert described(ours).count("m=video") == 1
        assert in_order(await theirs.stamps(8))
        assert "disconnected" not in theirs.events


async def test_they_see_what_is_removed_and_added_again() -> None:
    async with captured() as stream, ends() as (ours, theirs):
        sender = ours.addTrack(stream.getVideoTracks()[0], stream)
        await offered(ours, theirs)
        await theirs.sees("video unmute")
        ours.removeTrack(sender)
        await offered(ours, theirs)
        await theirs.sees("video mute")
        assert "video ended" not in theirs.events
        theirs.events.clear()
        ours.addTrack(stream.getVideoTracks()[0], stream)
        await offered(ours, theirs)
        await theirs.sees("video track")
        await theirs.sees("video unmute")
        assert in_order(await theirs.stamps(8))


async def test_a_disabled_track_is_black_for_them() -> None:
    async with captured() as stream, ends() as (ours, theirs):
        [track] = stream.getVideoTracks()
        assert isinstance(track, MediaStreamTrack)
        ours.addTrack(track, stream)
        await offered(ours, theirs)
        assert in_order(await theirs.stamps(8))
        track.enabled = False
        async with asyncio.timeout(WAIT):
            while (await theirs.pictures(1))[0].max() > 20:
                pass


@pytest.mark.parametrize("restart", ["ours", "theirs"])
async def test_ice_restarts_while_pictures_go_on(restart: str) -> None:
    async with captured() as stream, ends() as (ours, theirs):
        ours.addTrack(stream.getVideoTracks()[0], stream)
        await offered(ours, theirs)
        assert in_order(await theirs.stamps(8))
        before = described(ours)
        if restart == "ours":
            ours.restartIce()
            await offered(ours, theirs)
        else:
            theirs.connection.restart_ice()
            await answered(ours, theirs)
        fragments = [
            line
            for sdp in (before, described(ours))
            for line in sdp.splitlines()
            if "ice-ufrag" in line
        ]
        assert len(set(fragments)) == 2
        theirs.events.clear()
        assert in_order(await theirs.stamps(30))
        assert theirs.events == []


async def test_what_they_send_is_received_muted_and_ended() -> None:
    async with ends() as (ours, theirs), camera() as track:
        ours.createDataChannel("first")  # carries the transport, so that the rest may be stopped
        await offered(ours, theirs)
        diary = Diary().keep(ours, "track")
        stream = webrtc.MediaStream()
        theirs.connection.add_track(track, stream)
        await answered(ours, theirs)
        event = await diary.has("track")
        received = event.track  # type: ignore[attr-defined]
        assert [stream.id for stream in event.streams] == [stream.id]  # type: ignore[attr-defined]
        diary.keep(received, "mute", "unmute", "ended")
        await diary.has("unmute")
        stamps = []
        async with asyncio.timeout(WAIT):
            for _ in range(8):
                luma = (await received.recv()).reformat(format="gray").to_ndarray()
                stamps.append(barcode.read(luma))
        assert in_order([stamp for stamp in stamps if stamp is not None])
        [transceiver] = theirs.connection.get_transceivers()
        transceiver.direction = "inactive"
        await answered(ours, theirs)
        await diary.has("mute")
        assert received.readyState == "live"
        transceiver.direction = "sendonly"
        await answered(ours, theirs)
        await diary.has("unmute", 2)
        transceiver.stop()
        await answered(ours, theirs)
        await diary.has("ended")
        assert ours.connectionState == "connected"


async def test_messages_go_both_ways() -> None:
    async with ends() as (ours, theirs):
        ours.createDataChannel("hints", ordered=False, maxRetransmits=0)  # may lose messages
        channel = ours.createDataChannel("chat", ordered=False)
        opened = asyncio.Event()
        channel.on("open", opened.set)
        received: asyncio.Queue[str | bytes] = asyncio.Queue()
        channel.on("message", received.put_nowait)
        await offered(ours, theirs)
        await theirs.sees("channel hints")
        hints = theirs.channels["hints"]
        assert (hints.ordered, hints.max_retransmits) == (False, 0)
        await theirs.sees("channel chat")
        other = theirs.channels["chat"]
        other.on("message", lambda event: other.send(event.data))
        async with asyncio.timeout(WAIT):
            await opened.wait()
        for message in ("ein Wort", bytes(range(256)) * 100):
            channel.send(message)
            async with asyncio.timeout(WAIT):
                assert await received.get() == message


async def test_the_rest_outlives_the_section_that_carried_the_transport() -> None:
    async with captured() as stream, ends() as (ours, theirs), trickling(ours, theirs):
        for kind in ("audio", "video"):
            theirs.connection.add_transceiver(kind)
        for track in (*stream.getAudioTracks(), *stream.getVideoTracks()):
            ours.addTrack(track, stream)
        await answered(ours, theirs)
        await theirs.sees("video unmute")
        # Their engine throws the first section's transport away, and gathers anew for the next.
        theirs.connection.get_transceivers()[0].stop()
        await answered(ours, theirs)
        assert in_order(await theirs.stamps(8))
        assert ours.connectionState == "connected"


@pytest.mark.parametrize("polite", [True, False], ids=["we-give-way", "they-give-way"])
async def test_offers_that_collide(polite: bool) -> None:
    async with captured() as stream, ends() as (ours, theirs):
        ours.createDataChannel("first")
        await offered(ours, theirs)
        ours.addTrack(stream.getVideoTracks()[0], stream)
        theirs.connection.add_transceiver("audio")
        await ours.setLocalDescription()
        offer = await theirs.description()
        if polite:
            await ours.setRemoteDescription(aiortc.RTCSessionDescription(offer, "offer"))
            await answer(ours, theirs)
            await offered(ours, theirs)
        else:
            text = await theirs.answer(described(ours))
            await ours.setRemoteDescription(aiortc.RTCSessionDescription(text, "answer"))
            await answered(ours, theirs)
        await theirs.sees("video unmute")
        assert in_order(await theirs.stamps(8))
        assert len(ours.getTransceivers()) == 2
