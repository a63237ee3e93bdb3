"""Producers that answer one offer: what `peer.publisher` is until it takes sessions."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from .errors import SignalingError
from .hub import Hub
from .local import LocalClient, LocalSession
from .session import Description, Ended, EndReason


class Producer(Protocol):
    """Something on the air."""

    @property
    def id(self) -> str: ...
    @property
    def meta(self) -> Mapping[str, Any]: ...
    async def start_session(
        self, session_id: str, offer: str, *, may_control: bool = False
    ) -> str: ...
    async def end_session(self, session_id: str) -> None: ...


class _Meta(Mapping[str, Any]):
    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def __getitem__(self, key: str) -> Any:
        return self._producer.meta[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._producer.meta)

    def __len__(self) -> int:
        return len(self._producer.meta)


class LegacyHub(Hub):
    """A hub with producers of the old kind."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._producers: dict[str, tuple[Producer, asyncio.Task[None]]] = {}
        self._live: dict[str, LocalSession] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def producers(self) -> list[Producer]:
        return [producer for producer, _ in self._producers.values()]

    def add_producer(self, producer: Producer) -> None:
        client = LocalClient(self, producer.id)
        peer_id = self.join(client._hear, _grant(), peer_id=producer.id)
        client._joined = True
        from .protocol import PeerRole

        peer = self.switchboard.peers[peer_id]
        peer.roles, peer.meta = frozenset({PeerRole.PRODUCER}), _Meta(producer)
        self._producers[producer.id] = (
            producer,
            asyncio.ensure_future(self._serve(producer, client)),
        )

    async def _serve(self, producer: Producer, client: LocalClient) -> None:
        async for session in client.sessions():
            task = asyncio.create_task(self._answer(producer, session))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, producer: Producer, session: LocalSession) -> None:
        self._live[session.id] = session
        async for message in session.messages():
            match message:
                case Description("offer", sdp):
                    try:
                        answer = await producer.start_session(
                            session.id, sdp, may_control=session.may_control
                        )
                    except SignalingError as error:
                        await session.end(error.reason, str(error))
                        continue
                    await session.send(Description("answer", answer))
                case Ended():
                    self._live.pop(session.id, None)
                    await producer.end_session(session.id)

    async def end_session(self, session_id: str) -> None:
        session = self._live.get(session_id)
        if session is not None:
            await session.end(EndReason.FAILED)

    async def remove_producer(self, id: str) -> None:
        self._producers.pop(id)[1].cancel()
        self.leave(id)

    async def finish(self) -> None:
        self.close()
        await asyncio.gather(*self._tasks)
        for _, task in self._producers.values():
            task.cancel()


def _grant() -> Any:
    from .auth import Grant

    return Grant(watch=True, control=True, publish=True)


Switchboard = LegacyHub
