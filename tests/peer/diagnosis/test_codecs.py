"""The encoders: what is made of their times, and that they really encode."""

import pytest
from av.codec.codec import UnknownCodecError

from peer.diagnosis.codecs import (
    OPUS,
    VIDEO,
    Encoder,
    Measurement,
    attainable,
    examine,
    judge,
    measure_opus,
    measure_video,
    opens,
)

VP8, H264, VP9, AV1 = VIDEO


@pytest.mark.parametrize(
    ("milliseconds", "rate"), [(4, 60), (20, 30), (34, 24), (50, 15), (150, 5), (250, 0)]
)
def test_the_attainable_frame_rate(milliseconds: float, rate: int) -> None:
    assert attainable(milliseconds / 1000) == rate


def test_what_times_mean() -> None:
    findings = judge(
        [
            Measurement(OPUS, 0.00021),
            Measurement(VP8, 0.0201),
            Measurement(H264, 0.05),
            Measurement(VP9, 0.3),
            Measurement(AV1, error="PyAV has no libsvtav1"),
        ],
        ["h264_nvenc"],
    )
    assert [(finding.level, finding.text) for finding in findings] == [
        ("ok", "Opus: 0.21 ms for each 20 ms of stereo"),
        ("ok", "VP8 720p: 20.1 ms a frame: enough for 30 frames a second"),
        ("warning", "H.264 720p: 50.0 ms a frame: enough for 15 frames a second"),
        ("ok", "VP9 720p: 300.0 ms a frame: too slow for moving pictures"),
        ("ok", "AV1 can't be encoded: PyAV has no libsvtav1; it is not needed"),
        ("ok", "Encoders in hardware: h264_nvenc"),
    ]


def test_missing_encoders_are_as_bad_as_they_are_needed() -> None:
    missing = [Measurement(encoder, error="PyAV has none") for encoder in (OPUS, *VIDEO)]
    levels = [finding.level for finding in judge(missing, [])]
    assert levels == ["problem", "problem", "warning", "ok", "ok", "ok"]


def test_what_time_did_not_suffice_for_is_no_problem() -> None:
    *_, last = judge([Measurement(OPUS, 0.0002), Measurement(VP8, 0.02)], None)
    assert last.level == "warning"
    assert last.text.startswith("H.264, VP9, AV1, encoders in hardware could not be measured")


@pytest.mark.parametrize("encoder", VIDEO, ids=lambda encoder: encoder.name)
def test_video_is_really_encoded(encoder: Encoder, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        assert measure_video(encoder) > 0
    except UnknownCodecError:
        pytest.skip(f"this PyAV has no {encoder.library}")
    assert capfd.readouterr().err == ""


def test_sound_is_really_encoded() -> None:
    assert measure_opus() > 0


def test_an_encoder_that_is_not_there() -> None:
    with pytest.raises(UnknownCodecError):
        measure_video(Encoder("none", "no_such_encoder", "ok"))
    assert not opens("no_such_encoder")
    assert opens("libx264")


async def test_every_encoder_is_told() -> None:
    told = " ".join(finding.text for finding in await examine())
    for name in ("Opus", "VP8", "H.264", "VP9", "AV1", "in hardware"):
        assert name in told
