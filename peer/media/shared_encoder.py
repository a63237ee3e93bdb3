"""One track, encoded one way, once for everyone who watches it so."""

import asyncio
import logging
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import aiortc
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, Packet, VideoFrame

from ..capture.clock import sample_number, video_time
from ..capture.media_stream_track import MediaStreamTrack
from ..capture.processing import Decimator, black
from ..constraints.types import MediaTrackSettings
from . import opus_encoder
from .encoded_frame import EncodedFrame
from .fan_out import FanOut, Viewer
from .keyframe_requests import KEYFRAME_SPACING, KeyframeRequests
from .opus_encoder import EncodedSound, OpusEncoder
from .packetizers import MAX_PAYLOAD, PACKETIZERS
from .track_reader import Media, open_reader
from .video_encoders import EncodedPicture, VideoEncoder

logger = logging.getLogger(__name__)

BLACK_INTERVAL = 1.0
"""Seconds between the black pictures of a track that has ended or shows nothing (WebRTC 5.2)."""
CAPTURE_TIME_INTERVAL = 1.0
"""Seconds between the frames that tell when they were captured; receivers work out the others."""
ASSUMED_FRAME_RATE = 30.0
"""Of tracks that don't say."""
_BLANKS_SENT = {"video": 2, "audio": 10}
"""Frames that are sent when a track begins to be black or silent. The first may still have been on
its way; a pause in sound is less heard when silence comes first."""
_DEFAULT_SIZE = (640, 480)
KEPT_PICTURES = 10
"""Since a key frame, for who joins: sent at once, they spare everybody another key frame. More
would be a flood for the way to him."""
KEPT_FOR = 0.5
"""Seconds for which the last picture is kept for who is about to join, where nobody watches: he is
to see what is, and not what was."""


@dataclass(frozen=True)
class Encoding:
    """One way to encode a track."""

    codec: str
    """Lower-case name."""
    scale_down_by: float = 1
    max_framerate: float | None = None
    """Frames a second."""
    bitrate: int | None = None
    """Bits a second; what suits the pictures when it is None."""
    dtx: bool = False
    """Whether pauses in sound are left out."""


class SharedEncoder:
    """Reads a track and encodes it while it has viewers. Made by `shared_encoder()`.

    A track that has ended, or has failed, goes on as black pictures, and as no sound.
    """

    def __init__(self, track: aiortc.MediaStreamTrack, encoding: Encoding) -> None:
        self.encoding = encoding
        self._track = track
        self._loop = asyncio.get_running_loop()
        # Smaller pictures are for who can't have larger ones.
        self._fan_out = FanOut(narrow=encoding.scale_down_by > 1)
        self._error: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._reader = open_reader(track, takes_h264=_passes_through(encoding))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"encode {encoding.codec}")
        self._packetizer = PACKETIZERS.get(encoding.codec)
        self._video = self._audio = None
        if track.kind == "video":
            self._video = VideoEncoder(
                encoding.codec, scale_down_by=encoding.scale_down_by, bitrate=encoding.bitrate
            )
        else:
            self._audio = OpusEncoder(dtx=encoding.dtx)
        self._decimator: Decimator | None = None
        self._size = _DEFAULT_SIZE
        self._blanks = 0
        self._passing = False
        self._keyframes = KeyframeRequests()
        self._keyframe_wanted = asyncio.Event()
        self._making_keyframe = False
        self._expected: set[Viewer] = set()
        self._told_capture_time = float("-inf")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the track's pictures, before they are scaled down."""
        return self._size

    @property
    def target_bitrate(self) -> int:
        """Bits a second; 0 when that is up to the camera."""
        encoder = self._video or self._audio
        return 0 if encoder is None or self._passing else encoder.bitrate

    @property
    def nominal_bitrate(self) -> int:
        """What `limit_bitrate()` can lower, in bits a second; 0 when nothing can."""
        video = self._video
        live = video is not None and video.is_adjustable and not self._passing
        return video.nominal_bitrate if video is not None and live else 0

    def limit_bitrate(self, viewer: Viewer, bitrate: float | None) -> None:
        """Aim at fewer bits a second for the sake of this viewer, if it is the only one."""
        if self._video is not None:
            limited = bitrate is not None and self._fan_out.is_alone(viewer)
            self._video.limit = round(bitrate or 0) if limited else None
            self._fan_out.narrow = limited or self.encoding.scale_down_by > 1

    @property
    def implementation(self) -> str:
        """Which encoder is at work."""
        encoder = self._video or self._audio
        assert encoder is not None
        return "camera" if self._passing else encoder.implementation

    # Viewers.

    def expect(self, viewer: Viewer) -> None:
        """Get going for one who is about to be added: what it can begin with is made while it
        connects, and kept. Until then nothing more is encoded than others want."""
        self._expected.add(viewer)
        if self._task is None:
            self._task = self._loop.create_task(self._run())
        if self._fan_out.empty:
            self._prepare()

    @property
    def has_beginning(self) -> bool:
        """Whether there is something to begin with for who is added now, or is about to be."""
        return self._fan_out.keeps or self._making_keyframe

    def _prepare(self) -> None:
        if not self.has_beginning:
            self.request_keyframe()

    def add(self, viewer: Viewer) -> None:
        """Deliver to this viewer too, who was expected or not: first what is kept, else the next
        key frame, which is made at once."""
        if self._error is not None:
            self._loop.call_soon(viewer.source_failed, self._error)
        self.expect(viewer)
        self._expected.remove(viewer)
        is_past = self._shows_nothing() and not self._blanks
        if is_past or (self._fan_out.empty and self._fan_out.age > KEPT_FOR):
            self._fan_out.forget()
        if self._fan_out.add(viewer) and not self._making_keyframe:
            self.request_keyframe()

    def remove(self, viewer: Viewer) -> None:
        """Deliver to it no more, or expect it no longer; without viewers the track is neither read
        nor encoded."""
        if viewer in self._expected:
            self._expected.remove(viewer)
        else:
            self._fan_out.remove(viewer)
        if not self._fan_out.empty:
            return
        if self._expected:
            self._prepare()
        else:
            _encoders.get(self._track, {}).pop(self.encoding, None)
            self._stop()

    def part(self, viewer: Viewer) -> None:
        """Let a viewer see to what it is sent by itself."""
        self._fan_out.part(viewer)

    def request_keyframe(self, not_before: float = 0.0) -> None:
        """Make the next picture one that decoders can begin with.

        :param not_before: `time.monotonic()` before which there is no need.
        """
        self._keyframes.ask(not_before)
        self._keyframe_wanted.set()
        if self._passing and self._keyframe_is_due():
            self._ask_camera()

    def _ask_camera(self) -> None:
        self._keyframes.take()
        self._keyframes.made(time.monotonic())
        self._reader.request_keyframe()

    def _keyframe_is_due(self) -> bool:
        return self._keyframes.is_due(time.monotonic())

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._fan_out.close()
        self._reader.close()
        self._thread.shutdown(wait=False)

    # From frames to packets.

    async def _run(self) -> None:
        try:
            await self._live()
        except MediaStreamError:
            logger.debug("a track has ended; its viewers see black")
        except Exception as error:
            self._fail(error)
        self._reader.close()
        if self._video is None:
            return  # of sound, nothing is sent (WebRTC 5.2)
        try:
            await self._black()
        except Exception as error:
            if self._error is None:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        logger.error("sending %s failed: %s", self._track.kind, error, exc_info=error)
        self._error = error
        self._fan_out.fail(error)

    async def _live(self) -> None:
        while True:
            media, at = await self._reader.read()
            if self._is_idle() or self._is_surplus(media, at) or self._is_ahead(media):
                continue
            if isinstance(media, Packet):
                self._pass_on(media, at)
            elif isinstance(media, VideoFrame):
                await self._encode_picture(media, at, is_live=True)
            else:
                await self._encode_sound(media, at)

    def _is_idle(self) -> bool:
        """Whether the track shows nothing, which has been sent often enough."""
        if not self._shows_nothing():
            self._blanks = 0
            return False
        self._blanks += 1
        if self._blanks == 1:
            self._fan_out.forget()  # who joins from now on sees nothing of before
        if self._blanks <= _BLANKS_SENT[self._track.kind]:
            return False
        if self._video is None:
            return True
        interval = max(1, round(BLACK_INTERVAL * self._nominal_rate()))
        return self._blanks % interval != 0 and not self._keyframe_is_due()

    def _shows_nothing(self) -> bool:
        """Whether what comes from the track from now on is black, or silence."""
        track = self._track
        return isinstance(track, MediaStreamTrack) and (not track.enabled or track.muted)

    def _is_surplus(self, media: Media, at: float) -> bool:
        """Whether a picture is one too many for the frame rate that is asked for."""
        wanted = self.encoding.max_framerate
        if wanted is None or not isinstance(media, VideoFrame):
            return False
        if self._decimator is None:
            self._decimator = Decimator(wanted, max(wanted, self._source_rate()))
        return not self._decimator.takes(at)

    def _is_ahead(self, media: Media) -> bool:
        """Whether all is ready for the first viewer, and nobody watches yet."""
        if isinstance(media, Packet) or not self._fan_out.empty:
            return False
        if self._fan_out.age > KEPT_FOR:
            self._fan_out.forget()
            self.request_keyframe()
        return isinstance(media, AudioFrame) or self._fan_out.keeps

    def _settings(self) -> MediaTrackSettings:
        return self._track.getSettings() if isinstance(self._track, MediaStreamTrack) else {}

    def _is_screen(self) -> bool:
        """Whether the pictures are of text and drawings (MediaStreamTrack Content Hints 3)."""
        hint = getattr(self._track, "contentHint", "")
        return hint in ("detail", "text") or (not hint and "displaySurface" in self._settings())

    def _source_rate(self) -> float:
        return float(self._settings().get("frameRate") or ASSUMED_FRAME_RATE)

    def _nominal_rate(self) -> float:
        rate = self._source_rate()
        return min(rate, self.encoding.max_framerate or rate)

    def _pass_on(self, packet: "Packet[Any]", at: float) -> None:
        """A picture or sound that is encoded already."""
        self._passing, data = True, bytes(packet)
        if self._packetizer is None:
            self._send(data, [data], sample_number(at, opus_encoder.CLOCK_RATE), at)
            return
        # Not everybody who makes packets says so.
        keyframe = packet.is_keyframe or self._packetizer.is_keyframe(data)
        if keyframe:
            self._keyframes.take()
            self._keyframes.made(time.monotonic())
            settings = self._settings()
            width, height = self._size
            self._size = (settings.get("width", width), settings.get("height", height))
        elif self._keyframe_is_due():
            self._ask_camera()
        timestamp = video_time(at)
        payloads = self._packetizer.packetize(data, MAX_PAYLOAD)
        frame = self._send(data, payloads, timestamp, at, keyframe=keyframe, size=self._size)
        self._fan_out.keep(frame)

    async def _encode_picture(self, frame: VideoFrame, at: float, *, is_live: bool = False) -> None:
        assert self._video is not None
        keyframe = self._keyframe_is_due() or self._passing
        if self._passing:
            self._passing = False
            self._fan_out.forget()
        if keyframe:
            self._keyframes.take()
        timestamp = video_time(at)
        self._making_keyframe = keyframe
        try:
            encoded = await self._loop.run_in_executor(
                self._thread,
                self._compress,
                frame,
                timestamp,
                self._nominal_rate(),
                keyframe,
                self._is_screen(),
            )
        finally:
            self._making_keyframe = False
        self._size = (frame.width, frame.height)
        is_past = is_live and self._shows_nothing() and not self._blanks
        if encoded is None or is_past:
            if keyframe or is_past:
                self.request_keyframe()
            return
        picture, payloads = encoded
        is_keyframe, size = picture.keyframe, (picture.width, picture.height)
        if is_keyframe:
            self._keyframes.made(time.monotonic())
        elif keyframe:
            self.request_keyframe()
        sent = self._send(picture.data, payloads, timestamp, at, keyframe=is_keyframe, size=size)
        self._fan_out.keep(sent, KEPT_PICTURES)

    def _compress(
        self,
        frame: VideoFrame,
        timestamp: int,
        frame_rate: float,
        keyframe: bool,
        is_screen: bool,
    ) -> tuple[EncodedPicture, list[bytes]] | None:
        """In the encoder's thread."""
        assert self._video is not None
        assert self._packetizer is not None
        picture = self._video.encode(
            frame, timestamp, frame_rate, keyframe=keyframe, is_screen=is_screen
        )
        if picture is None:
            return None
        return picture, self._packetizer.packetize(picture.data, MAX_PAYLOAD)

    async def _encode_sound(self, frame: AudioFrame, at: float) -> None:
        assert self._audio is not None
        is_music = getattr(self._track, "contentHint", "") == "music"
        for sound in await self._loop.run_in_executor(
            self._thread, self._audio.encode, frame, at, is_music
        ):
            self._send(sound.data, [sound.data], sound.timestamp, at, sound=sound)

    async def _black(self) -> None:
        """What is left of a track that has ended."""
        self._fan_out.forget()
        while True:
            await self._encode_picture(black(*self._size), time.monotonic())
            self._keyframe_wanted.clear()
            try:
                async with asyncio.timeout(BLACK_INTERVAL):
                    await self._keyframe_wanted.wait()
                    await asyncio.sleep(KEYFRAME_SPACING)
            except TimeoutError:
                continue

    # To the viewers.

    def _send(
        self,
        data: bytes,
        payloads: list[bytes],
        timestamp: int,
        at: float,
        *,
        keyframe: bool = True,
        size: tuple[int, int] = (0, 0),
        sound: EncodedSound | None = None,
    ) -> EncodedFrame:
        is_picture = self._packetizer is not None
        tells = at - self._told_capture_time >= CAPTURE_TIME_INTERVAL or (keyframe and is_picture)
        if tells:
            self._told_capture_time = at
        level, resumes = (None, False) if sound is None else (sound.level, sound.resumes)
        frame = EncodedFrame(
            data, payloads, timestamp, at, is_picture, keyframe, size, level, tells, resumes
        )
        self._fan_out.send(frame, self.target_bitrate)
        return frame


def _passes_through(encoding: Encoding) -> bool:
    """Whether a camera's own H.264 is as good: nothing is to be changed in its pictures."""
    return encoding == Encoding("h264")


def shared_encoder(track: aiortc.MediaStreamTrack, encoding: Encoding) -> SharedEncoder:
    """The encoder of a track for all who want it encoded in this way."""
    encoders = _encoders.setdefault(track, {})
    if encoding not in encoders:
        encoders[encoding] = SharedEncoder(track, encoding)
    return encoders[encoding]


_encoders: "weakref.WeakKeyDictionary[Any, dict[Encoding, SharedEncoder]]" = (
    weakref.WeakKeyDictionary()
)
