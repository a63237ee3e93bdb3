"""WHIP and WHEP resources: what requests ask of them, and what responses carry (pure).

RFC 9725 for WHIP; draft-ietf-wish-whep, which has the same resource the other way round.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .clients.fragment import SDPFRAG, add_candidates
from .errors import (
    OfferMalformed,
    OfferRejected,
    OfferTooLarge,
    PreconditionFailed,
    PreconditionRequired,
    SignalingError,
    Unauthorized,
)
from .ice import link_headers
from .limits import Limits
from .sdp_guard import is_acceptable
from .session import Candidate, IceServer

SDP = "application/sdp"
EXPOSED = "Location, ETag, Link, Retry-After"
ENDPOINT_METHODS = "OPTIONS, GET, HEAD, POST"
SESSION_METHODS = "OPTIONS, GET, HEAD, PATCH, DELETE"
Kind = Literal["whip", "whep"]
ANY = ("*", '"*"')
"""If-Match of a restart, as RFC 9110 writes it and as RFC 9725 does."""

_CREDENTIAL = re.compile(r"^a=(ice-ufrag|ice-pwd):.*$", re.MULTILINE)
_CREDENTIAL_TEXT = re.compile(r"[A-Za-z0-9+/]+")
_ORIGIN = re.compile(r"^(o=\S+ \S+ )(\d{1,18})( .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Fragment:
    """What an `application/trickle-ice-sdpfrag` says (RFC 8840)."""

    ufrag: str | None
    pwd: str | None
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Trickle:
    """The client has more candidates."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Restart:
    """The client restarts ICE with this offer."""

    offer: str


class Resource:
    """One WHIP or WHEP session: the offer and answer that are in force."""

    def __init__(self, offer: str, answer: str) -> None:
        self.offer = offer
        self.answer = answer

    @property
    def etag(self) -> str:
        """A strong entity tag of the session's ICE generation."""
        digest = hashlib.sha256("\n".join(_credentials(f"{self.offer}\n{self.answer}")).encode())
        return f'"{digest.hexdigest()[:16]}"'

    def patch(self, if_match: str | None, fragment: Fragment, *, strict: bool) -> Trickle | Restart:
        """What a PATCH asks for (RFC 9725 4.3).

        :param strict: whether candidates without If-Match are refused, as the text has it; players
            in use leave it out.
        :raises PreconditionRequired: If-Match is missing.
        :raises PreconditionFailed: it names another ICE generation.
        :raises OfferRejected: the candidates are of another generation.
        """
        restarts = fragment.ufrag is not None and fragment.ufrag not in _ufrags(self.offer)
        if if_match is None and (strict or restarts):
            raise PreconditionRequired("a PATCH needs If-Match; * to restart ICE")
        if if_match is not None and if_match not in (*ANY, self.etag):
            raise PreconditionFailed("the session has another ETag")
        if not restarts:
            return Trickle(fragment.candidates)
        if if_match not in ANY:
            raise OfferRejected("the candidates are of another ICE generation")
        assert fragment.ufrag is not None
        if fragment.pwd is None:
            raise OfferMalformed("a restart needs ice-pwd, too")
        return Restart(restart_offer(self.offer, fragment))

    def restarted(self, offer: str, answer: str) -> str:
        """Put a restart's offer and answer in force; returns the fragment to send back.

        :raises OfferRejected: the answer is of the old ICE generation.
        """
        if _ufrags(answer) & _ufrags(self.answer):
            raise OfferRejected("the other side can't restart ICE")
        self.offer, self.answer = offer, answer
        return answer_fragment(answer)


def parse_fragment(body: bytes, limits: Limits) -> Fragment:
    """Read an SDP fragment; lines of other kinds, `end-of-candidates` too, are ignored.

    :raises OfferMalformed: it is none.
    :raises OfferTooLarge: it exceeds a limit.
    """
    try:
        lines = body.decode().splitlines()
    except UnicodeDecodeError:
        raise OfferMalformed("the fragment is not UTF-8") from None
    if len(lines) > limits.sdp_lines:
        raise OfferTooLarge(f"a fragment has at most {limits.sdp_lines} lines")
    values: dict[str, str] = {}
    candidates: list[Candidate] = []
    mid: str | None = None
    for line in filter(None, lines):
        if not re.match(r"[a-z]=", line):
            raise OfferMalformed("the fragment is no SDP")
        name, _, value = line.removeprefix("a=").partition(":")
        if line.startswith("m="):
            mid = None
        elif line.startswith("a=mid:"):
            mid = value
        elif line.startswith("a=candidate:"):
            candidates.append(Candidate(f"candidate:{value}", mid, None if mid else 0))
        elif line.startswith(("a=ice-ufrag:", "a=ice-pwd:")):
            # Everything is in one bundle: further ones repeat the first.
            if not _CREDENTIAL_TEXT.fullmatch(value) or len(value) > 256:
                raise OfferMalformed(f"{name} is malformed")
            values.setdefault(name, value)
    if len(candidates) > limits.candidates:
        raise OfferTooLarge(f"a fragment has at most {limits.candidates} candidates")
    return Fragment(values.get("ice-ufrag"), values.get("ice-pwd"), tuple(candidates))


def acceptable(candidates: Sequence[Candidate], *, allow_loopback: bool) -> tuple[Candidate, ...]:
    """Those that somebody honest may have."""
    return tuple(
        candidate
        for candidate in candidates
        if is_acceptable(candidate.candidate, allow_loopback=allow_loopback)
    )


def restart_offer(offer: str, fragment: Fragment) -> str:
    """The offer again, with the credentials and candidates of a restart."""
    fresh = {"ice-ufrag": fragment.ufrag, "ice-pwd": fragment.pwd}
    sdp = _CREDENTIAL.sub(lambda match: f"a={match[1]}:{fresh[match[1]]}", _lines(offer))
    sdp = _ORIGIN.sub(lambda match: f"{match[1]}{int(match[2]) + 1}{match[3]}", sdp, count=1)
    kept = (
        line
        for line in sdp.split("\n")
        if not line.startswith(("a=candidate:", "a=end-of-candidates"))
    )
    return add_candidates("\r\n".join(kept), fragment.candidates)


def answer_fragment(answer: str) -> str:
    """What a client whose ICE restarted needs of the answer."""
    lines = list(dict.fromkeys(_credentials(answer)))[:2]
    heading: list[str] = []
    for line in _lines(answer).split("\n"):
        if line.startswith("m="):
            heading = [line]
        elif line.startswith("a=mid:"):
            heading.append(line)
        elif line.startswith(("a=candidate:", "a=end-of-candidates")):
            lines += [*heading, line]
            heading = []
    return "".join(f"{line}\r\n" for line in lines)


def created_headers(
    location: str, etag: str, ice_servers: Sequence[IceServer]
) -> list[tuple[str, str]]:
    """Of the 201 that carries the answer."""
    links = [("Link", link) for link in link_headers(ice_servers)]
    return [("Content-Type", SDP), ("Location", location), ("ETag", etag), *links]


def options_headers(methods: str) -> dict[str, str]:
    """Of the answer to a preflight, and to whoever asks what may be posted."""
    return {"Allow": methods, "Accept-Post": SDP, "Accept-Patch": SDPFRAG}


def cors_headers(origin: str, methods: str) -> dict[str, str]:
    """For a page whose origin is allowed."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
        "Access-Control-Expose-Headers": EXPOSED,
        "Vary": "Origin",
    }


def problem(error: SignalingError, limits: Limits) -> tuple[str, Mapping[str, str]]:
    """The body (RFC 9457) and headers of a refusal."""
    headers = {"Content-Type": "application/problem+json"}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if error.status in (409, 429, 503):
        headers["Retry-After"] = str(limits.retry_after)
    body = {"title": error.title, "status": error.status, "detail": str(error)}
    return json.dumps(body), headers


def _lines(sdp: str) -> str:
    return "\n".join(sdp.splitlines())


def _credentials(sdp: str) -> list[str]:
    return [match[0] for match in _CREDENTIAL.finditer(_lines(sdp))]


def _ufrags(sdp: str) -> set[str]:
    return {
        line.removeprefix("a=ice-ufrag:")
        for line in _credentials(sdp)
        if line.startswith("a=ice-ufrag:")
    }
