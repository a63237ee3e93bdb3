"""What a connection's sender gets instead of the track itself.

aiortc's sender stops its track when it ends, so that closing one viewer's connection would close
the camera for all. It gets one of these instead: it reads the track, at a place of its own, and
stops nothing but itself.
"""

import aiortc
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from ..capture.media_stream_track import MediaStreamTrack


class ViewerTrack(aiortc.MediaStreamTrack):
    """One viewer's view of a track."""

    def __init__(self, track: MediaStreamTrack) -> None:
        self.kind = track.kind
        super().__init__()
        self._reader = track.reader()

    async def recv(self) -> VideoFrame | AudioFrame:
        """The next frame of the track.

        :raises MediaStreamError: the track, or this view of it, has ended.
        """
        if self.readyState != "live":
            raise MediaStreamError("this viewer has left")
        return await self._reader.read()
