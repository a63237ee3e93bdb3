import asyncio

import pytest

from peer import MediaDevices, NotAllowedError, Permissions
from peer.devices.virtual import VirtualBackend

from .conftest import SALT


@pytest.mark.spec("0.4")
async def test_the_defaults() -> None:
    permissions = Permissions()
    assert (await permissions.query({"name": "camera"})).state == "granted"
    assert (await permissions.query({"name": "display-capture"})).state == "prompt"


@pytest.mark.parametrize("descriptor", [{}, {"name": "sofa"}, {"name": None}])
async def test_an_unknown_name_is_a_type_error(descriptor: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="there is no permission"):
        await Permissions().query(descriptor)


@pytest.mark.spec("0.4")
def test_states_that_do_not_exist_are_type_errors() -> None:
    with pytest.raises(TypeError, match="granted, prompt or denied"):
        Permissions({"camera": "maybe"})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="every capture is asked for"):
        Permissions({"display-capture": "granted"})


async def test_a_status_is_live_and_tells_of_changes() -> None:
    permissions, seen = Permissions(), []
    status = await permissions.query({"name": "camera"})
    status.onchange = lambda event: seen.append(event.target.state)
    permissions.set_state("camera", "denied")
    permissions.set_state("camera", "denied")
    assert seen == ["denied"]


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.spec("6.7", "6.6")
async def test_one_prompt_for_all_kinds_after_all_are_selected(answer: bool) -> None:
    asked: list[frozenset[str]] = []

    async def prompt(names: frozenset[str]) -> bool:
        asked.append(names)
        return answer

    permissions = Permissions({"camera": "prompt", "microphone": "prompt"}, handler=prompt)
    devices = MediaDevices([VirtualBackend()], permissions=permissions, salt=SALT)
    if answer:
        assert (await devices.getUserMedia({"audio": True, "video": True})).active
    else:
        with pytest.raises(NotAllowedError, match="microphone and camera"):
            await devices.getUserMedia({"audio": True, "video": True})
    assert asked == [frozenset({"camera", "microphone"})]
    devices.end()
    await devices.closed()


@pytest.mark.spec("6.7")
async def test_without_an_answer_the_call_stays_pending_and_can_be_cancelled() -> None:
    permissions = Permissions({"camera": "prompt"})
    devices = MediaDevices([VirtualBackend()], permissions=permissions, salt=SALT)
    pending = asyncio.create_task(devices.getUserMedia({"video": True}))
    answered = asyncio.create_task(devices.getUserMedia({"video": True}))
    # The device list comes from a thread, and nothing tells when the question is put.
    while not permissions._undecided:  # noqa: ASYNC110
        await asyncio.sleep(0)
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    permissions.set_state("camera", "granted")
    assert (await answered).active
    devices.end()
    await devices.closed()
