"""Constraints as they are given, converted as WebIDL converts them (Media Capture 12.1)."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import OverconstrainedError
from .properties import PROPERTIES, Property, ValueType

_MAX_LONG = 2**32 - 1
_RANGE = ("min", "max", "exact", "ideal")
_CHOICE = ("exact", "ideal")


@dataclass(frozen=True)
class Constraint:
    """What is asked of one property. Strings are kept as tuples of alternatives."""

    name: str
    min: float | None = None
    max: float | None = None
    exact: Any = None
    ideal: Any = None

    @property
    def required(self) -> bool:
        """Whether anything but an ideal is asked for."""
        return not (self.min is None and self.max is None and self.exact is None)


ConstraintSet = Mapping[str, Constraint]


@dataclass(frozen=True)
class TrackConstraints:
    """Parsed track constraints: the basic set, and the advanced ones in order."""

    basic: ConstraintSet = field(default_factory=dict)
    advanced: tuple[ConstraintSet, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the required constraints; advanced sets require nothing."""
        return tuple(name for name, constraint in self.basic.items() if constraint.required)

    def to_dict(self) -> dict[str, Any]:
        """What `getConstraints()` returns: as given, without what is not recognised."""
        return {name: _copied(value) for name, value in self.given.items()}

    def without_required(self, name: str) -> "TrackConstraints":
        """With nothing required of a property any more; of none at all if it is not named."""

        def relaxed(constraint: Constraint) -> Constraint:
            if name not in ("", constraint.name):
                return constraint
            return Constraint(constraint.name, ideal=constraint.ideal)

        basic = {known: relaxed(constraint) for known, constraint in self.basic.items()}
        return TrackConstraints(basic, self.advanced, self.given)

    def without(self, names: Collection[str]) -> "TrackConstraints":
        """As if these properties were not mentioned."""
        return TrackConstraints(
            {name: value for name, value in self.basic.items() if name not in names},
            tuple({n: v for n, v in one.items() if n not in names} for one in self.advanced),
            self.given,
        )

    def without_other_kind(self, kind: str) -> "TrackConstraints":
        """Without the properties that do not apply to this kind (10.2, step 6.2)."""

        def applies(name: str) -> bool:
            return name == "advanced" or kind in PROPERTIES[name].kinds

        return TrackConstraints(
            {name: value for name, value in self.basic.items() if applies(name)},
            tuple({n: v for n, v in one.items() if applies(n)} for one in self.advanced),
            self.given,
        )


def parse_constraints(value: object, *, where: str = "constraints") -> TrackConstraints:
    """Track constraints; True, None and {} are the empty ones.

    :raises TypeError: for a value of the wrong type; the message says where it stands.
    """
    if value is None or value is True:
        return TrackConstraints()
    if not isinstance(value, Mapping):
        raise TypeError(f"{where} must be a dictionary, not {value!r}")
    basic, given = _parse_set(value, where, bare_is_exact=False)
    sets: list[ConstraintSet] = []
    advanced = value.get("advanced")
    if advanced is not None:
        if isinstance(advanced, (str, Mapping)) or not isinstance(advanced, Iterable):
            raise TypeError(f"{where}.advanced must be a list of dictionaries, not {advanced!r}")
        given["advanced"] = []
        for index, one in enumerate(advanced):
            path = f"{where}.advanced[{index}]"
            if not isinstance(one, Mapping):
                raise TypeError(f"{path} must be a dictionary, not {one!r}")
            parsed, one_given = _parse_set(one, path, bare_is_exact=True)
            sets.append(parsed)
            given["advanced"].append(one_given)
    return TrackConstraints(basic, tuple(sets), given)


def check_required_allowed(constraints: TrackConstraints, kind: str) -> None:
    """getUserMedia takes only some properties as required ones (10.2, step 6.3).

    :raises TypeError: when another is required.
    """
    for name in constraints.required:
        if not PROPERTIES[name].may_be_required:
            raise TypeError(
                f"{kind}.{name} can't be required in getUserMedia(): "
                "use ideal there, and applyConstraints() on the track"
            )


def check_display_constraints(constraints: TrackConstraints, kind: str) -> None:
    """What getDisplayMedia refuses before it asks anybody (Screen Capture 5.1, steps 4 to 7).

    :raises TypeError: for advanced sets, min and exact.
    :raises OverconstrainedError: for a max that no surface can satisfy.
    """
    if "advanced" in constraints.given:
        raise TypeError(f"{kind}.advanced is not allowed in getDisplayMedia()")
    for name, constraint in constraints.basic.items():
        if constraint.min is not None or constraint.exact is not None:
            raise TypeError(f"{kind}.{name} can have only ideal and max in getDisplayMedia()")
        if constraint.max is not None and constraint.max <= 0:
            raise OverconstrainedError(
                name, f"{name}: a maximum of {constraint.max:g} fits nothing"
            )


def _parse_set(
    value: Mapping[str, Any], where: str, *, bare_is_exact: bool
) -> tuple[dict[str, Constraint], dict[str, Any]]:
    parsed: dict[str, Constraint] = {}
    given: dict[str, Any] = {}
    for name, member in value.items():
        known = PROPERTIES.get(name)
        if known is None or member is None:
            continue
        constraint, clean = _parse_member(known, member, f"{where}.{name}", bare_is_exact)
        given[name] = clean
        if constraint is not None:
            parsed[name] = constraint
    return parsed, given


def _parse_member(
    known: Property, member: Any, where: str, bare_is_exact: bool
) -> tuple[Constraint | None, Any]:
    """The constraint, None for one that asks nothing; and the member with its values converted."""
    if not isinstance(member, Mapping):
        converted = _convert(known, member, where)
        key = "exact" if bare_is_exact else "ideal"
        return _constraint(known, {key: converted}), converted
    ranged = known.type in (ValueType.LONG, ValueType.DOUBLE, ValueType.BOOLEAN_OR_DOUBLE)
    clean = {
        key: _convert(known, member[key], f"{where}.{key}")
        for key in member
        if key in (_RANGE if ranged else _CHOICE) and member[key] is not None
    }
    return _constraint(known, clean), clean


def _constraint(known: Property, members: Mapping[str, Any]) -> Constraint | None:
    values: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in members.items()
    }
    if known.type is ValueType.POINTS:
        values = {key: tuple((p["x"], p["y"]) for p in points) for key, points in values.items()}
    if known.type is ValueType.STRING:
        values = {key: (v,) if isinstance(v, str) else v for key, v in values.items()}
    values = {key: v for key, v in values.items() if v != ()}  # an empty list asks nothing
    return Constraint(known.name, **values) if values else None


def _convert(known: Property, value: Any, where: str) -> Any:
    match known.type:
        case ValueType.LONG:
            return _clamped(_number(value, where))
        case ValueType.DOUBLE:
            return _number(value, where)
        case ValueType.BOOLEAN if isinstance(value, bool):
            return value
        case ValueType.BOOLEAN:
            raise TypeError(f"{where} must be True or False, not {value!r}")
        case ValueType.BOOLEAN_OR_DOUBLE if isinstance(value, bool):
            return value
        case ValueType.BOOLEAN_OR_DOUBLE:
            return _number(value, where)
        case ValueType.BOOLEAN_OR_STRING if isinstance(value, (bool, str)):
            return value
        case ValueType.BOOLEAN_OR_STRING:
            raise TypeError(f"{where} must be True, False or a string, not {value!r}")
        case ValueType.POINTS:
            return _points(value, where)
        case _:
            return _strings(value, where)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{where} must be a number, not {value!r}")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False  # a whole number beyond what a double can hold
    if not finite:
        raise TypeError(f"{where} must be a finite number, not {str(value)[:20]}")
    return value


def _clamped(value: float) -> int:
    return min(max(round(value), 0), _MAX_LONG)


def _strings(value: Any, where: str) -> str | list[str]:
    if isinstance(value, str):
        return value
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"{where} must be a string or a list of strings, not {value!r}")
    return list(value)


def _points(value: Any, where: str) -> list[dict[str, float]]:
    """Points of the picture, clamped to it (Image Capture 8, pointsOfInterest)."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, Mapping) for one in value):
        raise TypeError(f"{where} must be a list of points such as {{'x': 0.5}}, not {value!r}")
    return [
        {
            axis: min(1.0, max(0.0, _number(point.get(axis, 0.0), f"{where}.{axis}")))
            for axis in ("x", "y")
        }
        for point in value
    ]


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(member) for key, member in value.items()}
    return [_copied(member) for member in value] if isinstance(value, list) else value
