"""libwebrtc, the engine of Chrome, as a peer without a browser."""

from itertools import pairwise

import pytest

from tests.e2e.peers import running_peer

pytest.importorskip("webrtc", reason="the PyPI package wrtc is not installed")

from .libwebrtc import watch


async def test_it_watches_the_camera_until_the_peer_leaves() -> None:
    async with (
        running_peer("--fake", "--port", "0", "--video", "640x480") as peer,
        watch(peer.url) as viewer,
    ):
        stamps = await viewer.stamps(20)
        assert len(stamps) >= 15, "the barcode can be read"
        assert all(later.frame > earlier.frame for earlier, later in pairwise(stamps))
        assert set(viewer.tracks) == {"audio", "video"}
        assert await peer.leave() == 0
        await viewer.sees("dtls closed")
