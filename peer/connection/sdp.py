"""Session descriptions as WebRTC uses them (RFC 8866, RFC 8829): parsed, and written (pure)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar, cast

from aiortc import (
    RTCDtlsFingerprint,
    RTCIceCandidate,
    RTCIceParameters,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
)
from aiortc.rtcrtpparameters import RTCRtcpFeedback
from aiortc.sdp import (
    candidate_from_sdp,
    candidate_to_sdp,
    parameters_from_sdp,
    parameters_to_sdp,
)

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Setup = Literal["actpass", "active", "passive"]

DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")
SENDING = ("sendrecv", "sendonly")
RECEIVING = ("sendrecv", "recvonly")
LONGEST_MID = 255
"""Bytes that a header extension has room for (RFC 8285 4.3): each packet carries the mid."""
_SETUPS = ("actpass", "active", "passive")
_T = TypeVar("_T")


class SdpError(ValueError):
    """A description can't be understood; the message names the line."""


@dataclass
class Ssrc:
    """A synchronisation source that a section announces (RFC 5576)."""

    ssrc: int
    cname: str | None = None


@dataclass
class Section:
    """One m-section: a line of media or data, and its attributes."""

    kind: str
    """audio, video or application."""
    mid: str
    rejected: bool = False
    """Port 0 without bundle-only: nothing flows, and its place may be used again."""
    protocol: str = "UDP/TLS/RTP/SAVPF"
    direction: Direction = "sendrecv"
    ice: RTCIceParameters = field(default_factory=RTCIceParameters)
    candidates: list[RTCIceCandidate] = field(default_factory=list)
    end_of_candidates: bool = False
    fingerprints: list[RTCDtlsFingerprint] = field(default_factory=list)
    setup: Setup | None = None
    codecs: list[RTCRtpCodecParameters] = field(default_factory=list)
    extensions: list[RTCRtpHeaderExtensionParameters] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    """The ids of the streams that the track is part of (RFC 8830)."""
    track_id: str = "-"
    ssrcs: list[Ssrc] = field(default_factory=list)
    rtx_ssrcs: dict[int, int] = field(default_factory=dict)
    """The source of retransmissions, by the source that they are of (RFC 4588)."""
    sctp_port: int | None = None
    max_message_size: int | None = None

    @property
    def sends(self) -> bool:
        """Whether the one who wrote it sends media."""
        return not self.rejected and self.direction in SENDING

    @property
    def receives(self) -> bool:
        """Whether the one who wrote it receives media."""
        return not self.rejected and self.direction in RECEIVING


@dataclass
class Sdp:
    """A session description."""

    sections: list[Section] = field(default_factory=list)
    bundle: list[str] = field(default_factory=list)
    """The mids of the sections that share one transport, the first of which describes it."""
    session_id: int = 0
    version: int = 0

    @property
    def transport(self) -> Section | None:
        """The section that describes the transport that all share; None when all are rejected."""
        live = [section for section in self.sections if not section.rejected]
        tagged = (section for section in live if section.mid in self.bundle[:1])
        return next(tagged, live[0] if live else None)

    def section(self, mid: str) -> Section | None:
        """The section of this mid."""
        return next((section for section in self.sections if section.mid == mid), None)

    def __str__(self) -> str:
        lines = [
            "v=0",
            f"o=- {self.session_id} {self.version} IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
        ]
        if self.bundle:  # Chromium refuses an empty group
            lines.append(f"a=group:BUNDLE {' '.join(self.bundle)}")
        lines += ["a=extmap-allow-mixed", "a=msid-semantic: WMS *"]
        for section in self.sections:
            lines += _lines(section)
        return "\r\n".join(lines) + "\r\n"


def reverse(direction: Direction) -> Direction:
    """A direction as the other side sees it."""
    reversed_: dict[Direction, Direction] = {"sendonly": "recvonly", "recvonly": "sendonly"}
    return reversed_.get(direction, direction)


def direction_of(*, sends: bool, receives: bool) -> Direction:
    """The direction that says this."""
    if sends:
        return "sendrecv" if receives else "sendonly"
    return "recvonly" if receives else "inactive"


def parse_candidate(text: str) -> RTCIceCandidate:
    """A candidate as it stands in an SDP or a candidate event, with or without its prefix.

    :raises SdpError: it is malformed.
    """
    text = text.removeprefix("a=").removeprefix("candidate:")
    try:
        return candidate_from_sdp(text)
    except (AssertionError, ValueError):
        raise SdpError(f"malformed candidate: {text[:80]!r}") from None


def format_candidate(candidate: RTCIceCandidate) -> str:
    """The text of a candidate event (WebRTC 4.8.1)."""
    return f"candidate:{candidate_to_sdp(candidate)}"


# Writing.


def _lines(section: Section) -> Iterator[str]:
    port = 0 if section.rejected else 9
    if section.kind == "application":
        yield f"m=application {port} {section.protocol} webrtc-datachannel"
    else:
        formats = " ".join(str(codec.payloadType) for codec in section.codecs) or "0"
        yield f"m={section.kind} {port} {section.protocol} {formats}"
    yield "c=IN IP4 0.0.0.0"
    yield f"a=mid:{section.mid}"
    if section.kind != "application":
        yield f"a={'inactive' if section.rejected else section.direction}"
    if section.rejected:
        for codec in section.codecs:
            yield f"a=rtpmap:{codec.payloadType} {_rtpmap(codec)}"
        return
    yield f"a=ice-ufrag:{section.ice.usernameFragment}"
    yield f"a=ice-pwd:{section.ice.password}"
    yield "a=ice-options:trickle"
    for fingerprint in section.fingerprints:
        yield f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}"
    yield f"a=setup:{section.setup}"
    if section.kind == "application":
        yield f"a=sctp-port:{section.sctp_port}"
        yield f"a=max-message-size:{section.max_message_size}"
    else:
        yield from _media_lines(section)
    for candidate in section.candidates:
        yield f"a={format_candidate(candidate)}"
    if section.end_of_candidates:
        yield "a=end-of-candidates"


def _media_lines(section: Section) -> Iterator[str]:
    yield "a=rtcp:9 IN IP4 0.0.0.0"
    yield "a=rtcp-mux"
    yield "a=rtcp-rsize"
    for extension in section.extensions:
        yield f"a=extmap:{extension.id} {extension.uri}"
    if section.sends:
        for stream in section.streams or ["-"]:
            yield f"a=msid:{stream} {section.track_id}"
    for codec in section.codecs:
        yield f"a=rtpmap:{codec.payloadType} {_rtpmap(codec)}"
        for feedback in codec.rtcpFeedback:
            parameter = f" {feedback.parameter}" if feedback.parameter else ""
            yield f"a=rtcp-fb:{codec.payloadType} {feedback.type}{parameter}"
        if codec.parameters:
            yield f"a=fmtp:{codec.payloadType} {parameters_to_sdp(codec.parameters)}"
    if section.sends:
        for primary, rtx in section.rtx_ssrcs.items():
            yield f"a=ssrc-group:FID {primary} {rtx}"
        for source in section.ssrcs:
            yield f"a=ssrc:{source.ssrc} cname:{source.cname}"


def _rtpmap(codec: RTCRtpCodecParameters) -> str:
    channels = f"/{codec.channels}" if (codec.channels or 1) > 1 else ""
    return f"{codec.name}/{codec.clockRate}{channels}"


# Reading.


def parse(text: str) -> Sdp:
    """Read an offer or answer. Attributes that WebRTC does not need are passed over.

    :raises SdpError: it is malformed.
    """
    lines = text.splitlines()
    if not lines or lines[0].strip() != "v=0":
        raise SdpError("a description begins with v=0")
    starts = [number for number, line in enumerate(lines) if line.startswith("m=")]
    bounds = [*starts, len(lines)]
    session = _Attributes(lines[: bounds[0]])
    found = Sdp()
    for semantics, mids in session.read("group", _group):
        if semantics == "BUNDLE":
            found.bundle = mids
    for index, (start, end) in enumerate(zip(starts, bounds[1:], strict=True)):
        found.sections.append(_section(lines[start], _Attributes(lines[start:end]), session, index))
    mids = [section.mid for section in found.sections]
    if len(set(mids)) < len(mids):
        raise SdpError(f"two sections have the same mid: {', '.join(mids)}")
    if any(len(mid.encode()) > LONGEST_MID for mid in mids):
        raise SdpError(f"a mid has at most {LONGEST_MID} bytes")
    return found


class _Attributes:
    """The `a=` lines of a part of a description, by name."""

    def __init__(self, lines: list[str]) -> None:
        self._pairs: list[tuple[str, str]] = []
        for line in lines:
            if line.startswith("a="):
                name, _, value = line[2:].strip().partition(":")
                self._pairs.append((name, value.strip()))

    def values(self, name: str) -> list[str]:
        return [value for known, value in self._pairs if known == name]

    def value(self, name: str) -> str | None:
        return next(iter(self.values(name)), None)

    def has(self, name: str) -> bool:
        return bool(self.values(name))

    def read(self, name: str, reader: Callable[[str], _T]) -> list[_T]:
        """Each value of this name, as `reader` understands it."""
        found = []
        for value in self.values(name):
            try:
                found.append(reader(value))
            except (ValueError, IndexError, AssertionError):
                raise SdpError(f"malformed: a={name}:{value[:80]}") from None
        return found


def _section(line: str, attributes: _Attributes, session: _Attributes, index: int) -> Section:
    fields = line[2:].split()
    if len(fields) < 4 or not fields[1].split("/")[0].isdecimal():
        raise SdpError(f"malformed: {line[:80]}")
    kind, port, protocol, *formats = fields
    section = Section(
        kind=kind,
        mid=attributes.value("mid") or str(index),
        rejected=port == "0" and not attributes.has("bundle-only"),
        protocol=protocol,
    )
    for direction in DIRECTIONS:
        if attributes.has(direction) or session.has(direction):
            section.direction = direction
    section.ice = RTCIceParameters(
        usernameFragment=attributes.value("ice-ufrag") or session.value("ice-ufrag"),
        password=attributes.value("ice-pwd") or session.value("ice-pwd"),
        iceLite=session.has("ice-lite"),
    )
    section.candidates = attributes.read("candidate", candidate_from_sdp)
    section.end_of_candidates = attributes.has("end-of-candidates")
    fingerprints = attributes if attributes.has("fingerprint") else session
    section.fingerprints = fingerprints.read("fingerprint", _fingerprint)
    setup = attributes.value("setup") or session.value("setup")
    if setup is not None and setup not in _SETUPS:
        raise SdpError(f"malformed: a=setup:{setup[:80]}")
    section.setup = cast(Setup | None, setup)
    if kind == "application":
        [section.sctp_port] = attributes.read("sctp-port", int)[:1] or [5000]
        [section.max_message_size] = attributes.read("max-message-size", int)[:1] or [65536]
    else:
        _read_media(section, attributes, formats)
    return section


def _read_media(section: Section, attributes: _Attributes, formats: list[str]) -> None:
    codecs = {codec.payloadType: codec for codec in attributes.read("rtpmap", _codec(section.kind))}
    for payload_type, parameters in attributes.read("fmtp", _format):
        if payload_type in codecs:
            codecs[payload_type].parameters = parameters
    for payload, feedback in attributes.read("rtcp-fb", _feedback):
        for codec in codecs.values():
            if payload in ("*", str(codec.payloadType)):
                codec.rtcpFeedback.append(feedback)
    for known in _STATIC.get(section.kind, ()):
        codecs.setdefault(known.payloadType, replace(known, rtcpFeedback=[], parameters={}))
    section.codecs = [
        codecs[int(number)] for number in formats if number.isdecimal() and int(number) in codecs
    ]
    extensions = attributes.read("extmap", _extension)
    section.extensions = [one for one in extensions if 0 < one.id < 256]  # RFC 8285 4.3
    for msid in attributes.values("msid"):
        stream, _, track_id = msid.partition(" ")
        section.track_id = track_id or section.track_id
        if stream not in ("", "-"):
            section.streams.append(stream)
    for semantics, numbers in attributes.read("ssrc-group", _group):
        if semantics == "FID" and len(numbers) == 2 and all(n.isdecimal() for n in numbers):
            section.rtx_ssrcs[int(numbers[0])] = int(numbers[1])
    for ssrc, description in attributes.read("ssrc", _numbered):
        source = next((known for known in section.ssrcs if known.ssrc == ssrc), None)
        if source is None:
            source = Ssrc(ssrc)
            section.ssrcs.append(source)
        if description.startswith("cname:"):
            source.cname = description.removeprefix("cname:")
        elif description.startswith("msid:") and not section.streams:
            # Plan B's place for it, which GStreamer and old browsers still write.
            stream = description.removeprefix("msid:").partition(" ")[0]
            section.streams += [stream] if stream not in ("", "-") else []


def _group(value: str) -> tuple[str, list[str]]:
    semantics, *members = value.split()
    return semantics, members


def _format(value: str) -> tuple[int, dict[str, int | str | None]]:
    payload_type, parameters = _numbered(value)
    return payload_type, parameters_from_sdp(parameters.replace("; ", ";"))


def _feedback(value: str) -> tuple[str, RTCRtcpFeedback]:
    payload_type, type_, *parameter = value.split(maxsplit=2)
    return payload_type, RTCRtcpFeedback(type_, *parameter)


def _fingerprint(value: str) -> RTCDtlsFingerprint:
    algorithm, digest = value.split()
    return RTCDtlsFingerprint(algorithm=algorithm.lower(), value=digest.upper())


def _extension(value: str) -> RTCRtpHeaderExtensionParameters:
    number, uri, *_ = value.split()
    return RTCRtpHeaderExtensionParameters(id=int(number.split("/")[0]), uri=uri)


def _codec(kind: str) -> Callable[[str], RTCRtpCodecParameters]:
    def read(value: str) -> RTCRtpCodecParameters:
        payload_type, description = _numbered(value)
        if not 0 <= payload_type <= 127:
            raise ValueError
        name, clock_rate, *channels = description.split("/")
        return RTCRtpCodecParameters(
            mimeType=f"{kind}/{name}",
            clockRate=int(clock_rate),
            channels=(int(channels[0]) if channels else 1) if kind == "audio" else None,
            payloadType=payload_type,
        )

    return read


def _numbered(value: str) -> tuple[int, str]:
    number, rest = value.split(maxsplit=1)
    return int(number), rest


# Payload types that need no rtpmap (RFC 3551).
_STATIC = {
    "audio": (
        RTCRtpCodecParameters("audio/PCMU", 8000, 1, 0),
        RTCRtpCodecParameters("audio/PCMA", 8000, 1, 8),
        RTCRtpCodecParameters("audio/G722", 8000, 1, 9),
    )
}
