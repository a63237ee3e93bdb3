"""Who may capture what: the policy object that stands where a browser has its prompt.

A process has nobody to ask, so the default is granted: the code that calls is the code that was
started. An application that has somebody to ask sets states to "prompt" and gives a handler.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Literal, get_args

from ..events import Event, EventTarget, event_handler

PermissionName = Literal["camera", "microphone", "display-capture", "pan-tilt-zoom"]
"""`pan-tilt-zoom` is what the specification writes `{"name": "camera", "panTiltZoom": True}`."""
PermissionState = Literal["granted", "prompt", "denied"]

PromptHandler = Callable[[frozenset[PermissionName]], Awaitable[bool]]
"""Asks for all the named permissions at once; True grants, False denies this one request."""

RevocationListener = Callable[[PermissionName], None]


def named(descriptor: Mapping[str, object]) -> object:
    """The name of the permission that a descriptor is about."""
    name = descriptor.get("name")
    return "pan-tilt-zoom" if name == "camera" and descriptor.get("panTiltZoom") else name


class PermissionStatus(EventTarget):
    """The live state of one permission (Permissions 6.3)."""

    onchange = event_handler("change")

    def __init__(self, name: PermissionName, state: PermissionState) -> None:
        super().__init__()
        self._name: PermissionName = name
        self._state: PermissionState = state

    @property
    def name(self) -> PermissionName:
        """The permission's name."""
        return self._name

    @property
    def state(self) -> PermissionState:
        """granted, prompt or denied, now."""
        return self._state


class Permissions:
    """The states of camera, microphone and display-capture, and whom to ask.

    :param handler: a coroutine function that is asked where a state is "prompt"; without one,
        such a request stays unanswered until the state is set.
    :raises TypeError: for an unknown name or state.
    """

    def __init__(
        self,
        states: Mapping[PermissionName, PermissionState] | None = None,
        *,
        handler: PromptHandler | None = None,
    ) -> None:
        self.handler = handler
        self._statuses: dict[PermissionName, PermissionStatus] = {
            "camera": PermissionStatus("camera", "granted"),
            "microphone": PermissionStatus("microphone", "granted"),
            "pan-tilt-zoom": PermissionStatus("pan-tilt-zoom", "granted"),
            # Screen Capture 7.1 forbids to store "granted" for it: each request is a prompt.
            "display-capture": PermissionStatus("display-capture", "prompt"),
        }
        self._revocation_listeners: list[RevocationListener] = []
        self._undecided: list[asyncio.Future[None]] = []
        for name, state in (states or {}).items():
            self.set_state(name, state)

    async def query(self, descriptor: Mapping[str, object]) -> PermissionStatus:
        """The live status of `{"name": …}` (Permissions 6.2.1), or of what moves a camera:
        `{"name": "camera", "panTiltZoom": True}` (Image Capture 8.2).

        :raises TypeError: when the descriptor names no permission that exists here.
        """
        return self._status(named(descriptor))

    def state(self, name: PermissionName) -> PermissionState:
        """The state of one permission. Who may not use the camera may not move it."""
        state = self._status(name).state
        if name == "pan-tilt-zoom" and self.state("camera") == "denied":
            return "denied"
        return state

    def set_state(self, name: PermissionName, state: PermissionState) -> None:
        """Grant, deny or leave to the prompt. Taking a granted permission back ends the tracks
        that need it (Media Capture and Streams 11.1).

        :raises TypeError: for an unknown name or state, and for display-capture as granted.
        """
        status = self._status(name)
        if state not in get_args(PermissionState):
            raise TypeError(f"a permission is granted, prompt or denied, not {state!r}")
        if name == "display-capture" and state == "granted":
            raise TypeError("display-capture is prompt or denied: every capture is asked for")
        before, status._state = status._state, state
        if before == state:
            return
        if state == "denied" or before == "granted":
            for listener in list(self._revocation_listeners):
                listener(name)
        status.dispatchEvent(Event("change"))
        undecided, self._undecided = self._undecided, []
        for future in undecided:
            if not future.done():
                future.set_result(None)

    def on_revocation(self, listener: RevocationListener) -> None:
        """Call `listener(name)` whenever a permission is taken back; adding it twice is once."""
        if listener not in self._revocation_listeners:
            self._revocation_listeners.append(listener)

    async def request(self, names: Iterable[PermissionName]) -> bool:
        """Ask for what is not granted yet, all in one prompt; True when all may be used."""
        wanted = frozenset(names)
        if any(self.state(name) == "denied" for name in wanted):
            return False
        asked = frozenset(name for name in wanted if self.state(name) == "prompt")
        if not asked:
            return True
        if self.handler is not None:
            return await self.handler(asked)
        # Nobody to ask. The screen always is at "prompt", and there too the code that calls is
        # the code that was started; the others wait until somebody sets the state.
        while any(self.state(name) == "prompt" for name in asked - {"display-capture"}):
            decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._undecided.append(decided)
            await decided
        return all(self.state(name) != "denied" for name in asked)

    def _status(self, name: object) -> PermissionStatus:
        for known, status in self._statuses.items():
            if known == name:
                return status
        raise TypeError(f"there is no permission {name!r}, only {sorted(self._statuses)}")
