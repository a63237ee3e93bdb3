import pytest

from signaling import Limits
from signaling.resumption import Line, Overflow

LIMITS = Limits(send_queue=3, send_bytes=100)


def take_all(line: Line) -> list[str]:
    return list(iter(line.take, None))


def test_messages_come_out_in_order_and_once() -> None:
    line = Line(LIMITS)
    line.put("a")
    line.put("b")
    assert take_all(line) == ["a", "b"]
    line.put("c")
    assert take_all(line) == ["c"]


def test_what_a_broken_socket_swallowed_comes_again() -> None:
    line = Line(LIMITS)
    for text in "abc":
        line.put(text)
    assert take_all(line) == ["a", "b", "c"]
    assert line.rewind(1)
    assert take_all(line) == ["b", "c"]


def test_what_is_not_kept_can_not_come_again() -> None:
    line = Line(LIMITS)
    for text in "abcde":
        line.put(text)
        line.take()
    assert not line.rewind(1)
    assert line.rewind(2)
    assert not line.rewind(6), "more than was ever said"


@pytest.mark.parametrize("texts", [["a"] * 4, ["a" * 60, "b" * 60]])
def test_a_slow_reader_is_noticed(texts: list[str]) -> None:
    line = Line(LIMITS)
    *waiting, too_much = texts
    for text in waiting:
        line.put(text)
    with pytest.raises(Overflow):
        line.put(too_much)
