"""How long constraint selection takes: prints a table of milliseconds, the best of 20 runs each."""

import time

from peer.constraints.device import ConstrainableObject, VideoGeometry
from peer.constraints.parse import parse_constraints
from peer.constraints.select import select_settings

SIZES = [(160 + 80 * i, 120 + 60 * i) for i in range(20)]
RATES = [5, 7.5, 10, 12.5, 15, 20, 24, 25, 30, 60]


def camera(modes: int) -> ConstrainableObject:
    every = [VideoGeometry(w, h, rate) for w, h in SIZES for rate in RATES]
    return ConstrainableObject(
        "video", "Camera", {"deviceId": "x", "facingMode": "user"}, tuple(every[:modes])
    )


def constraints(count: int) -> dict[str, object]:
    """`count` constraints: six in the basic set, the others in advanced sets of two."""
    basic = {
        "width": {"min": 320, "ideal": 1280},
        "height": {"min": 240, "ideal": 720},
        "aspectRatio": 16 / 9,
        "frameRate": {"ideal": 30, "max": 60},
        "facingMode": "user",
        "resizeMode": "none",
    }
    advanced = [{"width": 1900 - 50 * i, "frameRate": {"min": 25}} for i in range((count - 6) // 2)]
    return {**dict(list(basic.items())[:count]), "advanced": advanced}


def main() -> None:
    print(f"{'modes':>6} {'constraints':>12} {'ms':>8}")
    for modes in (3, 50, 200):
        for count in (2, 6, 20):
            device, parsed = camera(modes), parse_constraints(constraints(count))
            times = []
            for _ in range(20):
                start = time.perf_counter()
                select_settings(device, parsed)
                times.append(time.perf_counter() - start)
            print(f"{modes:>6} {count:>12} {min(times) * 1000:>8.2f}")


if __name__ == "__main__":
    main()
