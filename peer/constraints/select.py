"""SelectSettings: the best settings of a device under constraints (Media Capture 12, 5.10-5.16).

The specification enumerates every possible settings dictionary. That is not needed: a distance is
a sum over the properties, and what can be chosen for one does not depend on the others, but for
width, height and aspectRatio. So each native mode is taken in turn, the best size and the best
rate are found for it separately, and the best mode wins.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .control_choice import choose_controls
from .device import MIN_SAMPLE_RATE, ConstrainableObject, capabilities
from .fitness import ASPECT_DECIMALS, distance, ideal_distance, satisfies
from .parse import Constraint, ConstraintSet, TrackConstraints
from .sizes import candidate_sizes, sizes_in_aspect_range

# What a track is like when nothing is asked (Media Capture and Streams, "default settings").
DEFAULT_PIXELS = 640 * 480
DEFAULT_RATE = 30
# One picture in nine hours of 30 a second; what is slower than that is a photograph.
MAX_DIVISOR = 10**6


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
    usable = list(range(_mode_count(device)) if modes is None else modes)
    required = [{n: c for n, c in constraints.basic.items() if c.required}]
    # Step 3: the basic set's required constraints hold for all that follows.
    if not _possible(device, usable, required):
        return _failure([device], constraints)
    # Step 4: an advanced set holds as a whole, or not at all.
    for advanced in constraints.advanced:
        # An ideal in an advanced set excludes nothing and scores nothing.
        narrowed = [*required, {n: c for n, c in advanced.items() if c.required}]
        if _possible(device, usable, narrowed):
            required = narrowed
    options = _options(device, usable, required, constraints.basic)
    _, mode, chosen = min(options, key=lambda option: option[0])
    controls = choose_controls(device.controls, required, constraints.basic)
    settings = {**device.fixed, **chosen, **(controls or {})}
    return Selection(settings, mode, distance(settings, constraints.basic))


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
    return sorted(fitting, key=lambda entry: round(entry[1].distance, 12))


def _distance_of_set(selection: Selection, advanced: ConstraintSet) -> float:
    return distance(selection.settings, {n: c for n, c in advanced.items() if c.required})


def _mode_count(device: ConstrainableObject) -> int:
    return len(device.video_modes or device.audio_modes)


# What can be chosen: how good it is (smaller is better), the native mode, and the settings.
_Option = tuple[tuple[Any, ...], int, dict[str, Any]]


def _possible(
    device: ConstrainableObject, modes: Sequence[int], required: Sequence[ConstraintSet]
) -> bool:
    return next(_options(device, modes, required, {}), None) is not None


def _options(
    device: ConstrainableObject,
    modes: Sequence[int],
    required: Sequence[ConstraintSet],
    basic: ConstraintSet,
) -> Iterator[_Option]:
    """The best settings of each native mode, of those that the required constraints leave."""
    flat = [constraint for one in required for constraint in one.values()]
    if choose_controls(device.controls, required, basic) is None:
        return
    for constraint in flat:
        free = constraint.name in _CHOSEN[device.kind] or constraint.name in device.controls
        if not free and not (
            constraint.name in device.fixed and satisfies(device.fixed[constraint.name], constraint)
        ):
            return
    chosen = [constraint for constraint in flat if constraint.name in _CHOSEN[device.kind]]
    options = _video_options if device.kind == "video" else _audio_options
    yield from options(device, modes, chosen, basic)


_CHOSEN = {
    "video": frozenset({"width", "height", "aspectRatio", "frameRate", "resizeMode"}),
    "audio": frozenset({"sampleRate", "channelCount", "sampleSize", "latency"}),
}


def _video_options(
    device: ConstrainableObject,
    modes: Sequence[int],
    required: Sequence[Constraint],
    basic: ConstraintSet,
) -> Iterator[_Option]:
    # Many modes share a size or a rate.
    of_size = [constraint for constraint in required if constraint.name in _SIZE]
    of_rate = [constraint for constraint in required if constraint.name == "frameRate"]
    best_size = functools.cache(functools.partial(_best_size, device, of_size, basic))
    best_rate = functools.cache(functools.partial(_best_rate, of_rate, basic))
    resizes = [
        (native, resize, _score(resize, basic))
        for native, resize in ((True, _NONE), (False, _CROP_AND_SCALE))
        if _allowed(resize, required)
    ]
    for index in modes:
        width, height, rate = device.video_modes[index]
        for native, resize, score in resizes:
            size = best_size(width, height, native)
            frame_rate = size and best_rate(rate, native)
            if size is None or frame_rate is None:
                continue
            fit = round(size.score + frame_rate.score + score, 12)
            order = (fit, not native, size.default, frame_rate.default, width * height * rate)
            yield order, index, {**size.settings, **frame_rate.settings, **resize}


_SIZE = frozenset({"width", "height", "aspectRatio"})
_NONE = {"resizeMode": "none"}
_CROP_AND_SCALE = {"resizeMode": "crop-and-scale"}


def _best_size(
    device: ConstrainableObject,
    required: Sequence[Constraint],
    basic: ConstraintSet,
    width: int,
    height: int,
    native: bool,
) -> "_Best | None":
    native_edges = {"width": width, "height": height}
    if any(_least(c) > native_edges.get(c.name, math.inf) for c in required):
        return None  # the usual case among many modes, and found at once
    constraints = [*required, *basic.values()]
    sizes = {(width, height)}
    if not native:
        sizes = candidate_sizes(width, height, constraints, keeps_aspect=device.keeps_aspect)
    free_aspect = all(constraint.name != "aspectRatio" for constraint in constraints)

    def default(settings: Mapping[str, Any]) -> tuple[float, ...]:
        w, h = settings["width"], settings["height"]
        # As little cropping as can be, and no half pixels of colour.
        cropped = round(abs(h - w * height / width), 6) if free_aspect else 0
        return cropped, w % 2 + h % 2, abs(math.log(w * h / DEFAULT_PIXELS))

    # A scaled surface keeps the aspect that it has, whatever its edges are rounded to.
    aspect = width / height if device.keeps_aspect else None
    best = _best_of((_size_settings(*size, aspect) for size in sizes), required, basic, default)
    if best is None and not native and aspect is None:
        # The bounds are too narrow for the sizes that stand out: any size may be the one.
        low = max((c.min or 0 for c in required if c.name == "aspectRatio"), default=0)
        highs = (c.max for c in required if c.name == "aspectRatio")
        high = min((h for h in highs if h is not None), default=math.inf)
        if low > 0 or high < math.inf:
            sizes = sizes_in_aspect_range(width, height, low, high)
            best = _best_of((_size_settings(*s, None) for s in sizes), required, basic, default)
    return best


def _least(constraint: Constraint) -> float:
    return max(constraint.min or 0, constraint.exact or 0)


def _size_settings(width: int, height: int, aspect: float | None) -> dict[str, Any]:
    rounded = round(width / height if aspect is None else aspect, ASPECT_DECIMALS)
    return {"width": width, "height": height, "aspectRatio": rounded}


def _best_rate(
    required: Sequence[Constraint], basic: ConstraintSet, rate: float, native: bool
) -> "_Best | None":
    rates = {rate} if native else _rates(rate, required, basic)

    def default(settings: Mapping[str, Any]) -> tuple[float, ...]:
        return (abs(settings["frameRate"] - DEFAULT_RATE),)

    return _best_of(({"frameRate": one} for one in rates), required, basic, default)


def _rates(rate: float, required: Sequence[Constraint], basic: ConstraintSet) -> set[float]:
    """The native rate and those of its fractions that come into question."""
    points = {float(DEFAULT_RATE), rate}
    for constraint in [*required, *basic.values()]:
        if constraint.name == "frameRate":
            values = (constraint.min, constraint.max, constraint.exact, constraint.ideal)
            points.update(float(value) for value in values if value)
    divisors = {
        max(1, int(min(rate / point, MAX_DIVISOR)) + more) for point in points for more in (0, 1)
    }
    return {rate / divisor for divisor in divisors}


def _audio_options(
    device: ConstrainableObject,
    modes: Sequence[int],
    required: Sequence[Constraint],
    basic: ConstraintSet,
) -> Iterator[_Option]:
    """Sound is resampled and mixed down, so that any lower rate and count can be had."""
    usable = [device.audio_modes[index] for index in modes]
    highest = max((mode.sample_rate for mode in usable), default=MIN_SAMPLE_RATE)
    spans = {
        "sampleRate": (MIN_SAMPLE_RATE, max(highest, MIN_SAMPLE_RATE)),
        "channelCount": (1, max((mode.channel_count for mode in usable), default=1)),
    }
    for preference, (index, mode) in enumerate(zip(modes, usable, strict=True)):
        rate = _best_number("sampleRate", *spans["sampleRate"], mode.sample_rate, required, basic)
        channels = _best_number(
            "channelCount", *spans["channelCount"], mode.channel_count, required, basic
        )
        rest = {"sampleSize": mode.sample_size, "latency": mode.latency}
        if rate is None or channels is None or not _allowed(rest, required):
            continue
        fit = round(rate.score + channels.score + _score(rest, basic), 12)
        # The mode that needs least resampling, and invents no channel.
        invented = max(0, channels.settings["channelCount"] - mode.channel_count)
        order = (fit, invented, rate.default, channels.default, preference)
        yield order, index, {**rate.settings, **channels.settings, **rest}


def _best_number(
    name: str,
    low: int,
    high: int,
    usual: int,
    required: Sequence[Constraint],
    basic: ConstraintSet,
) -> "_Best | None":
    points = {usual, low, high}
    for constraint in [*required, *basic.values()]:
        if constraint.name == name:
            values = (constraint.min, constraint.max, constraint.exact, constraint.ideal)
            points.update(round(value) for value in values if value is not None)

    def default(settings: Mapping[str, Any]) -> tuple[float, ...]:
        return (abs(settings[name] - usual),)

    return _best_of(
        ({name: point} for point in points if low <= point <= high), required, basic, default
    )


class _Best(NamedTuple):
    """The best values of some properties that are chosen together."""

    score: float
    default: tuple[float, ...]
    settings: dict[str, Any]


def _best_of(
    candidates: Iterable[dict[str, Any]],
    required: Sequence[Constraint],
    basic: ConstraintSet,
    default: Callable[[Mapping[str, Any]], tuple[float, ...]],
) -> _Best | None:
    """The allowed candidate with the smallest score, nearest to the default where they tie."""
    allowed = (
        _Best(round(_score(candidate, basic), 12), default(candidate), candidate)
        for candidate in candidates
        if _allowed(candidate, required)
    )
    return min(allowed, key=lambda best: best[:2], default=None)


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
        if not any(_possible(device, range(_mode_count(device)), alone) for device in devices):
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
