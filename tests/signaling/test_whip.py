"""The WHIP and WHEP resource without any I/O (RFC 9725 section 4.3)."""

import pytest

from signaling import Candidate, IceServer, Limits
from signaling.errors import (
    OfferMalformed,
    OfferRejected,
    OfferTooLarge,
    PreconditionFailed,
    PreconditionRequired,
    SignalingError,
)
from signaling.whip import (
    Fragment,
    Resource,
    Restart,
    Trickle,
    acceptable,
    created_headers,
    parse_fragment,
    restart_offer,
)

from .conftest import answer
from .test_sdp_guard import OFFER

HOST = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"
RELAY = "candidate:2 1 udp 16777215 192.0.2.9 6000 typ relay raddr 192.0.2.1 rport 5000"
# RFC 9725, figure 8.
TRICKLE = f"""a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
m=audio 9 UDP/TLS/RTP/SAVPF 0
a=mid:0
a={HOST}
a={RELAY}
a=end-of-candidates
""".replace("\n", "\r\n")
RESTART = Fragment("new1", "n" * 22, (Candidate(HOST, "0"),))


@pytest.fixture
def resource() -> Resource:
    return Resource(OFFER, answer())


def test_a_fragment_is_read() -> None:
    assert parse_fragment(TRICKLE.encode(), Limits()) == Fragment(
        "abcd", "abcdefghijklmnopqrstuv", (Candidate(HOST, "0"), Candidate(RELAY, "0"))
    )


def test_candidates_without_a_section_are_of_the_first() -> None:
    fragment = parse_fragment(f"a={HOST}\r\nm=audio 9 X 0\r\na={RELAY}\r\n".encode(), Limits())
    assert fragment == Fragment(None, None, (Candidate(HOST, None, 0), Candidate(RELAY, None, 0)))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"\xff", OfferMalformed),
        (b"hello", OfferMalformed),
        (b"a=ice-ufrag:\r\n", OfferMalformed),
        (b"a=ice-ufrag:a b\r\n", OfferMalformed),
        (b"a=ice-ufrag:" + b"x" * 257, OfferMalformed),
        (b"a=x\r\n" * 1001, OfferTooLarge),
        (f"a={HOST}\r\n".encode() * 33, OfferTooLarge),
    ],
)
def test_fragments_that_are_none(body: bytes, error: type[SignalingError]) -> None:
    with pytest.raises(error):
        parse_fragment(body, Limits())


def test_an_empty_fragment_says_nothing() -> None:
    for body in (b"", b"a=end-of-candidates\r\n"):
        assert parse_fragment(body, Limits()) == Fragment(None, None, ())


def test_candidates_that_nobody_honest_has_are_left_out() -> None:
    bad = Candidate("candidate:1 1 udp 1 127.0.0.1 5000 typ host")
    candidates = (bad, Candidate(HOST), Candidate("candidate:garbage"))
    assert acceptable(candidates, allow_loopback=False) == (Candidate(HOST),)
    assert acceptable(candidates, allow_loopback=True) == (bad, Candidate(HOST))


@pytest.mark.parametrize("ufrag", [None, "abcd"])
@pytest.mark.parametrize("if_match", [None, "*", '"*"', "own"])
def test_candidates_of_this_generation_trickle(
    resource: Resource, ufrag: str | None, if_match: str | None
) -> None:
    candidates = (Candidate(HOST, "0"),)
    if_match = resource.etag if if_match == "own" else if_match
    asked = resource.patch(if_match, Fragment(ufrag, None, candidates), strict=False)
    assert asked == Trickle(candidates)


@pytest.mark.parametrize(
    ("if_match", "fragment", "strict", "error"),
    [
        (None, Fragment("abcd", None, ()), True, PreconditionRequired),
        (None, RESTART, False, PreconditionRequired),
        ('"other"', Fragment("abcd", None, ()), False, PreconditionFailed),
        ('"other"', RESTART, False, PreconditionFailed),
        ("own", RESTART, False, OfferRejected),
        ("*", Fragment("new1", None, ()), False, OfferMalformed),
    ],
)
def test_patches_that_are_refused(
    resource: Resource,
    if_match: str | None,
    fragment: Fragment,
    strict: bool,
    error: type[SignalingError],
) -> None:
    if_match = resource.etag if if_match == "own" else if_match
    with pytest.raises(error):
        resource.patch(if_match, fragment, strict=strict)


def test_a_restart_is_the_same_offer_with_other_credentials(resource: Resource) -> None:
    resource.offer = OFFER + "a=candidate:9 1 udp 1 192.0.2.5 5000 typ host\r\n"
    asked = resource.patch("*", RESTART, strict=True)
    assert isinstance(asked, Restart)
    expected = (
        OFFER.replace("o=- 1 1 ", "o=- 1 2 ")
        .replace("a=ice-ufrag:abcd", "a=ice-ufrag:new1")
        .replace("a=ice-pwd:abcdefghijklmnopqrstuv", "a=ice-pwd:" + "n" * 22)
    )
    assert asked.offer == f"{expected}a={HOST}\r\n"


def test_each_restart_is_another_version_of_the_offer() -> None:
    once = restart_offer(OFFER, RESTART)
    assert "o=- 1 3 " in restart_offer(once, Fragment("new2", "m" * 22, ()))


def test_a_restart_gets_another_etag_and_a_fragment_of_the_answer(resource: Resource) -> None:
    before = resource.etag
    fragment = resource.restarted(restart_offer(OFFER, RESTART), answer(1))
    assert fragment == (
        "a=ice-ufrag:srv1\r\na=ice-pwd:abcdefghijklmnopqrstuv1\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n"
        "a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host\r\na=end-of-candidates\r\n"
    )
    assert resource.etag != before
    assert resource.etag.startswith('"')
    assert resource.patch(resource.etag, Fragment("new1", None, ()), strict=True) == Trickle(())


def test_an_answer_of_the_old_generation_changes_nothing(resource: Resource) -> None:
    before = resource.etag
    with pytest.raises(OfferRejected, match="can't restart"):
        resource.restarted(restart_offer(OFFER, RESTART), answer(0))
    assert (resource.offer, resource.etag) == (OFFER, before)


def test_ice_servers_are_links_of_the_answer() -> None:
    servers = (IceServer("stun:stun.example.org"), IceServer("turn:turn.example.org", "u", "c"))
    assert created_headers("/whep/a/b", '"e"', servers) == [
        ("Content-Type", "application/sdp"),
        ("Location", "/whep/a/b"),
        ("ETag", '"e"'),
        ("Link", '<stun:stun.example.org>; rel="ice-server"'),
        ("Link", '<turn:turn.example.org>; rel="ice-server"; username="u"; credential="c"; '
                 'credential-type="password"'),
    ]  # fmt: skip
