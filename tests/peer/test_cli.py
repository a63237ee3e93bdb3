"""The command line as a process: one clear line for each mistake, and nothing left open."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import pytest


async def peer(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run `python -m peer` to its end: exit status, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "peer", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    output, error = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), error.decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--port", "99999"], "'99999' is no port"),
        (["--video", "12x"], "'12x' is no constraint"),
        (["--video", '{"width": "wide"}'], "video.width must be a number, not 'wide'"),
        (["--video", '{"cursor": {"exact": "never"}}'], "cursor can't be required"),
        (["--token", "short"], "a token has at least 16"),
        (["--control-token", "short"], "a token has at least 16"),
        (["--offer", "wss://x.example", "--token", "two words"], "and no spaces"),
        (["--token", "0123456789abcdef", "--no-auth"], "not allowed with"),
        (["--video", "none", "--audio", "none"], "nothing to publish"),
        (["--fake", "--video", '{"width": {"min": 5000}}'], "Cam C offers 1 to 1920"),
        (["--fake", "--video", '{"deviceId": {"exact": "x"}}'], "deviceId: exactly x"),
        (["--host", "192.0.2.200"], "this computer does not have that address"),
        (["--host", "no such host"], "no such host"),
        (["--offer", "https://x.example/whep/y"], "to publish it must be a WHIP URL"),
        (["--answer", "ftp://x.example/"], "is no address of a signalling server"),
        (["--offer", "-", "--answer", "-"], "only one side can be copied and pasted"),
        (["--record", "out.mp4"], "it needs --answer"),
        (["--answer", "--record", "out.xyz"], "xyz"),
        (["--codecs", "VP8,XYZ"], "'XYZ' can't be sent; there are"),
        (["--hardware", "h264_xyz"], "'h264_xyz' is no encoder in hardware; there are h264_nvenc"),
        (["--tls", "missing.pem,missing.key"], "missing.pem"),
        (["--ice-server", "turn:host"], "takes a user and a password"),
        (["--ice-server", "host"], "is no ICE server"),
        (["--config", "missing.toml"], "missing.toml can't be read: No such file"),
    ],
)
async def test_a_mistake_is_one_line_and_status_2(arguments: list[str], said: str) -> None:
    status, output, error = await peer(*arguments)
    assert status == 2
    lines = [line for line in error.splitlines() if not line.startswith(("opened", "closed"))]
    assert len(lines) == 1, error
    assert said in lines[0]
    assert output == ""


async def test_a_busy_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, _, error = await peer("--fake", "--port", str(taken.getsockname()[1]))
    assert status == 2
    assert error.count("\n") == 1
    assert "the port is in use; choose another with --port" in error


async def test_the_virtual_devices_are_listed() -> None:
    status, output, _ = await peer("--devices", "--fake")
    assert status == 0
    assert "Cam C (virtual:Cam C, faces environment)" in output
    assert "1920x1080 at 15" in output
    assert "48000 Hz, stereo" in output
    assert "can be set: brightness, contrast" in output


async def test_devices_as_json() -> None:
    status, output, _ = await peer("--devices", "--fake", "--json")
    assert status == 0
    devices = json.loads(output)
    kinds = [device["kind"] for device in devices]
    assert kinds == ["videoinput", "videoinput", "audioinput", "audioinput", "display"]
    assert [len(device["deviceId"] or "") for device in devices] == [64, 64, 64, 64, 0]


async def test_cameras_can_be_told_which_way_they_face(tmp_path: Path) -> None:
    config = tmp_path / "peer.toml"
    config.write_text('[[camera]]\nlabel = "Cam A"\nfacingMode = "left"\n')
    status, output, _ = await peer("--devices", "--fake", "--config", str(config))
    assert status == 0
    assert "Cam A (virtual:Cam A, faces left, default)" in output
    assert "Cam C (virtual:Cam C, faces environment)" in output


async def test_the_doctor_ends_with_a_verdict() -> None:
    status, output, _ = await peer("--doctor", "--fake", "--port", "0")
    assert status == 0, output
    assert output.splitlines()[-1].startswith("Nothing prevents publishing")


async def test_the_doctor_as_json() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, output, _ = await peer("--doctor", "--fake", "--json", "--port", port)
    assert status == 1, "the port is in use"
    problems = [finding for finding in json.loads(output) if finding["level"] == "problem"]
    assert [finding["subject"] for finding in problems] == ["port"]
    assert "--port" in problems[0]["remedy"]
