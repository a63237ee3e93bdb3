"""Sentences for a person: what was asked of a device, and what would have been possible."""

from collections.abc import Sequence

from .device import ConstrainableObject, capabilities
from .parse import Constraint


def why_not_alone(constraint: Constraint, devices: Sequence[ConstrainableObject]) -> str:
    """Why a constraint by itself leaves nothing."""
    offers = "; ".join(f"{device.label} offers {_offer(device, constraint)}" for device in devices)
    return f"{constraint.name}: {_asked(constraint)} was asked for; {offers}"


def why_not_together(required: Sequence[Constraint], devices: Sequence[ConstrainableObject]) -> str:
    """Why nothing is left, although each constraint by itself can be satisfied."""
    labels = " or ".join(device.label for device in devices)
    if not required:
        return f"{labels} has no mode that can be used"
    names = ", ".join(f"{constraint.name} ({_asked(constraint)})" for constraint in required)
    return f"{labels} can't satisfy all of these together: {names}"


def _asked(constraint: Constraint) -> str:
    parts = []
    if constraint.exact is not None:
        parts.append(f"exactly {_text(constraint.exact)}")
    if constraint.min is not None:
        parts.append(f"at least {_text(constraint.min)}")
    if constraint.max is not None:
        parts.append(f"at most {_text(constraint.max)}")
    return " and ".join(parts)


def _offer(device: ConstrainableObject, constraint: Constraint) -> str:
    if constraint.name in ("deviceId", "groupId"):
        return "another"
    capability = capabilities(device).get(constraint.name)
    if isinstance(capability, dict):
        return f"{_text(capability['min'])} to {_text(capability['max'])}"
    return "none" if capability is None else _text(capability)


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " or ".join(_text(one) for one in value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.10g}"
    return str(value)
