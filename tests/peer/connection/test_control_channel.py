"""The camera controlled over a data channel, by a viewer without a browser."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import RTCDataChannel
from PIL import Image

from peer import MediaDevices, MediaStream
from peer.connection.control_channel import MAX_MESSAGE
from peer.devices.virtual import VirtualBackend

from ..published import Published, published
from ..whep_viewer import answered, offer


class Remote:
    """The viewer's end of the channel."""

    def __init__(self, channel: RTCDataChannel) -> None:
        self.channel = channel
        self.received: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.opened = asyncio.Event()
        channel.on("open", self.opened.set)
        channel.on("message", self.received.put_nowait)

    async def ask(self, **request: Any) -> dict[str, Any]:
        self.channel.send(json.dumps(request))
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        message = await self.received.get()
        assert isinstance(message, str)
        answer: dict[str, Any] = json.loads(message)
        return answer


@pytest.fixture
def backend() -> VirtualBackend:
    return VirtualBackend()


@pytest.fixture
async def stream(backend: VirtualBackend) -> AsyncIterator[MediaStream]:
    devices = MediaDevices([backend], salt=bytes(32))
    yield await devices.getUserMedia(
        {"video": {"facingMode": "environment", "width": 320, "height": 240}}
    )
    devices.end()
    await devices.closed()


@pytest.fixture
async def publisher(stream: MediaStream) -> AsyncIterator[Published]:
    async with published(stream) as publisher:
        yield publisher


@pytest.fixture
async def remote(publisher: Published) -> AsyncIterator[Remote]:
    connection, sdp = await offer(("video",), channel="control")
    remote = Remote(connection.control)  # type: ignore[attr-defined]
    answer = await publisher.start_session("one", sdp, may_control=True)
    async with answered(connection, answer):
        await remote.opened.wait()
        yield remote


async def test_the_camera_is_described(remote: Remote) -> None:
    answer = await remote.ask(id=1, method="describe")
    assert answer["id"] == 1
    description = answer["result"]
    assert description["label"] == "Cam C"
    assert description["capabilities"]["zoom"] == {"min": 1, "max": 5, "step": 0.1}
    assert "width" not in description["capabilities"], "only what the device can be set to"
    assert "deviceId" not in description["capabilities"]
    assert description["settings"]["zoom"] == 1


async def test_controls_are_set_one_after_the_other(
    remote: Remote, backend: VirtualBackend
) -> None:
    for id, constraints in enumerate(({"zoom": {"exact": 2}}, {"brightness": 150})):
        answer = await remote.ask(id=id, method="applyConstraints", constraints=constraints)
        assert answer["id"] == id
    assert (answer["result"]["settings"]["zoom"], backend.controls("Cam C")["brightness"]) == (
        2,
        150,
    )


async def test_changes_from_elsewhere_are_told(remote: Remote, backend: VirtualBackend) -> None:
    await remote.ask(id=1, method="describe")
    backend.set_controls("Cam C", {"zoom": 3})
    told = await remote.answer()
    assert (told["event"], told["settings"]["zoom"]) == ("configurationchange", 3)


async def test_a_photograph_comes_in_pieces(remote: Remote) -> None:
    answer = await remote.ask(id=1, method="takePhoto", settings={"imageWidth": 640})
    assert answer["result"]["type"] == "image/jpeg"
    file = b""
    while len(file) < answer["result"]["size"]:
        piece = await remote.received.get()
        assert isinstance(piece, bytes)
        file += piece
    assert Image.open(io.BytesIO(file)).size == (640, 480)


@pytest.mark.parametrize(
    ("request_text", "name", "said"),
    [
        ("not JSON", "TypeError", "a request is a JSON object"),
        ("[1]", "TypeError", "a request is a JSON object"),
        ('{"id": 1, "method": "format"}', "TypeError", "there is no method 'format'"),
        ('{"id": 1}', "TypeError", "there is no method None"),
        ('{"method": "applyConstraints"}', "TypeError", "constraints may have brightness"),
        (
            '{"method": "applyConstraints", "constraints": {"width": 1}}',
            "TypeError",
            "constraints may have brightness",
        ),
        (
            '{"method": "applyConstraints", "constraints": {"zoom": {"exact": 99}}}',
            "OverconstrainedError",
            "zoom: exactly 99 was asked for",
        ),
        (
            '{"method": "takePhoto", "settings": {"imageWidth": 99999}}',
            "UnknownError",
            "99999 was asked for",
        ),
        ('{"method": "takePhoto", "settings": 5}', "TypeError", "must be a dictionary"),
        ("x" * (MAX_MESSAGE + 1), "TypeError", "not a request"),
    ],
)
async def test_what_can_not_be_done_is_said(
    remote: Remote, request_text: str, name: str, said: str
) -> None:
    remote.channel.send(request_text)
    error = (await remote.answer())["error"]
    assert error["name"] == name
    assert said in error["message"]
    assert (await remote.ask(id=2, method="describe"))["id"] == 2, "and it goes on"


async def test_without_a_camera_that_is_said(remote: Remote, stream: MediaStream) -> None:
    stream.getVideoTracks()[0].stop()
    answer = await remote.ask(id=1, method="describe")
    assert "no camera" in answer["error"]["message"]


async def test_who_may_not_control_is_not_heard(publisher: Published) -> None:
    connection, sdp = await offer(("video",), channel="control")
    remote = Remote(connection.control)  # type: ignore[attr-defined]
    async with answered(connection, await publisher.start_session("one", sdp)) as tracks:
        await remote.opened.wait()
        remote.channel.send(json.dumps({"id": 1, "method": "describe"}))
        await tracks["video"].recv()
        assert remote.received.empty()
        assert publisher.publisher._viewers["one"].controls == []
