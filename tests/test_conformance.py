"""The page of conformance says what the tests say."""

import subprocess
import sys
from pathlib import Path


def test_every_rule_has_a_test_or_a_reason_and_the_page_is_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "tests.conformance", "--check"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
