"""One MediaDevices in several event loops, one after the other, as in somebody's tests."""

import asyncio

from peer import MediaDevices
from peer.devices.virtual import VirtualBackend, virtual_camera

from .conftest import SALT


def test_it_can_be_used_in_one_loop_after_another() -> None:
    devices = MediaDevices([VirtualBackend()], salt=SALT)

    async def use() -> int:
        streams = await asyncio.gather(
            *(devices.getUserMedia({"video": {"width": width}}) for width in (640, 1280))
        )
        frames = [await stream.getTracks()[0].recv() for stream in streams]
        devices.end()
        await devices.closed()
        return frames[1].width

    assert [asyncio.run(use()) for _ in range(3)] == [1280, 1280, 1280]


def test_a_handler_may_be_set_before_there_is_a_loop() -> None:
    backend = VirtualBackend()
    devices = MediaDevices([backend], salt=SALT)
    told = asyncio.Event()
    devices.ondevicechange = lambda event: told.set()

    async def use() -> None:
        await devices.getUserMedia({"video": True})
        assert devices._watch is not None
        while not devices._watch.ready:  # noqa: ASYNC110 - the first list comes from a thread
            await asyncio.sleep(0)
        backend.plug(virtual_camera("Cam X", backend.devices["Cam A"].description.modes))
        await told.wait()
        devices.end()
        await devices.closed()

    asyncio.run(use())
