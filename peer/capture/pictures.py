"""Single pictures as files: JPEG and PNG."""

import functools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from av import CodecContext, VideoFrame
from av.video.reformatter import ColorRange

JPEG_QUALITY = "2"
"""FFmpeg's quantiser, of 1 to 31, for photographs: no loss that can be seen."""

HUFFMAN, SCAN = 0xC4, 0xDA
"""Markers of segments (ITU-T T.81, table B.1)."""


def to_jpeg(frame: VideoFrame) -> bytes:
    """A frame as a JPEG file, at its size. Takes some milliseconds: not for the event loop."""
    codec = _encoder("mjpeg", frame, "yuvj420p")
    codec.options = {"qmin": JPEG_QUALITY, "qmax": JPEG_QUALITY}
    full = frame.reformat(format="yuvj420p", dst_color_range=ColorRange.JPEG)
    return _encoded(codec, full)


def to_png(frame: VideoFrame) -> bytes:
    """A frame as a PNG file, without loss. Takes some milliseconds: not for the event loop."""
    return _encoded(_encoder("png", frame, "rgb24"), frame.reformat(format="rgb24"))


def complete_jpeg(picture: bytes) -> bytes:
    """A picture of an MJPEG stream as a file: streams may leave the usual Huffman tables out
    (ITU-T T.81, K.3), which are put in. The picture itself is not touched."""
    segments = dict(_segments(picture))
    if HUFFMAN in segments or SCAN not in segments:
        return picture
    scan = segments[SCAN]
    return picture[:scan] + _usual_huffman_tables() + picture[scan:]


@functools.cache
def _usual_huffman_tables() -> bytes:
    codec = _encoder("mjpeg", VideoFrame(16, 16, "yuvj420p"), "yuvj420p")
    codec.options = {"huffman": "default"}
    header = _encoded(codec, VideoFrame(16, 16, "yuvj420p"))
    return b"".join(
        header[position : position + 2 + int.from_bytes(header[position + 2 : position + 4])]
        for marker, position in _segments(header)
        if marker == HUFFMAN
    )


def _segments(jpeg: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG file up to its scan, and where they are."""
    position = 2
    while position + 4 <= len(jpeg) and jpeg[position] == 0xFF:
        marker = jpeg[position + 1]
        yield marker, position
        if marker == SCAN:
            return
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4])


def _encoder(name: str, frame: VideoFrame, pixel_format: str) -> Any:
    codec: Any = CodecContext.create(name, "w")
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, pixel_format
    codec.time_base = Fraction(1)
    return codec


def _encoded(codec: Any, frame: VideoFrame) -> bytes:
    frame.pts = 0
    frame.time_base = codec.time_base
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
