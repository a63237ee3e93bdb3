"""track.stats: what became of a track's frames (mediacapture-extensions)."""

import threading


class Counters:
    """Counts in the capture thread, read on the loop. Nothing counts while muted or disabled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._delivered = self._discarded = 0
        self._last_latency = 0.0
        self._count, self._sum, self._least, self._most = 0, 0.0, 0.0, 0.0

    def delivered(self) -> None:
        """A picture was given to the track."""
        with self._lock:
            self._delivered += 1

    def discarded(self) -> None:
        """A picture was left out, to reach the track's frame rate."""
        with self._lock:
            self._discarded += 1

    def heard(self, latency: float) -> None:
        """Sound was given to the track, so many seconds after its capture."""
        with self._lock:
            self._least = min(self._least, latency) if self._count else latency
            self._most = max(self._most, latency) if self._count else latency
            self._last_latency = latency
            self._count += 1
            self._sum += latency

    def pictures(self) -> tuple[int, int]:
        """How many pictures were delivered and discarded."""
        with self._lock:
            return self._delivered, self._discarded

    def latencies(self) -> tuple[float, float, float, float]:
        """The last, average, smallest and largest latency of the sound, in seconds."""
        with self._lock:
            last = self._last_latency
            if not self._count:
                return last, last, last, last
            return last, self._sum / self._count, self._least, self._most

    def reset_latencies(self) -> None:
        """Begin anew with the average, the smallest and the largest."""
        with self._lock:
            self._count, self._sum = 0, 0.0


class MediaStreamTrackVideoStats:
    """What became of a camera's or screen's pictures."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    @property
    def deliveredFrames(self) -> int:
        """Pictures given to the track, whether somebody read them or not."""
        return self._counters.pictures()[0]

    @property
    def discardedFrames(self) -> int:
        """Pictures left out to reach the track's frame rate."""
        return self._counters.pictures()[1]

    @property
    def totalFrames(self) -> int:
        """All pictures that the source made for the track."""
        return sum(self._counters.pictures())

    def toJSON(self) -> dict[str, int]:
        """All the figures, of one moment."""
        delivered, discarded = self._counters.pictures()
        return {
            "deliveredFrames": delivered,
            "discardedFrames": discarded,
            "totalFrames": delivered + discarded,
        }


class MediaStreamTrackAudioStats:
    """How late a microphone's sound is, in milliseconds from capture to the track."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    @property
    def latency(self) -> float:
        """Of the last sound."""
        return self._counters.latencies()[0] * 1000

    @property
    def averageLatency(self) -> float:
        """Since the track began, or since `resetLatency()`."""
        return self._counters.latencies()[1] * 1000

    @property
    def minimumLatency(self) -> float:
        """Since the track began, or since `resetLatency()`."""
        return self._counters.latencies()[2] * 1000

    @property
    def maximumLatency(self) -> float:
        """Since the track began, or since `resetLatency()`."""
        return self._counters.latencies()[3] * 1000

    def resetLatency(self) -> None:
        """Let the average, minimum and maximum begin anew."""
        self._counters.reset_latencies()

    def toJSON(self) -> dict[str, float]:
        """All the figures, of one moment."""
        names = ("latency", "averageLatency", "minimumLatency", "maximumLatency")
        values = self._counters.latencies()
        return {name: value * 1000 for name, value in zip(names, values, strict=True)}
