"""Over TLS, with a certificate that nobody vouches for; and for whom there is a QR code."""

import asyncio
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from signaling.server import own_address

from ..processes import send_signal
from .browsers import Browser
from .peers import START_SECONDS, PeerProcess
from .programs import TOKEN, endpoint, program, publisher, viewer
from .test_watch import live, readable

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def camera(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PeerProcess]:
    """A peer that serves over TLS on this computer's own address."""
    env = {"XDG_STATE_HOME": str(tmp_path_factory.getbasetemp())}
    arguments = ("--fake", "--tls", "--host", own_address(), "--port", "0", "--token", TOKEN)
    async with program(*arguments, ready=r"Watch at (https\S+)", env=env) as camera:
        yield camera


async def fingerprint(camera: PeerProcess) -> str:
    return (await camera.logged("the certificate's fingerprint is")).rpartition(" ")[2]


async def test_the_page(browser: Browser, camera: PeerProcess) -> None:
    page = await live(browser, camera.url)
    assert await page.evaluate("location.protocol") == "https:"
    assert await page.evaluate("isSecureContext")
    await readable(page)
    assert page.errors == []
    await page.close()


async def test_a_viewer_that_knows_the_fingerprint(camera: PeerProcess) -> None:
    for address in (camera.url, endpoint(camera, "ws").replace("http", "ws", 1),
                    endpoint(camera, "whep/camera")):  # fmt: skip
        trust = ("--trust", await fingerprint(camera), "--token", TOKEN)
        async with viewer("--answer", address, *trust) as watching:
            await watching.logged("picture is")


async def test_a_viewer_that_has_the_certificate(
    camera: PeerProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "getusermedia" / "tls.pem"
    async with viewer("--answer", camera.url, "--trust", str(file)) as watching:
        await watching.logged("picture is")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "its certificate is not trusted"),
        (["--trust", "ab" * 32], "its certificate's fingerprint is {fingerprint}, not that one"),
        (["--trust", "missing.pem"], "is no fingerprint (SHA-256, 64 hexadecimal digits), and no"),
        (["--trust", __file__], "has no certificate in PEM"),
    ],
)
async def test_a_certificate_that_is_not_trusted_is_one_line(
    camera: PeerProcess, arguments: list[str], said: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "peer", "--answer", camera.url, *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, error = await process.communicate()
    assert (process.returncode, output) == (2, b"")
    [line] = error.decode().splitlines()
    assert said.format(fingerprint=await fingerprint(camera)) in line


async def test_publishing_over_tls(tmp_path_factory: pytest.TempPathFactory) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path_factory.getbasetemp())}
    async with program(
        "--tls", "--port", "0", module="signaling", ready=r"Watch at (https\S+)", env=state
    ) as server:
        line = await server.logged("fingerprint is")
        trust = ("--trust", line.rpartition(" ")[2])
        async with (
            publisher("--offer", server.url, *trust),
            viewer("--answer", server.url, *trust) as watching,
        ):
            await watching.logged("picture is")


async def on_a_terminal(*arguments: str, state: Path) -> str:
    """What a peer prints on a terminal until it says where its camera can be controlled."""
    main, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "peer", "--fake", "--port", "0", *arguments,
        stdin=terminal, stdout=terminal, stderr=terminal,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
    )  # fmt: skip
    os.close(terminal)
    shown = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(shown), os.fdopen(main, "rb", buffering=0)
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            text = await shown.readuntil(b"Control at")
            send_signal(process, signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        transport.close()
    return text.decode()


BLOCKS = "\u2580\u2584\u2588"  # what the code is drawn with


async def test_a_qr_code_is_for_people_elsewhere(tmp_path: Path) -> None:
    here = ("--tls", "--host", own_address(), "--token", TOKEN)
    shown = await on_a_terminal(*here, state=tmp_path)
    assert shown.count("Watch at") == 1
    assert any(block in shown for block in BLOCKS)
    shown = await on_a_terminal("--token", TOKEN, state=tmp_path)
    assert not any(block in shown for block in BLOCKS), "nobody else reaches loopback"


async def test_no_qr_code_in_a_pipe(camera: PeerProcess) -> None:
    await camera.logged("Control at")
    assert not any(block in line for line in camera.log for block in BLOCKS)
