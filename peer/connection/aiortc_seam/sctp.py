"""aiortc's SCTP transport, with counters of what goes over each data channel.

Needs of `aiortc.RTCSctpTransport`: `_data_channel_send(channel, data)`,
`_data_channel_receive(stream_id, pp_id, data)` and `_data_channels`, by stream id; of
`aiortc.rtcsctptransport`: the protocol ids of messages.
"""

from dataclasses import dataclass

from aiortc import RTCDataChannel, RTCDtlsTransport, RTCSctpTransport
from aiortc.rtcsctptransport import (
    WEBRTC_BINARY,
    WEBRTC_BINARY_EMPTY,
    WEBRTC_STRING,
    WEBRTC_STRING_EMPTY,
)

_EMPTY = (WEBRTC_BINARY_EMPTY, WEBRTC_STRING_EMPTY)
_MESSAGES = (WEBRTC_BINARY, WEBRTC_STRING, *_EMPTY)


@dataclass
class ChannelCounts:
    """What went over a data channel."""

    messages_sent: int = 0
    bytes_sent: int = 0
    messages_received: int = 0
    bytes_received: int = 0


class SctpTransport(RTCSctpTransport):
    """The transport of data channels."""

    def __init__(self, transport: RTCDtlsTransport) -> None:
        super().__init__(transport)
        self._counts: dict[RTCDataChannel, ChannelCounts] = {}

    @property
    def counts(self) -> dict[RTCDataChannel, ChannelCounts]:
        """The channels that are open, or have carried messages, with their counters."""
        for channel in self._data_channels.values():
            self._counts.setdefault(channel, ChannelCounts())
        return self._counts

    def _data_channel_send(self, channel: RTCDataChannel, data: bytes | str) -> None:
        super()._data_channel_send(channel, data)
        counts = self.counts.setdefault(channel, ChannelCounts())
        counts.messages_sent += 1
        counts.bytes_sent += len(data.encode() if isinstance(data, str) else data)

    async def _data_channel_receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        channel = self._data_channels.get(stream_id)
        if channel is not None and pp_id in _MESSAGES:
            counts = self.counts[channel]
            counts.messages_received += 1
            counts.bytes_received += 0 if pp_id in _EMPTY else len(data)
        await super()._data_channel_receive(stream_id, pp_id, data)
