"""Producers and their sessions: who is on the air, and who watches."""

import hashlib
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import NoSuchResource, Overloaded
from .limits import Limits

logger = logging.getLogger(__name__)


class Producer(Protocol):
    """Something on the air."""

    @property
    def id(self) -> str:
        """Its name in URLs."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """What viewers are told of it, ready for JSON."""

    async def start_session(self, session_id: str, offer: str, *, may_control: bool = False) -> str:
        """The answer to a viewer's offer.

        :param may_control: whether the viewer may control the camera.
        :raises SignalingError: OfferMalformed, OfferRejected, NotLive, Overloaded.
        """

    async def end_session(self, session_id: str) -> None:
        """Let a viewer go."""


@dataclass(frozen=True)
class Session:
    """One viewer of one producer."""

    id: str
    """Unguessable: who knows it may end the session."""
    producer: Producer
    answer: str

    @property
    def etag(self) -> str:
        """A strong entity tag of the session's ICE generation."""
        return f'"{hashlib.sha256(self.answer.encode()).hexdigest()[:16]}"'


class Switchboard:
    """The producers of one server, and the sessions of their viewers."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._producers: dict[str, Producer] = {}
        self._sessions: dict[str, Session] = {}
        self._starting = 0

    def add_producer(self, producer: Producer) -> None:
        """Put a producer on the air; another of the same id is an error of the caller's.

        :raises ValueError: the id is taken.
        """
        if producer.id in self._producers:
            raise ValueError(f"there is a producer {producer.id!r} already")
        self._producers[producer.id] = producer

    async def remove_producer(self, id: str) -> None:
        """Take a producer off the air, and end its sessions."""
        producer = self._producers.pop(id)
        for session in [s for s in self._sessions.values() if s.producer is producer]:
            await self.end_session(session.id)

    def producers(self) -> list[Producer]:
        """Who is on the air."""
        return list(self._producers.values())

    def producer(self, id: str) -> Producer:
        """:raises NoSuchResource: when nobody of this id is on the air."""
        try:
            return self._producers[id]
        except KeyError:
            raise NoSuchResource("nothing of this name is on the air") from None

    def session(self, producer_id: str, id: str) -> Session:
        """:raises NoSuchResource: when this producer has no such session."""
        session = self._sessions.get(id)
        if session is None or session.producer.id != producer_id:
            raise NoSuchResource("there is no such session; it may have ended")
        return session

    async def start_session(
        self, producer_id: str, offer: str, *, may_control: bool = False
    ) -> Session:
        """Let the producer answer a viewer's offer.

        :param may_control: whether the viewer may control the camera.
        :raises SignalingError: NoSuchResource, Overloaded, and whatever the producer raises.
        """
        producer = self.producer(producer_id)
        if len(self._sessions) + self._starting >= self._limits.sessions:
            raise Overloaded("every place is taken")
        id = secrets.token_urlsafe(32)
        self._starting += 1
        try:
            answer = await producer.start_session(id, offer, may_control=may_control)
        finally:
            self._starting -= 1
        session = self._sessions[id] = Session(id, producer, answer)
        logger.info("session %s: a viewer of %s came", id[:6], producer.id)
        return session

    async def end_session(self, id: str) -> None:
        """End a session; one that has ended is no error."""
        session = self._sessions.pop(id, None)
        if session is not None:
            logger.info("session %s: a viewer of %s left", id[:6], session.producer.id)
            await session.producer.end_session(id)

    async def close(self) -> None:
        """End every session and take every producer off the air."""
        for id in list(self._producers):
            await self.remove_producer(id)
