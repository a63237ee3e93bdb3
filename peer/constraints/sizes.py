"""Which sizes of a picture are worth considering, given what is asked of it.

Every size from 1x1 to the native one can be made. What the constraints say singles out a few:
their bounds and ideals, the sizes that these imply through an aspect ratio, and the native one.
"""

import functools
import math
from collections.abc import Iterable
from fractions import Fraction

from .parse import Constraint


def candidate_sizes(
    native_width: int, native_height: int, constraints: Iterable[Constraint], *, keeps_aspect: bool
) -> set[tuple[int, int]]:
    """Sizes (width, height) within the native one, among them the best for these constraints.

    :param keeps_aspect: only sizes of the native aspect ratio, to the nearest pixel.
    """
    points: dict[str, set[float]] = {"width": set(), "height": set(), "aspectRatio": set()}
    for constraint in constraints:
        if constraint.name in points:
            values = (constraint.min, constraint.max, constraint.exact, constraint.ideal)
            points[constraint.name].update(value for value in values if value is not None)
    native_aspect = native_width / native_height
    widths = _within(points["width"], native_width)
    heights = _within(points["height"], native_height)
    sizes = {(native_width, native_height)}
    if keeps_aspect:
        sizes |= {(width, round(width / native_aspect)) for width in widths}
        sizes |= {(round(height * native_aspect), height) for height in heights}
    else:
        sizes |= {(width, height) for width in widths for height in heights}
        flattest, tallest = native_width, 1 / native_height
        for aspect in {native_aspect, *points["aspectRatio"]}:
            sizes |= _of_aspect(min(max(aspect, tallest), flattest), widths, heights)
    return {(w, h) for w, h in sizes if 1 <= w <= native_width and 1 <= h <= native_height}


def sizes_in_aspect_range(
    native_width: int, native_height: int, low: float, high: float
) -> set[tuple[int, int]]:
    """For each height the narrowest and the widest size whose aspect ratio lies in a range."""
    sizes = set()
    for height in range(1, native_height + 1):
        narrowest = math.ceil(height * low)
        widest = math.floor(min(height * high, native_width))
        if max(1, narrowest) <= widest:
            sizes |= {(max(1, narrowest), height), (widest, height)}
    return sizes


def _within(points: set[float], native: int) -> set[int]:
    return {native, *(min(max(1, round(point)), native) for point in points)}


@functools.lru_cache(256)
def _ratio(aspect: float, limit: int) -> tuple[int, int]:
    return Fraction(aspect).limit_denominator(limit).as_integer_ratio()


def _of_aspect(aspect: float, widths: set[int], heights: set[int]) -> set[tuple[int, int]]:
    """The sizes nearest to an aspect ratio, given one of their edges; and the exact ones."""
    sizes = set()
    for width in widths:
        exact = width / aspect
        sizes |= {(width, round(exact)), (width, int(exact)), (width, int(exact) + 1)}
    for height in heights:
        exact = height * aspect
        sizes |= {(round(exact), height), (int(exact), height), (int(exact) + 1, height)}
    across, down = _ratio(aspect, max(max(widths), max(heights)))
    if across and down:
        multiples = {width // across for width in widths} | {height // down for height in heights}
        for multiple in multiples:
            for times in (multiple, multiple + 1):
                sizes.add((times * across, times * down))
    return sizes
