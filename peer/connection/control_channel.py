"""The data channel by which a viewer controls the camera: capabilities, constraints, photographs.

A text message is a JSON object. The viewer's has a `method` and an `id`, which comes back with its
`result` or `error`:

* `describe`: `{"label", "capabilities", "settings"}` of the camera
* `applyConstraints` with `constraints`: `{"settings"}`; only what the device itself can be set to
* `takePhoto` with `settings`: `{"type", "size"}`, then the file in binary messages

`{"event": "configurationchange", "settings": …}` comes when the settings have changed otherwise.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from aiortc import RTCDataChannel

from ..capture.image_capture import ImageCapture
from ..capture.media_stream_track import MediaStreamTrack
from ..errors import DOMException, OverconstrainedError
from ..events import Event

logger = logging.getLogger(__name__)

LABEL = "control"
CHUNK = 16 * 1024
"""Bytes of a binary message: what every browser takes."""
MAX_MESSAGE = 16 * 1024
"""Characters of a request: constraints are far shorter."""
MAX_WAITING = 16
"""Requests that wait for their turn: a slider that is dragged makes many, a person no more."""


class ControlChannel:
    """One viewer's control of what is the camera's track at the time.

    :param track: the track, or None while there is none.
    :param applied: called when this viewer has changed the settings, which is no event of the
        track's: the other viewers are to be told.
    """

    def __init__(
        self,
        channel: RTCDataChannel,
        track: Callable[[], MediaStreamTrack | None],
        applied: "Callable[[ControlChannel, Mapping[str, Any]], None]",
    ) -> None:
        self._channel, self._track, self._applied = channel, track, applied
        self._requests: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._listened_to: MediaStreamTrack | None = None
        self._worker = asyncio.create_task(self._work())
        channel.on("message", self._received)

    def tell(self, settings: Mapping[str, Any]) -> None:
        """The settings have changed otherwise."""
        self._send({"event": "configurationchange", "settings": settings})

    async def close(self) -> None:
        """Answer nothing any more."""
        self._listen_to(None)
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)

    def _received(self, message: str | bytes) -> None:
        if not isinstance(message, str) or len(message) > MAX_MESSAGE:
            self._send({"id": None, "error": {"name": "TypeError", "message": "not a request"}})
            return
        try:
            self._requests.put_nowait(message)
        except asyncio.QueueFull:
            self._send(
                {"id": None, "error": {"name": "OperationError", "message": "too many requests"}}
            )

    async def _work(self) -> None:
        while True:
            message = await self._requests.get()
            try:
                request = json.loads(message)
            except (ValueError, RecursionError):
                request = None
            if not isinstance(request, dict):
                error = {"name": "TypeError", "message": "a request is a JSON object"}
                self._send({"id": None, "error": error})
                continue
            answer: dict[str, Any] = {"id": request.get("id")}
            file = b""
            try:
                answer["result"], file = await self._answer(request)
            except (DOMException, TypeError) as error:
                answer["error"] = _described(error)
            self._send(answer)
            for start in range(0, len(file), CHUNK):
                self._channel.send(file[start : start + CHUNK])

    async def _answer(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """What comes of a request, and a file that follows it.

        :raises DOMException: as the method of this name.
        :raises TypeError: there is no such method, or its argument is malformed.
        """
        track = self._track()
        if track is None:
            raise TypeError("there is no camera at the moment")
        self._listen_to(track)
        capabilities = track.getCapabilities()
        controls = track._device.constrainable.controls.keys() & capabilities.keys()
        match request.get("method"):
            case "describe":
                shown = {name: capabilities[name] for name in capabilities if name in controls}  # type: ignore[literal-required]
                return {
                    "label": track.label,
                    "capabilities": shown,
                    "settings": track.getSettings(),
                }, b""
            case "applyConstraints":
                wanted = request.get("constraints")
                if not isinstance(wanted, dict) or not wanted.keys() <= controls:
                    raise TypeError(f"constraints may have {', '.join(sorted(controls))}")
                kept = {
                    name: value
                    for name, value in track.getConstraints().items()
                    if name not in wanted and name != "advanced"
                }
                await track.applyConstraints({**kept, **wanted})
                settings = track.getSettings()
                self._applied(self, settings)
                return {"settings": settings}, b""
            case "takePhoto":
                photo = await ImageCapture(track).takePhoto(request.get("settings"))
                return {"type": photo.type, "size": photo.size}, bytes(photo)
            case method:
                raise TypeError(f"there is no method {method!r}")

    def _listen_to(self, track: MediaStreamTrack | None) -> None:
        if self._listened_to is track:
            return
        if self._listened_to is not None:
            self._listened_to.removeEventListener("configurationchange", self._changed)
        if track is not None:
            track.addEventListener("configurationchange", self._changed)
        self._listened_to = track

    def _changed(self, event: Event) -> None:
        self.tell(event.target.getSettings())

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._channel.readyState == "open":
            self._channel.send(json.dumps(message))


def _described(error: Exception) -> dict[str, str]:
    described = {"name": type(error).__name__, "message": str(error)}
    if isinstance(error, OverconstrainedError):
        described["constraint"] = error.constraint
    return described
