"""ImageBitmap: a decoded picture (HTML 8.11)."""

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from ..errors import InvalidStateError
from .pictures import to_jpeg, to_png


class ImageBitmap:
    """A picture that was grabbed from a track. `close()` lets go of its memory."""

    def __init__(self, frame: VideoFrame) -> None:
        self._frame: VideoFrame | None = frame

    def __repr__(self) -> str:
        return f"<ImageBitmap {self.width}x{self.height}>"

    @property
    def width(self) -> int:
        """Pixels of a row; 0 once it is closed."""
        return self._frame.width if self._frame else 0

    @property
    def height(self) -> int:
        """Rows; 0 once it is closed."""
        return self._frame.height if self._frame else 0

    def close(self) -> None:
        """Let go of the picture; again is no error."""
        self._frame = None

    def to_ndarray(self) -> NDArray[np.uint8]:
        """The pixels: (height, width, 3), red, green and blue, each 0 to 255.

        :raises InvalidStateError: it is closed.
        """
        return self._picture().to_ndarray(format="rgb24")  # type: ignore[return-value]

    def to_frame(self) -> VideoFrame:
        """The picture as a PyAV frame, which may be shared: don't write into it.

        :raises InvalidStateError: it is closed.
        """
        return self._picture()

    def to_jpeg(self) -> bytes:
        """The picture as a JPEG file. Takes some milliseconds: call it in a thread.

        :raises InvalidStateError: it is closed.
        """
        return to_jpeg(self._picture())

    def to_png(self) -> bytes:
        """The picture as a PNG file. Takes some milliseconds: call it in a thread.

        :raises InvalidStateError: it is closed.
        """
        return to_png(self._picture())

    def _picture(self) -> VideoFrame:
        if self._frame is None:
            raise InvalidStateError("the picture is closed")
        return self._frame
