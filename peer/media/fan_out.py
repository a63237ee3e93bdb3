"""From one encoder to all its viewers: in bursts, and for who comes late from the beginning."""

import asyncio
import logging
import time
from collections import deque
from typing import Protocol

from .cohort import Cohort
from .encoded_frame import Burst, EncodedFrame
from .packet_sender import PacketSender
from .rtp_packet import PacketForm

logger = logging.getLogger(__name__)

BURST = 12
"""Packets that are sent in one go. A key frame of more is spread over some milliseconds, so that it
fits the buffers of switches and of radio links; nearly all other pictures are smaller."""
BURST_INTERVAL = 0.003
"""Seconds between the bursts of one large picture: some 40 Mbit/s."""
NARROW_BURST = 3
NARROW_PACE = 2.5
"""To viewers on narrow ways pictures are sent so many times as fast as their bitrate at most (as
libwebrtc does): a key frame would be too much for the queue in front of such a way."""
NARROW_DELAY = 0.5
"""Seconds by which a picture is delayed for that at most."""
LONGEST_GROUP = 128
"""Pictures since a key frame that are kept for who joins: four seconds' worth."""


class Viewer(Protocol):
    """Who takes what a shared encoder makes."""

    def deliver(self, burst: Burst) -> None:
        """Send packets; must neither block nor fail."""

    def steady_sender(self, frame: EncodedFrame) -> PacketSender | None:
        """Its sender, if it has been sent this frame, and is to be sent all that follows with
        nothing to be done or decided: then that sender is used, and `deliver()` is not, until
        `FanOut.part()`."""

    def left_out(self, burst: Burst) -> None:
        """Its sender could not send this, and is not used any more."""

    def interrupted(self) -> None:
        """Packets have been left out: wait for the next key frame."""

    def source_failed(self, error: Exception) -> None:
        """Reading or encoding the track has failed, and it will be black from now on."""

    def given_up(self, error: Exception) -> None:
        """It has failed itself, and is to have itself removed."""


class FanOut:
    """The viewers of one encoder. No queue grows: of a large picture, what has not been sent when
    the next one is there goes out at once; on narrow ways, what has not been after a while.
    """

    def __init__(self, *, narrow: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self.narrow = narrow
        """Whether the viewers' ways are thought to be narrow."""
        self._bitrate = 0.0
        # Who gets everything that is sent: each by its own doing, or in step with others.
        self._apart: list[Viewer] = []
        self._in_step: dict[Viewer, Cohort[Viewer]] = {}
        self._cohorts: dict[PacketForm, Cohort[Viewer]] = {}
        self._late: dict[Viewer, asyncio.Task[None]] = {}
        self._group: list[EncodedFrame] = []
        self._waiting: deque[Burst] = deque()
        self._pacing: asyncio.TimerHandle | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nobody to send to."""
        return not (self._apart or self._in_step or self._late)

    def is_alone(self, viewer: Viewer) -> bool:
        """Whether everything that is sent is sent to this one only."""
        return len(self._apart) + len(self._in_step) == 1 and (
            viewer in self._in_step or viewer in self._apart
        )

    @property
    def keeps(self) -> bool:
        """Whether there is something that who joins can begin with."""
        return bool(self._group)

    @property
    def age(self) -> float:
        """Seconds since the newest of that was captured."""
        return time.monotonic() - self._group[-1].at if self._group else 0.0

    def add(self, viewer: Viewer) -> bool:
        """Send to this viewer too, first what is kept; returns whether it needs a key frame."""
        if self._group:
            self._late[viewer] = self._loop.create_task(self._catch_up(viewer))
            return False
        self._apart.append(viewer)
        return True

    def remove(self, viewer: Viewer) -> None:
        """Send it no more."""
        if (task := self._late.pop(viewer, None)) is not None:
            task.cancel()
        else:
            self.part(viewer)
            self._apart.remove(viewer)

    def part(self, viewer: Viewer) -> None:
        """Let a viewer see to what it is sent by itself again, until it is steady once more."""
        if viewer in self._in_step:
            self._in_step[viewer].remove(viewer)
            self._fall_out(viewer)

    def _fall_out(self, viewer: Viewer) -> None:
        del self._in_step[viewer]
        self._apart.append(viewer)

    def fail(self, error: Exception) -> None:
        """Tell every viewer."""
        for viewer in (*self._apart, *self._in_step, *self._late):
            viewer.source_failed(error)

    def send(self, frame: EncodedFrame, bitrate: float) -> None:
        """Send a frame to all.

        :param bitrate: of the frames together, in bits a second.
        """
        self._bitrate = bitrate
        waiting = self._waiting
        while waiting and self._must_go(waiting[0], frame):
            self._deliver(waiting.popleft())
        waiting.extend(frame.bursts(NARROW_BURST if self.narrow else BURST))
        if self._pacing is not None and not self.narrow:
            self._pacing.cancel()
            self._pacing = None
        if self._pacing is None:
            self._send_burst()

    def _must_go(self, burst: Burst, newest: EncodedFrame) -> bool:
        return not self.narrow or newest.at - burst.frame.at > NARROW_DELAY

    def _interval(self, burst: Burst) -> float:
        """Seconds until the burst after this one."""
        if not self.narrow or not self._bitrate:
            return BURST_INTERVAL
        return 8 * sum(map(len, burst.payloads)) / (NARROW_PACE * self._bitrate)

    def keep(self, frame: EncodedFrame, longest: int = LONGEST_GROUP) -> None:
        """Keep a frame that has been sent for who joins: not every camera can be asked for another
        key frame, and whoever joins wants to see something.

        :param longest: pictures since a key frame that are kept at most.
        """
        if frame.keyframe:
            self._group = [frame]
        elif 0 < len(self._group) < longest:
            self._group.append(frame)
        else:
            self._group = []  # what is longer is no help

    def forget(self) -> None:
        """Keep nothing, and let nothing wait for who joins: he gets a key frame."""
        self._group = []
        while self._waiting:
            self._deliver(self._waiting.popleft())

    def close(self) -> None:
        """Send no more."""
        if self._pacing is not None:
            self._pacing.cancel()
        self._waiting.clear()

    def _send_burst(self) -> None:
        self._pacing = None
        if not self._waiting:
            return
        burst = self._waiting.popleft()
        self._deliver(burst)
        if self._waiting or self.narrow:
            self._pacing = self._loop.call_later(self._interval(burst), self._send_burst)

    def _deliver(self, burst: Burst) -> None:
        burst.sent_at = time.monotonic()
        apart = list(self._apart)
        for form, cohort in list(self._cohorts.items()):
            failed = cohort.send(burst)
            for viewer, _ in failed:
                self._fall_out(viewer)
            for viewer, error in failed:
                if error is None:
                    viewer.left_out(burst)
                else:
                    self._give_up(viewer, error)
            if not cohort:
                del self._cohorts[form]
        for viewer in apart:
            try:
                viewer.deliver(burst)
            except Exception as error:
                self._give_up(viewer, error)
            else:
                if burst.last:
                    self._fall_in(viewer, burst.frame)
        burst.batches.clear()

    def _fall_in(self, viewer: Viewer, frame: EncodedFrame) -> None:
        sender = viewer.steady_sender(frame)
        if sender is not None and viewer in self._apart:
            cohort = self._cohorts.setdefault(sender.form, Cohort(sender.form))
            if cohort.add(viewer, sender, frame):
                self._apart.remove(viewer)
                self._in_step[viewer] = cohort

    def _give_up(self, viewer: Viewer, error: Exception) -> None:
        """Whatever is wrong with one viewer is no reason to fail all others."""
        logger.error("a viewer cannot be sent to", exc_info=error)
        if viewer in self._apart or viewer in self._late:
            viewer.given_up(error)

    async def _catch_up(self, viewer: Viewer) -> None:
        try:
            await self._send_kept(viewer)
        except Exception as error:
            self._give_up(viewer, error)
        else:
            del self._late[viewer]
            self._apart.append(viewer)

    async def _send_kept(self, viewer: Viewer) -> None:
        group, position = self._group, 0
        while self._waiting or group is not self._group or position < len(group):
            if group is not self._group:
                group, position = self._group, 0
                viewer.interrupted()
            elif position < len(group):
                for burst in group[position].bursts(BURST):
                    burst.sent_at = time.monotonic()
                    viewer.deliver(burst)
                    burst.batches.clear()
                position += 1
            await asyncio.sleep(BURST_INTERVAL)
