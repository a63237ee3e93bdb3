"""What the seam needs of aiortc's receiver: fails when a release changes it."""

import inspect

import aiortc
from aiortc import RTCCertificate, rtcrtpreceiver
from aiortc.rtp import RtcpByePacket, RtpPacket

from peer.connection.aiortc_seam.dtls import DtlsTransport
from peer.connection.aiortc_seam.ice import IceTransport
from peer.connection.aiortc_seam.rtp_receiver import RtpReceiver

PRIVATE = (
    "codecs", "rtx_ssrc", "nack_generator", "decoder_queue", "decoder_thread", "remote_streams",
    "stop_decoder",
)  # fmt: skip


class Frames:
    async def put(self, frame: object) -> None:
        raise AssertionError("nothing is decoded here")


async def test_the_private_parts_are_there() -> None:
    ice = IceTransport()
    dtls = DtlsTransport(ice, RTCCertificate.generateCertificate())
    arrived: list[RtpPacket] = []
    left: list[bool] = []
    receiver = RtpReceiver("video", dtls, Frames(), arrived.append, lambda: left.append(True))
    try:
        for name in PRIVATE:
            assert hasattr(receiver, f"_RTCRtpReceiver__{name}"), (
                f"aiortc's RTCRtpReceiver has no __{name} any more"
            )
        assert receiver.streams() == []
        receiver.report_as(7)
        assert receiver._RTCRtpReceiver__rtcp_ssrc == 7  # type: ignore[attr-defined]
        receiver.enable(False)
        await receiver._handle_rtp_packet(RtpPacket(), 0)
        assert arrived == [], "disabled"
        await receiver._handle_rtcp_packet(RtcpByePacket(sources=[1]))
        assert left == [True]
    finally:
        await receiver.stop()
        await ice.stop()


def test_decoded_frames_go_through_the_tracks_queue() -> None:
    source = inspect.getsource(rtcrtpreceiver)
    assert "self._track._queue" in source, "aiortc hands decoded frames over elsewhere now"
    assert "output_q.put(frame)" in source
    assert "self.__stop_decoder()" in inspect.getsource(aiortc.RTCRtpReceiver.stop)
