"""What is published on computers that lack one thing or the other."""

import logging

import pytest

from peer import MediaDevices, NotFoundError
from peer.devices.virtual import VirtualBackend, standard_set
from peer.streams import Wanted, _camera_and_microphone, granted


def computer(*kinds: str) -> MediaDevices:
    """A computer that has devices of these kinds only."""
    present = [device for device in standard_set() if device.description.kind in kinds]
    return MediaDevices([VirtualBackend(present)], salt=bytes(32))


@pytest.mark.parametrize(
    ("present", "published", "said"),
    [
        (("videoinput", "audioinput"), ["audio", "video"], ""),
        (("videoinput",), ["video"], "no microphone here"),
        (("audioinput",), ["audio"], "no camera here"),
    ],
)
async def test_one_kind_may_be_missing(
    present: tuple[str, ...], published: list[str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    devices = computer(*present)
    with caplog.at_level(logging.WARNING):
        stream = await _camera_and_microphone(Wanted(), devices)
    assert stream is not None
    assert [track.kind for track in stream.getTracks()] == published
    assert said in caplog.text
    devices.end()
    await devices.closed()


async def test_without_both_there_is_nothing() -> None:
    assert await _camera_and_microphone(Wanted(), computer()) is None


async def test_what_was_asked_for_by_name_must_be_there() -> None:
    wanted = Wanted(audio=True, chosen=frozenset({"audio"}))
    with pytest.raises(NotFoundError, match="no microphone"):
        await _camera_and_microphone(wanted, computer("videoinput"))


@pytest.mark.parametrize(
    ("wanted", "states"),
    [
        (Wanted(), ("granted", "granted", "denied")),
        (Wanted(video=False), ("denied", "granted", "denied")),
        (Wanted(audio=False, screen=True), ("granted", "denied", "prompt")),
        (Wanted(video={}, audio={}, screen={}), ("granted", "granted", "prompt")),
    ],
)
def test_the_command_line_grants_what_it_names(wanted: Wanted, states: tuple[str, ...]) -> None:
    permissions = granted(wanted)
    names = ("camera", "microphone", "display-capture")
    assert tuple(permissions.state(name) for name in names) == states
