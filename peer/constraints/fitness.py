"""Fitness distance: how far a settings dictionary is from a constraint set (Media Capture 12)."""

import math
from collections.abc import Mapping
from typing import Any

from .parse import Constraint, ConstraintSet

# aspectRatio is rounded to the tenth decimal, so that is how precisely it can be asked for.
ASPECT_DECIMALS = 10
_ASPECT_TOLERANCE = 1.01e-10


def distance(settings: Mapping[str, Any], constraints: ConstraintSet) -> float:
    """The sum over all constraints; infinite when a required one is not satisfied."""
    return sum(property_distance(settings, constraint) for constraint in constraints.values())


def property_distance(settings: Mapping[str, Any], constraint: Constraint) -> float:
    """The distance of one property; the rules in the order of the specification's steps."""
    actual = settings.get(constraint.name)
    # 2. A required constraint that is missed, or a property that is not there.
    if constraint.required and (actual is None or not satisfies(actual, constraint)):
        return math.inf
    # 4. A boolean for a property that is none (pan, tilt, zoom): is it there at all?
    if isinstance(constraint.ideal, bool) and isinstance(actual, (int, float)):  # noqa: SIM102
        if not isinstance(actual, bool):
            return 0.0 if constraint.ideal else 1.0
    # 5. Not there.
    if actual is None:
        return 0.0 if constraint.ideal is False else 1.0
    # 6. Nothing preferred.
    if constraint.ideal is None:
        return 0.0
    return ideal_distance(constraint.name, actual, constraint.ideal)


def ideal_distance(name: str, actual: Any, ideal: Any) -> float:
    """How far a value is from the ideal: 0 to 1 (steps 7 and 8)."""
    if equal(name, actual, ideal):
        return 0.0
    if isinstance(ideal, (tuple, bool, str)):
        return 1.0
    return float(abs(actual - ideal) / max(abs(actual), abs(ideal)))


def satisfies(actual: Any, constraint: Constraint) -> bool:
    """Whether a value satisfies min, max and exact."""
    name = constraint.name
    if isinstance(constraint.exact, bool) and not isinstance(actual, bool):
        return constraint.exact  # zoom: True asks for the ability, not for a value
    if constraint.exact is not None and not equal(name, actual, constraint.exact):
        return False
    low, high = constraint.min, constraint.max
    if low is not None and not (actual >= low or equal(name, actual, low)):
        return False
    return high is None or bool(actual <= high) or equal(name, actual, high)


def equal(name: str, actual: Any, wanted: Any) -> bool:
    """Equality as constraints mean it: any of several strings, numbers whatever their type."""
    if name == "pointsOfInterest":
        return bool(actual == wanted)
    if isinstance(wanted, tuple):
        return actual in wanted
    if isinstance(wanted, bool) or isinstance(actual, bool):
        return actual is wanted
    if name == "aspectRatio":
        return bool(abs(actual - wanted) <= _ASPECT_TOLERANCE)
    return bool(actual == wanted)
