"""CaptureController: what is said about the focus after a screen was chosen (Screen Capture 6)."""

from typing import Any

from ..errors import InvalidStateError
from ..events import EventTarget

_BEHAVIORS = ("focus-capturing-application", "focus-captured-surface", "no-focus-change")


class CaptureController(EventTarget):
    """Goes along with one `getDisplayMedia()` call. There is no window here whose focus could
    change, so the behaviour is checked and remembered, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self._claimed = False
        self._track: Any = None
        self._focus_behavior: str | None = None

    def setFocusBehavior(self, focusBehavior: str) -> None:
        """What to focus once the capture begins.

        :raises TypeError: for an unknown behaviour.
        :raises InvalidStateError: the capture has ended, or began too long ago: here, at all,
            for the moment at which the focus is decided is the moment at which it begins.
        """
        if focusBehavior not in _BEHAVIORS:
            raise TypeError(f"a focus behaviour is one of {_BEHAVIORS}, not {focusBehavior!r}")
        if self._track is not None:
            raise InvalidStateError("the capture has begun: the focus is decided")
        self._focus_behavior = focusBehavior

    def _claim(self) -> None:
        """:raises InvalidStateError: another call has it (Screen Capture 5.1, step 3)."""
        if self._claimed:
            raise InvalidStateError("this controller went along with another getDisplayMedia()")
        self._claimed = True

    def _bind(self, track: Any) -> None:
        self._track = track
