"""Photographs and grabbed frames, of virtual cameras that deliver raw pictures, MJPEG and H.264."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from peer import (
    Blob,
    ImageCapture,
    InvalidStateError,
    MediaDevices,
    MediaStreamTrack,
    NotSupportedError,
    UnknownError,
)
from peer.capture import shutter
from peer.devices import virtual
from peer.devices.backend import VideoMode
from peer.devices.barcode import read
from peer.devices.compressor import Compressor
from peer.devices.virtual import VirtualBackend, virtual_camera

SMALL, LARGE = VideoMode(640, 480, 30), VideoMode(1920, 1080, 15)
RAW = virtual_camera("Raw", [SMALL, LARGE])
MJPEG = virtual_camera(
    "MJPEG", [VideoMode(640, 480, 30, "mjpeg"), VideoMode(1280, 720, 30, "mjpeg")]
)
H264 = virtual_camera("H.264", [VideoMode(640, 480, 30, "h264")])


async def track_of(devices: MediaDevices, **video: Any) -> MediaStreamTrack:
    stream = await devices.getUserMedia({"video": video or True})
    [track] = stream.getTracks()
    assert isinstance(track, MediaStreamTrack)
    return track


@pytest.fixture
async def devices_with() -> AsyncIterator[Callable[[virtual.VirtualDevice], MediaDevices]]:
    """MediaDevices with one camera; ended afterwards."""
    made = []

    def make(camera: virtual.VirtualDevice) -> MediaDevices:
        made.append(MediaDevices([VirtualBackend([camera])], salt=bytes(32)))
        return made[-1]

    yield make
    for devices in made:
        devices.end()
        await devices.closed()


def opened(photo: Blob) -> Image.Image:
    """The photograph, as other software reads it."""
    assert photo.type == "image/jpeg"
    assert photo.size == len(bytes(photo)) > 1000
    image = Image.open(io.BytesIO(bytes(photo)))
    image.load()
    assert image.format == "JPEG"
    return image


@pytest.mark.spec("9.1")
async def test_what_it_can_be_made_of(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"video": True, "audio": True})
    [video], [audio] = stream.getVideoTracks(), stream.getAudioTracks()
    assert ImageCapture(video).track is video  # type: ignore[arg-type]
    with pytest.raises(NotSupportedError, match="audio"):
        ImageCapture(audio)  # type: ignore[arg-type]
    for nothing in (None, stream, "track"):
        with pytest.raises(TypeError):
            ImageCapture(nothing)  # type: ignore[arg-type]
    video.stop()
    assert ImageCapture(video).track is video  # type: ignore[arg-type]


@pytest.mark.spec("9.2")
@pytest.mark.parametrize(
    "method", ["takePhoto", "grabFrame", "getPhotoCapabilities", "getPhotoSettings"]
)
async def test_nothing_works_once_the_track_has_ended(
    media_devices: MediaDevices, method: str
) -> None:
    track = await track_of(media_devices)
    capture = ImageCapture(track)
    track.stop()
    with pytest.raises(InvalidStateError, match="has ended"):
        await getattr(capture, method)()


@pytest.mark.spec("9.2")
async def test_a_disabled_or_muted_track_has_no_frame_to_grab(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    track = await track_of(media_devices)
    track.enabled = False
    with pytest.raises(InvalidStateError, match="disabled"):
        await ImageCapture(track).grabFrame()
    track.enabled = True
    muted = asyncio.Event()
    track.onmute = lambda event: muted.set()
    backend.set_muted("Cam A", True)
    await muted.wait()
    with pytest.raises(InvalidStateError, match="muted"):
        await ImageCapture(track).grabFrame()


@pytest.mark.spec("9.4")
async def test_a_grabbed_frame_has_the_track_s_size(media_devices: MediaDevices) -> None:
    track = await track_of(media_devices, width=320, height=240)
    bitmap = await ImageCapture(track).grabFrame()
    assert (bitmap.width, bitmap.height) == (320, 240)
    pixels = bitmap.to_ndarray()
    assert (pixels.shape, pixels.dtype) == ((240, 320, 3), np.uint8)
    stamp = read(bitmap.to_frame().to_ndarray(format="gray"))
    assert stamp is not None
    png = Image.open(io.BytesIO(bitmap.to_png()))
    np.testing.assert_array_equal(np.asarray(png), pixels)
    jpeg = np.asarray(Image.open(io.BytesIO(bitmap.to_jpeg()))).astype(int)
    assert np.abs(jpeg - pixels).mean() < 3
    bitmap.close()
    bitmap.close()
    assert (bitmap.width, bitmap.height) == (0, 0)
    with pytest.raises(InvalidStateError, match="closed"):
        bitmap.to_png()


@pytest.mark.spec("9.4")
async def test_a_track_that_ends_meanwhile_is_an_unknown_error(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    track = await track_of(media_devices)
    await track.recv()
    grabbing = asyncio.create_task(_grab_until_it_fails(track))
    backend.unplug("Cam A")
    error = await grabbing
    assert isinstance(error, (UnknownError, InvalidStateError))


async def _grab_until_it_fails(track: MediaStreamTrack) -> Exception:
    while True:
        try:
            await ImageCapture(track).grabFrame()
        except (UnknownError, InvalidStateError) as error:
            return error


@pytest.mark.spec("9.3")
async def test_a_photograph_has_the_largest_size_and_viewers_keep_their_stream(
    devices_with: Any,
) -> None:
    track = await track_of(devices_with(RAW), width=320, height=240)
    other = track.clone()
    seen: list[str] = []
    for name in ("mute", "unmute", "ended"):
        track.addEventListener(name, lambda event: seen.append(event.type))
    photo = await ImageCapture(track).takePhoto()
    assert seen == ["mute", "unmute"]
    image = opened(photo)
    assert image.size == (1920, 1080)
    assert read(np.asarray(image.convert("L"))) is not None
    for one in (track, other):
        assert not one.muted
        frame: Any = await one.recv()
        assert (frame.width, frame.height) == (320, 240)
        assert one.getSettings()["width"] == 320


@pytest.mark.spec("9.3")
async def test_in_the_largest_mode_nothing_is_interrupted(devices_with: Any) -> None:
    track = await track_of(devices_with(RAW), width=1920)
    track.onmute = lambda event: pytest.fail("it need not mute")
    assert opened(await ImageCapture(track).takePhoto()).size == (1920, 1080)


@pytest.mark.spec("9.3")
@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"imageWidth": 640}, (640, 480)),
        ({"imageHeight": 500}, (640, 480)),
        ({"imageWidth": 1800, "imageHeight": 1000}, (1920, 1080)),
        ({"redEyeReduction": True, "unknown": 1, "imageWidth": None}, (1920, 1080)),
    ],
)
async def test_a_size_becomes_the_nearest(
    devices_with: Any, settings: Any, size: tuple[int, int]
) -> None:
    track = await track_of(devices_with(RAW))
    assert opened(await ImageCapture(track).takePhoto(settings)).size == size


@pytest.mark.spec("9.6")
@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"fillLightMode": "bright"}, TypeError),
        ({"imageWidth": "wide"}, TypeError),
        ({"imageWidth": float("nan")}, TypeError),
        ([], TypeError),
        ({"imageWidth": 5000}, UnknownError),
        ({"imageHeight": 0}, UnknownError),
        ({"fillLightMode": "flash"}, UnknownError),
    ],
)
async def test_what_can_not_be_photographed(
    devices_with: Any, settings: Any, error: type[Exception]
) -> None:
    track = await track_of(devices_with(RAW))
    with pytest.raises(error):
        await ImageCapture(track).takePhoto(settings)
    await track.recv()


@pytest.mark.spec("9.3")
async def test_a_camera_s_own_jpeg_is_not_compressed_again(
    devices_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []
    compress = Compressor.compress

    def spy(self: Compressor, frame: Any) -> Any:
        picture = compress(self, frame)
        made.append(picture.data)
        return picture

    monkeypatch.setattr(Compressor, "compress", spy)
    track = await track_of(devices_with(MJPEG), width=640)
    track.onmute = lambda event: pytest.fail("it need not mute")
    photo = bytes(await ImageCapture(track).takePhoto())
    assert opened(Blob(photo, "image/jpeg")).size == (640, 480)
    scan = photo[photo.index(b"\xff\xda") :]
    assert any(data.endswith(scan) for data in made)
    track.onmute = None
    assert opened(await ImageCapture(track).takePhoto({"imageWidth": 1280})).size == (1280, 720)


@pytest.mark.spec("9.3")
async def test_an_h264_camera_is_decoded_for_it(devices_with: Any) -> None:
    track = await track_of(devices_with(H264))
    image = opened(await ImageCapture(track).takePhoto())
    assert read(np.asarray(image.convert("L"))) is not None


@pytest.mark.spec("9.3", "4.17")
async def test_the_flash_is_a_lamp_that_goes_out_again(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    track = await track_of(media_devices, facingMode="environment", width=1920, height=1080)
    capture = ImageCapture(track)
    assert (await capture.getPhotoCapabilities())["fillLightMode"] == ["off", "flash"]
    dark = np.asarray(opened(await capture.takePhoto()).convert("L")).mean()
    lit = opened(await capture.takePhoto({"fillLightMode": "flash"}))
    assert np.asarray(lit.convert("L")).mean() > dark * 1.2
    assert lit.getexif().get_ifd(IFD.Exif)[Base.Flash] == 1
    assert backend.controls("Cam C")["torch"] is False


@pytest.mark.spec("9.3")
async def test_a_disabled_track_s_camera_is_opened_for_it(
    media_devices: MediaDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peer.capture.shared_device.RELEASE_DELAY", 0.0)
    track = await track_of(media_devices)
    track.enabled = False
    source = track._device._source
    assert source is not None
    await source.wait_closed()
    assert opened(await ImageCapture(track).takePhoto()).size == (1280, 720)
    track.enabled = True
    await track.recv()


@pytest.mark.spec("9.3")
async def test_a_camera_that_delivers_nothing_is_an_unknown_error(
    media_devices: MediaDevices, backend: VirtualBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutter, "PATIENCE", 0.1)
    track = await track_of(media_devices)
    backend.set_muted("Cam A", True)
    with pytest.raises(UnknownError, match="Cam A delivered no picture"):
        await ImageCapture(track).takePhoto()
    assert track.readyState == "live"


@pytest.mark.spec("9.3")
async def test_photographs_at_once_are_taken_one_after_the_other(devices_with: Any) -> None:
    track = await track_of(devices_with(RAW), width=640)
    photos = await asyncio.gather(*(ImageCapture(track).takePhoto() for _ in range(3)))
    assert {opened(photo).size for photo in photos} == {(1920, 1080)}
    await track.recv()


@pytest.mark.spec("9.3")
async def test_a_camera_unplugged_meanwhile_is_an_error_and_no_hang(
    media_devices: MediaDevices, backend: VirtualBackend
) -> None:
    track = await track_of(media_devices)
    muted = asyncio.Event()
    track.onmute = lambda event: muted.set()
    backend.set_muted("Cam A", True)  # so that it waits
    await muted.wait()
    taking = asyncio.create_task(ImageCapture(track).takePhoto({"imageWidth": 640}))
    await asyncio.sleep(0)
    backend.unplug("Cam A")
    with pytest.raises(UnknownError, match="unplugged"):
        await taking


async def test_exif_tells_when_and_how(media_devices: MediaDevices) -> None:
    track = await track_of(media_devices, facingMode="environment", width=1920, height=1080)
    settings = {
        "exposureMode": "manual", "exposureTime": 200, "iso": 200, "exposureCompensation": -0.5,
        "focusMode": "manual", "focusDistance": 2.5, "zoom": 2, "whiteBalanceMode": "continuous",
    }  # fmt: skip
    await track.applyConstraints({"advanced": [settings]})
    exif = opened(await ImageCapture(track).takePhoto()).getexif()
    assert exif[Base.Model] == "Cam C"
    assert "zoom 2" in exif[Base.ImageDescription]
    assert exif[Base.Orientation] == 1
    details = exif.get_ifd(IFD.Exif)
    assert details[Base.ExposureTime] == pytest.approx(0.02)
    assert details[Base.ISOSpeedRatings] == 200
    assert details[Base.ExposureBiasValue] == pytest.approx(-0.5)
    assert details[Base.SubjectDistance] == pytest.approx(2.5)
    assert (details[Base.ExposureMode], details[Base.WhiteBalance]) == (1, 0)
    assert (details[Base.ExifImageWidth], details[Base.ExifImageHeight]) == (1920, 1080)
    assert details[Base.Flash] == 0
    assert details[Base.DateTimeOriginal] == exif[Base.DateTime]
    assert details[Base.OffsetTimeOriginal][0] in "+-"


@pytest.mark.spec("9.5")
async def test_capabilities_and_settings(devices_with: Any) -> None:
    track = await track_of(devices_with(RAW))
    capture = ImageCapture(track)
    assert await capture.getPhotoCapabilities() == {
        "redEyeReduction": "never",
        "imageWidth": {"min": 640, "max": 1920, "step": 1},
        "imageHeight": {"min": 480, "max": 1080, "step": 1},
        "fillLightMode": ["off"],
    }
    assert await capture.getPhotoSettings() == {
        "fillLightMode": "off",
        "imageWidth": 1920,
        "imageHeight": 1080,
        "redEyeReduction": False,
    }


@pytest.mark.spec("9.7")
async def test_it_has_the_track_itself(media_devices: MediaDevices) -> None:
    track = await track_of(media_devices)
    capture = ImageCapture(track)
    clone = track.clone()
    track.stop()
    with pytest.raises(InvalidStateError):
        await capture.takePhoto()
    assert opened(await ImageCapture(clone).takePhoto()).size == (1280, 720)
