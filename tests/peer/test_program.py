"""What is published on computers that lack one thing or the other."""

import logging

import pytest

from peer import MediaDevices, NotFoundError
from peer.devices.virtual import VirtualBackend, standard_set
from peer.program import Publication, _camera_and_microphone, granted


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
        stream = await _camera_and_microphone(Publication(), devices)
    assert stream is not None
    assert [track.kind for track in stream.getTracks()] == published
    assert said in caplog.text
    devices.end()
    await devices.closed()


async def test_without_both_there_is_nothing() -> None:
    assert await _camera_and_microphone(Publication(), computer()) is None


async def test_what_was_asked_for_by_name_must_be_there() -> None:
    publication = Publication(audio=True, chosen=frozenset({"audio"}))
    with pytest.raises(NotFoundError, match="no microphone"):
        await _camera_and_microphone(publication, computer("videoinput"))


@pytest.mark.parametrize(
    ("publication", "states"),
    [
        (Publication(), ("granted", "granted", "denied")),
        (Publication(video=False), ("denied", "granted", "denied")),
        (Publication(audio=False, screen=True), ("granted", "denied", "prompt")),
        (Publication(video={}, audio={}, screen={}), ("granted", "granted", "prompt")),
    ],
)
def test_the_command_line_grants_what_it_names(
    publication: Publication, states: tuple[str, ...]
) -> None:
    permissions = granted(publication)
    names = ("camera", "microphone", "display-capture")
    assert tuple(permissions.state(name) for name in names) == states
