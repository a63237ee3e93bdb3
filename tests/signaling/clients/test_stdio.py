"""Copy and paste, through real pipes, files and a terminal."""

import asyncio
import contextlib
import json
import os
import pty
import select
import sys
import termios
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from signaling import SignalingError
from signaling.clients import stdio
from signaling.clients.descriptor import LineReader, LineTooLong, long_lines, write_text
from signaling.clients.stdio import Role, StdioClient, StdioSession
from signaling.session import Candidate, Description, Ended, EndReason

from .test_fragment import FIRST, OFFER

COMPLETE = OFFER + "a=end-of-candidates\r\n"


@dataclass
class Person:
    """The other ends of a client's three pipes."""

    keyboard: int
    screen: int
    errors: int

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())

    async def read(self, descriptor: int) -> str:
        """The next line that is shown."""
        line = await asyncio.wait_for(LineReader(descriptor, 1 << 20).read_line(), 30)
        assert line is not None
        return line

    def leave(self) -> None:
        os.close(self.keyboard)
        self.keyboard = -1


@pytest.fixture
def pipes() -> Iterator[tuple[Person, dict[str, int]]]:
    (stdin, keyboard), (screen, stdout), (errors, stderr) = (os.pipe() for _ in range(3))
    person = Person(keyboard, screen, errors)
    yield person, {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    for descriptor in (stdin, person.keyboard, screen, stdout, errors, stderr):
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
async def leaks() -> AsyncIterator[None]:
    """Nothing is left: no task, no thread."""
    tasks, threads = asyncio.all_tasks(), threading.active_count()
    yield
    assert asyncio.all_tasks() - {asyncio.current_task()} <= tasks
    assert threading.active_count() <= threads


async def begin(role: Role, descriptors: dict[str, int]) -> tuple[StdioClient, StdioSession]:
    client = StdioClient(role, **descriptors)
    await client.start()
    return client, await anext(client.sessions())


def line(type: Any, sdp: Any = OFFER) -> str:
    return json.dumps({"type": type, "sdp": sdp}) + "\n"


async def test_an_offer_out_and_an_answer_in(
    pipes: tuple[Person, dict[str, int]], leaks: None
) -> None:
    person, descriptors = pipes
    client, session = await begin("offer", descriptors)
    assert session.offers
    assert not session.renegotiates
    await session.send(Description("offer", COMPLETE))
    assert json.loads(await person.read(person.screen)) == {"type": "offer", "sdp": COMPLETE}
    assert "Paste the answer" in await person.read(person.errors)
    person.type(line("answer"))
    messages = session.messages()
    assert await anext(messages) == Description("answer", OFFER)
    await client.close()
    assert await anext(messages) == Ended()
    await client.close()
    assert not asyncio.get_running_loop().remove_reader(descriptors["stdin"])


async def test_an_offer_in_and_an_answer_out(
    pipes: tuple[Person, dict[str, int]], leaks: None
) -> None:
    person, descriptors = pipes
    client, session = await begin("answer", descriptors)
    assert not session.offers
    person.type(line("offer"))
    assert await anext(session.messages()) == Description("offer", OFFER)
    await session.send(Description("answer", COMPLETE))
    assert json.loads(await person.read(person.screen)) == {"type": "answer", "sdp": COMPLETE}
    await client.close()


async def test_a_description_waits_for_its_candidates(
    pipes: tuple[Person, dict[str, int]],
) -> None:
    person, descriptors = pipes
    client, session = await begin("offer", descriptors)
    await session.send(Description("offer", OFFER))
    await session.send(Candidate(FIRST, "0"))
    assert not select.select([person.screen], [], [], 0)[0]
    await session.send(Candidate("", "0"))
    shown = json.loads(await person.read(person.screen))["sdp"]
    assert f"a={FIRST}\r\na=end-of-candidates\r\n" in shown
    await client.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("\n", "empty"),
        ("hello\n", "no JSON"),
        ("[" * 60_000 + "\n", "no JSON"),
        ("[1]\n", '{"type"'),
        (line("answer", 5), '{"type"'),
        (line("offer"), "of type 'offer', not 'answer'"),
        (line(None), "of type None"),
        (line("answer", "hello"), "must begin with v=0"),
        ("x" * (stdio.LONGEST_LINE + 1) + "\n", "too long"),
        ("\udcff\n", "no JSON"),
    ],
)
async def test_what_is_no_description_is_answered_and_asked_for_again(
    pipes: tuple[Person, dict[str, int]], wrong: str, said: str
) -> None:
    person, descriptors = pipes
    client, session = await begin("offer", descriptors)
    await session.send(Description("offer", COMPLETE))
    assert "Paste the answer" in await person.read(person.errors)
    data = wrong.encode(errors="surrogateescape") + line("answer").encode()
    await asyncio.to_thread(os.write, person.keyboard, data)
    assert said in await person.read(person.errors)
    assert await anext(session.messages()) == Description("answer", OFFER)
    await client.close()


async def test_the_end_of_the_input_ends_the_session(
    pipes: tuple[Person, dict[str, int]], leaks: None
) -> None:
    person, descriptors = pipes
    client, session = await begin("answer", descriptors)
    person.leave()
    [ended] = [message async for message in session.messages()]
    assert ended == Ended(EndReason.CLOSED, "the input ended before the offer came")
    await client.close()


async def test_a_description_that_nobody_reads(pipes: tuple[Person, dict[str, int]]) -> None:
    person, descriptors = pipes
    client, session = await begin("offer", descriptors)
    os.close(person.screen)
    person.screen = -1
    with pytest.raises(SignalingError, match="the terminal is gone: Broken pipe"):
        await session.send(Description("offer", COMPLETE))
    assert (await anext(session.messages())).reason is EndReason.LOST  # type: ignore[union-attr]
    await client.close()


async def test_a_terminal_that_is_closed(leaks: None) -> None:
    person, program = pty.openpty()
    descriptors = dict.fromkeys(("stdin", "stdout", "stderr"), program)
    client, session = await begin("answer", descriptors)
    asking = LineReader(person, 100)
    while "Paste" not in (await asking.read_line() or ""):
        pass
    os.close(person)
    assert isinstance(ended := await anext(session.messages()), Ended)
    assert ended.reason in (EndReason.LOST, EndReason.CLOSED), "by the kernel's taste"
    await client.close()
    os.close(program)


async def test_a_process_that_ends_while_it_waits_for_input() -> None:
    program = (
        "import asyncio\n"
        "from signaling.clients import StdioClient\n"
        "async def main():\n"
        "    client = StdioClient('answer')\n"
        "    await client.start()\n"
        "    session = await anext(client.sessions())\n"
        "    await asyncio.sleep(0.1)\n"
        "    await client.close()\n"
        "asyncio.run(main())\n"
    )
    reader, writer = os.pipe()  # never written to
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=reader, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    finally:
        os.close(reader)
        os.close(writer)
    assert process.returncode == 0
    assert errors.decode() == "Paste the offer here, as one line of JSON, and press Enter.\n"


async def test_the_last_line_needs_no_end(pipes: tuple[Person, dict[str, int]]) -> None:
    person, descriptors = pipes
    client, session = await begin("answer", descriptors)
    person.type(line("offer").strip())
    person.leave()
    assert await anext(session.messages()) == Description("offer", OFFER)
    assert session.inbox.ended is None, "it needs no more input"
    await client.close()


async def test_a_file_as_input(tmp_path: Path, pipes: tuple[Person, dict[str, int]]) -> None:
    _, descriptors = pipes
    path = tmp_path / "offer.json"
    path.write_text(line("offer"))
    with path.open() as file:
        client, session = await begin("answer", descriptors | {"stdin": file.fileno()})
        assert await anext(session.messages()) == Description("offer", OFFER)
        await client.close()


async def test_one_session_and_no_other(pipes: tuple[Person, dict[str, int]]) -> None:
    _, descriptors = pipes
    client = StdioClient("answer", **descriptors)
    sessions = client.sessions()
    session = await anext(sessions)
    await session.end(EndReason.FAILED)
    assert await anext(sessions, None) is None
    assert [one async for one in client.sessions()] == []
    await client.close()


async def test_only_one_description_can_be_sent(pipes: tuple[Person, dict[str, int]]) -> None:
    _, descriptors = pipes
    client, session = await begin("offer", descriptors)
    with pytest.raises(ValueError, match="one offer"):
        await session.send(Description("answer", COMPLETE))
    await session.send(Description("offer", OFFER))
    with pytest.raises(ValueError, match="one offer"):
        await session.send(Description("offer", OFFER))
    await client.close()


async def test_writing_waits_for_a_slow_reader_and_can_be_cancelled(leaks: None) -> None:
    reader, writer = os.pipe()
    try:
        writing = asyncio.create_task(write_text(writer, "x" * 1_000_000))
        await asyncio.wait({writing}, timeout=0.1)
        assert not writing.done()
        writing.cancel()
        await asyncio.wait({writing})
        assert writing.cancelled()
    finally:
        os.close(reader)
        os.close(writer)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    person, program = pty.openpty()
    quiet = termios.tcgetattr(program)
    quiet[3] &= ~termios.ECHO  # nobody reads the echo, and it would fill the terminal
    termios.tcsetattr(program, termios.TCSANOW, quiet)
    yield person, program
    os.close(person)
    os.close(program)


async def test_a_terminal_takes_more_than_4095_bytes(terminal: tuple[int, int]) -> None:
    person, program = terminal
    before = termios.tcgetattr(program)
    with long_lines(program):
        sending = asyncio.create_task(write_text(person, "x" * 9_999 + "yy\x7f\n"))
        assert await LineReader(program, 20_000).read_line() == "x" * 9_999 + "y"
        await sending
        os.write(person, b"\x04")
        assert await LineReader(program, 10).read_line() is None
    assert termios.tcgetattr(program) == before


async def test_a_long_line_is_skipped_whole() -> None:
    reader, writer = os.pipe()
    try:
        lines = LineReader(reader, 10)
        os.write(writer, b"x" * 5000 + b"\nshort\n")
        with pytest.raises(LineTooLong):
            await lines.read_line()
        assert await lines.read_line() == "short"
    finally:
        os.close(reader)
        os.close(writer)
