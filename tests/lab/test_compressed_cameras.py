"""Cameras that compress their pictures: the kernel's loopback camera, fed with MJPEG and H.264."""

import contextlib
import itertools
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiortc
import pytest

from peer import MediaDevices, MediaStream, MediaStreamTrack
from peer.capture.encoded_reader import EncodedReader
from peer.devices import v4l2_abi as abi
from peer.devices.backend import VideoMode
from peer.devices.barcode import read
from peer.devices.compressor import Compressor
from peer.devices.decoder import PictureDecoder
from peer.devices.test_pattern import VideoPattern
from peer.devices.v4l2 import V4L2Backend
from peer.media.video_encoders import VideoEncoder

from ..peer.published import published
from ..peer.whep_viewer import answered, offer

NODE = "/dev/video9"
LABEL = "Compressing camera"
FOURCC = {"mjpeg": "MJPG", "h264": "H264"}
VIDEO_OUTPUT = 2  # V4L2_BUF_TYPE_VIDEO_OUTPUT
WIDTH, HEIGHT, RATE = 640, 480, 30


@dataclass
class Feeder:
    """Writes what a camera of this codec would deliver, at its rate, until it is told to stop."""

    codec: str
    written: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._fd = os.open(NODE, os.O_RDWR)
        wanted = abi.v4l2_format(type=VIDEO_OUTPUT)
        pix = wanted.fmt.pix
        pix.width, pix.height, pix.sizeimage = WIDTH, HEIGHT, WIDTH * HEIGHT * 2
        pix.pixelformat, pix.field = abi.fourcc(FOURCC[self.codec]), 1
        abi.ioctl(self._fd, abi.IOC.S_FMT, wanted)
        assert pix.pixelformat == abi.fourcc(FOURCC[self.codec]), "no such format"
        self._compressor = Compressor(VideoMode(WIDTH, HEIGHT, RATE, self.codec))
        self._pattern = VideoPattern(WIDTH, HEIGHT, (128, 128))
        self._write(0)  # the loopback is no camera before
        self._thread = threading.Thread(target=self._run, name="feeder")
        self._thread.start()

    def _run(self) -> None:
        for number in itertools.count(1):
            if self._stop.wait(1 / RATE):
                return
            self._write(number)

    def _write(self, number: int) -> None:
        picture = self._compressor.compress(self._pattern.frame(number, number / RATE, RATE)).data
        os.write(self._fd, picture)
        self.written.append(picture)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._fd)


@pytest.fixture(scope="module", autouse=True)
def loopback() -> Iterator[None]:
    subprocess.run(
        ["modprobe", "v4l2loopback", "video_nr=9", f"card_label={LABEL}", "exclusive_caps=0"],
        check=True,
    )
    yield
    subprocess.run(["modprobe", "-r", "v4l2loopback"], check=False)  # busybox says 1 all the same
    assert not Path(NODE).exists()


@contextlib.contextmanager
def fed(codec: str) -> Iterator[Feeder]:
    feeder = Feeder(codec)
    try:
        yield feeder
    finally:
        feeder.close()


@contextlib.asynccontextmanager
async def captured() -> AsyncIterator[MediaStream]:
    devices = MediaDevices([V4L2Backend()], salt=bytes(32))
    await devices.getUserMedia({"video": True})  # labels are known from now on
    devices.end()
    [info] = [info for info in await devices.enumerateDevices() if info.label == LABEL]
    try:
        yield await devices.getUserMedia({"video": {"deviceId": {"exact": info.deviceId}}})
    finally:
        devices.end()
        await devices.closed()


def track_of(stream: MediaStream) -> MediaStreamTrack:
    [track] = stream.getVideoTracks()
    assert isinstance(track, MediaStreamTrack)
    return track


async def number_in(track: aiortc.MediaStreamTrack) -> int:
    while True:
        frame = await track.recv()
        if (stamp := read(frame.to_ndarray(format="gray"))) is not None:
            return stamp.frame


@pytest.mark.parametrize("codec", ["mjpeg", "h264"])
async def test_pictures_are_decoded_for_who_reads_frames(codec: str) -> None:
    with fed(codec):
        async with captured() as stream:
            track = track_of(stream)
            assert (track.getSettings()["width"], track.getSettings()["height"]) == (WIDTH, HEIGHT)
            first = await number_in(track)
            assert await number_in(track) > first


async def test_what_the_camera_compressed_is_what_the_viewer_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("the picture was decoded or encoded")

    monkeypatch.setattr(PictureDecoder, "decode", refuse)
    monkeypatch.setattr(VideoEncoder, "encode", refuse)
    with fed("h264") as feeder:
        async with captured() as stream, published(stream) as publisher:
            connection, sdp = await offer(("video",))
            async with answered(connection, await publisher.start_session("one", sdp)) as tracks:
                first = await number_in(tracks["video"])
                assert await number_in(tracks["video"]) > first
                packet = await EncodedReader(track_of(stream)).read()
                assert packet is not None
                assert packet.is_keyframe
                assert bytes(packet) in feeder.written
