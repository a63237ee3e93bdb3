"""Every form of `--offer` and `--answer`, with the programs as processes."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ..processes import send_signal
from .browsers import Browser
from .peers import EXIT_SECONDS, PeerProcess, running_peer
from .programs import (
    TOKEN,
    check_recording,
    endpoint,
    grows,
    program,
    publisher,
    signalling_server,
    token_of,
    viewer,
    websocket,
)
from .test_watch import live, readable

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[PeerProcess]:
    async with signalling_server() as server:
        yield server


@contextlib.asynccontextmanager
async def waiting_peer(*arguments: str) -> AsyncIterator[tuple[PeerProcess, str]]:
    """A peer that takes what others send to its own server, and the token that they must show."""
    async with program(
        "--answer", "--port", "0", *arguments, ready=r"Send to (\S+)whip/receiver"
    ) as peer:
        token = (await peer.logged("with the bearer token")).rpartition(" ")[2]
        yield peer, token


async def test_through_a_signalling_server(
    browser: Browser, server: PeerProcess, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    address = websocket(server)
    async with publisher("--offer", address, "--token", TOKEN) as camera:
        page = await live(browser, server.url)
        await readable(page)
        async with viewer("--answer", address, "--token", TOKEN, "--record", str(out)):
            await grows(out)
        check_recording(out)
        before = await readable(page)
        assert (await readable(page))["frame"] > before["frame"], "others go on"
        assert await camera.leave() == 0
        await page.wait_for('document.documentElement.dataset.state === "waiting"')
        await page.close()


async def test_the_address_that_a_server_prints_is_one_to_answer_and_offer(
    server: PeerProcess, tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    form = ("--answer", server.url, "--record", str(out))
    async with publisher("--offer", server.url), viewer(*form):
        await grows(out)
    check_recording(out)


async def test_whip_to_another_peer(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    async with waiting_peer("--record", str(out)) as (waiting, token):
        address = endpoint(waiting, "whip/receiver")
        async with publisher("--offer", address, "--token", token):
            await grows(out)
        await waiting.logged("is over")
    check_recording(out)


async def test_whep_from_another_peer(tmp_path: Path) -> None:
    out = tmp_path / "out.webm"
    async with running_peer("--fake", "--port", "0") as camera:
        address = endpoint(camera, "whep/camera")
        async with viewer("--answer", address, "--token", token_of(camera), "--record", str(out)):
            await grows(out)
        await camera.logged("a viewer left")
    check_recording(out)


async def test_copy_and_paste(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    offers, answers = os.pipe(), os.pipe()
    with contextlib.ExitStack() as ends:
        for descriptor in (*offers, *answers):
            ends.callback(os.close, descriptor)
        async with (
            program(
                "--fake", "--offer", "-",
                stdin=answers[0], stdout=offers[1], ready="Paste the answer",
            ) as camera,
            program(
                "--answer", "-", "--record", str(out),
                stdin=offers[0], stdout=answers[1], ready="Paste the offer",
            ) as watching,
        ):  # fmt: skip
            await grows(out)
            assert await camera.leave() == 0
            async with asyncio.timeout(EXIT_SECONDS):
                assert await watching.process.wait() == 0, "there is nobody else to talk to"
    check_recording(out)


async def test_a_server_of_its_own_and_one_elsewhere(
    chromium: Browser, server: PeerProcess, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    form = ("--fake", "--port", "0", "--offer", "--offer", server.url)
    async with running_peer(*form) as camera:
        page = await live(chromium, camera.url)
        async with viewer("--answer", server.url, "--record", str(out)):
            await grows(out)
        await readable(page)
        await page.close()
    check_recording(out)


async def test_a_screen_does_not_fit_into_whip(tmp_path: Path) -> None:
    async with (
        waiting_peer("--record", str(tmp_path / "out.mp4")) as (waiting, token),
        publisher(
            "--screen", "960x540", "--offer", endpoint(waiting, "whip/receiver"), "--token", token
        ) as camera,
    ):
        assert "127.0.0.1" in await camera.logged("takes one stream: screen is not sent")
        await waiting.logged("picture is")


FORMS = {
    "own server": ("Watch at", ["--fake", "--port", "0"]),
    "answer": ("Send to", ["--answer", "--port", "0"]),
    "both": ("Send to", ["--fake", "--offer", "--answer", "--port", "0"]),
    "paste an offer": ("Paste the answer", ["--fake", "--offer", "-"]),
    "paste an answer": ("Paste the offer", ["--answer", "-"]),
    "publish": ("publishing camera at", ["--fake", "--offer", "{ws}", "--token", TOKEN]),
    "receive": ("receiving from", ["--answer", "{ws}", "--token", TOKEN]),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_each_form_leaves_in_order(server: PeerProcess, number: int) -> None:
    with contextlib.ExitStack() as stack:
        read, write = os.pipe()  # a standard input on which nothing comes
        stack.callback(os.close, read)
        stack.callback(os.close, write)
        for name, (ready, arguments) in FORMS.items():
            async with program(
                *(argument.format(ws=websocket(server)) for argument in arguments),
                ready=ready,
                stdin=read,
            ) as peer:
                assert await peer.leave(number) == 0, name


async def run(*arguments: str) -> tuple[int, str, str]:
    """Run a peer to its end: exit status, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "peer", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, error = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), error.decode()


async def test_ctrl_c_while_a_server_does_not_answer() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    connected = asyncio.Event()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "peer", "--fake", "--offer", f"ws://127.0.0.1:{port}/",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await connected.wait()
    send_signal(process, signal.SIGINT)
    output, error = await process.communicate()
    assert (process.returncode, output, error) == (0, b"", b"")
    server.close()
    await server.wait_closed()


WRONG = ["--token", TOKEN[::-1]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fake", "--offer", "ws://127.0.0.1:1/"], "can't reach 127.0.0.1:1: connection refused"),
        (["--fake", "--offer", "http://127.0.0.1:1/whip/x"], "connection refused"),
        (["--fake", "--offer", "--port", "0", "--answer", "ws://127.0.0.1:1/"], "can't reach"),
        (["--answer", "ws://127.0.0.1:1/"], "can't reach 127.0.0.1:1: connection refused"),
        (["--answer", "http://127.0.0.1:1/whep/x"], "can't reach 127.0.0.1:1: connection refused"),
        (["--fake", "--offer", "{ws}", *WRONG], "does not let us in (401)"),
        (["--fake", "--offer", "{ws}"], "does not let us in: the first message must show a token"),
        (["--answer", "{ws}", *WRONG], "does not let us in (401)"),
        (["--fake", "--offer", "{ws}nowhere", "--token", TOKEN], "at this path: it said 404"),
        (["--answer", "--watch", "garden"], "it needs --answer ws://"),
        (["--name", "two words"], "is no name: up to 32 letters"),
    ],
)
async def test_a_server_that_refuses_is_one_line(
    server: PeerProcess, arguments: list[str], said: str
) -> None:
    arguments = [argument.format(ws=websocket(server)) for argument in arguments]
    status, output, error = await run(*arguments)
    assert (status, output) == (2, "")
    [line] = error.splitlines()
    assert line.startswith("python -m peer: "), "no device was opened before"
    assert said in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fake", "--offer", "{whip}", *WRONG], "said 401, the token is wrong"),
        (["--fake", "--offer", "{whip}", "--token", TOKEN], "said 404, nothing of this name"),
        (["--answer", "{whep}", *WRONG], "said 401, the token is wrong"),
    ],
)
async def test_whip_and_whep_are_refused_when_they_offer(
    server: PeerProcess, arguments: list[str], said: str
) -> None:
    places = {name: endpoint(server, f"{name}/nobody") for name in ("whip", "whep")}
    status, output, error = await run(*(argument.format(**places) for argument in arguments))
    assert (status, output) == (2, "")
    assert any(said in line for line in error.splitlines())
    assert "Traceback" not in error


async def test_one_server_that_refuses_later_does_not_end_the_others(
    server: PeerProcess, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    nobody = endpoint(server, "whip/nobody")
    async with publisher("--offer", server.url, "--offer", nobody, "--token", TOKEN) as camera:
        await camera.logged("publishing: .* said 404")
        async with viewer("--answer", server.url, "--record", str(out)):
            await grows(out)
    check_recording(out)
