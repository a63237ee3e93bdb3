"""What a virtual camera's controls are, and what they do to its picture."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..controls import Control, ControlPoints, ControlRange, ControlValue

Plane = NDArray[np.uint8]

PICTURE_CONTROLS = tuple(
    Control(name, ControlRange(0, 255, 1), 128)
    for name in ("brightness", "contrast", "saturation", "sharpness")
)
"""What the simplest webcams have."""

LENS_CONTROLS = (
    Control("pan", ControlRange(-36000, 36000, 3600), 0),
    Control("tilt", ControlRange(-36000, 36000, 3600), 0),
    Control("zoom", ControlRange(1, 5, 0.1), 1),
    Control("focusMode", ("continuous", "manual"), "continuous"),
    Control("focusDistance", ControlRange(0.1, 10, 0.1), 1),
    Control("exposureMode", ("continuous", "manual"), "continuous"),
    Control("exposureTime", ControlRange(10, 330, 10), 160),
    Control("exposureCompensation", ControlRange(-2, 2, 0.5), 0),
    Control("iso", ControlRange(100, 800, 100), 100),
    Control("whiteBalanceMode", ("continuous", "manual"), "continuous"),
    Control("colorTemperature", ControlRange(2800, 6500, 100), 4600),
    Control("torch", (False, True), False),
    Control("pointsOfInterest", ControlPoints(), ((0.0, 0.0),)),
)
"""What a telephone's better camera has."""

SCREEN_CONTROLS = (Control("cursor", ("always", "motion", "never"), "never"),)
"""What a screen has. The pointer of a virtual one never rests: in motion it is drawn, too."""

NEUTRAL = {
    control.name: control.value for control in (*PICTURE_CONTROLS, *LENS_CONTROLS, *SCREEN_CONTROLS)
}
SHARP_AT = 1.0
"""Metres at which everything is that a virtual camera sees."""
TORCH_GAIN = 1.4


class Lens:
    """The controls of one virtual camera, applied to its pictures.

    :param values: by name; what the camera hasn't got is neutral.
    """

    def __init__(self, values: Mapping[str, ControlValue]) -> None:
        self._values = {**NEUTRAL, **values}
        self._neutral = self._values == NEUTRAL
        self._tones = self._tone_curve()

    def look(self, luma: Plane, chroma: list[Plane]) -> tuple[Plane, list[Plane]]:
        """The picture that this lens makes of a scene; planes of 4:2:0."""
        if self._neutral:
            return luma, chroma
        luma, *chroma = (self._aimed(plane) for plane in (luma, *chroma))
        luma = self._tones[self._blurred(luma)]
        chroma = self._coloured(chroma)
        self._mark_points(luma)
        if self._values["cursor"] != "never":
            self._draw_pointer(luma)
        return luma, chroma

    def _number(self, name: str) -> float:
        value = self._values[name]
        assert isinstance(value, (int, float)), "a control with a range has a number"
        return value

    def _aimed(self, plane: Plane) -> Plane:
        """Panned and tilted, around a scene without an end, and zoomed."""
        height, width = plane.shape
        right = round(self._number("pan") / 72000 * width)
        up = round(self._number("tilt") / 72000 * height)
        zoom = self._number("zoom")
        columns = (np.arange(width) - width / 2) / zoom + width / 2 + right
        rows = (np.arange(height) - height / 2) / zoom + height / 2 - up
        seen = plane[np.ix_(rows.astype(int) % height, columns.astype(int) % width)]
        return np.ascontiguousarray(seen)

    def _tone_curve(self) -> Plane:
        """What becomes of each luma from 0 to 255."""
        tones = np.arange(256.0)
        gain = 2 ** self._number("exposureCompensation") * self._number("iso") / 100
        if self._values["exposureMode"] == "manual":
            gain *= self._number("exposureTime") / 160
        if self._values["torch"]:
            gain *= TORCH_GAIN
        tones = tones * gain + self._number("brightness") - 128
        tones = (tones - 128) * self._number("contrast") / 128 + 128
        return tones.clip(16, 235).astype(np.uint8)

    def _blurred(self, luma: Plane) -> Plane:
        """Out of focus: rows and columns averaged over a few neighbours."""
        if self._values["focusMode"] != "manual":
            return luma
        radius = min(6, round(abs(np.log2(self._number("focusDistance") / SHARP_AT)) * 2))
        blurred = luma.astype(np.float32)
        for axis in (0, 1):
            shifted = [np.roll(blurred, by, axis) for by in range(-radius, radius + 1)]
            blurred = np.mean(shifted, axis=0)
        return blurred.astype(np.uint8)

    def _coloured(self, chroma: list[Plane]) -> list[Plane]:
        warm = 0.0
        if self._values["whiteBalanceMode"] == "manual":
            # A camera that is set for warmer light than there is makes the picture bluer.
            warm = (self._number("colorTemperature") - 4600) / 100
        saturation = self._number("saturation") / 128
        return [
            ((plane - 128.0) * saturation + 128 + shift).clip(16, 240).astype(np.uint8)
            for plane, shift in zip(chroma, (-warm, warm), strict=True)
        ]

    def _draw_pointer(self, luma: Plane) -> None:
        """An arrow's upper left half, in the middle."""
        height, width = luma.shape
        for row in range(height // 24):
            luma[height // 2 + row, width // 2 : width // 2 + row + 1] = 235

    def _mark_points(self, luma: Plane) -> None:
        """A light square around each point that the camera has been told to look after."""
        points = self._values["pointsOfInterest"]
        height, width = luma.shape
        half = height // 24
        for x, y in points if isinstance(points, tuple) else ():
            if (x, y) == (0.0, 0.0):
                continue
            row, column = round(y * (height - 1)), round(x * (width - 1))
            top, left = max(0, row - half), max(0, column - half)
            luma[top : row + half, left : column + half] = 235
