"""Compresses a virtual camera's pictures as cameras do: MJPEG, or H.264 without B-frames."""

from fractions import Fraction
from typing import Any

from av import CodecContext, VideoFrame
from av.video.frame import PictureType

from .backend import EncodedPicture, VideoMode

KEYFRAME_INTERVAL = 2.0
"""Seconds between key frames that nobody asked for, as is usual for cameras."""
BITS_PER_PIXEL = 0.15
JPEG_QUALITY = 4
"""FFmpeg's quantiser, of 1 to 31: what cameras deliver."""


class Compressor:
    """The encoder of one virtual camera in one mode whose `pixel_format` is a codec."""

    def __init__(self, mode: VideoMode) -> None:
        self._codec_name = mode.pixel_format
        self._rate = Fraction(mode.frame_rate).limit_denominator(1001)
        self._mode = mode
        self._pts = 0
        self._keyframe_wanted = False
        self._codec: Any = self._h264() if mode.pixel_format == "h264" else self._mjpeg()

    def _h264(self) -> Any:
        codec = CodecContext.create("libx264", "w")
        mode = self._mode
        codec.width, codec.height, codec.pix_fmt = mode.width, mode.height, "yuv420p"
        codec.time_base = 1 / self._rate
        codec.bit_rate = round(mode.width * mode.height * mode.frame_rate * BITS_PER_PIXEL)
        codec.gop_size = round(KEYFRAME_INTERVAL * mode.frame_rate)
        codec.profile = "Baseline"
        codec.options = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
        return codec

    def _mjpeg(self) -> Any:
        codec = CodecContext.create("mjpeg", "w")
        mode = self._mode
        codec.width, codec.height, codec.pix_fmt = mode.width, mode.height, "yuvj420p"
        codec.time_base = 1 / self._rate
        codec.options = {"qmin": str(JPEG_QUALITY), "qmax": str(JPEG_QUALITY)}
        return codec

    def request_keyframe(self) -> None:
        """Let the next picture be a key frame."""
        self._keyframe_wanted = True

    def compress(self, frame: VideoFrame) -> EncodedPicture:
        """A picture, compressed at once."""
        if self._codec_name == "mjpeg":
            frame = frame.reformat(format="yuvj420p")
        frame.pts, frame.time_base = self._pts, 1 / self._rate
        frame.pict_type = PictureType.I if self._keyframe_wanted else PictureType.NONE
        self._keyframe_wanted = False
        self._pts += 1
        [packet] = self._codec.encode(frame)
        return EncodedPicture(self._codec_name, bytes(packet), packet.is_keyframe)
