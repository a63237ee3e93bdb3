"""Whom a consumer watches."""

import pytest

from signaling.clients.watch import ANY_PRODUCER, MOST_PRODUCERS, Watch
from signaling.protocol import PeerInfo, PeerRole, PeerStatusChanged

PRODUCER = frozenset({PeerRole.PRODUCER})


def news(id: str, roles: frozenset[PeerRole] = PRODUCER, **meta: str) -> PeerStatusChanged:
    return PeerStatusChanged(id, roles, meta)


@pytest.mark.parametrize("wanted", ["b", "camera", ANY_PRODUCER])
def test_by_id_by_name_or_any(wanted: str) -> None:
    watch = Watch(wanted)
    assert watch.next is None
    watch.list([PeerInfo("b", {"name": "camera"}), PeerInfo("a", {"name": ["camera"]})])
    assert watch.next == "b"
    watch.list([])
    assert watch.next is None


def test_it_is_news_when_a_wanted_one_comes_and_not_when_it_changes() -> None:
    watch = Watch("camera")
    assert not watch.change(news("a", name="other"))
    assert watch.change(news("b", name="camera"))
    assert not watch.change(news("b", name="camera", label="new"))
    assert not watch.change(news("b", frozenset()))
    assert watch.next is None
    assert watch.change(news("b", name="camera"))


def test_those_forgotten_are_wanted_when_they_come_again() -> None:
    watch = Watch(ANY_PRODUCER)
    watch.list([PeerInfo("a"), PeerInfo("b")])
    watch.forget()
    assert watch.next is None
    assert watch.change(news("a"))
    assert watch.next == "a"


def test_a_consumer_is_no_producer() -> None:
    watch = Watch(ANY_PRODUCER)
    assert not watch.change(news("a", frozenset({PeerRole.CONSUMER, PeerRole.LISTENER})))
    assert watch.next is None


def test_a_server_can_not_fill_the_memory() -> None:
    watch = Watch(ANY_PRODUCER)
    for number in range(2 * MOST_PRODUCERS):
        watch.change(news(str(number)))
    watch.list([])
    watch.list(PeerInfo(str(number)) for number in range(2 * MOST_PRODUCERS))
    assert len(watch._present) == MOST_PRODUCERS
