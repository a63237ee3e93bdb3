"""Blocking work that may never end."""

import asyncio
import socket
import threading

import pytest

from peer.diagnosis.addresses import Unresolved, resolve
from peer.diagnosis.threads import in_thread


async def test_the_result_comes_back() -> None:
    main = threading.get_ident()
    assert await in_thread(threading.get_ident, 20) != main


async def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0, 20)


async def test_work_that_hangs_is_given_up() -> None:
    released = threading.Event()
    ended = threading.Event()

    def work() -> None:
        released.wait()
        ended.set()

    with pytest.raises(TimeoutError):
        await in_thread(work, 0.05)
    released.set()
    assert await asyncio.to_thread(ended.wait, 20), "its thread goes on, and ends by itself"


async def test_a_host_has_addresses() -> None:
    assert await resolve("127.0.0.1", 80, socket.SOCK_STREAM) == [("127.0.0.1", 80)]
    with pytest.raises(Unresolved, match=r"nowhere\.invalid"):
        await resolve("nowhere.invalid", 80, socket.SOCK_STREAM)
    with pytest.raises(Unresolved, match="it is no host name"):
        await resolve("a" * 70 + ".example", 80, socket.SOCK_STREAM)
