"""What the seam needs of aiortc's senders."""

import inspect

from aiortc import RTCPeerConnection, RTCRtpSender

from peer.connection import aiortc_seam


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
