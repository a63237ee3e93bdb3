"""What the seam needs of aiortc's SCTP transport: fails when a release changes it."""

import inspect

import aiortc
from aiortc import rtcdatachannel


def test_messages_pass_where_they_are_counted() -> None:
    sent = inspect.getsource(rtcdatachannel.RTCDataChannel.send)
    assert "_data_channel_send(self, data)" in sent, "aiortc sends messages in another way now"
    received = inspect.getsource(aiortc.RTCSctpTransport._receive)
    assert "_data_channel_receive(stream_id, pp_id, data)" in received, (
        "aiortc receives messages in another way now"
    )
    made = inspect.getsource(aiortc.RTCSctpTransport.__init__)
    assert "self._data_channels" in made, "aiortc keeps its data channels elsewhere now"
