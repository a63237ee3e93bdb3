"""Which of a track's sizes a viewer gets, going by what its way can carry (pure).

Rung 0 is the track's size; each one below halves width and height. A viewer that is congested goes
down after a moment; one that isn't goes up when a probe has shown that its way carries more: an
estimate never says much more than what is sent. Each probe that fails makes the next one wait
longer.
"""

from dataclasses import dataclass, replace

from .probing import MARGIN, START, Probe, Signs

RUNGS = 3
"""At most: a quarter of the size takes an eighth of the bits."""
LEAST_LINES = 180
"""A rung is no smaller than this, in its shorter side."""
SETTLING = 3.0
"""Seconds after a change before the next: the key frame that it begins with is a burst itself."""
BAD_FOR = 1.5
"""Seconds of congestion before a viewer goes down: more than one report of it."""
HOPELESS_FOR, HOPELESS_SETTLING = 0.5, 1.0
"""The same two where nothing that is sent can be of use."""
PATIENCE = 2.0
"""Seconds without congestion before a viewer is probed, at first."""
AFTER_PROBE, MOST_AFTER_PROBES = 1.5, 20.0
"""How many times as many after each probe that failed, and how many these lead to at most: nobody
sees a probe that fails."""
AFTER_RELAPSE, MOST_PATIENCE = 3.0, 60.0
"""The same after going up was too early, which everybody sees."""
AFTERMATH = 1.5
"""Seconds after a probe that failed in which what a viewer says is about the probe."""
FORGOTTEN = 0.02
"""The part of the quickest round trip that gives way to the present one with each look: a way may
become longer for good, and is then known within a minute."""
RELAPSE = 15.0
"""Seconds after going up within which congestion means that it was too early."""
_LOSSY, _LOSSLESS = 0.1, 0.02
"""Parts of the packets that are lost: from which on the way is congested, and up to which it isn't.
NACK makes good what is in between."""
_LOSS_SMOOTHING = 0.3
_HOPELESS = 0.3
"""From which on no picture gets through whole."""
_FAR_SHORT, _SHORT, _AMPLE = 0.65, 0.85, 1.1
"""The same for what the viewer estimates, as a part of what is sent."""
_GROWING = 1.02
"""From one look to the next: an estimate that grows by as much."""
_WAITING, _QUEUED = 0.1, 0.3
"""Seconds that a round trip takes longer than the quickest: packets wait somewhere, and they do in
queues that are full of ours."""
BITRATE_PER_RUNG = 2**-1.5
"""What each rung has of the bits of the one above, as `suitable_bitrate()` has it."""

LEAST_OF_BITRATE = 0.5
"""The part of its nominal bitrate that an encoder is held down to at most."""
_CUT, _GROWTH = 0.85, 1.08


@dataclass(frozen=True)
class Conditions:
    """What is known of a viewer's way at one moment."""

    sent: float
    """Bits a second that were sent lately."""
    available: float | None = None
    """Bits a second that the viewer estimates it can carry."""
    available_before: float | None = None
    """What it estimated a moment ago."""
    fraction_lost: float = 0.0
    """Of 1."""
    round_trip: float | None = None
    """Seconds."""


@dataclass(frozen=True)
class Full:
    """What is known of a viewer's way while packets wait there."""

    sent: float
    """Bits a second that were sent lately."""
    most: float
    """Bits a second that it carries at most,"""
    carried: float
    """and as far as is known."""
    fraction_lost: float = 0.0
    """Of 1."""


@dataclass(frozen=True)
class Choice:
    """A viewer's rung, and what led to it. Times are in seconds of one clock."""

    rung: int = 0
    changed_at: float = float("-inf")
    went_up: bool = False
    bad_since: float | None = None
    good_since: float | None = None
    patience: float = PATIENCE
    probe: Probe | None = None
    """Under way."""
    probed_at: float = float("-inf")
    """When a probe last failed."""
    quickest: float | None = None
    """The shortest round trip so far."""
    usual_loss: float = 0.0
    """Of 1, smoothed."""


def rung_count(width: int, height: int) -> int:
    """How many rungs pictures of this size have."""
    count = 1
    while count < RUNGS and min(width, height) >> count >= LEAST_LINES:
        count += 1
    return count


def next_choice(
    choice: Choice, conditions: Conditions, now: float, rungs: int, needed: float | None = None
) -> Choice:
    """What a viewer is to get from now on; about once a second.

    :param rungs: how many there are to choose from.
    :param needed: bits a second that the next larger size takes; None for a viewer that can't be
        probed, for whom there is only trying.
    """
    round_trip, quickest = conditions.round_trip, choice.quickest
    if round_trip is not None:
        before = round_trip if quickest is None else quickest
        quickest = min(round_trip, before + FORGOTTEN * (round_trip - before))
    choice = replace(choice, quickest=quickest)
    if choice.rung >= rungs:
        return _moved(choice, rungs - 1, now)
    if choice.probe is not None or now - choice.probed_at < AFTERMATH:
        return choice  # what is lost now is lost to the probe
    bad_since = good_since = None
    if is_congested(conditions, quickest):
        bad_since = now if choice.bad_since is None else choice.bad_since
    elif is_clear(conditions) if needed is None else _is_ample(conditions):
        good_since = now if choice.good_since is None else choice.good_since
    loss = choice.usual_loss + (conditions.fraction_lost - choice.usual_loss) * _LOSS_SMOOTHING
    choice = replace(choice, bad_since=bad_since, good_since=good_since, usual_loss=loss)
    since = now - choice.changed_at
    bad_for = 0.0 if bad_since is None else now - bad_since
    if choice.rung < rungs - 1 and _is_too_much(conditions, since, bad_for):
        return _fallen(choice, min(rungs - 1, choice.rung + _steps_down(conditions)), now)
    if good_since is not None and now - good_since >= choice.patience and choice.rung:
        if since < SETTLING:
            return choice
        if needed is None:
            return _moved(choice, choice.rung - 1, now)
        if conditions.sent <= 0:
            return choice  # there is nothing to repeat
        return replace(choice, probe=_probe(choice, conditions, now, needed))
    if choice.went_up and since >= MOST_PATIENCE:
        return replace(choice, patience=PATIENCE)  # it was right to go up
    return choice


def after_signs(choice: Choice, signs: Signs, now: float) -> Choice:
    """What a viewer is to get that is being probed; as often as its probe can be ended."""
    probe = choice.probe
    if probe is None:
        return choice
    if probe.is_refuted(signs, now):
        patience = max(choice.patience, min(AFTER_PROBE * choice.patience, MOST_AFTER_PROBES))
        return replace(
            choice, probe=None, probed_at=now, patience=patience, bad_since=None, good_since=None
        )
    return _moved(choice, choice.rung - 1, now) if probe.is_proven(signs, now) else choice


def when_full(choice: Choice, full: Full, target: float, now: float, rungs: int) -> Choice:
    """What a viewer is to get on whose way packets wait; as often as that is known.

    :param target: bits a second that the encoder aims at.
    """
    is_lossy = full.fraction_lost > _LOSSY
    is_short = full.most < _SHORT * min(target, full.sent)
    if not (is_short or is_lossy) or choice.rung >= rungs - 1:
        return choice  # the queue will be gone by itself
    rung, target = choice.rung + 1, target * BITRATE_PER_RUNG
    while rung < rungs - 1 and full.carried < target:
        rung, target = rung + 1, target * BITRATE_PER_RUNG
    return _fallen(choice, rung, now)


def _probe(choice: Choice, conditions: Conditions, now: float, needed: float) -> Probe:
    sent, goal = conditions.sent, MARGIN * needed
    # Up to its estimate, a viewer has seen no queue.
    start = max(START * sent, _SHORT * (conditions.available or 0))
    return Probe(now, min(start, goal), goal, choice.usual_loss)


def _is_too_much(conditions: Conditions, since_change: float, bad_for: float) -> bool:
    available = conditions.available
    far_short = available is not None and available < _FAR_SHORT * conditions.sent
    lossy = conditions.fraction_lost > _HOPELESS
    # A key frame alone makes a browser think less of the way for a while.
    settled = since_change >= (HOPELESS_SETTLING if lossy else SETTLING)
    return settled and bad_for >= (HOPELESS_FOR if lossy or far_short else BAD_FOR)


def _steps_down(conditions: Conditions) -> int:
    """One, or as many as the way is too narrow for, by what gets through and by the estimate: right
    after a loss it is of less than there is."""
    through = conditions.sent * (1 - conditions.fraction_lost)
    carried = max(through, conditions.available or 0)
    steps, wanted = 1, conditions.sent * BITRATE_PER_RUNG
    while steps < RUNGS and carried < _SHORT * wanted:
        steps, wanted = steps + 1, wanted * BITRATE_PER_RUNG
    return steps


def _fallen(choice: Choice, rung: int, now: float) -> Choice:
    if choice.went_up and now - choice.changed_at < RELAPSE:
        patience = min(AFTER_RELAPSE * choice.patience, MOST_PATIENCE)
        choice = replace(choice, patience=patience)
    return _moved(choice, rung, now)


def _moved(choice: Choice, rung: int, now: float) -> Choice:
    return replace(
        choice,
        rung=rung,
        changed_at=now,
        went_up=rung < choice.rung,
        bad_since=None,
        good_since=None,
        probe=None,
    )


def is_congested(conditions: Conditions, quickest: float | None) -> bool:
    """Whether less gets through than is sent.

    :param quickest: round trip, in seconds.
    """
    waiting = None
    if conditions.round_trip is not None and quickest is not None:
        waiting = conditions.round_trip - quickest
    if conditions.fraction_lost > _LOSSY or (waiting is not None and waiting > _QUEUED):
        return True
    # After a single key frame an estimate can be low for long. What is too much for a way waits
    # there or is lost.
    spotless = waiting is not None and waiting < _WAITING and conditions.fraction_lost < _LOSSLESS
    return _is_short(conditions) and not spotless


def _is_short(conditions: Conditions) -> bool:
    """Whether the estimate is of less than is sent. A browser begins with what it has received, and
    adds some per cent each second: as long as it does, it only has not come to the point yet."""
    available, before = conditions.available, conditions.available_before
    if available is None or available >= _SHORT * conditions.sent:
        return False
    return before is None or available < _GROWING * before


def is_clear(conditions: Conditions) -> bool:
    """Whether more than what is sent would get through, as far as can be told."""
    return conditions.fraction_lost < _LOSSLESS and _is_ample(conditions)


def _is_ample(conditions: Conditions) -> bool:
    available = conditions.available
    return available is None or available >= _AMPLE * conditions.sent


def next_bitrate(
    bitrate: float, nominal: int, conditions: Conditions, quickest: float | None
) -> float:
    """What the encoder of a single viewer is to aim at from now on, where it can change that at no
    cost; what is still too much at half of what is nominal, is a matter of rungs.

    :param bitrate: what it aims at, in bits a second.
    """
    least = nominal * LEAST_OF_BITRATE
    if is_congested(conditions, quickest):
        carried = min(bitrate, conditions.available or bitrate)
        return max(carried * _CUT, least)
    bitrate = max(bitrate, least)
    return min(bitrate * _GROWTH, nominal) if is_clear(conditions) else bitrate
