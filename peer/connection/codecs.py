"""Which codecs and header extensions an m-section carries, and under which numbers (pure).

Within one connection a payload type and an extension id mean the same for good, whoever named it
first (RFC 8829 5.3.1, RFC 8843 10.1.2): `Numbers` remembers.
"""

from collections.abc import Container, Iterable, Sequence
from copy import deepcopy
from dataclasses import replace

from aiortc import (
    RTCRtpCapabilities,
    RTCRtpCodecCapability,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionCapability,
    RTCRtpHeaderExtensionParameters,
)
from aiortc.rtcrtpparameters import RTCRtcpFeedback
from aiortc.sdp import parse_h264_profile_level_id

from ..errors import OperationError
from ..media.outgoing import HEADER_EXTENSIONS, sendable_codecs
from ..media.rtp_packet import (
    ABS_CAPTURE_TIME,
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    MID,
    PLAYOUT_DELAY,
)

# What aiortc's receiver reads.
_RECEIVED_EXTENSIONS = {"audio": (MID, AUDIO_LEVEL), "video": (MID, ABS_SEND_TIME)}

_VIDEO_FEEDBACK = (("nack", None), ("nack", "pli"), ("ccm", "fir"), ("goog-remb", None))


def _video(name: str, **parameters: str) -> RTCRtpCodecParameters:
    feedback = [RTCRtcpFeedback(type=type_, parameter=value) for type_, value in _VIDEO_FEEDBACK]
    named = {key.replace("_", "-"): value for key, value in parameters.items()}
    return RTCRtpCodecParameters(
        f"video/{name}", 90000, rtcpFeedback=feedback, parameters=dict(named)
    )


def _h264(profile_level_id: str) -> RTCRtpCodecParameters:
    return _video(
        "H264",
        level_asymmetry_allowed="1",
        packetization_mode="1",
        profile_level_id=profile_level_id,
    )


# What aiortc can decode.
_RECEIVABLE = {
    "audio": [
        RTCRtpCodecParameters("audio/opus", 48000, 2, parameters={"useinbandfec": 1}),
        RTCRtpCodecParameters("audio/G722", 8000, 1),
        RTCRtpCodecParameters("audio/PCMU", 8000, 1),
        RTCRtpCodecParameters("audio/PCMA", 8000, 1),
    ],
    "video": [_video("VP8"), _h264("42e01f"), _h264("42001f")],
}

_STATIC = {"audio/g722": 9, "audio/pcmu": 0, "audio/pcma": 8}
# RFC 5761 4: the others collide with RTCP. The second range is for when the first is used up.
_DYNAMIC = (*range(96, 128), *range(35, 64))
_EXTENSION_IDS = range(1, 15)
# Chromium's own ids, which it holds fast to even after it has rolled back the offer that had them:
# with others, offers that collide poison the connection. It never uses 12.
_USUAL_EXTENSION_IDS = {
    AUDIO_LEVEL: 1,
    ABS_SEND_TIME: 2,
    MID: 4,
    PLAYOUT_DELAY: 5,
    ABS_CAPTURE_TIME: 12,
}

_Key = tuple[str | int | None, ...]


def is_rtx(codec: RTCRtpCodecParameters | RTCRtpCodecCapability) -> bool:
    """Whether it is the format of retransmissions (RFC 4588) and not a codec."""
    return codec.name.lower() == "rtx"


def key(codec: RTCRtpCodecParameters | RTCRtpCodecCapability) -> _Key:
    """What tells a codec from others: two of the same key understand each other."""
    mime, parameters = codec.mimeType.lower(), codec.parameters
    base: _Key = (mime, codec.clockRate, codec.channels or 1)
    if mime == "video/h264":
        # RFC 6184 8.1: a missing profile-level-id means baseline, which all of WebRTC takes as
        # constrained baseline.
        level_id = str(parameters.get("profile-level-id", "42e01f"))
        try:
            profile = parse_h264_profile_level_id(level_id)[0].name
        except ValueError:
            profile = level_id
        return (*base, str(parameters.get("packetization-mode", "0")), profile)
    if mime == "video/vp9":
        return (*base, str(parameters.get("profile-id", "0")))
    if mime == "video/av1":
        return (*base, str(parameters.get("profile", "0")))
    return base


def local_codecs(kind: str, *, sends: bool, receives: bool) -> list[RTCRtpCodecParameters]:
    """The codecs of this side for a section, best first, without payload types.

    Where it both sends and receives, those that it can do both with.
    """
    sendable, receivable = sendable_codecs(kind), _RECEIVABLE[kind]
    if sends and receives:
        decodable = {key(codec) for codec in receivable}
        return [codec for codec in sendable if key(codec) in decodable]
    if sends or not receives:
        return sendable
    order = [key(codec) for codec in sendable]
    return sorted(
        receivable, key=lambda codec: order.index(key(codec)) if key(codec) in order else len(order)
    )


def by_preference(
    codecs: Sequence[RTCRtpCodecParameters], preferred: Sequence[RTCRtpCodecCapability]
) -> list[RTCRtpCodecParameters]:
    """These of the codecs that are preferred, in that order; all, when none is named."""
    if not preferred:
        return list(codecs)
    return [
        codec
        for wanted in preferred
        if not is_rtx(wanted)
        for codec in codecs
        if key(codec) == key(wanted)
    ]


def common_codecs(
    local: Sequence[RTCRtpCodecParameters], remote: Sequence[RTCRtpCodecParameters]
) -> list[RTCRtpCodecParameters]:
    """What both sides have, under the remote numbers and in this side's order, each codec followed
    by its retransmission format if the remote side has one."""
    common = []
    for own in local:
        for theirs in remote:
            if is_rtx(theirs) or key(theirs) != key(own):
                continue
            feedback = [one for one in own.rtcpFeedback if one in theirs.rtcpFeedback]
            common.append(replace(
                own, payloadType=theirs.payloadType, rtcpFeedback=feedback,
                parameters=dict(own.parameters),
            ))  # fmt: skip
            rtx = _rtx_of(theirs, remote)
            common += [deepcopy(rtx)] if rtx is not None else []
            break
    return common


def sent_codecs(
    answered: Sequence[RTCRtpCodecParameters], kind: str
) -> list[RTCRtpCodecParameters]:
    """Of the codecs of a remote description, those that this side can send, the wanted one first,
    with their retransmission formats."""
    sendable = {key(codec): codec for codec in sendable_codecs(kind)}
    found = []
    for codec in answered:
        if is_rtx(codec) or key(codec) not in sendable:
            continue
        own = sendable[key(codec)]
        feedback = [one for one in own.rtcpFeedback if one in codec.rtcpFeedback]
        found.append(replace(codec, rtcpFeedback=feedback))
        rtx = _rtx_of(codec, answered)
        found += [rtx] if rtx is not None else []
    return found


def retransmission_type(
    codec: RTCRtpCodecParameters, codecs: Iterable[RTCRtpCodecParameters]
) -> int | None:
    """The payload type of this codec's retransmissions."""
    rtx = _rtx_of(codec, codecs)
    return rtx.payloadType if rtx is not None else None


def _rtx_of(
    codec: RTCRtpCodecParameters, codecs: Iterable[RTCRtpCodecParameters]
) -> RTCRtpCodecParameters | None:
    return next(
        (
            other
            for other in codecs
            if is_rtx(other) and other.parameters.get("apt") == codec.payloadType
        ),
        None,
    )


class Numbers:
    """The payload types and extension ids of one connection, kept for its life."""

    def __init__(self) -> None:
        self._payload_types: dict[_Key, int] = {}
        self._used: set[int] = set()
        self._extensions: dict[str, int] = {}

    def learn(
        self,
        codecs: Sequence[RTCRtpCodecParameters],
        extensions: Iterable[RTCRtpHeaderExtensionParameters],
    ) -> None:
        """Take up what a description says; what was known before stays as it is."""
        bases = {codec.payloadType: codec for codec in codecs if not is_rtx(codec)}
        for codec in codecs:
            assert codec.payloadType is not None
            self._used.add(codec.payloadType)
            if not is_rtx(codec):
                self._payload_types.setdefault(key(codec), codec.payloadType)
            elif (base := bases.get(codec.parameters.get("apt"))) is not None:  # type: ignore[arg-type]
                self._payload_types.setdefault(("rtx", *key(base)), codec.payloadType)
        for extension in extensions:
            self._extensions.setdefault(extension.uri, extension.id)

    def number(self, codecs: Iterable[RTCRtpCodecParameters]) -> list[RTCRtpCodecParameters]:
        """The codecs with their payload types, each video codec followed by its retransmission
        format."""
        numbered = []
        for codec in codecs:
            payload_type = self._payload_type(key(codec), _STATIC.get(codec.mimeType.lower()))
            numbered.append(
                replace(codec, payloadType=payload_type, parameters=dict(codec.parameters))
            )
            if codec.mimeType.startswith("video/"):
                numbered.append(RTCRtpCodecParameters(
                    "video/rtx", codec.clockRate,
                    payloadType=self._payload_type(("rtx", *key(codec))),
                    parameters={"apt": payload_type},
                ))  # fmt: skip
        return numbered

    def _payload_type(self, name: _Key, static: int | None = None) -> int:
        if name not in self._payload_types:
            number = static
            if number is None:
                number = _free(_DYNAMIC, self._used)
            self._payload_types[name] = number
            self._used.add(number)
        return self._payload_types[name]

    def extensions(self, kind: str) -> list[RTCRtpHeaderExtensionParameters]:
        """The header extensions of this side for a section, with their ids."""
        return [
            RTCRtpHeaderExtensionParameters(id=self._extension_id(uri), uri=uri)
            for uri in local_extensions(kind)
        ]

    def _extension_id(self, uri: str) -> int:
        if uri not in self._extensions:
            used = set(self._extensions.values())
            usual = _USUAL_EXTENSION_IDS.get(uri)
            order = (usual, *_EXTENSION_IDS) if usual is not None else _EXTENSION_IDS
            self._extensions[uri] = _free(order, used)
        return self._extensions[uri]


def _free(numbers: Iterable[int], used: Container[int]) -> int:
    """:raises OperationError: the other side has taken all of them."""
    for number in numbers:
        if number not in used:
            return number
    raise OperationError("no payload type or extension id is left")


def local_extensions(kind: str) -> list[str]:
    """The URIs of the header extensions that this side sends or reads."""
    return list(dict.fromkeys((*_RECEIVED_EXTENSIONS[kind], *HEADER_EXTENSIONS[kind])))


def common_extensions(
    kind: str, remote: Iterable[RTCRtpHeaderExtensionParameters]
) -> list[RTCRtpHeaderExtensionParameters]:
    """Those that both sides have, under the remote ids."""
    own = local_extensions(kind)
    return [extension for extension in remote if extension.uri in own]


def capabilities(kind: str, *, sends: bool) -> RTCRtpCapabilities | None:
    """What can be sent, or received, of this kind; None for an unknown one (WebRTC 5.2, 5.3)."""
    if kind not in _RECEIVABLE:
        return None
    codecs = [
        RTCRtpCodecCapability(
            codec.mimeType, codec.clockRate, codec.channels, dict(codec.parameters)
        )
        for codec in local_codecs(kind, sends=sends, receives=not sends)
    ]
    if kind == "video":
        codecs.append(RTCRtpCodecCapability("video/rtx", 90000))
    uris = HEADER_EXTENSIONS[kind] if sends else _RECEIVED_EXTENSIONS[kind]
    return RTCRtpCapabilities(codecs, [RTCRtpHeaderExtensionCapability(uri) for uri in uris])


def is_decodable(codec: RTCRtpCodecParameters, codecs: Sequence[RTCRtpCodecParameters]) -> bool:
    """Whether it can be received: a codec, or the retransmissions of one of `codecs`."""
    if is_rtx(codec):
        apt = codec.parameters.get("apt")
        return any(
            is_decodable(one, codecs)
            for one in codecs
            if not is_rtx(one) and one.payloadType == apt
        )
    kind = codec.mimeType.partition("/")[0].lower()
    return key(codec) in {key(known) for known in _RECEIVABLE[kind]}
