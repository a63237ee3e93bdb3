"""The doctor: the order of its report, its two forms, and that no fault of its own stops it."""

import json

import pytest
from aiortc import RTCIceServer

from peer import doctor
from peer.devices.virtual import VirtualBackend
from peer.diagnosis import addresses, clock, codecs, devices, ice_servers, port, stun_client
from peer.diagnosis.finding import Finding

OK = Finding("camera", "ok", "1 camera can be used: HD Camera (/dev/video0)")
WARNING = Finding("clock", "warning", "The clock is slow", "Set it")
PROBLEM = Finding("port", "problem", "The port is taken", "Use `--port 0`")


def test_the_report_is_aligned_and_has_the_remedy_below() -> None:
    assert doctor.report([OK, WARNING, PROBLEM]).splitlines() == [
        "ok camera  1 camera can be used: HD Camera (/dev/video0)",
        "!  clock   The clock is slow",
        "           -> Set it",
        "x  port    The port is taken",
        "           -> Use `--port 0`",
        "",
        "Something is in the way (1 problem, 1 warning).",
    ]


def test_the_last_line_says_whether_all_is_well() -> None:
    assert doctor.report([OK]).endswith("\n\nNothing prevents publishing.")
    assert doctor.report([WARNING, WARNING]).endswith("Nothing prevents publishing (2 warnings).")


def test_long_sentences_are_wrapped_below_themselves() -> None:
    lines = doctor.report([Finding("port", "ok", "word " * 60)]).splitlines()
    assert all(len(line) <= 96 for line in lines)
    assert lines[1].startswith(" " * len("ok port  ") + "word")


def test_a_device_s_name_can_t_steer_the_terminal() -> None:
    text = doctor.report([Finding("camera", "ok", "Cam\x1b[2J\nera")])
    assert "Cam?[2J?era" in text


def test_only_problems_prevent_publishing() -> None:
    assert doctor.exit_status([]) == 0
    assert doctor.exit_status([OK, WARNING]) == 0
    assert doctor.exit_status([OK, PROBLEM, WARNING]) == 1


def test_findings_as_json() -> None:
    assert json.loads(doctor.findings_as_json([OK, PROBLEM])) == [
        {"subject": "camera", "level": "ok", "text": OK.text, "remedy": None},
        {"subject": "port", "level": "problem", "text": PROBLEM.text, "remedy": PROBLEM.remedy},
    ]


@pytest.mark.parametrize(("level", "remedy"), [("ok", "Do it"), ("warning", ""), ("problem", "")])
def test_a_finding_has_a_remedy_only_if_it_needs_one(level: str, remedy: str) -> None:
    with pytest.raises(ValueError, match="has a remedy if it is not ok"):
        Finding("port", level, "text", remedy)  # type: ignore[arg-type]


async def test_every_subject_is_examined_in_order() -> None:
    findings = await doctor.examine(port=0, backends=[VirtualBackend()])
    subjects = list(dict.fromkeys(finding.subject for finding in findings))
    assert subjects == [
        "camera", "microphone", "screen", "network", "ICE server", "port", "codecs", "clock",
        "container", "versions",
    ]  # fmt: skip
    assert doctor.exit_status(findings) == 0, doctor.report(findings)


async def test_a_server_that_can_t_be_used_is_a_problem() -> None:
    findings = await doctor.examine(
        port=0, backends=[VirtualBackend()], ice_servers=[RTCIceServer("stun:")]
    )
    assert [finding.text for finding in findings if finding.level == "problem"] == [
        "stun: is no URL of a STUN or TURN server"
    ]


async def test_one_subject_that_fails_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "system_clock", lambda: 1 // 0)
    findings = await doctor.examine(port=0, backends=[VirtualBackend()])
    (failed,) = (finding for finding in findings if finding.subject == "clock")
    assert failed.level == "warning"
    assert "ZeroDivisionError" in failed.text
    assert findings[-1].subject == "versions"


def test_the_time_outs_add_up_to_about_ten_seconds() -> None:
    resolving = addresses.RESOLVE_TIMEOUT
    longest = max(
        devices.LISTING_TIMEOUT,
        resolving + ice_servers.TURN_TIMEOUT,
        resolving + stun_client.STUN_TIMEOUT,
        resolving + port.HOLDERS_TIMEOUT,
    )
    assert longest <= doctor.SUBJECT_TIMEOUT
    assert doctor.SUBJECT_TIMEOUT + codecs.CODECS_TIMEOUT <= 10
