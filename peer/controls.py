"""What can be set on a device while it captures: zoom, focus, brightness, torch, the cursor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

Points = tuple[tuple[float, float], ...]
"""Points of the picture: (x, y), each 0 to 1 from the upper left corner."""

ControlValue = float | str | bool | Points


@dataclass(frozen=True)
class ControlRange:
    """The numbers that a control takes."""

    min: float
    max: float
    step: float

    def snapped(self, value: float) -> float:
        """The nearest value that the control takes."""
        if self.step <= 0:
            return min(self.max, max(self.min, value))
        steps = round((min(self.max, max(self.min, value)) - self.min) / self.step)
        snapped = round(self.min + steps * self.step, 9)
        return snapped if snapped <= self.max else round(snapped - self.step, 9)


@dataclass(frozen=True)
class ControlPoints:
    """Any points of the picture."""


@dataclass(frozen=True)
class Control:
    """One property of a device that can be set.

    It has the name and the unit of the constrainable property that it is (Image Capture 8).
    """

    name: str
    allowed: ControlRange | ControlPoints | tuple[str | bool, ...]
    """Its range, or the values to choose from."""
    value: ControlValue = field(compare=False)
    """What it is set to now, or was when the device was listed."""


@runtime_checkable
class Controllable(Protocol):
    """A capture whose device has controls; used in the capture thread, as the capture is."""

    controls: Mapping[str, ControlValue]
    """The values now in force, by name; another mapping when one has changed, by whomever."""

    def set_controls(self, values: Mapping[str, ControlValue]) -> None:
        """Set some controls, and learn what they were really set to.

        Modes (`whiteBalanceMode` …) are set before the values that depend on them.

        :raises DeviceError: the device refuses; those that it took before stay.
        """
