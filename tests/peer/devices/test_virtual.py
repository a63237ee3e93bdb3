"""The virtual devices: the barcode survives, picture and sound share their clock."""

import numpy as np
import pytest
from av import AudioFrame, CodecContext, VideoFrame

from peer.devices import barcode
from peer.devices.backend import AudioMode, VideoMode
from peer.devices.test_pattern import AudioPattern, VideoPattern
from peer.devices.virtual import (
    VirtualBackend,
    standard_set,
    virtual_camera,
    virtual_microphone,
)
from peer.testing.backend_contract import check_backend


def luma(frame: VideoFrame) -> np.ndarray:
    return frame.to_ndarray()[: frame.height, : frame.width]


def test_every_virtual_device_keeps_the_contract() -> None:
    check_backend(VirtualBackend())


def test_the_standard_set() -> None:
    by_label = {device.description.label: device.description for device in standard_set()}
    assert set(by_label) == {"Mic A", "Mic B", "Cam A", "Cam C", "Virtual screen"}
    assert by_label["Mic A"].group == by_label["Cam A"].group == "a"
    assert VideoMode(1920, 1080, 15) in by_label["Cam C"].modes
    assert VideoMode(1920, 1080, 15) not in by_label["Cam A"].modes
    facing = [by_label[label].facing_mode for label in ("Cam A", "Cam C")]
    assert facing == ["user", "environment"]


@pytest.mark.parametrize("stamp", [barcode.Stamp(0, 0.0), barcode.Stamp(2**24 - 1, 12345.678)])
@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1280, 720), (97, 10)])
def test_the_barcode_says_what_was_drawn(stamp: barcode.Stamp, size: tuple[int, int]) -> None:
    picture = np.full(size[::-1], 128, np.uint8)
    barcode.draw(picture, stamp)
    assert barcode.read(picture) == stamp


def test_what_is_no_barcode_is_none() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (480, 640), np.uint8)
    assert barcode.read(noise) is None
    assert barcode.read(np.zeros((480, 640), np.uint8)) is None
    assert barcode.read(np.zeros((2, 2), np.uint8)) is None
    damaged = np.zeros((480, 640), np.uint8)
    barcode.draw(damaged, barcode.Stamp(7, 1.0))
    damaged[:32, 100:140] = 255
    assert barcode.read(damaged) is None
    with pytest.raises(ValueError, match="at least 80x1"):
        barcode.draw(np.zeros((20, 20), np.uint8), barcode.Stamp(0, 0))


@pytest.mark.parametrize(("codec", "bit_rate"), [("libvpx", 400_000), ("libx264", 400_000)])
def test_the_barcode_survives_a_codec_and_scaling(codec: str, bit_rate: int) -> None:
    encoder = CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = 640, 480, "yuv420p"
    encoder.bit_rate, encoder.framerate = bit_rate, 30
    decoder = CodecContext.create({"libvpx": "vp8", "libx264": "h264"}[codec], "r")
    pattern = VideoPattern(640, 480, (150, 110))
    seen = []
    for number in range(20):
        frame = pattern.frame(number, 1000 + number / 30, 30)
        frame.pts = number
        for packet in encoder.encode(frame):
            seen += decoder.decode(packet)
    for packet in encoder.encode(None):
        seen += decoder.decode(packet)
    seen += decoder.decode(None)
    for size in ((640, 480), (320, 240)):
        stamps = [barcode.read(luma(f.reformat(*size, format="yuv420p"))) for f in seen]
        assert [stamp.frame for stamp in stamps if stamp] == list(range(20))


def test_every_picture_differs_and_cameras_do_too() -> None:
    one, other = VideoPattern(320, 240, (150, 110)), VideoPattern(320, 240, (105, 115))
    first, second = (luma(one.frame(n, 1000 + n / 30, 30)) for n in (0, 5))
    assert (first[100:] != second[100:]).any(), "below the barcode, too"
    assert (one.frame(0, 1, 30).to_ndarray() != other.frame(0, 1, 30).to_ndarray()).any()


def test_picture_and_sound_carry_the_mark_at_the_same_time() -> None:
    video, audio = VideoPattern(320, 240, (128, 128)), AudioPattern(48000, 1, 440)
    marked, plain = (luma(video.frame(0, at, 30)) for at in (7.05, 7.5))
    assert (marked[160:200, 240:280] == 250).all()
    assert not (plain[160:200, 240:280] == 250).all()

    def loudest(frame: AudioFrame) -> float:
        spectrum = np.abs(np.fft.rfft(frame.to_ndarray()[0].astype(float)))
        return float(np.fft.rfftfreq(frame.samples, 1 / 48000)[spectrum.argmax()])

    assert loudest(audio.frame(7 * 48000, 4800)) == 1760
    assert loudest(audio.frame(7 * 48000 + 24000, 4800)) == 440


def test_sound_is_continuous_from_read_to_read() -> None:
    pattern = AudioPattern(16000, 2, 440)
    whole = pattern.frame(0, 640).to_ndarray()
    parts = np.concatenate([pattern.frame(n, 320).to_ndarray() for n in (0, 320)], axis=1)
    assert (whole == parts).all()


def test_devices_of_ones_own() -> None:
    backend = VirtualBackend(
        [
            virtual_camera("Tiny", [VideoMode(80, 60, 10)], facing_mode="left"),
            virtual_microphone("Old", [AudioMode(8000, 1)]),
        ]
    )
    check_backend(backend)
    with pytest.raises(ValueError, match="no virtual device 'Cam A', only"):
        backend.unplug("Cam A")
