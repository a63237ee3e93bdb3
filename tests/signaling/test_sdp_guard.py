from collections.abc import Callable

import pytest

from signaling import Limits
from signaling.errors import OfferMalformed, OfferRejected, OfferTooLarge, SignalingError
from signaling.sdp_guard import check_description, check_offer, filter_candidates, is_acceptable

OFFER = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:0
a=recvonly
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=rtcp-mux
a=rtpmap:96 VP8/90000
""".replace("\n", "\r\n")

LIMITS = Limits()


def test_an_offer_passes_unchanged() -> None:
    assert check_offer(OFFER.encode(), LIMITS) == OFFER


def candidate(address: str, port: int = 5000, transport: str = "udp") -> str:
    return f"a=candidate:1 1 {transport} 2130706431 {address} {port} typ host"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param(lambda o: "", OfferMalformed, id="empty"),
        pytest.param(lambda o: "hello", OfferMalformed, id="no SDP"),
        pytest.param(lambda o: o.replace("s=-", "s=\0"), OfferMalformed, id="NUL"),
        pytest.param(lambda o: o.split("m=")[0], OfferMalformed, id="no media"),
        pytest.param(lambda o: o.replace("a=ice-ufrag:", "a=x:"), OfferMalformed, id="no ufrag"),
        pytest.param(lambda o: o.replace("a=ice-pwd:", "a=x:"), OfferMalformed, id="no pwd"),
        pytest.param(lambda o: o.replace("a=fingerprint:", "a=x:"), OfferMalformed, id="no DTLS"),
        pytest.param(lambda o: o.replace("recvonly", "sendonly"), OfferRejected, id="sendonly"),
        pytest.param(lambda o: o.replace("m=video", "m=text"), OfferRejected, id="no such kind"),
        pytest.param(lambda o: o + "".join(f"{candidate(f'192.0.2.{n}')}\r\n" for n in range(33)),
                     OfferTooLarge, id="candidates"),
        pytest.param(lambda o: o + "m=audio 0 X 0\r\n" * 8, OfferTooLarge, id="sections"),
        pytest.param(lambda o: o + "a=x\r\n" * 1000, OfferTooLarge, id="lines"),
        pytest.param(lambda o: o + "a=x:" + "y" * 65536, OfferTooLarge, id="bytes"),
    ],
)  # fmt: skip
def test_what_no_parser_should_see_is_refused(
    change: Callable[[str], str], error: type[SignalingError]
) -> None:
    with pytest.raises(error):
        check_offer(change(OFFER).encode(), LIMITS)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(OfferMalformed, match="UTF-8"):
        check_offer(b"v=0\r\n\xff", LIMITS)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (candidate("192.0.2.1"), True),
        (candidate("2001:db8::1"), True),
        (candidate("5f0c5c9e-0000.local"), True),
        (candidate("192.0.2.1", 9, "tcp"), True),
        (candidate("192.0.2.1", 22, "tcp"), False),
        (candidate("192.0.2.1", 9), False),
        (candidate("::ffff:127.0.0.1"), False),
        (candidate("::ffff:192.0.2.1"), True),
        (candidate("255.255.255.255"), False),
        (candidate("127.0.0.1"), False),
        (candidate("::1"), False),
        (candidate("169.254.169.254"), False),
        (candidate("fe80::1"), False),
        (candidate("224.0.0.1"), False),
        (candidate("0.0.0.0"), False),
        (candidate("192.0.2.1", 53), False),
        (candidate("192.0.2.1", 70000), False),
        (candidate("metadata.internal"), False),
        (candidate("a.b.local"), False),
        ("a=candidate:garbage", False),
    ],
)
def test_candidates_that_nobody_honest_has_are_dropped(line: str, kept: bool) -> None:
    filtered = filter_candidates(OFFER + line + "\r\n", allow_loopback=False)
    assert (line in filtered) is kept
    assert filtered.startswith(OFFER)


def test_sections_may_say_the_same_candidates() -> None:
    candidates = "".join(f"{candidate('192.0.2.1', port)}\r\n" for port in range(5000, 5032))
    twice = OFFER + candidates + OFFER[OFFER.index("m=") :] + candidates
    check_description(twice, LIMITS)
    with pytest.raises(OfferTooLarge):
        check_description(twice + candidates, LIMITS)


def test_loopback_candidates_are_kept_for_a_loopback_server() -> None:
    line = candidate("127.0.0.1")
    assert line in filter_candidates(OFFER + line, allow_loopback=True)


def test_a_publisher_must_offer_media() -> None:
    sending = OFFER.replace("recvonly", "sendonly")
    assert check_offer(sending.encode(), LIMITS, sends=True) == sending
    both = OFFER.replace("recvonly", "sendrecv")
    assert check_offer(both.encode(), LIMITS, sends=True) == both
    with pytest.raises(OfferRejected, match="does not offer"):
        check_offer(OFFER.encode(), LIMITS, sends=True)


def test_a_data_channel_alone_is_a_description_but_no_offer_to_watch() -> None:
    data = OFFER.replace("m=video 9 UDP/TLS/RTP/SAVPF 96", "m=application 9 UDP/DTLS/SCTP x")
    check_description(data, LIMITS)
    with pytest.raises(OfferRejected):
        check_offer(data.encode(), LIMITS)


def test_a_description_has_so_many_bytes() -> None:
    with pytest.raises(OfferTooLarge, match="bytes"):
        check_description(OFFER + "a=x:" + "\u00e4" * (LIMITS.body // 2), LIMITS)


def test_an_answer_that_rejects_everything_needs_no_transport() -> None:
    bare = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video {port} X 0\r\n{more}"
    check_description(bare.format(port=0, more=""), LIMITS)
    with pytest.raises(OfferMalformed):
        check_description(bare.format(port=9, more=""), LIMITS)
    with pytest.raises(OfferMalformed):
        check_description(bare.format(port=0, more="a=bundle-only\r\n"), LIMITS)


@pytest.mark.parametrize("text", ["", "hello", "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host"])
def test_what_is_no_candidate_is_not_acceptable(text: str) -> None:
    assert not is_acceptable(text, allow_loopback=True)
