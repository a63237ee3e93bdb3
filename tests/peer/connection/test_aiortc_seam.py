"""What the seam needs of aiortc's and aioice's private parts: fails when a release changes them."""

import inspect
from unittest.mock import patch

import aioice.ice
import pytest
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from peer.connection import aiortc_seam

from ..whep_viewer import offer


def test_aioice_gathers_by_get_host_addresses() -> None:
    parameters = list(inspect.signature(aioice.ice.get_host_addresses).parameters)
    assert parameters == ["use_ipv4", "use_ipv6"], "aioice has changed get_host_addresses()"
    source = inspect.getsource(aioice.ice.Connection)
    assert "get_host_addresses(" in source, "aioice.Connection gathers in another way now"


def test_loopback_is_used_on_a_computer_without_a_network() -> None:
    with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: []):
        aiortc_seam.gather_loopback_when_alone()
        wrapped = aioice.ice.get_host_addresses
        assert wrapped(True, True) == ["127.0.0.1"]
        aiortc_seam.gather_loopback_when_alone()
        assert aioice.ice.get_host_addresses is wrapped, "wrapped once only"


def test_other_addresses_are_left_alone() -> None:
    with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["192.0.2.1"]):
        aiortc_seam.gather_loopback_when_alone()
        assert aioice.ice.get_host_addresses(True, True) == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("direction", "wanted"),
    [("recvonly", True), ("sendrecv", True), ("sendonly", False), ("inactive", False)],
)
async def test_an_offered_direction_can_be_told(direction: str, wanted: bool) -> None:
    viewer, sdp = await offer(("video",))
    publisher = RTCPeerConnection()
    try:
        changed = sdp.replace("a=recvonly", f"a={direction}")
        await publisher.setRemoteDescription(RTCSessionDescription(changed, "offer"))
        [transceiver] = publisher.getTransceivers()
        assert aiortc_seam.wants_media(transceiver) is wanted, (
            "aiortc keeps the offered direction elsewhere now: see RTCRtpTransceiver"
        )
    finally:
        await viewer.close()
        await publisher.close()


async def test_the_codec_to_send_can_be_chosen_when_answering() -> None:
    viewer, sdp = await offer(("video",))
    publisher = RTCPeerConnection()
    try:
        await publisher.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        [transceiver] = publisher.getTransceivers()
        assert aiortc_seam.sends_codec(transceiver, "VP8"), (
            "aiortc keeps the codecs in common elsewhere now: see RTCRtpTransceiver._codecs"
        )
        aiortc_seam.prefer_codec(transceiver, "H264")
        assert aiortc_seam.sends_codec(transceiver, "H264")
        answer = await publisher.createAnswer()
        [media] = [line for line in answer.sdp.splitlines() if line.startswith("m=video")]
        first = media.split()[3]
        assert f"a=rtpmap:{first} H264/90000" in answer.sdp
        assert "VP8/90000" in answer.sdp, "the others stay"
    finally:
        await viewer.close()
        await publisher.close()


async def test_key_frame_requests_can_be_taken_and_made() -> None:
    connection = RTCPeerConnection()
    try:
        sender = connection.addTransceiver("video").sender
        assert aiortc_seam.take_keyframe_request(sender) is False, (
            "aiortc remembers requests for key frames elsewhere now: see RTCRtpSender"
        )
        aiortc_seam.force_keyframe(sender)
        assert aiortc_seam.take_keyframe_request(sender) is True
        assert aiortc_seam.take_keyframe_request(sender) is False, "it is taken once"
    finally:
        await connection.close()
    assert "__force_keyframe = True" in inspect.getsource(RTCRtpSender._send_keyframe)
