"""Pictures of real encoders, cut into payloads, put together again and decoded."""

from collections.abc import Callable

import pytest
from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av import CodecContext, Packet, VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from peer.media.packetizers import MAX_PAYLOAD, PACKETIZERS, av1, h264, vp8, vp9
from peer.media.video_encoders import VideoEncoder

from ..moving_pictures import RATE, number_in, pictures

START_CODE = b"\0\0\0\1"


def by_aiortc(name: str) -> Callable[[list[bytes]], bytes]:
    codec = RTCRtpCodecParameters(f"video/{name}", 90000)
    return lambda payloads: b"".join(depayload(codec, payload) for payload in payloads)


def vp9_picture(payloads: list[bytes]) -> bytes:
    """RFC 9628 4.2, without picture numbers and layers."""
    flags = [payload[0] for payload in payloads]
    assert [bool(f & 0x08) for f in flags] == [i == 0 for i in range(len(flags))], "B"
    assert [bool(f & 0x04) for f in flags] == [i == len(flags) - 1 for i in range(len(flags))], "E"
    assert not any(f & 0b1011_0010 for f in flags), "I, L, F and V are not set"
    return b"".join(payload[1:] for payload in payloads)


def av1_picture(payloads: list[bytes]) -> bytes:
    """AV1 RTP payload specification 4.4, with W = 0; size fields are put back."""
    units: list[bytes] = []
    for index, payload in enumerate(payloads):
        flags, position, first = payload[0], 1, True
        assert not flags & 0x30, "W"
        assert bool(flags & 0x80) == (index > 0 and bool(payloads[index - 1][0] & 0x40)), "Z and Y"
        while position < len(payload):
            size, position = av1._read_leb128(payload, position)
            element = payload[position : position + size]
            assert len(element) == size > 0
            position += size
            if first and flags & 0x80:
                units[-1] += element
            else:
                units.append(element)
            first = False
    joined = b"\x12\x00"  # a temporal delimiter
    for unit in units:
        assert not unit[0] & 0x02, "units are sent without size fields"
        header = 2 if unit[0] & 0x04 else 1
        joined += bytes([unit[0] | 0x02]) + unit[1:header]
        joined += av1._leb128(len(unit) - header) + unit[header:]
    return joined


JOINERS = {
    "h264": by_aiortc("H264"),
    "vp8": by_aiortc("VP8"),
    "vp9": vp9_picture,
    "av1": av1_picture,
}
DECODERS = {"h264": "h264", "vp8": "vp8", "vp9": "vp9", "av1": "libdav1d"}


@pytest.mark.parametrize("name", PACKETIZERS)
@pytest.mark.parametrize("size", [MAX_PAYLOAD, 100])
def test_pictures_come_out_as_they_went_in(name: str, size: int) -> None:
    encoder = VideoEncoder(name)
    decoder = CodecContext.create(DECODERS[name], "r")
    numbers = []
    for frame, timestamp in pictures(10):
        encoded = encoder.encode(frame, timestamp, RATE, keyframe=timestamp == 15000)
        assert encoded is not None
        payloads = PACKETIZERS[name].packetize(encoded.data, size)
        assert PACKETIZERS[name].is_keyframe(encoded.data) == encoded.keyframe
        assert max(map(len, payloads)) <= size
        assert len(payloads) > 1 or len(encoded.data) < size
        for decoded in decoder.decode(Packet(JOINERS[name](payloads))):
            assert isinstance(decoded, VideoFrame)
            numbers.append(number_in(decoded))
    numbers += [number_in(frame) for frame in decoder.decode(None)]  # type: ignore[arg-type]
    assert numbers == list(range(10))


units = st.binary(min_size=1, max_size=60).map(
    # No start code within, nor zeros at the end, as emulation prevention has it.
    lambda body: b"\x65" + body.replace(b"\0", b"\x01")
)


@given(st.lists(units, min_size=1, max_size=8), st.integers(10, 80))
def test_any_units_of_h264_come_out_as_they_went_in(parts: list[bytes], size: int) -> None:
    picture = b"".join(START_CODE + part for part in parts)
    payloads = h264.packetize(picture, size)
    assert max(map(len, payloads)) <= size
    assert by_aiortc("H264")(payloads) == picture


def test_parameter_sets_share_a_packet() -> None:
    sps, pps, slice_ = b"\x67" + bytes([1] * 20), b"\x68\1\2\3", b"\x65" + bytes([7] * 200)
    payloads = h264.packetize(START_CODE + sps + START_CODE + pps + b"\0\0\1" + slice_, 100)
    assert payloads[0][0] & 0x1F == 24
    assert [payload[0] & 0x1F for payload in payloads[1:]] == [28, 28, 28]
    assert [payload[1] & 0xC0 for payload in payloads[1:]] == [0x80, 0, 0x40], "start and end"


def test_delimiters_of_access_units_are_left_out() -> None:
    assert h264.packetize(START_CODE + b"\x09\x10" + START_CODE + b"\x41\1\2", 100) == [b"\x41\1\2"]


obus = st.lists(st.binary(min_size=0, max_size=300), min_size=1, max_size=6)


@given(obus, st.integers(12, 200))
def test_any_units_of_av1_come_out_as_they_went_in(bodies: list[bytes], size: int) -> None:
    picture = b"\x12\x00" + b"".join(
        b"\x32" + av1._leb128(len(body)) + body for body in bodies  # frames with a size field
    )  # fmt: skip
    payloads = av1.packetize(picture, size)
    assert max(map(len, payloads)) <= size
    assert av1_picture(payloads) == picture


def test_a_new_sequence_of_av1_is_marked() -> None:
    sequence, frame = b"\x0a\x01\x05", b"\x32\x01\x07"
    assert av1.packetize(sequence + frame, 100)[0][0] & 0x08
    assert not av1.packetize(frame, 100)[0][0] & 0x08


@pytest.mark.parametrize("packetize", [vp8.packetize, vp9.packetize])
def test_pictures_that_just_fit_are_one_packet(
    packetize: Callable[[bytes, int], list[bytes]],
) -> None:
    assert [len(p) for p in packetize(bytes(99), 100)] == [100]
    assert [len(p) for p in packetize(bytes(100), 100)] == [100, 2]
