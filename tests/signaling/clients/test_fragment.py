"""Candidates as an SDP fragment, and within a description."""

from signaling.clients.fragment import add_candidates, has_all_candidates, trickle_fragment
from signaling.session import Candidate

OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uY\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uY\r\n"
)
FIRST = "candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host"
SECOND = "candidate:2 1 udp 2122194687 192.0.2.2 61765 typ host"


def test_a_fragment_as_in_the_standard() -> None:
    told = [Candidate(FIRST, "0"), Candidate(SECOND, "0"), Candidate("", "0")]
    assert trickle_fragment(OFFER, told) == (
        "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uY\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
        f"a={FIRST}\r\na={SECOND}\r\na=end-of-candidates\r\n"
    )


def test_each_candidate_stands_in_its_section() -> None:
    told = [Candidate(FIRST, "1"), Candidate(SECOND, None, 0), Candidate(FIRST, "nowhere")]
    assert trickle_fragment(OFFER, told).splitlines()[2:] == [
        "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", f"a={SECOND}",
        "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", f"a={FIRST}",
    ]  # fmt: skip


def test_candidates_are_put_into_a_description() -> None:
    whole = add_candidates(OFFER, [Candidate(FIRST, "0"), Candidate(SECOND, "1"), Candidate("")])
    audio, video = whole.split("m=video")
    assert audio.endswith(f"a=ice-pwd:P2uY\r\na={FIRST}\r\na=end-of-candidates\r\n")
    assert video.endswith(f"a=ice-pwd:P2uY\r\na={SECOND}\r\n")
    assert has_all_candidates(whole)
    assert not has_all_candidates(OFFER)
    assert add_candidates(OFFER, []) == OFFER
