"""What was said, and is said again."""

from signaling.clients.outbox import Outbox


def say(outbox: Outbox, *texts: str) -> None:
    for text in texts:
        outbox.say(text)


def take(outbox: Outbox) -> list[str]:
    taken = []
    while (text := outbox.take()) is not None:
        taken.append(text)
    return taken


def test_messages_are_taken_once_and_in_order() -> None:
    outbox = Outbox()
    say(outbox, "a", "b")
    assert outbox.unsent == 2
    assert take(outbox) == ["a", "b"]
    say(outbox, "c")
    assert take(outbox) == ["c"]


def test_what_was_missed_is_said_again() -> None:
    outbox = Outbox()
    say(outbox, "a", "b", "c")
    take(outbox)
    say(outbox, "d")
    assert outbox.resume(1)
    assert take(outbox) == ["b", "c", "d"]
    assert outbox.resume(4)
    assert take(outbox) == []


def test_what_is_gone_can_not_be_said_again() -> None:
    outbox = Outbox(capacity=2)
    say(outbox, "a", "b", "c")
    assert outbox.overflown
    assert outbox.take() is None
    assert not outbox.resume(0)
    assert not outbox.resume(4)
    assert not outbox.resume(-1)
    assert outbox.resume(1)
    assert take(outbox) == ["b", "c"]


def test_a_server_that_knows_nothing_is_told_from_the_beginning() -> None:
    outbox = Outbox()
    say(outbox, "a")
    outbox.clear()
    assert take(outbox) == []
    say(outbox, "b")
    assert take(outbox) == ["b"]
    assert outbox.resume(0)
