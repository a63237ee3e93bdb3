"""Encoders: sizes, rates, key frames, and what happens when one in hardware is not there."""

import threading

import av
import pytest
from av import CodecContext, Packet, VideoFrame

from peer.devices.test_pattern import VideoPattern
from peer.media import video_encoders
from peer.media.encoder_catalogue import (
    CODECS,
    HARDWARE,
    Implementation,
    implementations,
    suitable_bitrate,
    suitable_threads,
)
from peer.media.encoder_settings import settings
from peer.media.video_encoders import VideoEncoder

from .moving_pictures import RATE, number_in, picture, pictures


@pytest.mark.parametrize("codec", CODECS)
def test_key_frames_are_made_when_asked_for_and_else_not(codec: str) -> None:
    encoder = VideoEncoder(codec)
    found = [encoder.encode(f, t, RATE, keyframe=t == 15000) for f, t in pictures(20)]
    assert [n for n, one in enumerate(found) if one and one.keyframe] == [0, 5]


@pytest.mark.parametrize("codec", CODECS)
def test_what_a_decoder_left_in_a_frame_makes_no_key_frame(codec: str) -> None:
    encoder = VideoEncoder(codec)
    keyframes = 0
    for frame, timestamp in pictures(5):
        frame.pict_type = 1
        encoded = encoder.encode(frame, timestamp, RATE, keyframe=False)
        keyframes += encoded is not None and encoded.keyframe
        assert frame.pict_type == 1, "the frame is others' too"
    assert keyframes == 1


def test_one_frame_can_be_encoded_by_several_at_a_time() -> None:
    """An encoder's wishes are set in the frame, which all of them are given."""
    frames = list(pictures(30))
    made: dict[int, list[bool]] = {}

    def work(every: int) -> None:
        encoder = VideoEncoder("vp8")
        made[every] = []
        for number, (frame, timestamp) in enumerate(frames):
            encoded = encoder.encode(frame, timestamp, RATE, keyframe=number % every == 0)
            made[every].append(encoded is not None and encoded.keyframe)

    threads = [threading.Thread(target=work, args=(every,)) for every in (2, 3, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for every, keyframes in made.items():
        assert keyframes == [number % every == 0 for number in range(30)]


def test_another_size_is_a_new_beginning() -> None:
    encoder = VideoEncoder("h264")
    assert encoder.encode(picture(0), 0, RATE, keyframe=False)
    encoded = encoder.encode(picture(1, 480, 360), 3000, RATE, keyframe=False)
    assert encoded is not None
    assert (encoded.keyframe, encoded.width, encoded.height) == (True, 480, 360)


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_are_scaled_down_to_even_sizes(codec: str) -> None:
    encoder = VideoEncoder(codec, scale_down_by=3)
    decoder = CodecContext.create({"av1": "libdav1d"}.get(codec, codec), "r")
    found = []
    for frame, timestamp in pictures(5, 656, 496):
        encoded = encoder.encode(frame, timestamp, RATE, keyframe=False)
        assert encoded is not None
        assert (encoded.width, encoded.height) == (218, 164)
        found += decoder.decode(Packet(encoded.data))
    assert [number_in(one) for one in found if isinstance(one, VideoFrame)][:2] == [0, 1]


@pytest.mark.parametrize(("width", "height"), [(640, 480), (320, 180)])
@pytest.mark.parametrize("codec", CODECS)
def test_nothing_is_left_of_the_picture_before(codec: str, width: int, height: int) -> None:
    pattern = VideoPattern(width, height, (90, 160))
    encoder = VideoEncoder(codec)
    decoder = CodecContext.create({"av1": "libdav1d"}.get(codec, codec), "r")
    found: list[int | None] = []
    for number in range(60):
        frame = pattern.frame(number, 1000 + number / RATE, RATE)
        encoded = encoder.encode(frame, number * 3000, RATE, keyframe=False)
        data = [encoded.data] if encoded is not None else []
        for one in (*data, None) if number == 59 else data:
            packet = Packet(one) if one is not None else None
            found += [number_in(decoded) for decoded in decoder.decode(packet)]
    assert found == list(range(60))


def test_time_that_stands_still_or_goes_back_is_put_right() -> None:
    encoder = VideoEncoder("vp8")
    for timestamp in (3000, 3000, 0, 6000):
        assert encoder.encode(picture(0), timestamp, RATE, keyframe=False)


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264"])
def test_gaps_make_no_more_of_it(codec: str) -> None:
    """libvpx makes up to three times as much of pictures of which each fifth is missing."""
    encoder, octets = VideoEncoder(codec, bitrate=300_000), []
    for number, (frame, timestamp) in enumerate(pictures(150)):
        if number % 5:
            encoded = encoder.encode(frame, timestamp, RATE, keyframe=False)
            octets.append(len(encoded.data) if encoded else 0)
    assert sum(octets[24:]) * 8 / 4 < 1.15 * 300_000


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("rate", "bitrate"), [(60, 600_000), (30, 600_000), (12, 200_000)])
def test_bits_a_second_are_right_whatever_rate_was_said(
    codec: str, rate: int, bitrate: int
) -> None:
    """Of a track that doesn't say how many pictures it has, 30 are expected."""
    encoder, octets = VideoEncoder(codec, bitrate=bitrate), []
    for number in range(10 * rate):
        timestamp = round(number * 90000 / rate)
        encoded = encoder.encode(picture(number), timestamp, 30, keyframe=False)
        octets.append(len(encoded.data) if encoded else 0)
    assert sum(octets[-4 * rate :]) * 8 / 4 == pytest.approx(bitrate, rel=0.15)
    assert encoder.bitrate == bitrate


def test_another_rate_has_the_bitrate_that_suits_it_and_costs_one_key_frame() -> None:
    encoder, keyframes, bitrates, timestamp = VideoEncoder("vp8"), [], [], 0
    for number in range(400):
        timestamp += 90000 // 60 if number >= 100 else 90000 // 20
        encoded = encoder.encode(picture(number), timestamp, 20, keyframe=False)
        assert encoded is not None
        keyframes += [number] if encoded.keyframe else []
        bitrates.append(encoder.nominal_bitrate)
    assert len(keyframes) == 2
    assert 100 < keyframes[1] <= 120
    assert set(bitrates[: keyframes[1]]) == {suitable_bitrate("vp8", 320, 240, 20)}
    assert bitrates[-1] > 1.5 * bitrates[0]


def test_pauses_and_unrest_are_no_other_rate() -> None:
    encoder, keyframes, timestamp = VideoEncoder("h264"), 0, 0
    for number in range(300):
        # As late as a busy computer has it, one in nine missing, and black once a second.
        timestamp += (2000, 4000)[number % 2] + (3000 if number % 9 == 0 else 0)
        timestamp += 90000 if 100 <= number < 130 else 0
        encoded = encoder.encode(picture(number), timestamp, 30, keyframe=False)
        assert encoded is not None
        keyframes += encoded.keyframe
    assert keyframes == 1


def test_pictures_that_come_more_slowly_are_as_good() -> None:
    sizes = []
    for rate in (30, 15):
        encoder = VideoEncoder("h264")
        found = [
            encoder.encode(frame, timestamp * 30 // rate, 30, keyframe=False)
            for frame, timestamp in pictures(30)
        ]
        sizes.append([len(one.data) for one in found if one])
    assert sum(sizes[0][5:]) == pytest.approx(sum(sizes[1][5:]), rel=0.3)


def test_bitrates_grow_with_pictures_and_rate() -> None:
    assert suitable_bitrate("vp8", 1280, 720, 30) == 2_000_000
    sizes = [(160, 120), (320, 240), (640, 480), (1280, 720), (1920, 1080), (3840, 2160)]
    rates = [suitable_bitrate("h264", *size, 30) for size in sizes]
    assert rates == sorted(rates)
    assert suitable_bitrate("h264", 1280, 720, 15) < suitable_bitrate("h264", 1280, 720, 60)
    assert suitable_bitrate("av1", 1280, 720, 30) < suitable_bitrate("vp9", 1280, 720, 30)


def test_threads_where_one_cannot_keep_up() -> None:
    assert suitable_threads(1280, 720, 8) == 1
    assert suitable_threads(1920, 1080, 8) == 2
    assert suitable_threads(3840, 2160, 16) == 4
    assert suitable_threads(3840, 2160, 2) == 1, "the others have work to do as well"


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264"])
def test_screens_are_encoded_as_such(codec: str) -> None:
    encoder = VideoEncoder(codec)
    assert encoder.encode(picture(0), 0, RATE, keyframe=False, is_screen=True)
    changed = encoder.encode(picture(1), 3000, RATE, keyframe=False, is_screen=False)
    assert changed is not None
    assert changed.keyframe


def test_hardware_is_tried_when_asked_for_and_in_that_order() -> None:
    names = [one.name for one in implementations("h264", ("h264_qsv", "unknown", "h264_nvenc"))]
    assert names == ["h264_qsv", "h264_nvenc", "libx264"]
    assert [one.name for one in implementations("vp8", ("h264_qsv",))] == ["libvpx"]


@pytest.mark.parametrize("name", HARDWARE)
def test_options_of_encoders_in_hardware_are_known_to_ffmpeg(name: str) -> None:
    if name not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {name}")
    [one, _] = implementations("h264", (name,))
    context = CodecContext.create(name, "w")
    options = context.supported_options
    known = {option.name: option for option in (*options.generic, *options.private)}
    for option, value in one.options.items():
        assert option in known
        choices = [choice.name for choice in known[option].choices]
        assert not choices or value in choices
    formats = context.codec.video_formats
    assert formats is None or one.pixel_format in [one.name for one in formats]


@pytest.mark.parametrize("name", HARDWARE)
def test_each_encoder_in_hardware_falls_back(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """None is there where the tests run, or it does what is asked."""
    settings.hardware = (name,)
    try:
        encoder = VideoEncoder("h264")
        encoded = encoder.encode(picture(0, 640, 480), 0, RATE, keyframe=True)
    finally:
        settings.hardware = ()
    if encoder.implementation == "libx264":
        assert encoded is not None
        assert encoded.keyframe
        assert [record.getMessage().split(":")[0] for record in caplog.records] == [name]


def test_without_the_hardware_software_takes_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    missing = Implementation("h264_nonexistent", {}, hardware=True)
    software = implementations("h264")
    monkeypatch.setattr(video_encoders, "implementations", lambda *_: [missing, *software])
    encoder = VideoEncoder("h264")
    assert encoder.encode(picture(0), 0, RATE, keyframe=False)
    assert encoder.implementation == "libx264"
    [record] = caplog.records
    assert "h264_nonexistent" in record.getMessage()
    assert encoder.encode(picture(1), 3000, RATE, keyframe=False)
    assert len(caplog.records) == 1, "said once"


def test_software_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Implementation("libx264", {"preset": "no such preset"})
    monkeypatch.setattr(video_encoders, "implementations", lambda *_: [broken])
    with pytest.raises(av.error.FFmpegError):
        VideoEncoder("h264").encode(picture(0), 0, RATE, keyframe=False)


def test_nothing_in_hardware_is_used_unasked() -> None:
    assert settings.hardware == ()
