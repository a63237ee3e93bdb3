"""Which value of a device's control fits constraints best."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..controls import Control, ControlPoints, ControlRange, ControlValue
from .fitness import satisfies
from .parse import Constraint, ConstraintSet


def choose_controls(
    controls: Mapping[str, Control], required: Sequence[ConstraintSet], basic: ConstraintSet
) -> dict[str, ControlValue] | None:
    """A value for every control; None when one can't satisfy what is required of it.

    What nothing is asked of stays as it is. Between two steps of a range the value is as asked
    for: the device takes the nearest that it has, and that is the track's setting then.
    """
    chosen: dict[str, ControlValue] = {}
    for name, control in controls.items():
        bounds = [one[name] for one in required if name in one]
        ideal = basic[name].ideal if name in basic else None
        value = _choose(control, bounds, ideal)
        if value is None:
            return None
        chosen[name] = value
    return chosen


def narrowed(control: Control, constraint: Constraint) -> Control:
    """A control as it is while another track requires something of it."""
    allowed = control.allowed
    if isinstance(allowed, tuple):
        left = tuple(value for value in allowed if satisfies(value, constraint))
        return Control(control.name, left, control.value)
    if isinstance(allowed, ControlRange) and not isinstance(constraint.exact, bool):
        exact = constraint.exact
        lows = [allowed.min, *(value for value in (constraint.min, exact) if value is not None)]
        highs = [allowed.max, *(value for value in (constraint.max, exact) if value is not None)]
        return Control(
            control.name, ControlRange(max(lows), min(highs), allowed.step), control.value
        )
    return control


def _choose(control: Control, required: Sequence[Constraint], ideal: Any) -> ControlValue | None:
    if isinstance(control.allowed, ControlRange):
        return _choose_number(control, control.allowed, required, ideal)
    if isinstance(control.allowed, ControlPoints):
        exact = [constraint.exact for constraint in required]
        value: ControlValue = exact[0] if exact else control.value if ideal is None else ideal
        return value if all(one == value for one in exact) else None
    possible = [
        value
        for value in control.allowed
        if all(satisfies(value, constraint) for constraint in required)
    ]
    wanted = ideal if isinstance(ideal, tuple) else (ideal,)
    for value in (*wanted, control.value, *possible):
        if value in possible:
            return value
    return None


def _choose_number(
    control: Control, allowed: ControlRange, required: Sequence[Constraint], ideal: Any
) -> float | None:
    low, high = allowed.min, allowed.max
    for constraint in required:
        if isinstance(constraint.exact, bool):
            if not constraint.exact:
                return None  # a device without the ability was required
            continue
        for least in (constraint.min, constraint.exact):
            low = low if least is None else max(low, least)
        for most in (constraint.max, constraint.exact):
            high = high if most is None else min(high, most)
    if low > high:
        return None
    wanted = control.value if ideal is None or isinstance(ideal, bool) else ideal
    assert isinstance(wanted, (int, float)), "a control with a range has a number"
    return float(min(high, max(low, wanted)))
