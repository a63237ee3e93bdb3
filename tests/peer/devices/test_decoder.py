"""Compressed pictures: decoded for who wants frames, from any picture on."""

import numpy as np
import pytest

from peer.devices import decoder as decoder_module
from peer.devices.backend import EncodedPicture, VideoMode
from peer.devices.barcode import read
from peer.devices.compressor import Compressor
from peer.devices.decoder import PictureDecoder
from peer.devices.test_pattern import VideoPattern

MODE = VideoMode(320, 240, 30.0, "h264")


def pictures(
    count: int, codec: str = "h264", keyframes: tuple[int, ...] = ()
) -> list[EncodedPicture]:
    """Pictures whose barcodes number them; the first, and those named, are key frames."""
    compressor = Compressor(VideoMode(320, 240, 30.0, codec))
    pattern = VideoPattern(320, 240, (128, 128))
    made = []
    for number in range(count):
        if number in keyframes:
            compressor.request_keyframe()
        made.append(compressor.compress(pattern.frame(number, number / 30, 30)))
    return made


def number_in(frame: object) -> int:
    assert frame is not None
    stamp = read(frame.to_ndarray(format="gray"))  # type: ignore[attr-defined]
    assert stamp is not None
    return stamp.frame


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_each_picture_comes_at_once(codec: str) -> None:
    decoder = PictureDecoder()
    for number, picture in enumerate(pictures(5, codec)):
        frame = decoder.decode(picture)
        assert number_in(frame) == number
        assert frame is not None
        assert frame.pict_type == 0, "an encoder chooses its own key frames"


@pytest.mark.parametrize("codec", ["h264", "mjpeg"])
def test_decoding_may_begin_with_any_picture(codec: str) -> None:
    decoder = PictureDecoder()
    made = pictures(12, codec)
    for picture in made[:7]:
        decoder.skip(picture)
    assert number_in(decoder.decode(made[7])) == 7
    for picture in made[8:11]:
        decoder.skip(picture)
    assert number_in(decoder.decode(made[11])) == 11


def test_the_same_picture_comes_out_as_when_all_are_decoded() -> None:
    made = pictures(10)
    whole, late = PictureDecoder(), PictureDecoder()
    for picture in made[:-1]:
        whole.decode(picture)
        late.skip(picture)
    expected, frame = whole.decode(made[-1]), late.decode(made[-1])
    assert expected is not None
    assert frame is not None
    np.testing.assert_array_equal(frame.to_ndarray(), expected.to_ndarray())


def test_without_a_key_frame_there_is_nothing() -> None:
    decoder = PictureDecoder()
    made = pictures(8, keyframes=(5,))
    assert [picture.keyframe for picture in made] == [n in (0, 5) for n in range(8)]
    shown = [decoder.decode(picture) for picture in made[1:]]
    assert [frame is not None for frame in shown] == [n >= 5 for n in range(1, 8)]


def test_after_a_restart_it_waits_for_a_key_frame() -> None:
    decoder = PictureDecoder()
    made = pictures(6, keyframes=(4,))
    decoder.decode(made[0])
    decoder.restart()
    assert decoder.decode(made[3]) is None
    assert number_in(decoder.decode(made[4])) == 4


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pictures(6, keyframes=(4,))
    monkeypatch.setattr(decoder_module, "MAX_SKIPPED", len(made[0].data) + len(made[1].data))
    decoder = PictureDecoder()
    for picture in made[:3]:
        decoder.skip(picture)
    assert decoder.decode(made[3]) is None, "too much was skipped"
    assert number_in(decoder.decode(made[4])) == 4


def test_a_damaged_picture_is_none() -> None:
    decoder = PictureDecoder()
    assert decoder.decode(EncodedPicture("mjpeg", b"no picture", True)) is None
    assert number_in(decoder.decode(pictures(1, "mjpeg")[0])) == 0
