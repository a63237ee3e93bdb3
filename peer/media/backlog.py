"""Whether packets wait on their way to a viewer, and what the way carries then (pure).

Checks are sent among the packets, and answered at once: with an answer, all that was sent before
its check has got through or is lost. Answers that take longer and longer show that packets wait;
how far apart they come, in view of what was sent between them, how fast the way is. All of that is
known within a fraction of a second, long before a viewer estimates anything.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

CHECK_INTERVAL = 0.04
"""Seconds between checks: some five before a queue of usual size is full."""
WATCHED, WATCHED_WAITING = 1.0, 3.0
"""Seconds for which a way is watched, and at most while packets wait there."""
LATE = 0.06
"""Seconds by which an answer takes longer than the quickest when packets wait: others are this late
now and then, by radio above all."""
LATE_FOR = 0.06
"""Seconds for which all answers are late: what was held up for another reason comes in one go."""
FULL_FOR = 0.5
"""Seconds for which answers are late before what is lost is taken to be lost in a queue."""
SLACK = 0.06
"""Seconds of the time between two answers that need not be the way's doing."""


@dataclass(frozen=True)
class Answer:
    """To a check. Times are in seconds of one clock."""

    asked_at: float
    at: float
    late: float
    """Seconds by which it took longer than the quickest."""
    packets: int
    """That had been sent when it was asked for."""
    lost: int = 0
    """Those known to be lost."""


@dataclass(frozen=True)
class Backlog:
    """What the answers so far have shown."""

    before: Answer | None = None
    """The last before packets waited; the first of all if they always did."""
    first: Answer | None = None
    """The first of those that are late; None when packets don't wait."""
    last: Answer | None = None
    """The last of these."""

    def after(self, answer: Answer) -> "Backlog":
        """What they show with another one."""
        if answer.late < LATE:
            return Backlog(answer)
        return Backlog(self.before or answer, self.first or answer, answer)

    def without(self, answer: Answer) -> "Backlog":
        """What they show as long as one is missing that is late as it is, and more packets than
        these can't have come."""
        if self.before is None or answer.late < LATE:
            return self
        became_late = replace(answer, at=answer.at - answer.late + LATE)
        return Backlog(self.before, self.first or became_late, answer)

    def most(self) -> float | None:
        """Packets a second that the way carries at most; None while that can't be told."""
        if self.before is None or not self._late_for(LATE_FOR):
            return None
        return self._carried(self.before, SLACK)

    def sent(self) -> float:
        """Packets a second that were sent meanwhile."""
        if self.before is None or self.last is None:
            return 0.0
        elapsed = self.last.asked_at - self.before.asked_at
        return (self.last.packets - self.before.packets) / elapsed if elapsed > 0 else 0.0

    def carried(self) -> float:
        """Packets a second that the way carries, as far as is known: before packets waited, there
        may have been too few for it."""
        return max(self._carried(since) or 0.0 for since in (self.before, self.first))

    def _late_for(self, seconds: float) -> bool:
        first, last = self.first, self.last
        return first is not None and last is not None and last.at - first.at >= seconds

    def _carried(self, since: Answer | None, slack: float = 0.0) -> float | None:
        if since is None or self.last is None:
            return None
        elapsed = self.last.at - since.at - slack
        sent, lost = self.last.packets - since.packets, self.last.lost - since.lost
        return (sent - lost) / elapsed if elapsed > 0 else None

    def fraction_lost(self) -> float:
        """Of 1, since packets wait, if they have for a while."""
        before, last = self.before, self.last
        if before is None or last is None or not self._late_for(FULL_FOR):
            return 0.0
        return (last.lost - before.lost) / max(1, last.packets - before.packets)


class Watch:
    """A viewer's way, watched for a moment. Times are in seconds of one clock.

    :param sequence_number: of the newest packet that may be among those lost so far.
    :param lost: how many these are.
    :param before: an answer from before packets waited, if there is one.
    """

    def __init__(
        self, now: float, sequence_number: int, lost: int = 0, before: Answer | None = None
    ) -> None:
        self._began_at = now
        self._newest_lost, self._lost = sequence_number, lost
        self._unanswered: deque[float] = deque()
        self._quickest = math.inf
        self.backlog = Backlog(before)
        """What has been seen so far."""

    def asked(self, now: float) -> None:
        """A check is sent."""
        self._unanswered.append(now)

    def answered(self, now: float, asked_at: float, quickest: float, packets: int) -> None:
        """A check is answered.

        :param quickest: seconds that an answer takes at least.
        :param packets: that had been sent when it was asked for.
        """
        while self._unanswered and self._unanswered[0] <= asked_at:
            self._unanswered.popleft()
        self._quickest = quickest
        late = now - asked_at - quickest
        self.backlog = self.backlog.after(Answer(asked_at, now, late, packets, self._lost))

    def missed(self, now: float, sequence_numbers: Iterable[int], packets: int) -> None:
        """The viewer says that it misses these packets, some of them once more.

        Where packets are lost so are checks: that there is no answer is as good as one, then.

        :param packets: that have been sent.
        """
        for number in sequence_numbers:
            if 0 < (number - self._newest_lost) & 0xFFFF < 1 << 15:
                self._lost, self._newest_lost = self._lost + 1, number
        overdue = self._overdue(now)
        self.backlog = self.backlog.without(Answer(now, now, overdue, packets, self._lost))

    def _overdue(self, now: float) -> float:
        """Seconds by which an answer is late that hasn't come."""
        return now - self._unanswered[0] - self._quickest if self._unanswered else 0.0

    def disturb(self) -> None:
        """What was heard is of no use, and what is to come begins anew."""
        self.backlog = Backlog()

    def is_over(self, now: float) -> bool:
        """Whether enough has been seen."""
        waits = self.backlog.last is not None or self._overdue(now) >= LATE
        return now - self._began_at > (WATCHED_WAITING if waits else WATCHED)
