"""Which codecs can be sent, and which one suits a track."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import aiortc
from aiortc import RTCRtpCodecParameters
from aiortc.rtcrtpparameters import RTCRtcpFeedback
from av.codec.codec import Codec, UnknownCodecError

from ..capture.encoded_reader import EncodedReader
from ..capture.media_stream_track import MediaStreamTrack
from .encoder_catalogue import implementations
from .encoder_settings import settings

_FEEDBACK = (("nack", None), ("nack", "pli"), ("ccm", "fir"), ("goog-remb", None))
_VIDEO: Mapping[str, Mapping[str, int | str | None]] = {
    "VP8": {},
    "H264": {
        "level-asymmetry-allowed": "1",
        "packetization-mode": "1",
        "profile-level-id": "42e01f",
    },
    "VP9": {"profile-id": "0"},
    "AV1": {"profile": "0", "level-idx": "5", "tier": "0"},
}


@cache
def _has_encoder(name: str) -> bool:
    try:
        Codec(name, "w")
    except UnknownCodecError:
        return False
    return True


def sendable_codecs(kind: str) -> list[RTCRtpCodecParameters]:
    """What can be encoded, without payload types, in the order of `EncoderSettings.codecs`."""
    if kind == "audio":
        return [RTCRtpCodecParameters("audio/opus", 48000, 2, parameters={"useinbandfec": 1})]
    return [
        RTCRtpCodecParameters(
            f"video/{name}",
            90000,
            rtcpFeedback=[RTCRtcpFeedback(type_, parameter) for type_, parameter in _FEEDBACK],
            parameters=dict(parameters),
        )
        for name, parameters in ((name, _VIDEO[name.upper()]) for name in settings.codecs)
        if any(_has_encoder(one.name) for one in implementations(name.lower(), settings.hardware))
    ]


def leaves_pauses_out(codec: RTCRtpCodecParameters) -> bool:
    """Whether silence is not sent: who receives it prefers that (RFC 7587 6.1), or the program."""
    return settings.dtx or str(codec.parameters.get("usedtx", 0)) == "1"


def preferred_codecs(
    track: aiortc.MediaStreamTrack | None, codecs: Sequence[RTCRtpCodecParameters]
) -> list[RTCRtpCodecParameters]:
    """The codecs in the order that suits a track: H.264 first for a camera that delivers it."""
    if not isinstance(track, MediaStreamTrack) or not EncodedReader(track).available:
        return list(codecs)
    return sorted(codecs, key=_is_not_h264)


def _is_not_h264(codec: Any) -> bool:
    return bool(codec.name.upper() != "H264")
