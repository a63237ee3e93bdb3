"""Compressed pictures become frames, where somebody wants frames and only there."""

from typing import Any

from av import CodecContext, Packet, VideoFrame
from av.codec.context import Flags
from av.error import FFmpegError

from .backend import EncodedPicture

MAX_SKIPPED = 8_000_000
"""Bytes of pictures to keep undecoded: two seconds at 32 Mbit/s, more than cameras make. Beyond
it decoding begins again with a key frame."""


class PictureDecoder:
    """Decodes the pictures of one device.

    H.264 pictures build upon earlier ones. Those that nobody wanted decoded are kept until the next
    key frame, so that decoding can begin with any picture.
    """

    def __init__(self) -> None:
        self._codec: Any = None
        self._skipped: list[EncodedPicture] = []
        self._continuous = False

    def skip(self, picture: EncodedPicture) -> None:
        """Take a picture that nobody wants decoded."""
        if picture.keyframe:
            self._skipped = [picture]
            self._continuous = True
        elif self._continuous:
            self._skipped.append(picture)
            if sum(len(skipped.data) for skipped in self._skipped) > MAX_SKIPPED:
                self.restart()

    def decode(self, picture: EncodedPicture) -> VideoFrame | None:
        """The picture as a frame; None while the key frame is missing, or when it is damaged."""
        self.skip(picture)
        if not self._continuous:
            return None
        pictures, self._skipped = self._skipped, []
        frame = None
        for skipped in pictures:
            frame = self._decode(skipped)
        return frame

    def restart(self) -> None:
        """What follows does not build upon what was before: wait for a key frame."""
        self._skipped = []
        self._continuous = False

    def _decode(self, picture: EncodedPicture) -> VideoFrame | None:
        if self._codec is None or self._codec.name != picture.codec:
            self._codec = CodecContext.create(picture.codec, "r")
            # Without it the decoder holds pictures back, in case that later ones come before them.
            self._codec.flags |= Flags.low_delay
        try:
            frames: list[VideoFrame] = self._codec.decode(Packet(picture.data))
        except FFmpegError:
            return None
        for frame in frames:
            frame.pict_type = 0  # else it would tell an encoder to make a key frame
        return frames[-1] if frames else None
