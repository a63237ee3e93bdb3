"""Pure work on pictures: crop, scale, decimate, black."""

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from ..constraints.geometry import crop_rectangle

PIXEL_FORMAT = "yuv420p"
OTHER_MATRICES = frozenset(
    {Colorspace.ITU709, Colorspace.FCC, Colorspace.SMPTE240M, Colorspace.BT2020}
)
"""How other pictures became YCbCr. Browsers take what says nothing for ITU-R BT.601."""


def scale(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """The picture cropped to the aspect ratio of the given size and scaled to it, as yuv420p.

    Returns the very frame when nothing is to be done.
    """
    x, y, crop_width, crop_height = crop_rectangle(frame.width, frame.height, width, height)
    if (crop_width, crop_height) != (frame.width, frame.height):
        frame = _crop(_reformat(frame, frame.width, frame.height), x, y, crop_width, crop_height)
    return _reformat(frame, width, height)


def is_done(frame: VideoFrame, width: int, height: int) -> bool:
    """Whether a picture is as `scale()` would make it."""
    return (
        (frame.width, frame.height, frame.format.name) == (width, height, PIXEL_FORMAT)
        and frame.color_range != ColorRange.JPEG
        and frame.colorspace not in OTHER_MATRICES
    )


def _reformat(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    if is_done(frame, width, height):
        return frame
    other_matrix = frame.colorspace in OTHER_MATRICES
    # One of its own: a frame's is shared by all threads that have the frame, and breaks down there.
    return VideoReformatter().reformat(
        frame,
        width=width,
        height=height,
        format=PIXEL_FORMAT,
        interpolation="BILINEAR",
        dst_color_range=ColorRange.MPEG,
        dst_colorspace=Colorspace.ITU601 if other_matrix else None,
        threads=1,  # starting others for each picture costs more than they save
    )


def _crop(frame: VideoFrame, x: int, y: int, width: int, height: int) -> VideoFrame:
    cropped = VideoFrame(width, height, PIXEL_FORMAT)
    for source, target, divisor in zip(frame.planes, cropped.planes, (1, 2, 2), strict=True):
        columns, rows = -(-width // divisor), -(-height // divisor)
        top, left = y // divisor, x // divisor
        pixels(target)[:rows, :columns] = pixels(source)[top : top + rows, left : left + columns]
    return cropped


def black(width: int, height: int) -> VideoFrame:
    """A black picture."""
    frame = VideoFrame(width, height, PIXEL_FORMAT)
    for plane, value in zip(frame.planes, (16, 128, 128), strict=True):
        pixels(plane)[:] = value
    return frame


def pixels(plane: object) -> NDArray[np.uint8]:
    """A plane as an array of (lines, bytes of a line), padding included; it shares memory."""
    return np.frombuffer(plane, np.uint8).reshape(plane.height, -1)  # type: ignore[call-overload,attr-defined,no-any-return]


class Decimator:
    """Chooses the frames that make a lower rate out of a higher one."""

    def __init__(self, frame_rate: float, native_rate: float) -> None:
        self._interval = 1 / frame_rate
        # A frame may be early by half its distance to the next, so that jitter drops none.
        self._slack = 0.5 / native_rate
        self._due: float | None = None

    def takes(self, at: float) -> bool:
        """Whether the frame captured at `at` seconds belongs to the lower rate."""
        if self._due is None or at >= self._due + self._interval:
            self._due = at
        elif at < self._due - self._slack:
            return False
        self._due += self._interval
        return True
