"""What an offer must look like before a parser sees it (pure).

A parser spends seconds on five thousand candidates, and a candidate makes this machine send
packets to the address that it names; so both are looked at first, line by line.
"""

import ipaddress

from .errors import OfferMalformed, OfferRejected, OfferTooLarge
from .limits import Limits

MIN_PORT = 1024  # below it are the services of the network's own machines


def check_offer(offer: bytes, limits: Limits) -> str:
    """The offer as text, if it is one that a parser may see.

    :raises OfferTooLarge: it exceeds a limit.
    :raises OfferMalformed: it is no WebRTC offer.
    :raises OfferRejected: it asks for no media.
    """
    if len(offer) > limits.body:
        raise OfferTooLarge(f"an offer has at most {limits.body} bytes")
    try:
        text = offer.decode()
    except UnicodeDecodeError:
        raise OfferMalformed("the offer is not UTF-8") from None
    if any(ord(character) < 32 and character not in "\r\n\t" for character in text):
        raise OfferMalformed("the offer has control characters")
    lines = text.splitlines()
    if not lines or lines[0] != "v=0":
        raise OfferMalformed("the offer is no SDP: it must begin with v=0")
    if len(lines) > limits.sdp_lines:
        raise OfferTooLarge(f"an offer has at most {limits.sdp_lines} lines")
    sections = [line for line in lines if line.startswith("m=")]
    if not sections:
        raise OfferMalformed("the offer has no media section")
    if len(sections) > limits.media_sections:
        raise OfferTooLarge(f"an offer has at most {limits.media_sections} media sections")
    if sum(line.startswith("a=candidate:") for line in lines) > limits.candidates:
        raise OfferTooLarge(f"an offer has at most {limits.candidates} candidates")
    for wanted in ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"):
        if not any(line.startswith(wanted) for line in lines):
            raise OfferMalformed(f"the offer has no {wanted[2:-1]}")
    if not any(_wants_media(section) for section in _sections(lines)):
        raise OfferRejected("the offer does not ask for sound or pictures")
    return text


def filter_candidates(offer: str, *, allow_loopback: bool) -> str:
    """The offer without the candidates that nobody honest has.

    Dropped are unspecified, multicast and link-local addresses, loopback unless it is allowed,
    ports below 1024, and host names other than a browser's `.local` ones.
    """
    kept = [
        line
        for line in offer.splitlines()
        if not line.startswith("a=candidate:") or _acceptable(line, allow_loopback)
    ]
    return "\r\n".join(kept) + "\r\n"


def _sections(lines: list[str]) -> list[list[str]]:
    sections: list[list[str]] = []
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        if sections:
            sections[-1].append(line)
    return sections


def _wants_media(section: list[str]) -> bool:
    if not section[0].startswith(("m=audio ", "m=video ")):
        return False
    return not ("a=sendonly" in section or "a=inactive" in section)


def _acceptable(line: str, allow_loopback: bool) -> bool:
    # candidate:foundation component transport priority address port typ …
    fields = line.split()
    if len(fields) < 8 or not fields[5].isdecimal():
        return False
    host, port = fields[4], int(fields[5])
    # TCP candidates of browsers are active ones, which carry the discard port.
    if not (MIN_PORT <= port <= 65535) and fields[2].lower() != "tcp":
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.endswith(".local") and host.count(".") == 1
    if address.is_loopback:
        return allow_loopback
    return not (address.is_unspecified or address.is_multicast or address.is_link_local)
