"""Which backend plays which address."""

import os
import socket
from pathlib import Path

import pytest

from peer.devices.media_file import MediaFile
from peer.devices.media_source import media_source
from peer.devices.network_stream import NetworkStream


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("clip.mp4", "clip.mp4"),
        ("/media/clip.mp4", "/media/clip.mp4"),
        ("file:///media/my%20clip.mp4", "/media/my clip.mp4"),
        ("FILE:///media/clip.mp4", "/media/clip.mp4"),
    ],
)
def test_files(address: str, path: str) -> None:
    source = media_source(address)
    assert isinstance(source, MediaFile)
    [device] = source.list_devices()
    assert device.location == os.path.realpath(path)
    assert device.unusable, "it isn't there"


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:1/a", "http://h/a"])
def test_streams(address: str) -> None:
    assert isinstance(media_source(address), NetworkStream)


@pytest.mark.parametrize("scheme", ["RTSP", "Http"])
def test_a_scheme_may_be_in_upper_case(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    [device] = media_source(f"{scheme}://127.0.0.1:{nobody}/a").list_devices()
    assert "nothing listens there" in device.unusable, "FFmpeg knew the protocol, and tried"


def test_a_file_may_loop(tmp_path: Path) -> None:
    assert isinstance(media_source(str(tmp_path / "clip.mp4"), loop=True), MediaFile)


def test_others_are_named() -> None:
    with pytest.raises(ValueError, match="gopher://host/a can't be played: it must be a path, or "):
        media_source("gopher://host/a")
