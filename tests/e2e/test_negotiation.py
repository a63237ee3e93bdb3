"""Both browsers negotiate with our connection, in both roles, and see what it does."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from peer import MediaDevices, MediaStream
from peer.connection.remote_track import RemoteTrack
from peer.devices.virtual import VirtualBackend

from .browser_session import Call, call
from .browsers import WAIT_SECONDS, Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def stream() -> AsyncIterator[MediaStream]:
    devices = MediaDevices([VirtualBackend()], salt=bytes(32))
    yield await devices.getUserMedia({"video": {"width": 320, "height": 240}, "audio": True})
    devices.end()
    await devices.closed()


def remote_track(connection_call: Call, kind: str) -> RemoteTrack:
    [track] = [
        receiver.track
        for receiver in connection_call.connection.getReceivers()
        if receiver.track.kind == kind
    ]
    return track


async def happens(track: RemoteTrack, name: str) -> None:
    """Wait for an event of a track, unless what it announces is so already."""
    so = {"unmute": lambda: not track.muted, "mute": lambda: track.muted,
          "ended": lambda: track.readyState == "ended"}[name]  # fmt: skip
    event = asyncio.Event()
    track.addEventListener(name, lambda _: event.set())
    if not so():
        async with asyncio.timeout(WAIT_SECONDS):
            await event.wait()


async def test_tracks_are_seen_with_their_stream(browser: Browser, stream: MediaStream) -> None:
    async with call(browser, polite=False) as ours:
        for track in stream.getTracks():
            ours.connection.addTrack(track, stream)
        await ours.noted("unmute", "video")
        await ours.noted("unmute", "audio")
        await ours.plays()
        tracks = await ours.page.evaluate('peer.diary.filter(e => e.what === "track")')
        assert {entry["kind"] for entry in tracks} == {"audio", "video"}
        assert all(entry["streams"] == [stream.id] for entry in tracks)
        assert await ours.page.evaluate("peer.connection.getTransceivers().length") == 2


async def test_twenty_offers_by_turns(browser: Browser, stream: MediaStream) -> None:
    """B7: payload types and extension ids are kept, whoever offers."""
    [video] = stream.getVideoTracks()
    [audio] = stream.getAudioTracks()
    async with call(browser, polite=False) as ours:
        ours.connection.addTrack(video, stream)
        await ours.noted("unmute", "video")
        for turn in range(10):
            # The page: a transceiver of its own is added, or goes.
            await ours.page.evaluate(
                "(async () => { peer.own = peer.connection.addTransceiver('audio');"
                " return null })()"
                if turn % 2 == 0
                else "(peer.own.stop(), null)"
            )
            await ours.page.wait_for("peer.connection.signalingState === 'stable'")
            await asyncio.wait_for(ours.negotiation.negotiate(), WAIT_SECONDS)
            # This side, by the same.
            if turn % 2 == 0:
                own = ours.connection.addTransceiver(audio, {"direction": "sendonly"})
            else:
                own.stop()
            await asyncio.wait_for(ours.negotiation.negotiate(), WAIT_SECONDS)
            assert await ours.page.evaluate("peer.errors()") == []
        await ours.stable()
        await ours.plays()


@pytest.mark.parametrize("polite", [True, False])
async def test_offers_that_collide(browser: Browser, stream: MediaStream, polite: bool) -> None:
    async with call(browser, polite=polite) as ours:
        [video] = stream.getVideoTracks()
        ours.connection.addTrack(video, stream)
        await ours.noted("unmute", "video")
        for _ in range(5):
            ours.connection.addTransceiver("audio")
            await ours.page.evaluate("(peer.connection.addTransceiver('video'), null)")
            await ours.negotiation.negotiate()
        await ours.page.wait_for(
            "peer.connection.getTransceivers().filter(t => t.mid !== null).length === 11"
        )
        await ours.stable()
        assert len(ours.connection.getTransceivers()) == 11
        mids = [transceiver.mid for transceiver in ours.connection.getTransceivers()]
        assert len(set(mids)) == 11
        await ours.plays()


async def test_a_stopped_transceiver_ends_the_remote_track_and_no_other(
    browser: Browser, stream: MediaStream
) -> None:
    async with call(browser, polite=False) as ours:
        for track in stream.getTracks():
            ours.connection.addTrack(track, stream)
        await ours.noted("unmute", "video")
        await ours.noted("unmute", "audio")
        transceivers = {one.kind: one for one in ours.connection.getTransceivers()}
        transceivers["audio"].stop()
        await ours.noted("ended", "audio")
        assert ("ended", "video") not in await ours.diary("ended")
        assert all(track.readyState == "live" for track in stream.getTracks())
        await ours.plays()
        # And its place is used again.
        before = await ours.page.evaluate("peer.connection.localDescription.sdp.split('m=').length")
        [audio] = stream.getAudioTracks()
        ours.connection.addTrack(audio, stream)
        await ours.noted("track", "audio", count=2)
        after = await ours.page.evaluate("peer.connection.localDescription.sdp.split('m=').length")
        assert after == before


async def test_a_removed_track_mutes_and_comes_back_as_the_same(
    browser: Browser, stream: MediaStream
) -> None:
    async with call(browser, polite=False) as ours:
        [video] = stream.getVideoTracks()
        sender = ours.connection.addTrack(video, stream)
        await ours.noted("unmute", "video")
        ours.connection.removeTrack(sender)
        await ours.noted("mute", "video")
        await ours.noted("removetrack", "video")
        [transceiver] = ours.connection.getTransceivers()
        await sender.replaceTrack(video)
        transceiver.direction = "sendonly"
        await ours.noted("unmute", "video", count=2)
        assert ("ended", "video") not in await ours.diary("ended")
        await ours.plays()


async def test_what_the_browser_sends_is_muted_unmuted_and_ended(browser: Browser) -> None:
    async with call(browser, polite=True, data=False) as ours:
        await ours.page.evaluate(
            "(peer.out = peer.connection.addTrack(peer.video(), new MediaStream()), null)"
        )
        while not ours.connection.getReceivers():  # noqa: ASYNC110  # told by no event of its own
            await asyncio.sleep(0.01)
        track = remote_track(ours, "video")
        await happens(track, "unmute")
        assert (await asyncio.wait_for(track.recv(), WAIT_SECONDS)).width > 0
        await ours.page.evaluate("(peer.connection.getTransceivers()[0].direction = 'inactive')")
        await happens(track, "mute")
        assert track.readyState == "live"
        await ours.page.evaluate("(peer.connection.getTransceivers()[0].direction = 'sendonly')")
        await happens(track, "unmute")
        await asyncio.wait_for(track.recv(), WAIT_SECONDS)
        await ours.page.evaluate("(peer.connection.getTransceivers()[0].stop(), null)")
        await happens(track, "ended")
        assert ours.connection.getTransceivers() == []


async def test_the_rest_goes_on_when_the_page_stops_what_carried_the_transport(
    browser: Browser, stream: MediaStream
) -> None:
    """Chromium then throws the transport away, and makes another."""
    async with call(browser, polite=True, data=False) as ours:
        await ours.page.evaluate(
            "(peer.connection.addTransceiver('audio'),"
            " peer.connection.addTrack(peer.video(), new MediaStream()), null)"
        )
        while len(ours.connection.getReceivers()) < 2:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)
        track = remote_track(ours, "video")
        await happens(track, "unmute")
        [video] = stream.getVideoTracks()
        ours.connection.addTrack(video, stream)  # on the same m-line, back
        await ours.noted("unmute", "video")
        await ours.page.evaluate("(peer.connection.getTransceivers()[0].stop(), null)")
        await ours.page.wait_for(
            "peer.connection.getTransceivers().length === 1"
            " && peer.connection.connectionState === 'connected'"
        )
        await ours.plays()
        arrived: list[int] = []
        async with asyncio.timeout(WAIT_SECONDS):
            for _ in range(20):  # more than were waiting to be read
                arrived.append((await track.recv()).pts)
        assert arrived == sorted(arrived)
        assert ours.connection.connectionState == "connected"


async def test_the_rest_goes_on_when_this_side_stops_what_carried_the_transport(
    browser: Browser, stream: MediaStream
) -> None:
    async with call(browser, polite=False, data=False) as ours:
        carrier = ours.connection.addTransceiver("audio")
        ours.connection.addTrack(stream.getVideoTracks()[0], stream)
        await ours.noted("unmute", "video")
        carrier.stop()
        await ours.page.wait_for("peer.connection.getTransceivers().length === 1")
        await ours.plays()
        await ours.plays()
        assert ours.connection.connectionState == "connected"


async def test_ice_restarts_by_either_side_go_unnoticed(
    browser: Browser, stream: MediaStream
) -> None:
    async with call(browser, polite=False) as ours:
        [video] = stream.getVideoTracks()
        ours.connection.addTrack(video, stream)
        await ours.noted("unmute", "video")
        await ours.plays()

        async def ufrag() -> str:
            sdp = await ours.page.evaluate("peer.connection.remoteDescription.sdp")
            return next(line for line in sdp.splitlines() if line.startswith("a=ice-ufrag"))

        first = await ufrag()
        ours.connection.restartIce()
        await ours.negotiation.negotiate()
        second = await ufrag()
        assert second != first
        await ours.plays()
        await ours.page.evaluate("(peer.connection.restartIce(), null)")
        await ours.page.wait_for(f"!peer.connection.remoteDescription.sdp.includes('{second}')")
        await ours.stable()
        await ours.plays()
        assert ours.connection.connectionState == "connected"
        states = [state for _, state in await ours.diary("connectionstatechange")]
        assert "failed" not in states


async def test_data_both_ways(browser: Browser) -> None:
    async with call(browser, polite=False, data=False) as ours:
        channel = ours.connection.createDataChannel("chat")
        opened, heard = asyncio.Event(), asyncio.Event()
        channel.on("open", opened.set)
        channel.on("message", lambda message: heard.set())
        await asyncio.wait_for(opened.wait(), WAIT_SECONDS)
        channel.send("hello")
        await ours.noted("message")
        await ours.page.evaluate(
            "(async () => { const c = peer.connection.createDataChannel('back');"
            " await new Promise(resolve => c.onopen = resolve); c.send('x'); return null })()"
        )
        report = await ours.connection.getStats()
        [chat] = [one for one in report.of_type("data-channel") if one.label == "chat"]
        assert (chat.messagesSent, chat.bytesSent) == (1, 5)
