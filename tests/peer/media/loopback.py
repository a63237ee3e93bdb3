"""DTLS transports of aiortc joined over loopback, and viewers who decode what comes out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from unittest.mock import patch

import aioice.ice
from aiortc import (
    RTCCertificate,
    RTCRtpCodecParameters,
    RTCRtpReceiver,
)
from aiortc.rtcrtpparameters import (
    RTCRtpDecodingParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpReceiveParameters,
    RTCRtpRtxParameters,
)
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from av import AudioFrame, VideoFrame

from peer.connection.aiortc_seam.dtls import DtlsTransport
from peer.connection.aiortc_seam.ice import IceTransport
from peer.connection.aiortc_seam.srtp import SrtpTransport
from peer.devices import barcode
from peer.media.outgoing import (
    HEADER_EXTENSIONS,
    OutgoingStream,
    StreamParameters,
    sendable_codecs,
)

SSRC, RTX_SSRC = 0x1234, 0x5678
PAYLOAD_TYPE, RTX_PAYLOAD_TYPE = 96, 97
EXTENSIONS = {
    uri: number
    for number, uri in enumerate(
        dict.fromkeys((*HEADER_EXTENSIONS["video"], *HEADER_EXTENSIONS["audio"])), 1
    )
}


def parameters(codec: str = "VP8", *, rtx: bool = True, ssrc: int = SSRC) -> StreamParameters:
    """What would be negotiated for a stream."""
    kind = "audio" if codec == "opus" else "video"
    [chosen] = [one for one in sendable_codecs(kind) if one.name == codec]
    chosen.payloadType = PAYLOAD_TYPE
    return StreamParameters(
        codec=chosen,
        ssrc=ssrc,
        cname="cname",
        mid="0",
        rtx_ssrc=RTX_SSRC if rtx else None,
        rtx_payload_type=RTX_PAYLOAD_TYPE if rtx else None,
        extensions=EXTENSIONS,
    )


@asynccontextmanager
async def connected_pair(
    address: str = "127.0.0.1",
) -> AsyncIterator[tuple[DtlsTransport, DtlsTransport]]:
    """Two transports that have found each other on loopback, the sender's first."""
    with patch.object(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [address]):
        ices = [IceTransport(), IceTransport()]
        await asyncio.gather(*(ice.gather(complete=True) for ice in ices))
    transports = [DtlsTransport(ice, RTCCertificate.generateCertificate()) for ice in ices]
    try:
        for ice, other in zip(ices, reversed(ices), strict=True):
            for candidate in (*other.candidates, None):
                await ice.add_remote_candidate(candidate)
        await asyncio.gather(
            ices[0].start(ices[1].parameters, controlling=True),
            ices[1].start(ices[0].parameters, controlling=False),
        )
        await asyncio.gather(
            transports[0].start(transports[1].getLocalParameters()),
            transports[1].start(transports[0].getLocalParameters()),
        )
        yield transports[0], transports[1]
    finally:
        for transport in transports:
            await transport.stop()
        for ice in ices:
            await ice.stop()


@dataclass
class Viewer:
    """A stream, and the aiortc receiver at its other end."""

    stream: OutgoingStream
    receiver: RTCRtpReceiver
    sender: DtlsTransport
    transport: DtlsTransport
    """The receiver's."""
    failures: list[Exception]
    ssrc: int

    def says_nothing(self) -> None:
        """What aiortc's receiver reports from now on, the stream is not told."""
        self.sender.listen(self.ssrc, None)

    async def frame(self) -> VideoFrame | AudioFrame:
        """The next frame that the receiver has decoded."""
        async with asyncio.timeout(30):
            frame = await self.receiver.track.recv()
        assert isinstance(frame, VideoFrame | AudioFrame)
        return frame

    async def number(self) -> int | None:
        """The number in the next picture's barcode; None when it has none."""
        frame = await self.frame()
        stamp = barcode.read(frame.to_ndarray(format="gray"))
        return None if stamp is None else stamp.frame


@asynccontextmanager
async def viewer(negotiated: StreamParameters) -> AsyncIterator[Viewer]:
    """Somebody who watches, or hears, over a connection of their own; nothing is sent as yet."""
    kind = negotiated.codec.mimeType.split("/")[0]
    async with connected_pair() as (sending, receiving):
        failures: list[Exception] = []
        stream = OutgoingStream(kind, SrtpTransport(sending), failed=failures.append)
        sending.listen(negotiated.ssrc, stream)
        receiver = RTCRtpReceiver(kind, receiving)
        receiver._track = RemoteStreamTrack(kind=kind)
        receiver._set_rtcp_ssrc(4711)
        codecs = [negotiated.codec]
        encoding = RTCRtpDecodingParameters(negotiated.ssrc, PAYLOAD_TYPE)
        if negotiated.rtx_ssrc is not None:
            codecs.append(
                RTCRtpCodecParameters(
                    "video/rtx", 90000, payloadType=RTX_PAYLOAD_TYPE,
                    parameters={"apt": PAYLOAD_TYPE},
                )
            )  # fmt: skip
            encoding.rtx = RTCRtpRtxParameters(negotiated.rtx_ssrc)
        await receiver.receive(
            RTCRtpReceiveParameters(
                codecs=codecs,
                headerExtensions=[
                    RTCRtpHeaderExtensionParameters(number, uri)
                    for uri, number in EXTENSIONS.items()
                ],
                muxId="0",
                encodings=[encoding],
            )
        )
        try:
            yield Viewer(stream, receiver, sending, receiving, failures, negotiated.ssrc)
        finally:
            await stream.close()
            await receiver.stop()
