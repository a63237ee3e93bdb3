"""Candidates as an SDP fragment, and within a whole description (RFC 8840, RFC 8839; pure)."""

from collections.abc import Sequence

from ..session import Candidate

SDPFRAG = "application/trickle-ice-sdpfrag"

_ICE = ("a=ice-ufrag:", "a=ice-pwd:")


def trickle_fragment(description: str, candidates: Sequence[Candidate]) -> str:
    """What tells these candidates to somebody who knows the description already.

    An empty candidate becomes `a=end-of-candidates`.
    """
    sections = _sections(description)
    # With everything in one bundle (the only thing that we offer) every section has the same.
    credentials = dict.fromkeys(
        line for section in sections for line in section if line.startswith(_ICE)
    )
    lines = list(credentials)[: len(_ICE)]
    for index, section in enumerate(sections[1:]):
        told = [c for c in candidates if _section_of(c, sections) == index]
        if told:
            mid = [line for line in section if line.startswith("a=mid:")]
            lines += [section[0], *mid, *(_line(candidate) for candidate in told)]
    return _text(lines)


def add_candidates(description: str, candidates: Sequence[Candidate]) -> str:
    """The description with these candidates in it."""
    sections = _sections(description)
    for candidate in candidates:
        index = _section_of(candidate, sections)
        if index is not None:
            sections[index + 1].append(_line(candidate))
    return _text([line for section in sections for line in section])


def has_all_candidates(description: str) -> bool:
    """Whether a description says that no more candidates follow."""
    return "a=end-of-candidates" in description.splitlines()


def _sections(description: str) -> list[list[str]]:
    """The lines before the first m-line, then each m-line with those that belong to it."""
    sections: list[list[str]] = [[]]
    for line in description.splitlines():
        if line.startswith("m="):
            sections.append([])
        if line:
            sections[-1].append(line)
    return sections


def _section_of(candidate: Candidate, sections: Sequence[Sequence[str]]) -> int | None:
    """Which m-section a candidate is of: its mid counts, then its index, then the first."""
    if candidate.sdp_mid is not None:
        for index, section in enumerate(sections[1:]):
            if f"a=mid:{candidate.sdp_mid}" in section:
                return index
        return None
    index = candidate.sdp_m_line_index or 0
    return index if index < len(sections) - 1 else None


def _line(candidate: Candidate) -> str:
    text = candidate.candidate.removeprefix("a=")
    if not text:
        return "a=end-of-candidates"
    return f"a={text}" if text.startswith("candidate:") else f"a=candidate:{text}"


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\r\n" for line in lines)
