"""The bus on a real Redis: who hears what, in which order, and what an outage costs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from signaling.cluster import redis_bus
from signaling.cluster.redis_bus import BusError, BusUser, RedisBus

from .redis_server import RedisServer

SILENCE = 30.0
"""Seconds: nothing here waits for it, unless it says so."""


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path)
    await server.start()
    yield server
    await server.stop()


class Ear:
    """What one node heard."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.undelivered: asyncio.Queue[str] = asyncio.Queue()
        self.connections: asyncio.Queue[None] = asyncio.Queue()
        self.disconnections: asyncio.Queue[None] = asyncio.Queue()

    def user(self) -> BusUser:
        return BusUser(
            self.heard.put_nowait,
            self.undelivered.put_nowait,
            lambda: self.connections.put_nowait(None),
            lambda: self.disconnections.put_nowait(None),
        )


@asynccontextmanager
async def on_the_bus(
    url: str, node: str, *, prefix: str = "test", silence: float = SILENCE
) -> AsyncIterator[tuple[RedisBus, Ear]]:
    ear = Ear()
    bus = RedisBus(url, node, ear.user(), prefix=prefix, silence=silence)
    await bus.start()
    try:
        await ear.connections.get()
        yield bus, ear
    finally:
        await bus.close()


async def test_each_hears_what_is_for_it_and_for_all_in_order(redis: RedisServer) -> None:
    async with (
        on_the_bus(redis.url, "a") as (a, in_a),
        on_the_bus(redis.url, "b") as (_, in_b),
        on_the_bus(redis.url, "a", prefix="another-cluster") as (_, elsewhere),
    ):
        for number in range(200):
            a.publish(str(number), "b" if number % 3 else None)
        assert [await in_b.heard.get() for _ in range(200)] == [str(n) for n in range(200)]
        assert [await in_a.heard.get() for _ in range(67)] == [str(n) for n in range(0, 200, 3)]
        assert in_a.undelivered.empty()
    assert elsewhere.heard.empty()
    assert in_a.heard.empty()


async def test_what_nobody_hears_is_told(redis: RedisServer) -> None:
    async with on_the_bus(redis.url, "a") as (a, in_a):
        a.publish("to nobody", "b")
        assert await in_a.undelivered.get() == "to nobody"


async def test_what_waits_is_said_before_it_leaves(redis: RedisServer) -> None:
    async with on_the_bus(redis.url, "b") as (_, in_b):
        async with on_the_bus(redis.url, "a") as (a, _):
            for number in range(100):
                a.publish(str(number), "b")
        assert [in_b.heard.get_nowait() for _ in range(100)] == [str(n) for n in range(100)]


async def test_it_outlives_a_restart_of_redis(redis: RedisServer) -> None:
    async with on_the_bus(redis.url, "a") as (a, in_a):
        await redis.stop()
        await in_a.disconnections.get()
        a.publish("meanwhile")
        await redis.start()
        await in_a.connections.get()
        assert a.connected
        assert await in_a.heard.get() == "meanwhile"


async def test_silence_is_a_lost_connection(redis: RedisServer) -> None:
    async with on_the_bus(redis.url, "a", silence=0.3) as (_, in_a):
        await in_a.connections.get()


async def test_an_outbox_has_an_end(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_bus, "OUTBOX", 3)
    async with on_the_bus(redis.url, "a") as (a, in_a):
        await redis.stop()
        await in_a.disconnections.get()
        for number in range(4):
            a.publish(str(number), "b")
        assert await in_a.undelivered.get() == "3"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("host:6379", "is no address of a Redis"),
        ("redis://127.0.0.1:99999", "is no address of a Redis|can't be used"),
        ("unix:///nowhere/redis.sock", "Redis can't be used"),
    ],
)
async def test_a_redis_that_is_not_there_is_told(url: str, said: str) -> None:
    with pytest.raises(BusError, match=said):
        await RedisBus(url, "a", Ear().user(), prefix="test", silence=SILENCE).start()
