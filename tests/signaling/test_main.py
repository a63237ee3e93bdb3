"""`python -m signaling` as a process: its address, its end, and a clear line for each mistake."""

import asyncio
import contextlib
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from signaling.protocol import PeerRole, PeerStatusChanged, SetPeerStatus

from ..processes import send_signal
from .test_websocket import Client

TOKEN = "0123456789abcdef"


async def _process(*arguments: str, state: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "signaling", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"XDG_STATE_HOME": str(state)},
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(
    *arguments: str, state: Path
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The address that it prints, token included."""
    process = await _process("--port", "0", *arguments, state=state)
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        match = re.fullmatch(r"Watch at (\S+)\n", line)
        assert match is not None, line
        yield match[1], process
    finally:
        send_signal(process, signal.SIGTERM)
        output, _ = await process.communicate()
        assert process.returncode == 0, output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    async with running(state=tmp_path) as (url, process):
        base, _, token = url.partition("#t=")
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{base}healthz") as response:
                assert response.status == 200
            async with http.get(f"{base}api/producers") as response:
                assert response.status == 401
            async with http.get(f"{base}metrics") as response:
                assert response.status == 404
            headers = {"Authorization": f"Bearer {token}"}
            async with http.ws_connect(base, headers=headers) as socket:
                client = Client(socket)
                await client.welcomed()
                both = frozenset({PeerRole.PRODUCER, PeerRole.LISTENER})
                await client.say(SetPeerStatus(both))
                assert isinstance(await client.hear(), PeerStatusChanged), "watchers publish"
                send_signal(process, number)
                assert await client.closed() == 1001
        assert await process.wait() == 0


async def test_flags_are_obeyed(tmp_path: Path) -> None:
    flags = ("--token", TOKEN, "--control-token", TOKEN[::-1], "--publish-token", "p" * 16,
             "--name", "Cam.Example", "--origin", "https://example.org", "--metrics")  # fmt: skip
    async with running(*flags, state=tmp_path) as (url, process):
        base, _, token = url.partition("#t=")
        assert token == TOKEN
        assert process.stdout is not None
        control = (await process.stdout.readline()).decode()
        assert control == f"Control at {base}#t={TOKEN[::-1]}\n"
        headers = {"Authorization": f"Bearer {TOKEN}", "Host": "cam.example",
                   "Origin": "https://example.org"}  # fmt: skip
        async with aiohttp.ClientSession(headers=headers) as http:
            async with http.get(f"{base}metrics") as response:
                assert "signaling_peers 0\n" in await response.text()
            async with http.get(f"{base}api/producers") as response:
                allowed = response.headers["Access-Control-Allow-Origin"]
                assert allowed == "https://example.org"
            async with http.get(f"{base}whip/anybody") as response:
                assert response.status == 403, "watchers don't publish where a token is for that"


async def test_tls_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    async with running("--tls", state=tmp_path) as (url, process):
        assert url.startswith("https://127.0.0.1:")
        assert process.stdout is not None
        assert b"fingerprint is" in await process.stdout.readline()
        trust = ssl.create_default_context(cafile=str(tmp_path / "getusermedia" / "tls.pem"))
        async with (
            aiohttp.ClientSession() as http,
            http.get(url.partition("#")[0], ssl=trust) as response,
        ):
            assert response.status == 200


async def test_no_auth_is_warned_of(tmp_path: Path) -> None:
    process = await _process("--port", "0", "--host", "0.0.0.0", "--no-auth", state=tmp_path)
    assert process.stdout is not None
    assert b"#t=" not in await process.stdout.readline()
    send_signal(process, signal.SIGTERM)
    _, error = await process.communicate()
    assert b"anybody on the network can watch and publish" in error
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--port", "99999"], "'99999' is no port"),
        (["--port", "x"], "'x' is no port"),
        (["--token", "short"], "a token has at least 16"),
        (["--token", TOKEN, "--no-auth"], "not allowed with"),
        (["--origin", "example.org"], "'example.org' is no origin"),
        (["--ice-server", "example.org"], "'example.org' is no ICE server"),
        (["--ice-server", "turn:example.org"], "takes a user and a password"),
        (["--tls", "/nowhere"], "is not two files: CERT,KEY"),
        (["--tls", "/nowhere,/nowhere"], "/nowhere can't be read"),
        (["--host", "192.0.2.200"], "this computer does not have that address"),
        (["--port", "0", "--redis", "nonsense"], "nonsense"),
    ],
)
async def test_a_mistake_gets_one_clear_line(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    process = await _process(*arguments, state=tmp_path)
    output, error = await process.communicate()
    assert process.returncode == 2
    assert output == b""
    assert error.count(b"\n") == 1
    assert said in error.decode()
