"""What a description and a candidate must look like before a parser sees it (pure).

A parser spends seconds on five thousand candidates, and a candidate makes this machine send
packets to the address that it names; so both are looked at first, line by line.
"""

import ipaddress
import re

from .errors import OfferMalformed, OfferRejected, OfferTooLarge
from .limits import Limits

MIN_PORT = 1024  # below it are the services of the network's own machines
DISCARD_PORT = 9  # RFC 6544 4.5
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")


def check_offer(offer: bytes, limits: Limits, *, sends: bool = False) -> str:
    """An offer of a WHEP or WHIP client as text, if it is one that a parser may see.

    :param sends: whether it must offer media (WHIP), instead of asking for it.
    :raises OfferTooLarge: it exceeds a limit.
    :raises OfferMalformed: it is no WebRTC offer.
    :raises OfferRejected: it asks for no media, or offers none.
    """
    if len(offer) > limits.body:
        raise OfferTooLarge(f"an offer has at most {limits.body} bytes")
    try:
        text = offer.decode()
    except UnicodeDecodeError:
        raise OfferMalformed("the offer is not UTF-8") from None
    check_description(text, limits)
    if not any(_has_media(section, sends) for section in _sections(text.splitlines())):
        wanted = "offer" if sends else "ask for"
        raise OfferRejected(f"the offer does not {wanted} sound or pictures")
    return text


def check_description(sdp: str, limits: Limits) -> None:
    """Takes an offer or answer that a parser may see; one for a data channel alone is fine.

    :raises OfferTooLarge: it exceeds a limit.
    :raises OfferMalformed: it is no description of a WebRTC connection.
    """
    if len(sdp.encode()) > limits.body:
        raise OfferTooLarge(f"a description has at most {limits.body} bytes")
    if _CONTROL_CHARACTER.search(sdp):
        raise OfferMalformed("the description has control characters")
    lines = sdp.splitlines()
    if not lines or lines[0] != "v=0":
        raise OfferMalformed("the description is no SDP: it must begin with v=0")
    if len(lines) > limits.sdp_lines:
        raise OfferTooLarge(f"a description has at most {limits.sdp_lines} lines")
    sections = _sections(lines)
    if not sections:
        raise OfferMalformed("the description has no media section")
    if len(sections) > limits.media_sections:
        raise OfferTooLarge(f"a description has at most {limits.media_sections} media sections")
    candidates = [line for line in lines if line.startswith("a=candidate:")]
    # Each section may say the same ones again.
    many = len(candidates) > limits.candidates * len(sections)
    if many or len(set(candidates)) > limits.candidates:
        raise OfferTooLarge(f"a description has at most {limits.candidates} candidates")
    if not any(_is_accepted(section) for section in sections):
        return
    for wanted in ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"):
        if not any(line.startswith(wanted) for line in lines):
            raise OfferMalformed(f"the description has no {wanted[2:-1]}")


def filter_candidates(sdp: str, *, allow_loopback: bool) -> str:
    """The description without the candidates that nobody honest has.

    Dropped are unspecified, broadcast, multicast and link-local addresses, loopback unless it is
    allowed, ports below 1024, and host names other than a browser's `.local` ones.
    """
    kept = [
        line
        for line in sdp.splitlines()
        if not line.startswith("a=candidate:")
        or is_acceptable(line.removeprefix("a="), allow_loopback=allow_loopback)
    ]
    return "\r\n".join(kept) + "\r\n"


def is_acceptable(candidate: str, *, allow_loopback: bool) -> bool:
    """Whether a candidate (`candidate:…`) is one that somebody honest may have."""
    # candidate:foundation component transport priority address port typ …
    fields = candidate.split()
    if len(fields) < 8 or not candidate.startswith("candidate:"):
        return False
    transport, host = fields[2].lower(), fields[4]
    if not (fields[5].isascii() and fields[5].isdecimal()):
        return False
    port = int(fields[5]) if len(fields[5]) <= 5 else 0
    # TCP candidates of browsers are active ones, which carry the discard port.
    if not (MIN_PORT <= port <= 65535) and (transport, port) != ("tcp", DISCARD_PORT):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.endswith(".local") and host.count(".") == 1
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return allow_loopback
    return not (
        address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or address == _BROADCAST
    )


def _sections(lines: list[str]) -> list[list[str]]:
    sections: list[list[str]] = []
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        if sections:
            sections[-1].append(line)
    return sections


def _is_accepted(section: list[str]) -> bool:
    """Whether an m-section is not rejected (RFC 9429 5.2.1: bundle-only ones have port 0, too)."""
    fields = section[0].split()
    return len(fields) < 2 or fields[1] != "0" or "a=bundle-only" in section


def _has_media(section: list[str], sends: bool) -> bool:
    if not section[0].startswith(("m=audio ", "m=video ")):
        return False
    refused = {"a=inactive", "a=recvonly" if sends else "a=sendonly"}
    return not refused.intersection(section)
