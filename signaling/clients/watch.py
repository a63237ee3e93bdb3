"""Which producer a consumer is to have a session with (pure)."""

from collections.abc import Iterable

from ..protocol import PeerInfo, PeerRole, PeerStatusChanged

ANY_PRODUCER = ""
"""Whichever is there, or comes first."""
MOST_PRODUCERS = 1024
"""Wanted ones that are remembered; a server has a few."""


class Watch:
    """The wanted producers that are there.

    :param wanted: a producer's id, or the name in its meta; or `ANY_PRODUCER`.
    :param instance: what those have as `instance` in their meta that are never wanted.
    """

    def __init__(self, wanted: str, instance: str | None = None) -> None:
        self._wanted = wanted
        self._instance = instance
        self._present: dict[str, None] = {}

    @property
    def next(self) -> str | None:
        """The id of the one that was there first."""
        return next(iter(self._present), None)

    def list(self, producers: Iterable[PeerInfo]) -> None:
        """These are there, and no others."""
        self._present.clear()
        for producer in producers:
            self._add(producer)

    def change(self, news: PeerStatusChanged) -> bool:
        """Somebody came, changed, or left; whether it is a wanted one that was not there before."""
        if PeerRole.PRODUCER not in news.roles:
            self._present.pop(news.peer_id, None)
            return False
        if news.peer_id in self._present:
            return False
        self._add(PeerInfo(news.peer_id, news.meta))
        return news.peer_id in self._present

    def forget(self) -> None:
        """Only those who come from now on are wanted."""
        self._present.clear()

    def _add(self, producer: PeerInfo) -> None:
        if self._instance is not None and producer.meta.get("instance") == self._instance:
            return
        names = (ANY_PRODUCER, producer.id, producer.meta.get("name"))
        if self._wanted in names and len(self._present) < MOST_PRODUCERS:
            self._present[producer.id] = None
