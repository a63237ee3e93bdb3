"""Janus, an SFU from Debian's packages, and the WHIP endpoint that it needs in front of it.

Janus speaks a protocol of its own, over a WebSocket. The WHIP servers for it are not in a package
registry, so the endpoint here is this project's: some HTTP around a request to Janus's video room.
The offer goes to Janus and its answer comes back as they are; ICE, DTLS and media are all Janus's.
"""

import asyncio
import contextlib
import itertools
import json
import shutil
import signal
import socket
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.processes import send_signal

ROOM = 1
START_SECONDS = 20.0
ANSWER_SECONDS = 20.0  # Janus answers within milliseconds; a busy machine doesn't
LIBRARIES = "/usr/lib/*-linux-gnu*/janus"

CONFIGURATION = {
    "janus.jcfg": """
        general: {{
            configs_folder = "{folder}"
            plugins_folder = "{folder}/plugins"
            transports_folder = "{folder}/transports"
            loggers_folder = "{folder}/loggers"
            session_timeout = 0
        }}
    """,
    "janus.transport.websockets.jcfg": """
        general: {{ json = "compact", ws = true, ws_ip = "127.0.0.1", ws_port = {port} }}
    """,
    "janus.plugin.videoroom.jcfg": """
        room-{room}: {{ publishers = 2, videocodec = "vp8,h264", audiocodec = "opus" }}
    """,
}


class JanusMissing(Exception):
    """Janus is not installed; the message names the Debian package that has it."""


class JanusError(Exception):
    """Janus refused a request, or ended."""


class JanusSession:
    """A session of Janus's API, over a WebSocket."""

    def __init__(self, http: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse):
        self.id = 0
        self._http = http
        self._socket = socket
        self._transactions = itertools.count(1)
        self._replies: dict[str, asyncio.Queue[Mapping[str, Any]]] = {}
        self._told: dict[int, set[str]] = {}
        self._news = asyncio.Condition()

    async def read(self) -> None:
        """Hand what Janus says to whoever waits for it, until the end."""
        async for message in self._socket:
            data = json.loads(message.data)
            if (replies := self._replies.get(data.get("transaction"))) is not None:
                replies.put_nowait(data)
            elif "sender" in data:
                async with self._news:
                    self._told.setdefault(data["sender"], set()).add(data["janus"])
                    self._news.notify_all()

    async def request(self, kind: str, **parameters: Any) -> Mapping[str, Any]:
        """Janus's last word on a request: the event of a plugin, not what acknowledges it.

        :raises JanusError: it refused.
        """
        transaction = str(next(self._transactions))
        replies = self._replies[transaction] = asyncio.Queue()
        session = {"session_id": self.id} if self.id else {}
        await self._socket.send_json(
            {"janus": kind, "transaction": transaction, **session, **parameters}
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while (reply := await replies.get())["janus"] == "ack" and kind == "message":
                    pass
        finally:
            del self._replies[transaction]
        refusal = reply.get("error") or reply.get("plugindata", {}).get("data", {}).get("error")
        if refusal:
            raise JanusError(f"{kind}: {refusal}")
        return reply

    async def attach(self) -> int:
        """A new handle of the video room."""
        reply = await self.request("attach", plugin="janus.plugin.videoroom")
        return int(reply["data"]["id"])

    async def message(
        self, handle: int, body: Mapping[str, Any], jsep: Mapping[str, str] | None = None
    ) -> tuple[Mapping[str, Any], Mapping[str, str] | None]:
        """What the video room says to a request, and its description."""
        reply = await self.request(
            "message", handle_id=handle, body=body, **({"jsep": jsep} if jsep else {})
        )
        return reply["plugindata"]["data"], reply.get("jsep")

    async def subscribe(self, publisher: int, answer: Callable[[str], Awaitable[str]]) -> int:
        """Be sent what a publisher of the room sends; returns the handle.

        :param answer: gives the answer to Janus's offer.
        """
        handle = await self.attach()
        _, offer = await self.message(
            handle,
            {
                "request": "join",
                "ptype": "subscriber",
                "room": ROOM,
                "streams": [{"feed": publisher}],
            },
        )
        assert offer is not None
        jsep = {"type": "answer", "sdp": await answer(offer["sdp"])}
        await self.message(handle, {"request": "start"}, jsep)
        return handle

    async def told(self, handle: int, kind: str) -> None:
        """Wait until Janus has said this of a handle: `webrtcup`, `hangup`, …"""
        async with asyncio.timeout(ANSWER_SECONDS), self._news:
            await self._news.wait_for(lambda: kind in self._told.get(handle, ()))


class Janus:
    """A running Janus with one video room."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.log: deque[str] = deque(maxlen=300)
        self.ready = asyncio.get_running_loop().create_future()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[JanusSession]:
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(self.url, protocols=["janus-protocol"]) as connection,
        ):
            session = JanusSession(http, connection)
            reader = asyncio.create_task(session.read())
            session.id = (await session.request("create"))["data"]["id"]
            try:
                yield session
            finally:
                with contextlib.suppress(ConnectionError):
                    await session.request("destroy")
                await connection.close()
                await reader

    async def read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self.log.append(line.decode(errors="replace").rstrip())
            if b"WebSockets thread started" in line:
                self.ready.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(JanusError("\n".join(self.log)))


def find_janus() -> tuple[str, Path]:
    """The program, and the folder of its plugins.

    :raises JanusMissing: there is none.
    """
    program = shutil.which("janus")
    folders = sorted(Path("/").glob(LIBRARIES.lstrip("/")))
    if program is None or not folders:
        raise JanusMissing("janus is not installed (Debian package: janus)")
    return program, folders[0]


@contextlib.asynccontextmanager
async def running_janus() -> AsyncIterator[Janus]:
    """Run Janus with nothing but WebSockets and the video room, configured in a temporary folder.

    :raises JanusMissing: it is not installed.
    """
    program, libraries = find_janus()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="janus-") as name:
        folder = Path(name)
        for kind, library in [("plugins", "videoroom"), ("transports", "websockets")]:
            (folder / kind).mkdir()
            file = f"{kind}/libjanus_{library}.so"
            (folder / file).symlink_to(libraries / file)
        (folder / "loggers").mkdir()
        for file, text in CONFIGURATION.items():
            (folder / file).write_text(text.format(folder=folder, port=port, room=ROOM))
        process = await asyncio.create_subprocess_exec(
            program, f"--configs-folder={folder}", f"--config={folder}/janus.jcfg",
            "--disable-colors",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        janus = Janus(f"ws://127.0.0.1:{port}")
        reader = asyncio.create_task(janus.read(process.stdout))
        try:
            async with asyncio.timeout(START_SECONDS):
                await janus.ready
            yield janus
        finally:
            send_signal(process, signal.SIGTERM)
            await process.wait()
            await reader
            process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves it to the collector


class WhipFront:
    """A WHIP endpoint whose sessions are publishers of Janus's video room.

    `token` is what it wants as bearer token.
    """

    def __init__(self, session: JanusSession, token: str) -> None:
        self.url = ""
        self.token = token
        self.publishers: dict[int, int] = {}
        """Janus's name of a publisher, by the handle that the session's URL ends in."""
        self._changed = asyncio.Condition()
        self._session = session

    async def has(self, count: int) -> None:
        """Wait until there are so many publishers."""
        async with asyncio.timeout(ANSWER_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.publishers) == count)

    async def publish(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        if request.content_type != "application/sdp":
            raise web.HTTPUnsupportedMediaType
        handle = await self._session.attach()
        try:
            joined, answer = await self._session.message(
                handle,
                {"request": "joinandconfigure", "ptype": "publisher", "room": ROOM},
                {"type": "offer", "sdp": await request.text()},
            )
        except JanusError as error:
            await self._session.request("detach", handle_id=handle)
            raise web.HTTPUnprocessableEntity(text=str(error)) from error
        assert answer is not None
        async with self._changed:
            self.publishers[handle] = joined["id"]
            self._changed.notify_all()
        return web.Response(
            status=201,
            text=answer["sdp"],
            content_type="application/sdp",
            headers={"Location": f"/whip/{handle}", "ETag": f'"{handle}"'},
        )

    async def trickle(self, request: web.Request) -> web.Response:
        handle = self._handle(request)
        mid = None
        for line in (await request.text()).splitlines():
            if line.startswith("a=mid:"):
                mid = line.removeprefix("a=mid:")
            elif line.startswith("a=candidate:"):
                candidate = {"candidate": line.removeprefix("a="), "sdpMid": mid}
                await self._session.request("trickle", handle_id=handle, candidate=candidate)
        return web.Response(status=204)

    async def leave(self, request: web.Request) -> web.Response:
        handle = self._handle(request)
        async with self._changed:
            del self.publishers[handle]
            self._changed.notify_all()
        await self._session.request("detach", handle_id=handle)
        return web.Response()

    def _handle(self, request: web.Request) -> int:
        handle = int(request.match_info["handle"])
        if handle not in self.publishers:
            raise web.HTTPNotFound
        return handle


@contextlib.asynccontextmanager
async def whip_front(session: JanusSession, token: str = "secret") -> AsyncIterator[WhipFront]:
    """Serve WHIP for a session of Janus, on a free port of loopback."""
    front = WhipFront(session, token)
    app = web.Application()
    app.router.add_post("/whip", front.publish)
    app.router.add_patch(r"/whip/{handle:\d+}", front.trickle)
    app.router.add_delete(r"/whip/{handle:\d+}", front.leave)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        front.url = f"{site.name}/whip"
        yield front
    finally:
        await runner.cleanup()
