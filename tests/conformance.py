"""Writes docs/conformance.md from the rules that tests name: `python -m tests.conformance`."""

import contextlib
import io
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RULES = ROOT / "tests" / "spec_rules.toml"
TARGET = ROOT / "docs" / "conformance.md"
SECTIONS = {
    "0": "A process instead of a page",
    "1": "MediaStream",
    "2": "MediaStreamTrack",
    "3": "Syntax of constraints",
    "4": "Constrainable properties",
    "5": "Fitness distance and SelectSettings",
    "6": "getUserMedia",
    "7": "Devices",
    "8": "applyConstraints, getConstraints, getCapabilities",
    "9": "ImageCapture",
    "10": "Extensions",
    "11": "getDisplayMedia",
    "12": "RTCPeerConnection: sending",
    "13": "RTCPeerConnection: receiving",
    "14": "RTCPeerConnection: negotiation",
    "16": "getStats",
}
HEAD = """# Conformance

Which rule of Media Capture and Streams, its extensions, Image Capture, Screen Capture and WebRTC
which test shows. Written by `scripts/conformance` from the tests; a test fails when it is out of
date. Tests under `tests/lab` run on kernel devices, the others on virtual ones.
"""


class Collected:
    """A pytest plugin: the rules and web platform tests that the collected tests name."""

    def __init__(self) -> None:
        self.tests: dict[str, set[str]] = defaultdict(set)
        self.covered: dict[str, set[str]] = defaultdict(set)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            name = item.nodeid.partition("[")[0]
            for marker in item.iter_markers("spec"):
                for rule in marker.args:
                    self.tests[rule].add(name)
                for file in marker.kwargs.get("wpt", ()):
                    self.covered[file].add(name)


def collect() -> Collected:
    """Collect the tests, without running any."""
    collected = Collected()
    folders = [str(ROOT / "tests" / folder) for folder in ("peer", "lab")]
    with contextlib.redirect_stdout(io.StringIO()):
        status = pytest.main(
            ["--collect-only", "--quiet", "-p", "no:cacheprovider", *folders], plugins=[collected]
        )
    if status != pytest.ExitCode.OK:
        raise SystemExit(f"the tests can't be collected: {status!r}")
    return collected


def report(collected: Collected) -> tuple[str, list[str]]:
    """The page, and what is wrong: rules without test and reason, and names that do not exist."""
    table = tomllib.loads(RULES.read_text())
    rules, not_met = table["rules"], table["not_met"]
    wrong = [f"a test names a rule {rule} that does not exist" for rule in collected.tests
             if rule not in rules]  # fmt: skip
    wrong += [f"rule {rule} has neither test nor reason" for rule in rules
              if rule not in collected.tests and rule not in not_met]  # fmt: skip
    wrong += [f"rule {rule} has a reason for not being met, and tests" for rule in not_met
              if rule in collected.tests]  # fmt: skip
    shown = [rule for rule in rules if rule in collected.tests]
    lines = [HEAD, f"{len(shown)} of {len(rules)} rules are shown by tests.", ""]
    for number, title in SECTIONS.items():
        lines += [f"## {number} {title}", "", "| rule | | shown by |", "|---|---|---|"]
        for rule, text in rules.items():
            if rule.partition(".")[0] == number:
                tests = "<br>".join(_short(test) for test in sorted(collected.tests[rule]))
                lines.append(f"| {rule} | {text} | {tests or f'not: {not_met.get(rule)}'} |")
        lines.append("")
    lines += ["## Web platform tests", "", "What these files check is checked by tests of our own.",
              "", "| file | covered by |", "|---|---|"]  # fmt: skip
    for file in sorted(collected.covered):
        path = file if "/" in file else f"mediacapture-streams/{file}"
        tests = "<br>".join(_short(test) for test in sorted(collected.covered[file]))
        lines.append(f"| {path} | {tests} |")
    return "\n".join(lines) + "\n", wrong


def _short(test: str) -> str:
    return f"`{test.removeprefix('tests/')}`"


def main(arguments: list[str]) -> int:
    page, wrong = report(collect())
    if "--check" in arguments:
        if not TARGET.exists() or TARGET.read_text() != page:
            wrong.append(f"{TARGET.relative_to(ROOT)} is out of date: run scripts/conformance")
    else:
        TARGET.write_text(page)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
