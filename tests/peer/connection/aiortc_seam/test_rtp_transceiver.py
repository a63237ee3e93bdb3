"""What the seam needs of aiortc's transceivers."""

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from peer.connection import aiortc_seam

from ...whep_viewer import offer


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
