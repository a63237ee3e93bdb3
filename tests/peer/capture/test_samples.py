import asyncio

from peer.capture.samples import Samples


async def test_a_slow_reader_finds_the_newest_items_only() -> None:
    samples: Samples[str] = Samples(asyncio.get_running_loop(), 2)
    for item in "abcd":
        samples.put(item)
    assert samples.newer(0) == (3, "c")
    assert samples.newer(3) == (4, "d")
    assert samples.newer(4) is None


async def test_every_reader_is_woken_by_an_item_from_another_thread() -> None:
    samples: Samples[str] = Samples(asyncio.get_running_loop(), 1)
    readers = [asyncio.create_task(samples.changed(0)) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.to_thread(samples.put, "a")
    await asyncio.gather(*readers)
    assert samples.newer(0) == (1, "a")


async def test_a_reader_who_is_behind_does_not_wait() -> None:
    samples: Samples[str] = Samples(asyncio.get_running_loop(), 1)
    samples.put("a")
    await samples.changed(0)


async def test_wake_lets_a_reader_look_again_without_an_item() -> None:
    samples: Samples[str] = Samples(asyncio.get_running_loop(), 1)
    reader = asyncio.create_task(samples.woken())
    await asyncio.sleep(0)
    samples.wake()
    await reader
    assert samples.newer(0) is None


async def test_a_cancelled_reader_is_forgotten() -> None:
    samples: Samples[str] = Samples(asyncio.get_running_loop(), 1)
    reader = asyncio.create_task(samples.changed(0))
    await asyncio.sleep(0)
    reader.cancel()
    samples.put("a")
    await asyncio.gather(reader, return_exceptions=True)
    await samples.changed(0)
    assert reader.cancelled()


def test_a_closed_loop_is_told_apart() -> None:
    loop = asyncio.new_event_loop()
    samples: Samples[str] = Samples(loop, 1)
    loop.close()
    assert samples.call_in_loop(lambda: None) is False
