"""Blocking work that may never end, in a thread that nobody has to wait for."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_Result = TypeVar("_Result")


async def in_thread(work: Callable[[], _Result], timeout: float) -> _Result:
    """The result of blocking work.

    A daemon thread of its own, because a name server or a driver may hang for minutes, and the
    event loop's pool would be waited for at the end of the program.

    :param timeout: seconds until the work is given up; its thread is left to end by itself.
    :raises TimeoutError: it took longer. Whatever the work raises is raised here.
    """
    outcome: Future[_Result] = Future()

    def run() -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    async with asyncio.timeout(timeout):
        return await asyncio.wrap_future(outcome)
