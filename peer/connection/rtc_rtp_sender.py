"""RTCRtpSender: sends a track over a connection (WebRTC 5.2)."""

import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import aiortc
from aiortc import RTCRtpCapabilities, RTCRtpCodecParameters

from ..capture.media_stream import MediaStream
from ..errors import InvalidModificationError, InvalidStateError
from ..media.outgoing import OutgoingStatistics, OutgoingStream, PacketTransport, StreamParameters
from .aiortc_seam.dtls import DtlsTransport
from .codecs import capabilities
from .stats_report import RTCStatsReport

Track = aiortc.MediaStreamTrack

_ENCODING = {"active", "maxBitrate", "maxFramerate", "scaleResolutionDownBy", "rid"}


class Negotiator(Protocol):
    """What senders and transceivers need of their connection."""

    @property
    def _closed(self) -> bool:
        """Whether it has been closed."""

    def _operation(self) -> AbstractAsyncContextManager[None]:
        """A place in the connection's operations chain (WebRTC 4.4.1.2).

        :raises InvalidStateError: the connection is closed.
        """

    def _changed(self) -> None:
        """Something may have to be negotiated (WebRTC 4.7.3)."""

    async def _report(
        self, sender: "RTCRtpSender | None" = None, receiver: Any = None
    ) -> RTCStatsReport:
        """The statistics of a sender or receiver (WebRTC 8.5)."""


class RTCRtpSender:
    """Sends one track, or none, on one m-section.

    It never stops its track, and goes on when that ends: the other side then sees black, and hears
    nothing (WebRTC 5.2.8). When reading or encoding the track fails, the connection fires
    `sendererror`.
    """

    def __init__(
        self,
        kind: str,
        track: Track | None,
        streams: Iterable[MediaStream],
        transport: DtlsTransport,
        packets: PacketTransport,
        negotiator: Negotiator,
        failed: "Callable[[RTCRtpSender, Exception], None]",
    ) -> None:
        self._kind, self._track = kind, track
        self._transport, self._negotiator = transport, negotiator
        self._stream = OutgoingStream(kind, packets, failed=lambda error: failed(self, error))
        self._stream.set_track(track)
        self._ssrc, self._rtx_ssrc = _new_ssrc(), _new_ssrc()
        self._track_id = track.id if track is not None else str(uuid.uuid4())
        self._parameters: StreamParameters | None = None
        self._encoding: dict[str, Any] = {"active": True}
        self._transaction: str | None = None
        self._stream_ids: list[str] = []
        """The ids of the streams that the other side is told of."""
        self._used = False
        """Whether media was ever negotiated to be sent (WebRTC 5.1, addTrack)."""
        self._stopping = False
        self._negotiated: StreamParameters | None = None
        """How to send once the transport is connected; None while nothing is to be sent."""
        self._set_stream_ids(streams)

    @property
    def track(self) -> Track | None:
        """What is sent."""
        return self._track

    @property
    def transport(self) -> DtlsTransport:
        """The transport that it is sent over."""
        return self._transport

    @property
    def dtmf(self) -> None:
        """Tones can't be sent."""
        return

    @property
    def _statistics(self) -> OutgoingStatistics:
        """Counters of what was sent."""
        return self._stream.statistics

    @property
    def _codec(self) -> RTCRtpCodecParameters | None:
        """What it encodes with; None before that is negotiated."""
        return self._parameters.codec if self._parameters is not None else None

    @staticmethod
    def getCapabilities(kind: str) -> RTCRtpCapabilities | None:
        """What can be sent; None for an unknown kind."""
        return capabilities(kind, sends=True)

    async def replaceTrack(self, withTrack: Track | None) -> None:
        """Send another track, or nothing, without negotiation (WebRTC 5.2, replaceTrack).

        :raises TypeError: it is of the other kind.
        :raises InvalidStateError: the transceiver is stopped, or the connection closed.
        """
        if withTrack is not None and not isinstance(withTrack, Track):
            raise TypeError(f"a MediaStreamTrack is wanted, not {withTrack!r}")
        if withTrack is not None and withTrack.kind != self._kind:
            raise TypeError(f"an {self._kind} track is wanted, not {withTrack.kind}")
        async with self._negotiator._operation():
            if self._stopping:
                raise InvalidStateError("the transceiver is stopped")
            self._set_track(withTrack)

    def _set_track(self, track: Track | None) -> None:
        """Send this from now on."""
        self._track = track
        self._stream.set_track(track)

    def setStreams(self, *streams: MediaStream) -> None:
        """Tell the other side that the track belongs to these streams.

        :raises InvalidStateError: the connection is closed.
        """
        if self._negotiator._closed:
            raise InvalidStateError("the connection is closed")
        self._set_stream_ids(streams)
        self._negotiator._changed()

    def _set_stream_ids(self, streams: Iterable[MediaStream]) -> None:
        self._stream_ids = list(dict.fromkeys(stream.id for stream in streams))

    def getParameters(self) -> dict[str, Any]:
        """How it is sent (WebRTC 5.2.5): encodings, codecs, header extensions."""
        self._transaction = str(uuid.uuid4())
        sent = self._parameters
        return {
            "transactionId": self._transaction,
            "encodings": [dict(self._encoding)],
            "codecs": [] if sent is None else [described_codec(sent.codec)],
            "headerExtensions": []
            if sent is None
            else [{"uri": uri, "id": id} for uri, id in sent.extensions.items()],
            "rtcp": {"cname": sent.cname if sent is not None else "", "reducedSize": True},
        }

    async def setParameters(self, parameters: Mapping[str, Any]) -> None:
        """Bound what is sent: `active`, `maxBitrate` in bits a second, `maxFramerate`,
        `scaleResolutionDownBy`.

        :raises InvalidStateError: they do not come from `getParameters()`, or it is stopped.
        :raises InvalidModificationError: the number of encodings differs, or the transaction.
        :raises ValueError: a value is out of range.
        """
        async with self._negotiator._operation():
            if self._stopping or self._transaction is None:
                raise InvalidStateError("setParameters() needs what getParameters() gave last")
            encodings = parameters.get("encodings", [])
            if parameters.get("transactionId") != self._transaction or len(encodings) != 1:
                raise InvalidModificationError("one encoding is wanted, of getParameters()'s last")
            self._set_encoding(encodings[0])
            self._transaction = None

    def _set_encoding(self, encoding: Mapping[str, Any]) -> None:
        """Take the encoding of `addTransceiver()` or `setParameters()`.

        :raises ValueError: a value is out of range.
        """
        checked = {name: encoding[name] for name in _ENCODING & encoding.keys()}
        if checked.get("scaleResolutionDownBy", 1.0) < 1.0:
            raise ValueError("scaleResolutionDownBy is at least 1")
        if checked.get("maxFramerate", 1.0) <= 0.0:
            raise ValueError("maxFramerate is above 0")
        self._encoding = {"active": True, **checked}
        self._stream.set_limits(
            active=bool(self._encoding["active"]),
            max_bitrate=checked.get("maxBitrate"),
            max_framerate=checked.get("maxFramerate"),
            scale_down_by=checked.get("scaleResolutionDownBy"),
        )

    async def getStats(self) -> RTCStatsReport:
        """What there is to know of what it sends (WebRTC 5.2, getStats)."""
        return await self._negotiator._report(sender=self)

    # For the connection.

    def _expect(self, codec: RTCRtpCodecParameters) -> None:
        """Get going with what has been offered, and is likely to be agreed on."""
        if self._kind == "video" and self._negotiated is None:
            self._stream.expect(codec)

    def _start(self, parameters: StreamParameters) -> None:
        """Send as it was negotiated."""
        self._parameters = parameters
        self._transport.listen(self._ssrc, self._stream)
        self._stream.start(parameters)

    def _pause(self) -> None:
        """Send nothing until `start()`."""
        self._stream.pause()

    async def _close(self) -> None:
        """Say BYE, and send nothing any more."""
        await self._stream.close()
        self._transport.listen(self._ssrc, None)


def _new_ssrc() -> int:
    return secrets.randbelow(0xFFFFFFFE) + 1


def described_codec(codec: RTCRtpCodecParameters) -> dict[str, Any]:
    """As `getParameters()` has it."""
    return {
        "payloadType": codec.payloadType,
        "mimeType": codec.mimeType,
        "clockRate": codec.clockRate,
        "channels": codec.channels,
        "parameters": dict(codec.parameters),
    }
