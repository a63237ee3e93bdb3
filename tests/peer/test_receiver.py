"""Receiving from publishers, over a hub, by WHIP and by WHEP; and what is kept of it."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import aiortc
import pytest

from peer import MediaDevices, MediaStream, MediaStreamTrack, RTCPeerConnection
from peer import receiver as receiver_module
from peer.connection import attended_session
from peer.connection.perfect_negotiation import Negotiation
from peer.connection.remote_track import RemoteTrack
from peer.devices import barcode
from peer.devices.virtual import VirtualBackend
from peer.publisher import Publisher
from peer.receiver import MAX_TRACKS, Receiver
from signaling import (
    Description,
    EndReason,
    Hub,
    LocalClient,
    PeerRole,
    ServerConfig,
    SignalingClient,
    SignalingServer,
    SignalingSession,
    generate_token,
)
from signaling.auth import Grant
from signaling.clients import WhepClient, WhipClient
from signaling.protocol import EndSession, PeerMessage, ServerMessage, StartSession

from .media.recordings import (
    RATE,
    names,
    numbers,
    pictures,
    sound,
    sound_and_pictures_apart,
    usual_pitch,
)

TONE = 440
WAIT = 20.0


@pytest.fixture(autouse=True)
async def _nothing_is_left_behind() -> AsyncIterator[None]:
    tasks = asyncio.all_tasks()
    yield
    async with asyncio.timeout(WAIT):
        while left := asyncio.all_tasks() - tasks - {asyncio.current_task()}:
            await asyncio.wait(left)
    for thread in threading.enumerate():
        if thread.name.startswith(("encode ", "record ")):
            thread.join(1)  # it is about to return
            assert not thread.is_alive(), f"{thread.name} was left behind"


@pytest.fixture
async def stream() -> AsyncIterator[MediaStream]:
    """A camera of 320x240 at 20 pictures a second, and a microphone."""
    devices = MediaDevices([VirtualBackend()], salt=bytes(32))
    video = {"width": 320, "height": 240, "frameRate": 20}
    yield await devices.getUserMedia({"video": video, "audio": True})
    devices.end()
    await devices.closed()


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
async def server() -> AsyncIterator[SignalingServer]:
    config = ServerConfig(port=0, token=generate_token(), publish_token=generate_token())
    server = SignalingServer(config)
    await server.start()
    yield server
    await server.stop()


@contextlib.asynccontextmanager
async def serving(side: Publisher | Receiver, client: SignalingClient) -> AsyncIterator[None]:
    """One side of the conversation, which takes its leave afterwards."""
    await client.start()
    task = asyncio.create_task(side.serve(client))
    try:
        yield
    finally:
        await side.close()
        await client.close()
        await task


def consumer(hub: Hub) -> LocalClient:
    return LocalClient(hub, "receiver", roles={PeerRole.CONSUMER})


class Arrivals:
    """The tracks that a receiver has told of."""

    def __init__(self) -> None:
        self.tracks: list[RemoteTrack] = []
        self._news = asyncio.Event()

    def __call__(self, track: RemoteTrack, session: SignalingSession) -> None:
        self.tracks.append(track)
        self._news.set()

    async def track(self, kind: str) -> RemoteTrack:
        async with asyncio.timeout(WAIT):
            while True:
                for track in self.tracks:
                    if track.kind == kind:
                        return track
                self._news.clear()
                await self._news.wait()


async def watch(track: aiortc.MediaStreamTrack, seconds: float) -> list[int]:
    """The barcodes of so many seconds of pictures, from the first on that can be read."""
    read: list[int] = []
    begin = None
    async with asyncio.timeout(WAIT + seconds):
        while True:
            frame = await track.recv()
            stamp = barcode.read(frame.to_ndarray(format="gray"))  # type: ignore[union-attr]
            if stamp is not None:
                read.append(stamp.frame)
                begin = stamp.time if begin is None else begin
                if stamp.time - begin >= seconds:
                    return read


async def logged(caplog: pytest.LogCaptureFixture, text: str, count: int = 1) -> None:
    """Wait until it is in the log so many times."""
    async with asyncio.timeout(WAIT):
        while caplog.text.count(text) < count:  # noqa: ASYNC110  # a log tells nobody
            await asyncio.sleep(0.01)


def check_recording(path: Path) -> None:
    """Pictures in order, and the tone of the microphone, which has its mark once a second."""
    read = numbers(path)
    assert len(read) > 10
    assert read == sorted(read)
    samples = sound(path)
    assert abs(usual_pitch(samples) - TONE) <= 10
    # What arrives first is thought to have been on its way for no time at all.
    assert sound_and_pictures_apart(path) < 0.2


async def test_a_stream_is_received_recorded_and_told_of(
    hub: Hub, stream: MediaStream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    arrivals = Arrivals()
    receiver = Receiver(record=tmp_path / "out.mp4", on_track=arrivals)
    publisher, client = Publisher(stream, label="Camera"), consumer(hub)
    async with serving(receiver, client), serving(publisher, LocalClient(hub, "camera")):
        hub.start_session("receiver", StartSession("camera"))
        seen = await watch(await arrivals.track("video"), 2.5)
        assert seen == sorted(seen)
        assert len(seen) > 20, "the recorder takes none away"
    check_recording(tmp_path / "out.mp4")
    for text in (
        "with 'camera' begins", "picture arrives", "picture is 320x240", "sound arrives",
        "picture has ended", "sound has ended", "is over: the other side has left",
        f"recorded {tmp_path / 'out.mp4'}",
    ):  # fmt: skip
        assert text in caplog.text
    assert all(track.readyState == "ended" for track in arrivals.tracks)
    assert all(track.readyState == "live" for track in stream.getTracks())


async def test_whip_clients_send_to_it_each_into_a_file_of_its_own(
    server: SignalingServer, stream: MediaStream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    arrivals = Arrivals()
    receiver = Receiver(record=tmp_path / "out.webm", on_track=arrivals)
    publisher = Publisher(stream, label="Camera")
    endpoint = f"{server.url.partition('#')[0]}whip/receiver"
    async with serving(receiver, consumer(server.hub)):
        async with serving(publisher, WhipClient(endpoint, server.config.publish_token)):
            await watch(await arrivals.track("video"), 1)
            arrivals.tracks.clear()
            second = WhipClient(endpoint, server.config.publish_token)
            async with serving(Publisher(stream, label="Again"), second):
                await watch(await arrivals.track("video"), 2)
        await logged(caplog, "is over: the other side has left", 2)
    for name in ("out.webm", "out-2.webm"):
        check_recording(tmp_path / name)
    assert names(tmp_path) == ["out-2.webm", "out.webm"]


async def test_it_asks_a_whep_server_for_both_kinds(
    server: SignalingServer, stream: MediaStream, tmp_path: Path
) -> None:
    arrivals = Arrivals()
    receiver = Receiver(record=tmp_path / "out.mkv", on_track=arrivals)
    publisher = Publisher(stream, label="Camera")
    endpoint = f"{server.url.partition('#')[0]}whep/camera"
    async with (
        serving(publisher, LocalClient(server.hub, "camera")),
        serving(receiver, WhepClient(endpoint, server.config.token)),
    ):
        await watch(await arrivals.track("video"), 2.5)
        await (await arrivals.track("audio")).recv()
    check_recording(tmp_path / "out.mkv")


async def test_a_track_that_ends_is_told_of_and_the_other_goes_on(
    hub: Hub, stream: MediaStream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    arrivals = Arrivals()
    receiver = Receiver(record=tmp_path / "out.mkv", on_track=arrivals)
    publisher = Publisher(stream, label="Camera")
    async with (
        serving(receiver, consumer(hub)),
        serving(publisher, LocalClient(hub, "camera")),
    ):
        hub.start_session("receiver", StartSession("camera"))
        audio = await arrivals.track("audio")
        await watch(await arrivals.track("video"), 0.5)
        stream.getVideoTracks()[0].stop()
        await logged(caplog, "picture has ended")
        for _ in range(10):
            await audio.recv()
        assert audio.readyState == "live"
    assert numbers(tmp_path / "out.mkv")
    assert len(sound(tmp_path / "out.mkv")) / RATE > pictures(tmp_path / "out.mkv")[-1][0] - 1


class Remote:
    """A peer of the hub that says what a test lets it say."""

    def __init__(self, hub: Hub, *, renegotiates: bool = True) -> None:
        self.heard: list[ServerMessage] = []
        self._hub = hub
        self._news = asyncio.Event()
        self.id = hub.join(self._hear, Grant(publish=True), renegotiates=renegotiates)

    def _hear(self, message: ServerMessage) -> None:
        self.heard.append(message)
        self._news.set()

    def offer(self, sdp: str) -> None:
        session = self._hub.start_session(self.id, StartSession("receiver"))
        self._hub.receive(self.id, PeerMessage(session.id, Description("offer", sdp)))

    async def end(self) -> tuple[EndReason, str]:
        """How the session ended."""
        async with asyncio.timeout(WAIT):
            while True:
                for message in self.heard:
                    if isinstance(message, EndSession):
                        return message.reason, message.detail
                self._news.clear()
                await self._news.wait()


async def offer(*directions: str) -> str:
    """Of sections of sound in these directions."""
    connection = RTCPeerConnection()
    for direction in directions:
        connection.addTransceiver("audio", direction=direction)  # type: ignore[arg-type]
    await connection.setLocalDescription()
    assert connection.localDescription is not None
    sdp = connection.localDescription.sdp
    await connection.close()
    return sdp


async def test_who_never_connects_is_let_go(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attended_session, "CONNECT_TIMEOUT", 0.05)
    remote, sdp = Remote(hub), await offer("sendonly")
    async with serving(Receiver(record=tmp_path / "out.mp4"), consumer(hub)):
        remote.offer(sdp)
        reason, detail = await remote.end()
    assert (reason, "no connection came about" in detail) == (EndReason.FAILED, True)
    assert names(tmp_path) == [], "who is not there takes no name"


async def test_an_offer_with_nothing_to_receive_is_rejected(hub: Hub) -> None:
    remote = Remote(hub, renegotiates=False)
    async with serving(Receiver(), consumer(hub)):
        remote.offer(await offer("recvonly", "inactive"))
        assert (await remote.end())[0] is EndReason.REJECTED


async def test_an_offer_that_cannot_be_understood(hub: Hub) -> None:
    remote = Remote(hub)
    async with serving(Receiver(), consumer(hub)):
        remote.offer((await offer("sendonly")).replace("a=fingerprint", "a=finger"))
        assert (await remote.end())[0] is EndReason.MALFORMED


async def test_no_more_senders_than_there_are_places(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_module, "MAX_SENDERS", 1)
    first, second, sdp = Remote(hub), Remote(hub), await offer("sendonly")
    async with serving(Receiver(), consumer(hub)):
        first.offer(sdp)
        await asyncio.sleep(0)
        second.offer(sdp)
        assert (await second.end())[0] is EndReason.OVERLOADED
        assert not any(isinstance(message, EndSession) for message in first.heard)
    assert (await first.end())[0] is EndReason.CLOSED


async def test_who_comes_after_the_end_is_refused(hub: Hub) -> None:
    receiver, remote = Receiver(), Remote(hub)
    async with serving(receiver, consumer(hub)):
        await receiver.close()
        remote.offer(await offer("sendonly"))
        assert (await remote.end())[0] is EndReason.NOT_LIVE


@contextlib.asynccontextmanager
async def sending(
    hub: Hub, tracks: list[aiortc.MediaStreamTrack]
) -> AsyncIterator[RTCPeerConnection]:
    """A connection that sends these tracks to the receiver of the hub."""
    client = LocalClient(hub, "sender")
    await client.start()
    hub.start_session("receiver", StartSession("sender"))
    session = await anext(client.sessions())
    connection = RTCPeerConnection()
    negotiating = asyncio.create_task(Negotiation(connection, session).run())
    await asyncio.sleep(0)  # it listens from now on
    for track in tracks:
        connection.addTrack(track)
    try:
        yield connection
    finally:
        await session.end()
        # One that was lost takes no further description.
        await asyncio.gather(negotiating, return_exceptions=True)
        await connection.close()
        await client.close()


async def test_no_more_tracks_are_decoded_than_make_sense(
    hub: Hub, stream: MediaStream, caplog: pytest.LogCaptureFixture
) -> None:
    [microphone] = stream.getAudioTracks()
    assert isinstance(microphone, MediaStreamTrack)
    clones: list[aiortc.MediaStreamTrack] = [microphone.clone() for _ in range(MAX_TRACKS + 2)]
    arrivals = Arrivals()
    async with (
        serving(Receiver(on_track=arrivals), consumer(hub)),
        sending(hub, clones) as connection,
    ):
        await (await arrivals.track("audio")).recv()
        directions = [one.currentDirection for one in connection.getTransceivers()]
    assert len(arrivals.tracks) == MAX_TRACKS
    assert directions == ["sendonly"] * MAX_TRACKS + ["inactive"] * 2
    assert f"more than {MAX_TRACKS} tracks" in caplog.text


async def test_nothing_is_sent_back(hub: Hub, stream: MediaStream) -> None:
    arrivals = Arrivals()
    async with (
        serving(Receiver(on_track=arrivals), consumer(hub)),
        sending(hub, list(stream.getTracks())) as connection,
    ):
        await (await arrivals.track("audio")).recv()
        assert connection.remoteDescription is not None
        assert connection.remoteDescription.sdp.count("a=recvonly") == 2
        assert "a=ssrc" not in connection.remoteDescription.sdp


async def test_a_connection_that_is_lost_ends_the_session(
    hub: Hub, stream: MediaStream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sender's process is gone: nothing is said any more."""
    caplog.set_level(logging.INFO)
    arrivals = Arrivals()
    receiver = Receiver(record=tmp_path / "out.mp4", on_track=arrivals)
    async with (
        serving(receiver, consumer(hub)),
        sending(hub, list(stream.getTracks())) as connection,
    ):
        await watch(await arrivals.track("video"), 0.5)
        await connection._transport.ice.stop()
        await logged(caplog, "is over: the connection was lost")
    assert numbers(tmp_path / "out.mp4")


async def test_who_can_not_be_recorded_is_received(
    hub: Hub, stream: MediaStream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    arrivals = Arrivals()
    receiver = Receiver(record=folder / "out.mp4", on_track=arrivals)
    folder.rmdir()
    async with (
        serving(receiver, consumer(hub)),
        serving(Publisher(stream, label="Camera"), LocalClient(hub, "camera")),
    ):
        hub.start_session("receiver", StartSession("camera"))
        await watch(await arrivals.track("video"), 0.1)
        await logged(caplog, "is not recorded")
    assert "No such file or directory" in caplog.text


def test_a_recording_that_can_not_be_made_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.mp4"):
        Receiver(record=tmp_path / "out.txt")
