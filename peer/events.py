"""Events as the DOM has them: one event object, listeners and `on…` attributes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

logger = logging.getLogger(__name__)

Listener = Callable[[Any], Awaitable[None] | None]


class Event:
    """Something that happened (DOM 2.2). `target` is the object that it was dispatched at."""

    def __init__(self, type: str) -> None:
        self._type = type
        self._target: Any = None

    @property
    def type(self) -> str:
        """The event's name, for example "ended"."""
        return self._type

    @property
    def target(self) -> Any:
        """The object at which the event was dispatched."""
        return self._target

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._type!r})"


class EventTarget:
    """Listeners by type, called in the order in which they were added (DOM 2.7).

    A listener may be a coroutine function: it is then run as a task. A listener that raises is
    logged with its traceback, and the others are still called, as in a browser.
    """

    def __init__(self) -> None:
        super().__init__()
        self.__listeners: dict[str, list[tuple[Listener, bool]]] = {}
        self.__handlers: dict[str, Listener | None] = {}
        self.__tasks: set[asyncio.Future[None]] = set()

    def addEventListener(self, type: str, listener: Listener, *, once: bool = False) -> None:
        """Call `listener(event)` for each event of this type; adding it twice changes nothing.

        :raises TypeError: when the listener can't be called.
        """
        if not callable(listener):
            raise TypeError(f"a listener must be callable, not {listener!r}")
        listeners = self.__listeners.setdefault(type, [])
        if all(present != listener for present, _ in listeners):
            listeners.append((listener, once))

    def removeEventListener(self, type: str, listener: Listener) -> None:
        """Forget a listener; one that was never added is no error."""
        listeners = self.__listeners.get(type, [])
        listeners[:] = [entry for entry in listeners if entry[0] != listener]

    def dispatchEvent(self, event: Event) -> bool:
        """Call the listeners of `event.type` now; no event here can be cancelled, so True."""
        event._target = self
        for entry in list(self.__listeners.get(event.type, [])):
            listener, once = entry
            if entry not in self.__listeners.get(event.type, []):
                continue  # removed by a listener before it
            if once:
                self.removeEventListener(event.type, listener)
            self.__call(listener, event)
        return True

    def __call(self, listener: Listener, event: Event) -> None:
        try:
            result = listener(event)
        except Exception:
            logger.exception("a listener for %r of %r failed", event.type, self)
            return
        if asyncio.iscoroutine(result):
            task = asyncio.ensure_future(result)
            self.__tasks.add(task)
            task.add_done_callback(self.__finished)

    def __finished(self, task: asyncio.Future[None]) -> None:
        self.__tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a listener of %r failed", self, exc_info=error)

    def _get_handler(self, type: str) -> Listener | None:
        return self.__handlers.get(type)

    def _set_handler(self, type: str, handler: Listener | None) -> None:
        # HTML 8.1.8.1: the handler takes its place among the listeners when it is first set, and
        # keeps that place when it is replaced; anything that can't be called means none.
        if not callable(handler):
            handler = None
        if handler is None:
            self.removeEventListener(type, self.__run_handler)
        elif self.__handlers.get(type) is None:
            self.addEventListener(type, self.__run_handler)
        self.__handlers[type] = handler

    def __run_handler(self, event: Event) -> Awaitable[None] | None:
        handler = self.__handlers.get(event.type)
        return handler(event) if handler is not None else None


def event_handler(type: str) -> Any:
    """An `on…` attribute of an EventTarget: `onended = event_handler("ended")`."""

    def get(self: EventTarget) -> Listener | None:
        return self._get_handler(type)

    def set(self: EventTarget, handler: Listener | None) -> None:
        self._set_handler(type, handler)

    return property(get, set, doc=f"The handler of `{type}` events, or None.")
