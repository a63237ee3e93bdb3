"""Janus: the peer publishes to an SFU by WHIP, once, and the SFU has the viewers."""

import re
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import pytest_asyncio

from tests.e2e.peers import running_peer

from .janus import Janus, JanusMissing, running_janus, whip_front

pytest.importorskip("webrtc", reason="the PyPI package wrtc is not installed")

from .libwebrtc import Endpoint  # it needs the package

TOKEN = "a-stream-key-of-it"


@pytest_asyncio.fixture
async def janus() -> AsyncIterator[Janus]:
    try:
        async with running_janus() as janus:
            yield janus
    except JanusMissing as missing:
        pytest.skip(str(missing))


async def test_many_watch_what_is_published_once(janus: Janus) -> None:
    async with (
        janus.session() as session,
        whip_front(session, token=TOKEN) as front,
        running_peer(
            "--fake", "--video", "640x480", "--offer", front.url, "--token", TOKEN,
            ready=re.compile("a viewer came"),
        ) as peer,
    ):  # fmt: skip
        await front.has(1)
        [(handle, publisher)] = front.publishers.items()
        await session.told(handle, "webrtcup")
        viewers = [Endpoint(), Endpoint()]
        try:
            for viewer in viewers:
                await session.subscribe(publisher, viewer.answer)
            for viewer in viewers:
                stamps = await viewer.stamps(20)
                assert len(stamps) >= 15, "the barcode can be read"
                assert all(later.frame > earlier.frame for earlier, later in pairwise(stamps))
                await viewer.sees("audio unmute")
        finally:
            for viewer in viewers:
                viewer.connection.close()
        assert await peer.leave() == 0
        await front.has(0)


async def test_a_wrong_token_is_refused(janus: Janus) -> None:
    async with (
        janus.session() as session,
        whip_front(session, token=TOKEN) as front,
        running_peer(
            "--fake", "--offer", front.url, "--token", TOKEN[::-1], ready=re.compile("publishing")
        ) as peer,
    ):
        assert await peer.process.wait() != 0
        await peer.logged("said 401")
        assert front.publishers == {}
