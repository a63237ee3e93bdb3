"""The capture of one X11 surface: asked for where it is and what it shows, at an even pace."""

import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import av
import numpy as np
from av import VideoFrame

from ..controls import ControlValue
from .backend import Captured, DeviceError, DeviceLost, Mode, VideoMode
from .x11 import Connection, XError
from .x11_cursor import Cursor, draw_cursor
from .x11_pictures import Pictures, Pixels
from .x11_requests import CursorImage, Pointer
from .x11_surfaces import CURSOR, CURSOR_VALUES, Place, Surface, pixel_format_of

PATIENCE = 0.05
"""Seconds of a read to wait for the next frame's time, and again for the server, which keeps all
waiting while a program holds it (GrabServer)."""
REFUSALS = 30
"""Pictures in a row that a surface which is shown may refuse: one or two while it changes."""
MOTION_LINGER = 1.0
"""Seconds that a pointer is still drawn after it moved, when only one that moves is."""


class _Asked(NamedTuple):
    """What the server has been asked for one frame."""

    place: Callable[[], Place]
    pixels: Callable[[], Pixels]
    pointer: Callable[[], tuple[Pointer, CursorImage] | None]


class X11Capture:
    """A surface, read at its mode's pace. Frames are of the surface's own size, whatever mode was
    asked for; `muted` is True while a window is minimised.

    :param surface: on this connection, which belongs to the capture from now on.
    :raises DeviceError: the surface can't be captured.
    """

    def __init__(self, connection: Connection, surface: Surface, mode: VideoMode) -> None:
        self.muted = False
        self.controls: Mapping[str, ControlValue] = {CURSOR.name: CURSOR.value}
        self._label = surface.description.label
        self._connection = connection
        self._surface = surface
        self._interval = 1 / mode.frame_rate
        self._frame_rate = mode.frame_rate
        self._due = time.monotonic()
        self._asked: _Asked | None = None
        self._refusals = 0
        self._pointer = (0, 0)
        self._moved_at = -math.inf
        self._pictures = Pictures(connection)
        self._cursor = Cursor(connection)
        surface.begin()
        located = surface.locate()
        surface.release()
        connection.settle_all()
        try:
            self._move_to(located())
        except XError as error:
            raise self._lost(error) from error

    def read(self) -> Captured | None:
        try:
            if self._asked is None:
                if not self._wait_until_due():
                    return None
                self._asked = self._ask()
            if not self._connection.settle(PATIENCE):
                return None
            asked, self._asked = self._asked, None
            return self._answered(asked, time.monotonic())
        except OSError as error:
            raise DeviceLost(f"{self._label} can no longer be captured: {error}") from error

    def set_controls(self, values: Mapping[str, ControlValue]) -> None:
        """Say whether the mouse's pointer is drawn, from the next frame on.

        :raises DeviceError: for another control, or a value that it doesn't have.
        """
        for name, value in values.items():
            if name != CURSOR.name or value not in CURSOR_VALUES:
                raise DeviceError(f"{self._label} has no {name} {value!r} that can be set")
        self.controls = {**self.controls, **values}

    def close(self) -> None:
        self._connection.close()

    def _wait_until_due(self) -> bool:
        """Wait for the time of the next frame; what was missed is left out."""
        now = time.monotonic()
        if self._due - now > PATIENCE:
            time.sleep(PATIENCE)
            return False
        if self._due > now:
            time.sleep(self._due - now)
        missed = max(0, math.floor((now - self._due) / self._interval))
        self._due += (1 + missed) * self._interval
        return True

    def _ask(self) -> _Asked:
        place = self._place
        located = self._surface.locate()
        pixels = self._pictures.request(
            place.drawable,
            place.x + place.border,
            place.y + place.border,
            place.width,
            place.height,
            self._connection.bits_per_pixel[place.depth],
        )
        self._surface.release()
        drawn = self.controls["cursor"] != "never"
        pointer = self._cursor.request(self._surface.window) if drawn else lambda: None
        return _Asked(located, pixels, pointer)

    def _answered(self, asked: _Asked, at: float) -> Captured | None:
        try:
            place = asked.place()
            pointer = asked.pointer()
        except XError as error:
            raise self._lost(error) from error
        self.muted = not place.shown
        if self.muted:
            return None
        if place != self._place:
            self._move_to(place)
            self._asked = self._ask()
            return None
        try:
            pixels = asked.pixels()
        except XError as error:  # it was resized or hidden between two requests
            self._refusals += 1
            if self._refusals == REFUSALS:
                raise DeviceLost(f"{self._label} gives no picture: {error}") from error
            return None
        self._refusals = 0
        if pointer is not None:
            self._draw(pixels, *pointer, at)
        return Captured(self._frame(pixels), at)

    def _lost(self, error: XError) -> DeviceLost:
        return DeviceLost(f"{self._label} was closed ({error})")

    def _move_to(self, place: Place) -> None:
        self._place = place
        self._pixel_format = pixel_format_of(self._connection, place.depth)
        self.mode: Mode = VideoMode(place.width, place.height, self._frame_rate, self._pixel_format)
        decoder = av.CodecContext.create("rawvideo", "r")
        decoder.width, decoder.height = place.width, place.height
        decoder.pix_fmt = self._pixel_format
        self._decoder = decoder

    def _draw(self, pixels: Pixels, pointer: Pointer, image: CursorImage, at: float) -> None:
        place = self._place
        if self._pointer != (pointer.x, pointer.y):
            self._pointer = (pointer.x, pointer.y)
            self._moved_at = at
        if self.controls["cursor"] != "motion" or at - self._moved_at < MOTION_LINGER:
            x, y = pointer.x - place.x, pointer.y - place.y
            draw_cursor(pixels, self._pixel_format, place.width, image, x, y)

    def _frame(self, pixels: Pixels) -> VideoFrame:
        """A frame that consists of these pixels. FFmpeg's decoder of raw video makes it, since
        that copies nothing and knows every pixel format."""
        place = self._place
        row = place.width * self._connection.bits_per_pixel[place.depth] // 8
        packed = np.ascontiguousarray(pixels[:, :row]).reshape(-1)
        packet = av.Packet(packed)  # type: ignore[arg-type]  # takes any buffer
        (frame,) = self._decoder.decode(packet)
        frame.pict_type = 0  # else it would tell an encoder to make a key frame
        return frame
