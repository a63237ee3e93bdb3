"""A signalling server as GStreamer's is: the plain protocol, and nothing that we have added.

The rules are those of `gst-plugin-webrtc-signalling`: sessions die with the socket of either side.
"""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

# What GStreamer's own parser needs of each message; one that lacks it is refused.
NEEDED = {
    "setPeerStatus": {"roles"},
    "startSession": {"peerId"},
    "endSession": {"sessionId"},
    "peer": {"sessionId"},
    "list": set(),
}


class GstServer:
    """One server; `handle` serves a socket."""

    def __init__(self) -> None:
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.statuses: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, tuple[str, str]] = {}
        self.heard: list[dict[str, Any]] = []
        self.asked: list[web.Request] = []
        self._news = asyncio.Condition()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that a client does."""
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(condition)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.asked.append(request)
        me = str(uuid.uuid4())
        self.sockets[me] = socket
        await socket.send_json({"type": "welcome", "peerId": me})
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                message = json.loads(frame.data)
                self.heard.append(message)
                await self._take(me, message)
                await self._tell_waiters()
        del self.sockets[me]
        for id, peers in list(self.sessions.items()):
            if me in peers:
                await self._end(me, id)
        await self._set_status(me, {"roles": [], "meta": None})
        await self._tell_waiters()
        return socket

    async def _tell_waiters(self) -> None:
        async with self._news:
            self._news.notify_all()

    def cut(self) -> None:
        """Every connection breaks."""
        for request in self.asked:
            if request.transport is not None:
                request.transport.abort()

    async def _take(self, me: str, message: dict[str, Any]) -> None:
        missing = NEEDED.get(message["type"], {"a known type"}) - message.keys()
        if missing:
            await self.say(me, {"type": "error", "details": f"missing {missing}"})
            return
        match message["type"]:
            case "setPeerStatus":
                await self._set_status(me, message)
            case "list":
                producers = [
                    {"id": id, "meta": status["meta"]}
                    for id, status in self.statuses.items()
                    if "producer" in status["roles"]
                ]
                await self.say(me, {"type": "list", "producers": producers})
            case "startSession":
                await self.start(me, message)
            case "endSession":
                if message["sessionId"] not in self.sessions:
                    await self.say(me, {"type": "error", "details": "no such session"})
                else:
                    await self._end(me, message["sessionId"])
            case "peer":
                other = self._other(me, message["sessionId"])
                if other is None:
                    await self.say(me, {"type": "error", "details": "no such session"})
                else:
                    await self.say(other, message)

    async def _set_status(self, me: str, message: dict[str, Any]) -> None:
        status = {"roles": message["roles"], "meta": message.get("meta")}
        self.statuses[me] = status
        for id, other in list(self.statuses.items()):
            if "listener" in other["roles"]:
                await self.say(id, {"type": "peerStatusChanged", "peerId": me, **status})
        if not message["roles"]:
            del self.statuses[me]

    async def start(self, me: str, message: dict[str, Any]) -> None:
        other = message["peerId"]
        if "producer" not in self.statuses.get(other, {"roles": []})["roles"]:
            await self.say(me, {"type": "error", "details": "no such producer"})
            return
        id = str(uuid.uuid4())
        self.sessions[id] = me, other
        await self.say(me, {"type": "sessionStarted", "peerId": other, "sessionId": id})
        await self.say(
            other,
            {
                "type": "startSession",
                "peerId": me,
                "sessionId": id,
                "offer": message.get("offer"),
            },
        )

    async def _end(self, me: str, id: str) -> None:
        other = self._other(me, id)
        del self.sessions[id]
        if other is not None:
            await self.say(other, {"type": "endSession", "sessionId": id})

    def _other(self, me: str, id: str) -> str | None:
        consumer, producer = self.sessions.get(id, (me, None))
        return producer if me == consumer else consumer

    async def say(self, peer_id: str, message: dict[str, Any]) -> None:
        socket = self.sockets.get(peer_id)
        if socket is not None:
            with contextlib.suppress(ConnectionError):
                await socket.send_json(message)
