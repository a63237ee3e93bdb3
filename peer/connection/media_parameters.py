"""What senders and receivers are told once an offer is answered (pure)."""

from aiortc.rtcrtpparameters import (
    RTCRtcpParameters,
    RTCRtpDecodingParameters,
    RTCRtpReceiveParameters,
    RTCRtpRtxParameters,
)

from ..media.outgoing import StreamParameters
from .codecs import is_decodable, is_rtx, key, retransmission_type, sent_codecs
from .rtc_rtp_sender import RTCRtpSender
from .sdp import Section


def sending_parameters(
    sender: RTCRtpSender, own: Section, answer: Section, cname: str
) -> StreamParameters | None:
    """How to send; None when nothing that this side can encode was negotiated.

    :param answer: the section of the answer, whose first fitting codec is used (RFC 3264 7).
    """
    described = {key(codec) for codec in own.codecs}
    codecs = [
        one
        for one in sent_codecs(answer.codecs, answer.kind)
        if is_rtx(one) or key(one) in described
    ]
    if all(is_rtx(one) for one in codecs):
        return None
    codec = next(one for one in codecs if not is_rtx(one))
    rtx = retransmission_type(codec, codecs)
    return StreamParameters(
        codec=codec,
        ssrc=sender._ssrc,
        cname=cname,
        mid=own.mid,
        rtx_ssrc=sender._rtx_ssrc if rtx is not None else None,
        rtx_payload_type=rtx,
        extensions={extension.uri: extension.id for extension in answer.extensions},
    )


def receiving_parameters(local: Section, remote: Section) -> RTCRtpReceiveParameters:
    """What may arrive: the codecs of this side's section, from the sources of the other's."""
    codecs = [codec for codec in local.codecs if is_decodable(codec, local.codecs)]
    main = next((codec for codec in codecs if not is_rtx(codec)), None)
    repaired = set(remote.rtx_ssrcs.values())
    encodings = [
        RTCRtpDecodingParameters(
            ssrc=source.ssrc,
            payloadType=(main.payloadType if main is not None else None) or 0,
            rtx=RTCRtpRtxParameters(remote.rtx_ssrcs[source.ssrc])
            if source.ssrc in remote.rtx_ssrcs
            else None,
        )
        for source in remote.ssrcs
        if source.ssrc not in repaired
    ]
    return RTCRtpReceiveParameters(
        codecs=codecs,
        headerExtensions=local.extensions,
        muxId=local.mid,
        rtcp=RTCRtcpParameters(mux=True),
        encodings=encodings,
    )
