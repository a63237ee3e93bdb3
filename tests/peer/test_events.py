import asyncio
import logging

import pytest

from peer import Event, EventTarget
from peer.events import event_handler


class Bell(EventTarget):
    onring = event_handler("ring")


@pytest.mark.spec("0.6")
def test_listeners_are_called_in_order_with_one_event_and_its_target() -> None:
    bell, calls = Bell(), []
    bell.addEventListener("ring", lambda event: calls.append(("first", event)))
    bell.onring = lambda event: calls.append(("handler", event))
    bell.addEventListener("ring", lambda event: calls.append(("last", event)))
    event = Event("ring")
    bell.dispatchEvent(event)
    assert calls == [("first", event), ("handler", event), ("last", event)]
    assert event.target is bell
    assert event.type == "ring"


def test_a_listener_is_added_once_and_can_be_removed() -> None:
    bell, calls = Bell(), []
    for _ in range(2):
        bell.addEventListener("ring", calls.append)
    bell.dispatchEvent(Event("ring"))
    assert len(calls) == 1
    bell.removeEventListener("ring", calls.append)
    bell.removeEventListener("ring", calls.append)
    bell.dispatchEvent(Event("ring"))
    assert len(calls) == 1


def test_once() -> None:
    bell, calls = Bell(), []
    bell.addEventListener("ring", calls.append, once=True)
    bell.dispatchEvent(Event("ring"))
    bell.dispatchEvent(Event("ring"))
    assert len(calls) == 1


def test_a_handler_is_replaced_in_its_place_and_none_removes_it() -> None:
    bell, calls = Bell(), []
    bell.onring = lambda event: calls.append("old")
    bell.addEventListener("ring", lambda event: calls.append("listener"))
    bell.onring = lambda event: calls.append("new")
    bell.dispatchEvent(Event("ring"))
    assert calls == ["new", "listener"]
    bell.onring = 3
    assert bell.onring is None
    bell.dispatchEvent(Event("ring"))
    assert calls == ["new", "listener", "listener"]


def test_a_listener_removed_by_another_is_not_called() -> None:
    bell, calls = Bell(), []
    bell.addEventListener("ring", lambda event: bell.removeEventListener("ring", calls.append))
    bell.addEventListener("ring", calls.append)
    bell.dispatchEvent(Event("ring"))
    assert calls == []


def test_a_listener_that_fails_is_logged_and_the_others_are_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bell, calls = Bell(), []

    def fail(event: Event) -> None:
        raise ValueError("broken listener")

    bell.addEventListener("ring", fail)
    bell.addEventListener("ring", calls.append)
    with caplog.at_level(logging.ERROR):
        bell.dispatchEvent(Event("ring"))
    assert len(calls) == 1
    assert "broken listener" in caplog.text


async def test_coroutine_functions_are_run_and_their_failures_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bell, done = Bell(), asyncio.Event()

    async def listener(event: Event) -> None:
        done.set()
        raise ValueError("broken coroutine")

    bell.addEventListener("ring", listener)
    bell.dispatchEvent(Event("ring"))
    await done.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    assert "broken coroutine" in caplog.text


def test_what_can_not_be_called_is_no_listener() -> None:
    with pytest.raises(TypeError, match="callable"):
        Bell().addEventListener("ring", 3)  # type: ignore[arg-type]
