"""Codecs and header extensions: which are in common, and under which numbers."""

import pytest
from aiortc import RTCRtpCodecCapability, RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters

from peer.connection.codecs import (
    MID,
    Numbers,
    by_preference,
    capabilities,
    common_codecs,
    is_decodable,
    key,
    local_codecs,
    retransmission_type,
    sent_codecs,
)


def h264(level_id: str | None, mode: str = "1", payload_type: int = 100) -> RTCRtpCodecParameters:
    parameters: dict[str, int | str | None] = {"packetization-mode": mode}
    if level_id is not None:
        parameters["profile-level-id"] = level_id
    return RTCRtpCodecParameters(
        "video/H264", 90000, payloadType=payload_type, parameters=parameters
    )


def rtx(payload_type: int, apt: int) -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters(
        "video/rtx", 90000, payloadType=payload_type, parameters={"apt": apt}
    )


def vp8(payload_type: int) -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters("video/VP8", 90000, payloadType=payload_type)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (h264("42e01f"), h264("42e034"), True),  # a level is no other codec
        (h264("42e01f"), h264(None), True),
        (h264("42e01f"), h264("42001f"), False),
        (h264("42e01f"), h264("640c1f"), False),
        (h264("42e01f"), h264("42e01f", mode="0"), False),
        (h264("nonsense"), h264("42e01f"), False),
        (vp8(96), RTCRtpCodecParameters("video/vp8", 90000), True),
    ],
)
def test_codecs_that_understand_each_other(
    one: RTCRtpCodecParameters, other: RTCRtpCodecParameters, same: bool
) -> None:
    assert (key(one) == key(other)) is same


def test_the_common_ones_have_the_remote_numbers_and_our_order() -> None:
    remote = [vp8(120), rtx(121, 120), h264("42e01f", payload_type=122), rtx(123, 122)]
    local = [h264("42e01f"), vp8(96)]
    common = common_codecs(local, remote)
    assert [codec.payloadType for codec in common] == [122, 123, 120, 121]
    assert retransmission_type(common[2], common) == 121
    assert common_codecs(local, [RTCRtpCodecParameters("video/XYZ", 90000, payloadType=97)]) == []


def test_what_is_sent_is_the_answers_first_that_can_be() -> None:
    answered = [
        RTCRtpCodecParameters("video/XYZ", 90000, payloadType=97), vp8(98), rtx(99, 98),
    ]  # fmt: skip
    assert [codec.payloadType for codec in sent_codecs(answered, "video")] == [98, 99]


def test_preferences_choose_and_order() -> None:
    codecs = local_codecs("video", sends=True, receives=False)
    assert by_preference(codecs, []) == codecs
    wanted = [
        RTCRtpCodecCapability("video/H264", 90000, parameters=dict(h264("42e01f").parameters))
    ]
    assert [codec.name for codec in by_preference(codecs, wanted)] == ["H264"]


def test_both_ways_only_what_can_be_done_both_ways() -> None:
    both = {key(codec) for codec in local_codecs("video", sends=True, receives=True)}
    for sends in (True, False):
        assert both <= {key(c) for c in local_codecs("video", sends=sends, receives=not sends)}


def test_only_what_can_be_decoded_is_received() -> None:
    codecs = [vp8(96), rtx(97, 96), RTCRtpCodecParameters("video/AV1", 90000, payloadType=98),
              rtx(99, 98)]  # fmt: skip
    assert [is_decodable(codec, codecs) for codec in codecs] == [True, True, False, False]


def test_numbers_stay_what_they_were_first() -> None:
    numbers = Numbers()
    numbers.learn([vp8(120), rtx(121, 120)], [RTCRtpHeaderExtensionParameters(9, MID)])
    numbers.learn([vp8(100), rtx(101, 100)], [RTCRtpHeaderExtensionParameters(3, MID)])
    numbered = numbers.number([vp8(0), h264("42e01f")])
    assert [codec.payloadType for codec in numbered[:2]] == [120, 121]
    taken = {codec.payloadType for codec in numbered[2:]}
    assert not taken & {120, 121, 100, 101}
    assert numbered[3].parameters == {"apt": numbered[2].payloadType}
    ids = {one.uri: one.id for one in numbers.extensions("video")}
    assert ids[MID] == 9
    assert len(set(ids.values())) == len(ids)


def test_static_payload_types_are_kept() -> None:
    codecs = Numbers().number(local_codecs("audio", sends=False, receives=True))
    known = {codec.name: codec.payloadType for codec in codecs}
    assert (known["PCMU"], known["PCMA"], known["G722"]) == (0, 8, 9)


def test_capabilities() -> None:
    assert capabilities("smell", sends=True) is None
    video = capabilities("video", sends=False)
    assert video is not None
    assert {codec.name for codec in video.codecs} == {"VP8", "H264", "rtx"}
    assert MID in [extension.uri for extension in video.headerExtensions]
