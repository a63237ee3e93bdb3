"""Session descriptions: what browsers write is understood, and what is written is read again."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.connection.sdp import (
    DIRECTIONS,
    SdpError,
    direction_of,
    format_candidate,
    parse,
    parse_candidate,
    reverse,
)

RECORDED = {
    path.stem: path.read_bytes().decode()
    for path in (Path(__file__).parent / "descriptions").glob("*.sdp")
}


@pytest.mark.parametrize("browser", sorted(RECORDED))
def test_what_browsers_offer(browser: str) -> None:
    sdp = parse(RECORDED[browser])
    kinds = [section.kind for section in sdp.sections]
    assert sorted(kinds) == ["application", "audio", "video"]
    assert sdp.bundle == [section.mid for section in sdp.sections]
    assert sdp.transport is sdp.sections[0]
    by_kind = {section.kind: section for section in sdp.sections}
    assert by_kind["audio"].direction == "sendrecv"
    assert (by_kind["video"].direction, by_kind["video"].receives) == ("recvonly", True)
    assert not by_kind["video"].sends
    codecs = {codec.name for codec in by_kind["video"].codecs}
    assert {"VP8", "VP9", "AV1", "rtx"} <= codecs
    [opus] = [codec for codec in by_kind["audio"].codecs if codec.name == "opus"]
    assert (opus.clockRate, opus.channels, opus.parameters["useinbandfec"]) == (48000, 2, 1)
    assert (by_kind["application"].sctp_port, sdp.sections[0].setup) == (5000, "actpass")
    for section in sdp.sections:
        assert section.ice.usernameFragment
        assert [one.algorithm for one in section.fingerprints] == ["sha-256"]
    assert by_kind["audio"].ssrcs or browser == "chromium"
    assert any(section.candidates for section in sdp.sections)


@pytest.mark.parametrize("browser", sorted(RECORDED))
def test_what_is_written_is_read_again(browser: str) -> None:
    first = parse(RECORDED[browser])
    again = parse(str(first))
    assert again.bundle == first.bundle
    for before, after in zip(first.sections, again.sections, strict=True):
        for name in ("kind", "mid", "direction", "ice", "codecs", "extensions", "candidates",
                     "setup", "sctp_port", "max_message_size", "rejected"):  # fmt: skip
            assert getattr(after, name) == getattr(before, name), name


def test_a_rejected_section_has_port_0_and_no_transport() -> None:
    sdp = parse(RECORDED["chromium"])
    sdp.sections[0].rejected = True
    sdp.bundle = sdp.bundle[1:]
    text = str(sdp)
    assert text.count(" 0 UDP/") == 1
    again = parse(text)
    assert [section.rejected for section in again.sections] == [True, False, False]
    assert again.transport is again.sections[1]


def test_bundle_only_is_not_rejected() -> None:
    sdp = parse(RECORDED["chromium"])
    text = str(sdp).replace(f"m={sdp.sections[-1].kind} 9 ", f"m={sdp.sections[-1].kind} 0 ")
    assert parse(text).sections[-1].rejected
    assert not parse(text + "a=bundle-only\r\n").sections[-1].rejected


def test_what_plan_b_says_of_streams_is_read() -> None:
    text = "v=0\r\nm=video 9 X 96\r\na=ssrc:1 msid:stream track\r\na=ssrc:1 cname:name\r\n"
    [section] = parse(text).sections
    assert section.streams == ["stream"]
    assert [(source.ssrc, source.cname) for source in section.ssrcs] == [(1, "name")]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("v=1\r\n", "v=0"),
        ("v=0\r\nm=audio nine X 0\r\n", "m=audio"),
        ("v=0\r\nm=audio 9 X 96\r\na=rtpmap:96 opus\r\n", "a=rtpmap"),
        ("v=0\r\nm=audio 9 X 96\r\na=rtpmap:200 opus/48000\r\n", "a=rtpmap"),
        ("v=0\r\nm=audio 9 X 96\r\na=candidate:1 1 udp\r\n", "a=candidate"),
        ("v=0\r\nm=audio 9 X 96\r\na=setup:sideways\r\n", "a=setup"),
        ("v=0\r\nm=audio 9 X 96\r\na=mid:a\r\nm=audio 9 X 96\r\na=mid:a\r\n", "same mid"),
    ],
)
def test_the_error_names_what_is_wrong(wrong: str, named: str) -> None:
    with pytest.raises(SdpError, match=named):
        parse(wrong)


@given(st.data())
def test_damaged_descriptions_are_read_or_refused(data: st.DataObject) -> None:
    text = RECORDED[data.draw(st.sampled_from(sorted(RECORDED)))]
    lines = text.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    line = lines[at]
    cut = data.draw(st.integers(0, len(line)))
    lines[at] = line[:cut] + data.draw(st.text(max_size=8)) + line[cut + 1 :]
    with contextlib.suppress(SdpError):
        str(parse("\r\n".join(lines)))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_directions(direction: str) -> None:
    sends, receives = direction in ("sendrecv", "sendonly"), direction in ("sendrecv", "recvonly")
    assert direction_of(sends=sends, receives=receives) == direction
    assert reverse(direction) == direction_of(sends=receives, receives=sends)  # type: ignore[arg-type]


def test_candidates() -> None:
    text = "candidate:1 1 udp 2122260223 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport 4000"
    candidate = parse_candidate(text)
    assert (candidate.ip, candidate.port, candidate.type) == ("192.0.2.1", 5000, "srflx")
    assert format_candidate(candidate) == text
    assert parse_candidate("a=" + text) == candidate
    with pytest.raises(SdpError):
        parse_candidate("candidate:1 1 udp x")
