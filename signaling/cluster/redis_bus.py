"""One node's place on Redis pub/sub: what is published for it, and what it publishes, in order."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 2.0
"""Seconds for Redis to be reached, and for it to answer a command: it stands nearby."""

RETRY = 0.25
"""Seconds from a lost connection to the next attempt: a restart of Redis takes about so long, and
one connection a node is no load."""

OUTBOX = 10_000
"""Messages that wait for Redis: what a thousand sessions say at their start. What comes when it is
full is not delivered, and its sender is told."""


class BusError(Exception):
    """Redis can't be used; the message is one line for a person."""


@dataclass(frozen=True)
class BusUser:
    """What the user of a bus wants to know; nothing here may block, or raise."""

    received: Callable[[str], None]
    """Somebody published for this node, or for all."""
    undelivered: Callable[[str], None]
    """Nobody was there to receive it, or it was lost on the way; for one node's channel only.
    It is not called by `publish()` itself, but later."""
    connected: Callable[[], None]
    """From now on nothing is missed."""
    disconnected: Callable[[], None]
    """From now on everything is."""


class RedisBus:
    """A channel for this node and one for all, which everybody hears, the publisher too.

    It connects again by itself. What was published meanwhile by others is missed.

    :param url: `redis://`, `rediss://` or `unix://`, as redis-py takes it.
    :param prefix: of the channels, without spaces; clusters that share a Redis have different ones.
    :param silence: seconds after which a connection that brings nothing counts as lost; the node
        must publish for all more often, which comes back to itself.
    :raises BusError: the URL is none.
    """

    def __init__(self, url: str, node: str, user: BusUser, *, prefix: str, silence: float) -> None:
        self.connected = False
        self._node, self._user, self._prefix, self._silence = node, user, prefix, silence
        self._outbox: asyncio.Queue[tuple[str | None, str]] = asyncio.Queue(OUTBOX)
        self._task: asyncio.Task[None] | None = None
        try:
            self._redis = Redis.from_url(
                url,
                client_name=f"{prefix}:{node}",
                decode_responses=True,
                socket_connect_timeout=CONNECT_TIMEOUT,
                # With a time-out redis-py sends within asyncio.wait_for(), which before Python 3.12
                # can swallow a cancellation. Silence tells of a Redis that hangs.
                socket_timeout=None,
                # What is tried again by the library could be published twice.
                retry=Retry(NoBackoff(), 0),
            )
        except (ValueError, TypeError) as error:
            raise BusError(f"{url!r} is no address of a Redis: {error}") from error

    async def start(self) -> None:
        """Connect.

        :raises BusError: Redis can't be reached, or refuses.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._redis.ping()
        except (RedisError, OSError) as error:
            await self._redis.aclose()
            raise BusError(f"Redis can't be used: {str(error) or 'it does not answer'}") from error
        self._task = asyncio.create_task(self._stay_connected(), name=f"Redis bus of {self._node}")
        self._task.add_done_callback(_tell_of_failure)

    def publish(self, text: str, node: str | None = None) -> None:
        """Say something to one node, or to all."""
        try:
            self._outbox.put_nowait((node, text))
        except asyncio.QueueFull:
            self._lost(node, text)

    async def close(self) -> None:
        """Publish what waits, if Redis is there, and disconnect."""
        if self._task is not None:
            if self.connected:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CONNECT_TIMEOUT):
                        await self._outbox.join()
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait({task})
            await self._redis.aclose()
            if not task.cancelled():
                task.result()

    async def _stay_connected(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as subscription, asyncio.TaskGroup() as tasks:
                    await self._subscribe(subscription)
                    self.connected = True
                    self._user.connected()
                    tasks.create_task(self._publish())
                    tasks.create_task(self._receive(subscription))
            except* (RedisError, OSError) as errors:
                if self.connected:
                    logger.warning("the connection to Redis is lost: %s", errors.exceptions[0])
                    self._user.disconnected()
            finally:
                self.connected = False
            await asyncio.sleep(RETRY)

    async def _subscribe(self, subscription: PubSub) -> None:
        channels = self._channel(None), self._channel(self._node)
        await subscription.subscribe(*channels)
        for _ in channels:
            # Until it is confirmed, the answer to what is published next could be missed.
            await self._next(subscription, "subscribe")

    async def _receive(self, subscription: PubSub) -> None:
        while True:
            self._user.received(await self._next(subscription, "message"))

    async def _next(self, subscription: PubSub, type: str) -> str:
        """:raises TimeoutError: nothing comes."""
        while (message := await subscription.get_message(timeout=self._silence)) is not None:
            if message["type"] == type:
                return str(message["data"])
        raise TimeoutError(f"nothing came for {self._silence:g} s")

    async def _publish(self) -> None:
        while True:
            node, text = await self._outbox.get()
            receivers = 0
            try:
                receivers = await self._redis.publish(self._channel(node), text)
            finally:
                self._outbox.task_done()
                if receivers == 0:
                    self._lost(node, text)

    def _lost(self, node: str | None, text: str) -> None:
        if node is not None:
            asyncio.get_running_loop().call_soon(self._user.undelivered, text)

    def _channel(self, node: str | None) -> str:
        return f"{self._prefix}:all" if node is None else f"{self._prefix}:node:{node}"


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    """A defect ends the task, and `close()` raises it, which may be days later."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the Redis bus has failed", exc_info=error)
