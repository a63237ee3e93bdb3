"""H.264 pictures: which a decoder can begin with, and which are damaged."""

from fractions import Fraction

import av
import pytest
from aiortc.codecs.h264 import H264Encoder

from peer.devices.annex_b import is_well_formed, starts_keyframe
from peer.devices.backend import VideoMode
from peer.devices.compressor import Compressor


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\0\1\x67parameters\0\0\1\x68more\0\0\1\x65IDR slice", True),
        (b"\0\0\1\x65IDR slice", True),
        (b"\0\0\1\x09\xf0\0\0\1\x65after a delimiter", True),
        (b"\0\0\1\x41slice that refers to others\0\0\1\x65", False),
        (b"\0\0\1\x06enhancement\0\0\1\x41slice", False),
        (b"\0\0\1", False),
        (b"", False),
    ],
)
def test_key_frames_are_told_by_their_units(data: bytes, expected: bool) -> None:
    assert starts_keyframe(data) is expected


def test_key_frames_of_a_real_encoder() -> None:
    compressor = Compressor(VideoMode(64, 48, 30.0, "h264"))
    for number in range(4):
        if number == 2:
            compressor.request_keyframe()
        picture = compressor.compress(av.VideoFrame(64, 48, "yuv420p"))
        assert is_well_formed(picture.data)
        assert starts_keyframe(picture.data) is picture.keyframe is (number in (0, 2))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\1\x65slice", True),
        (b"\0\0\0\1\x67parameters\0\0\0\1\x65slice", True),
        (b"\0\0\1\x65slice with padding\0\0\0\0", True),
        (b"\0\0\1\x65slice\0\0\1", False),
        (b"\0\0\1\x65slice\0\0\0\1", False),
        (b"\0\0\1\0\0\1\x65slice", False),
        (b"\0\0\1\0\0\0\0\1\x65slice", False),
        (b"middle of a picture\0\0\1\x65slice", False),
        (b"\0\0\0\0", False),
        (b"", False),
    ],
)
def test_damaged_pictures_are_told(data: bytes, expected: bool) -> None:
    assert is_well_formed(data) is expected
    if expected:  # and what is well formed can be put into packets
        packet = av.Packet(data)
        packet.pts, packet.time_base = 0, Fraction(1, 90000)
        assert H264Encoder().pack(packet)[0]
