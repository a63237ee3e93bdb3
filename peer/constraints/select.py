"""SelectSettings: the best settings of a device under constraints (Media Capture 12, 5.10-5.16).

The specification enumerates every possible settings dictionary. That is not needed: a distance is
a sum over the properties, and what can be chosen for one does not depend on the others, but for
width, height and aspectRatio. So each native mode is taken in turn, the best size and the best
rate are found for it separately, and the best mode wins.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .device import MIN_SAMPLE_RATE, ConstrainableObject, capabilities, max_sample_rate
from .fitness import ASPECT_DECIMALS, distance, ideal_distance, satisfies
from .parse import Constraint, ConstraintSet, TrackConstraints
from .sizes import candidate_sizes

# What a track is like when nothing is asked (Media Capture and Streams, "default settings").
DEFAULT_PIXELS = 640 * 480
DEFAULT_RATE = 30


@dataclass(frozen=True)
class Selection:
    """The best settings of a device."""

    settings: dict[str, Any]
    mode: int
    """Index of the native mode that they are made from."""
    distance: float
    """From the basic set; 0 when every wish is met."""


@dataclass(frozen=True)
class Unsatisfiable:
    """No settings satisfy the required constraints."""

    constraint: str
    """One that nothing satisfies; empty when each can be satisfied, but not all together."""
    message: str
    """A sentence for a person: what was asked, and what would have been possible."""


def select_settings(
    device: ConstrainableObject,
    constraints: TrackConstraints,
    *,
    modes: Iterable[int] | None = None,
) -> Selection | Unsatisfiable:
    """The settings of a device that fit the constraints best.

    :param modes: the native modes that may be used, by index; all by default.
    """
    usable = range(_mode_count(device)) if modes is None else list(modes)
    required = [{n: c for n, c in constraints.basic.items() if c.required}]
    # Step 3: the basic set's required constraints hold for all that follows.
    if _best(device, usable, required, constraints.basic) is None:
        return _failure([device], constraints)
    # Step 4: an advanced set holds as a whole, or not at all.
    for advanced in constraints.advanced:
        # An ideal in an advanced set excludes nothing and scores nothing.
        narrowed = [*required, {n: c for n, c in advanced.items() if c.required}]
        if _best(device, usable, narrowed, constraints.basic) is not None:
            required = narrowed
    best = _best(device, usable, required, constraints.basic)
    assert best is not None, "what was accepted above can be satisfied"
    return best


def rank(
    devices: Sequence[ConstrainableObject], constraints: TrackConstraints
) -> list[tuple[ConstrainableObject, Selection]] | Unsatisfiable:
    """The devices that satisfy the constraints, best first; in the given order where they tie."""
    selected = [(device, select_settings(device, constraints)) for device in devices]
    fitting = [(d, s) for d, s in selected if isinstance(s, Selection)]
    if not fitting:
        return _failure(devices, constraints)
    # An advanced set that some devices can satisfy excludes the others.
    for advanced in constraints.advanced:
        narrowed = [(d, s) for d, s in fitting if math.isfinite(_distance_of_set(s, advanced))]
        fitting = narrowed or fitting
    return sorted(fitting, key=lambda entry: entry[1].distance)


def _distance_of_set(selection: Selection, advanced: ConstraintSet) -> float:
    return distance(selection.settings, {n: c for n, c in advanced.items() if c.required})


def _mode_count(device: ConstrainableObject) -> int:
    return len(device.video_modes or device.audio_modes)


def _best(
    device: ConstrainableObject,
    modes: Iterable[int],
    required: Sequence[ConstraintSet],
    basic: ConstraintSet,
) -> Selection | None:
    if not all(
        constraint.name in device.fixed and satisfies(device.fixed[constraint.name], constraint)
        for constraint in _flat(required)
        if constraint.name not in _CHOSEN[device.kind]
    ):
        return None
    choose = _best_video if device.kind == "video" else _best_audio
    chosen = choose(device, modes, list(_flat(required)), basic)
    if chosen is None:
        return None
    mode, settings = chosen
    settings = {**device.fixed, **settings}
    return Selection(settings, mode, distance(settings, basic))


_CHOSEN = {
    "video": frozenset({"width", "height", "aspectRatio", "frameRate", "resizeMode"}),
    "audio": frozenset({"sampleRate", "channelCount", "sampleSize", "latency"}),
}


def _flat(sets: Sequence[ConstraintSet]) -> Iterator[Constraint]:
    for one in sets:
        yield from one.values()


def _best_video(
    device: ConstrainableObject,
    modes: Iterable[int],
    required: Sequence[Constraint],
    basic: ConstraintSet,
) -> tuple[int, dict[str, Any]] | None:
    best: tuple[tuple[float, ...], int, dict[str, Any]] | None = None
    sizes: dict[tuple[int, int, bool], tuple[tuple[float, float], dict[str, Any]] | None] = {}
    for index in modes:
        width, height, rate = device.video_modes[index]
        for native in (True, False):
            resize = {"resizeMode": "none" if native else "crop-and-scale"}
            if not _allowed(resize, required):
                continue
            key = (width, height, native)
            if key not in sizes:
                candidates = (
                    {(width, height)}
                    if native
                    else candidate_sizes(
                        width,
                        height,
                        [*required, *basic.values()],
                        keeps_aspect=device.keeps_aspect,
                    )
                )
                sizes[key] = _best_of(
                    (_size_settings(*size) for size in candidates), required, basic, _size_default
                )
            size = sizes[key]
            rates = _best_of(
                ({"frameRate": r} for r in ([rate] if native else _rates(rate, required, basic))),
                required, basic, _rate_default,
            )  # fmt: skip
            if size is None or rates is None:
                continue
            settings = {**size[1], **rates[1], **resize}
            fit = round(size[0][0] + rates[0][0] + _score(resize, basic), 12)
            order = (fit, not native, size[0][1], rates[0][1], width * height * rate)
            if best is None or order < best[0]:
                best = (order, index, settings)
    return None if best is None else best[1:]


def _size_settings(width: int, height: int) -> dict[str, Any]:
    return {
        "width": width,
        "height": height,
        "aspectRatio": round(width / height, ASPECT_DECIMALS),
    }


def _size_default(settings: Mapping[str, Any]) -> float:
    return abs(math.log(settings["width"] * settings["height"] / DEFAULT_PIXELS))


def _rate_default(settings: Mapping[str, Any]) -> float:
    return abs(float(settings["frameRate"]) - DEFAULT_RATE)


def _rates(rate: float, required: Sequence[Constraint], basic: ConstraintSet) -> set[float]:
    """The native rate and those of its fractions that come into question."""
    points = {float(DEFAULT_RATE), rate}
    for constraint in [*required, *basic.values()]:
        if constraint.name == "frameRate":
            values = (constraint.min, constraint.max, constraint.exact, constraint.ideal)
            points.update(float(value) for value in values if value)
    divisors = {max(1, int(rate / point) + more) for point in points for more in (0, 1)}
    return {rate / divisor for divisor in divisors}


def _best_audio(
    device: ConstrainableObject,
    modes: Iterable[int],
    required: Sequence[Constraint],
    basic: ConstraintSet,
) -> tuple[int, dict[str, Any]] | None:
    usable = [device.audio_modes[index] for index in modes]
    if not usable:
        return None
    default = usable[0]
    spans = {
        "sampleRate": (MIN_SAMPLE_RATE, max_sample_rate(device), default.sample_rate),
        "channelCount": (1, max(mode.channel_count for mode in usable), default.channel_count),
    }
    settings: dict[str, Any] = {}
    for name, (low, high, usual) in spans.items():
        points = {usual, low, high}
        for constraint in [*required, *basic.values()]:
            if constraint.name == name:
                values = (constraint.min, constraint.max, constraint.exact, constraint.ideal)
                points.update(round(value) for value in values if value is not None)
        chosen = _best_of(
            ({name: point} for point in points if low <= point <= high),
            required, basic, lambda one, name=name, usual=usual: abs(one[name] - usual),
        )  # fmt: skip
        if chosen is None:
            return None
        settings |= chosen[1]
    wanted = settings["sampleRate"], settings["channelCount"]
    index = min(
        range(len(usable)),
        key=lambda i: (
            usable[i].channel_count < wanted[1],
            usable[i].sample_rate < wanted[0],
            abs(usable[i].sample_rate - wanted[0]),
            abs(usable[i].channel_count - wanted[1]),
        ),
    )
    settings |= {"sampleSize": usable[index].sample_size, "latency": usable[index].latency}
    if not _allowed(settings, required):
        return None
    return list(modes)[index], settings


def _best_of(
    candidates: Iterable[dict[str, Any]],
    required: Sequence[Constraint],
    basic: ConstraintSet,
    default: Any,
) -> tuple[tuple[float, float], dict[str, Any]] | None:
    """The allowed candidate with the smallest score, nearest to the default where they tie."""
    best: tuple[tuple[float, float], dict[str, Any]] | None = None
    for candidate in candidates:
        if _allowed(candidate, required):
            order = (round(_score(candidate, basic), 12), default(candidate))
            if best is None or order < best[0]:
                best = (order, candidate)
    return best


def _allowed(settings: Mapping[str, Any], required: Sequence[Constraint]) -> bool:
    return all(
        satisfies(settings[constraint.name], constraint)
        for constraint in required
        if constraint.name in settings
    )


def _score(settings: Mapping[str, Any], basic: ConstraintSet) -> float:
    return sum(
        ideal_distance(name, settings[name], basic[name].ideal)
        for name in settings
        if name in basic and basic[name].ideal is not None
    )


def _failure(
    devices: Sequence[ConstrainableObject], constraints: TrackConstraints
) -> Unsatisfiable:
    """Which constraint it was (Media Capture 12, failedConstraint): one that alone excludes all."""
    required = [constraint for constraint in constraints.basic.values() if constraint.required]
    for constraint in required:
        alone = [{constraint.name: constraint}]
        if all(_best(device, range(_mode_count(device)), alone, {}) is None for device in devices):
            offers = "; ".join(
                f"{device.label} offers {_offer(device, constraint.name)}" for device in devices
            )
            asked = f"{constraint.name}: {_asked(constraint)} was asked for"
            return Unsatisfiable(constraint.name, f"{asked}; {offers}")
    names = ", ".join(f"{c.name} ({_asked(c)})" for c in required)
    labels = " or ".join(device.label for device in devices)
    return Unsatisfiable("", f"{labels} can't satisfy all of these together: {names}")


def _asked(constraint: Constraint) -> str:
    parts = []
    if constraint.exact is not None:
        exact = constraint.exact
        parts.append(f"exactly {' or '.join(exact) if isinstance(exact, tuple) else exact}")
    if constraint.min is not None:
        parts.append(f"at least {constraint.min:g}")
    if constraint.max is not None:
        parts.append(f"at most {constraint.max:g}")
    return " and ".join(parts)


def _offer(device: ConstrainableObject, name: str) -> str:
    if name in ("deviceId", "groupId"):
        return "another"
    capability = capabilities(device).get(name)
    if isinstance(capability, dict):
        return f"{capability['min']:g} to {capability['max']:g}"
    if isinstance(capability, list):
        return " or ".join(str(value) for value in capability)
    return "none" if capability is None else str(capability)
