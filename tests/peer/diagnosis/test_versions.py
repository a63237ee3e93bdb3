"""The versions: how they compare, and that the floors are the project's."""

import re
import tomllib
from pathlib import Path

from peer.diagnosis.versions import FLOORS, examine, judge, parse

PROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_the_floors_are_those_of_the_project() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    wanted = dict(re.split(">=", text) for text in project["dependencies"])
    python = project["requires-python"].removeprefix(">=")
    named = {"python": python, **wanted}
    assert {name: named[name] for name in FLOORS} == FLOORS


def test_versions_are_compared_by_number() -> None:
    assert parse("3.14.5") > parse("3.14.3") > parse("3.9.20")
    assert parse("2") == parse("2.0.0") == (2,)
    assert parse("3.14.0rc1") == (3, 14)
    assert parse("?") == ()


def test_what_is_old_or_missing_is_a_problem() -> None:
    good: dict[str, str | None] = dict.fromkeys(FLOORS, "99.0")
    assert [finding.level for finding in judge(good)] == ["ok"]
    _, python, av, numpy = judge(good | {"python": "3.9.2", "av": "9.2.0", "numpy": None})
    assert python.text == "python 3.9.2 is too old: 3.11 or newer is needed"
    assert av.remedy == "Install it with `pip install --upgrade 'av>=18'`"
    assert numpy.text == "numpy is not installed: 2 or newer is needed"
    assert {finding.level for finding in (python, av, numpy)} == {"problem"}


async def test_what_runs_here_will_do() -> None:
    (finding,) = await examine()
    assert finding.level == "ok"
    assert "aiortc 1." in finding.text
