"""RTP packets of one burst, made once and then stamped for each viewer (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct, pack
from typing import Any
from weakref import WeakValueDictionary

from aiortc.rtp import pack_header_extensions

from .capture_time import ntp_time
from .encoded_frame import Burst, EncodedFrame

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

HEADER_EXTENSIONS: Mapping[str, tuple[str, ...]] = {
    "audio": (MID, AUDIO_LEVEL, ABS_SEND_TIME, ABS_CAPTURE_TIME),
    "video": (MID, ABS_SEND_TIME, ABS_CAPTURE_TIME, PLAYOUT_DELAY),
}
"""URIs of the header extensions that can be sent, by kind."""

_HEADER = Struct("!BBHII")
_STAMP = Struct("!HII")  # sequence number, time stamp, SSRC
_STAMP_OFFSET = 2
_VERSION, _EXTENDED, _MARKER = 0x80, 0x10, 0x80
_SEQUENCE_MASK, _MASK_32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PacketForm:
    """What is the same in the packets of many viewers, who share the very object: it is asked for
    with each burst and viewer. Made by `packet_form()`."""

    payload_type: int
    mid: str
    extensions: tuple[tuple[str, int], ...]
    """URI and id of each header extension."""
    trailer: int
    """Bytes that protection will append to a packet."""


_forms: "WeakValueDictionary[tuple[Any, ...], PacketForm]" = WeakValueDictionary()


def packet_form(
    payload_type: int, mid: str, extensions: tuple[tuple[str, int], ...], trailer: int
) -> PacketForm:
    """The same object for the same values."""
    values = (payload_type, mid, extensions, trailer)
    form = _forms.get(values)
    if form is None:
        form = _forms[values] = PacketForm(*values)
    return form


class PacketBatch:
    """The packets of a burst, one after the other with room for what protection appends.

    `stamp()` fills `buffer` for one viewer; what is done to it there, the next one undoes.
    """

    __slots__ = (
        "buffer",
        "count",
        "handle",
        "header_octets",
        "lengths",
        "payload_octets",
        "runs",
        "size",
        "starts",
        "template",
        "trailer",
    )

    def __init__(self, burst: Burst, form: PacketForm) -> None:
        frame = burst.frame
        extensions = _extension_block(burst, form)
        first_byte = _VERSION | (_EXTENDED if extensions else 0)
        parts: list[bytes] = []
        self.starts: list[int] = []
        """Where each packet begins."""
        self.lengths: list[int] = []
        """Their lengths, without what protection appends."""
        position = 0
        final = len(burst.payloads) - 1
        for index, payload in enumerate(burst.payloads):
            # The end of a picture; the beginning of sound after a pause (RFC 3551 4.1).
            marks = burst.last and index == final if frame.is_picture else frame.resumes
            marker = _MARKER if marks else 0
            header = _HEADER.pack(first_byte, marker | form.payload_type, 0, 0, 0)
            length = len(header) + len(extensions) + len(payload)
            parts += (header, extensions, payload, bytes(form.trailer))
            self.starts.append(position)
            self.lengths.append(length)
            position += length + form.trailer
        self.template = b"".join(parts)
        """What `buffer` is before it is stamped."""
        self.buffer = bytearray(self.template)
        self.size = position
        """Of all, protected."""
        self.count = len(burst.payloads)
        self.trailer = form.trailer
        """How much of that there is behind each packet."""
        self.header_octets = self.count * (_HEADER.size + len(extensions))
        self.payload_octets = sum(map(len, burst.payloads))
        self.runs = _runs(self.lengths, form.trailer)
        """What the kernel can take in one go: from where to where packets of one size lie, and that
        size; the last may be smaller."""
        self.handle: Any = None
        """What the transport has worked out once for all viewers."""

    def stamp(self, sequence_number: int, timestamp: int, ssrc: int) -> None:
        """Make `buffer` one viewer's."""
        buffer = self.buffer
        buffer[:] = self.template
        pack_into = _STAMP.pack_into
        for start in self.starts:
            pack_into(buffer, start + _STAMP_OFFSET, sequence_number, timestamp, ssrc)
            sequence_number = (sequence_number + 1) & _SEQUENCE_MASK


def batch_of(burst: Burst, form: PacketForm) -> PacketBatch:
    """The packets of a burst, made once for all viewers whose packets have this form."""
    batch: PacketBatch | None = burst.batches.get(form)
    if batch is None:
        batch = burst.batches[form] = PacketBatch(burst, form)
    return batch


def _runs(lengths: list[int], trailer: int) -> list[tuple[int, int, int]]:
    runs: list[tuple[int, int, int]] = []
    start, open_ = 0, False
    for length in lengths:
        size = length + trailer
        end = start + size
        if open_ and size <= runs[-1][2]:
            first, _, segment = runs[-1]
            runs[-1] = (first, end, segment)
            open_ = size == segment
        else:
            runs.append((start, end, size))
            open_ = True
        start = end
    return runs


def _extension_block(burst: Burst, form: PacketForm) -> bytes:
    """A packet's header extensions (RFC 8285), which are the same in all of a frame's: packets of
    one size can be given to the kernel as one."""
    values = []
    for uri, id_ in form.extensions:
        value = _extension(uri, burst.frame, form, burst.sent_at)
        if value is not None:
            values.append((id_, value))
    if not values:
        return b""
    profile, data = pack_header_extensions(values)
    return pack("!HH", profile, len(data) // 4) + data


def _extension(uri: str, frame: EncodedFrame, form: PacketForm, sent_at: float) -> bytes | None:
    if uri == MID:
        return form.mid.encode()
    if uri == ABS_SEND_TIME:
        # Seconds as 6.18 fixed point.
        return ((ntp_time(sent_at) >> 14) & 0xFFFFFF).to_bytes(3, "big")
    if uri == AUDIO_LEVEL and frame.audio_level is not None:
        return bytes([frame.audio_level])
    if uri == ABS_CAPTURE_TIME and frame.tells_capture_time:
        return pack("!Q", ntp_time(frame.at))
    if uri == PLAYOUT_DELAY and frame.is_picture and frame.keyframe:
        return bytes(3)  # as soon as possible; what a receiver was told is in force until told else
    return None
