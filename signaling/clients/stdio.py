"""Copy and paste: one description as a line of JSON on stdout, the other one on stdin."""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from ..errors import SignalingError
from ..session import Candidate, Description, Ended, EndReason, IceServer, Message
from .descriptor import LineReader, LineTooLong, long_lines, write_text
from .fragment import add_candidates, has_all_candidates
from .inbox import Inbox

logger = logging.getLogger(__name__)

LONGEST_LINE = 64 * 1024
"""Bytes; a description as JSON has 2 to 12 KiB."""

MOST_CANDIDATES = 64
"""That wait for the last one; a computer has one or two for each address."""

Role = Literal["offer", "answer"]


class StdioSession:
    """The one conversation with a person, who carries the descriptions to and fro."""

    peer_id = ""
    polite = False
    renegotiates = False
    may_control = False
    ice_servers: tuple[IceServer, ...] = ()

    def __init__(self, role: Role, stdin: int, stdout: int, stderr: int) -> None:
        self.id = secrets.token_urlsafe(32)
        self.offers = role == "offer"
        self.inbox = Inbox()
        self._stdout = stdout
        self._stderr = stderr
        self._role = role
        self._description: str | None = None
        self._candidates: list[Candidate] = []
        self._complete = False
        self._shown = asyncio.Event()
        self._conversation = asyncio.create_task(self._converse(stdin))

    async def send(self, message: Description | Candidate) -> None:
        """Show the description, once all candidates are in it: those that it has itself, if it
        says `a=end-of-candidates`, else those sent before the empty one.

        :raises SignalingError: nobody reads it.
        :raises ValueError: it is of the wrong type, or a second one.
        """
        if self.inbox.ended is not None or self._complete:
            return
        if isinstance(message, Candidate):
            if len(self._candidates) < MOST_CANDIDATES or not message.candidate:
                self._candidates.append(message)
        elif message.type != self._role or self._description is not None:
            raise ValueError(f"by copy and paste one {self._role} can be sent, and nothing else")
        else:
            self._description = message.sdp
        if self._description is None:
            return
        all_told = any(not candidate.candidate for candidate in self._candidates)
        self._complete = all_told or has_all_candidates(self._description)
        if self._complete:
            sdp = add_candidates(self._description, self._candidates)
            try:
                await write_text(self._stdout, json.dumps({"type": self._role, "sdp": sdp}) + "\n")
            except OSError as error:
                raise SignalingError(self._lost(error)) from error
            self._shown.set()

    async def end(self, reason: EndReason = EndReason.CLOSED, detail: str = "") -> None:
        """End the session; nobody can be told. A second call changes nothing."""
        self.inbox.end(Ended(reason, detail))
        self._conversation.cancel()
        await asyncio.wait({self._conversation})

    def messages(self) -> AsyncIterator[Message]:
        """The other side's description, then the end."""
        return self.inbox.read()

    def _lost(self, error: OSError) -> str:
        detail = f"the terminal is gone: {error.strerror}"
        self.inbox.end(Ended(EndReason.LOST, detail))
        return detail

    async def _converse(self, stdin: int) -> None:
        try:
            await self._take_description(stdin)
        except OSError as error:
            self._lost(error)

    async def _take_description(self, stdin: int) -> None:
        """Take the other side's description; what else is typed is answered."""
        wanted: Role = "answer" if self.offers else "offer"
        if self.offers:
            await self._shown.wait()
        reader = LineReader(stdin, LONGEST_LINE)
        with long_lines(stdin):
            await self._tell(f"Paste the {wanted} here, as one line of JSON, and press Enter.")
            while True:
                try:
                    line = await reader.read_line()
                    if line is None:
                        detail = f"the input ended before the {wanted} came"
                        self.inbox.end(Ended(EndReason.CLOSED, detail))
                        return
                    self.inbox.put(_description(line, wanted))
                    return
                except LineTooLong:
                    await self._tell(f"The line is too long: at most {LONGEST_LINE} bytes.")
                except ValueError as error:
                    await self._tell(f"{error} Please paste the {wanted} again.")

    async def _tell(self, text: str) -> None:
        await write_text(self._stderr, text + "\n")


class StdioClient:
    """One session by copy and paste.

    :param role: what this side makes: the offer, or the answer.
    :param stdin, stdout, stderr: descriptors; the process's own by default. What is written passes
        by Python's buffers.
    """

    def __init__(
        self,
        role: Role,
        *,
        stdin: int = 0,
        stdout: int = 1,
        stderr: int = 2,
    ) -> None:
        self._role = role
        self._descriptors = stdin, stdout, stderr
        self._session: StdioSession | None = None
        self._closed = False

    async def start(self) -> None:
        """There is nothing to connect to."""

    async def sessions(self) -> AsyncIterator[StdioSession]:
        """The one session."""
        if self._session is None and not self._closed:
            self._session = StdioSession(self._role, *self._descriptors)
            yield self._session
            await self._session.inbox.wait_ended()

    async def set_meta(self, meta: Mapping[str, Any]) -> None:
        """Nobody can be told by copy and paste."""

    async def close(self) -> None:
        """End the session; a second call changes nothing."""
        self._closed = True
        if self._session is not None:
            await self._session.end()


def _description(line: str, wanted: Role) -> Description:
    """:raises ValueError: a line is no such description; the message is for a person."""
    if not line:
        raise ValueError("The line is empty.")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("This is no JSON.") from None
    if not isinstance(value, dict) or not isinstance(value.get("sdp"), str):
        raise ValueError('This is not {"type": …, "sdp": …}.')
    if value.get("type") != wanted:
        raise ValueError(f"This is of type {value.get('type')!r}, not {wanted!r}.")
    if not value["sdp"].startswith("v=0"):
        raise ValueError("The sdp is no SDP: it must begin with v=0.")
    return Description(wanted, value["sdp"])
