"""The clocks: what the kernel says of them, and what that means."""

import sys

import pytest

from peer.diagnosis.clock import examine, judge, system_clock


def test_a_fine_clock_that_is_right() -> None:
    findings = judge(1e-9, (True, 0.0234))
    assert [finding.level for finding in findings] == ["ok", "ok"]
    assert "1 ns" in findings[0].text
    assert findings[1].text == "The system clock is synchronised, to within 23 ms"


def test_a_coarse_clock_that_may_be_wrong() -> None:
    findings = judge(0.015625, (False, 16.0))
    assert [finding.level for finding in findings] == ["warning", "warning"]
    assert "TLS certificates" in findings[1].text


def test_a_clock_that_can_t_be_asked() -> None:
    assert judge(1e-9, None)[1].level == "ok"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="adjtimex() is Linux's")
def test_the_kernel_is_asked() -> None:
    clock = system_clock()
    if clock is None:
        pytest.skip("this container may not call adjtimex()")
    assert clock[1] >= 0


async def test_this_computer_is_examined() -> None:
    assert len(await examine()) == 2
