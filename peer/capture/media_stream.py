"""MediaStream: a set of tracks (Media Capture and Streams 4.2)."""

import uuid
from collections.abc import Iterable
from typing import Any

import aiortc

from ..events import Event, EventTarget, event_handler

Track = aiortc.MediaStreamTrack


class MediaStreamTrackEvent(Event):
    """A track joined or left a stream (Media Capture and Streams 4.4)."""

    def __init__(self, type: str, init: dict[str, Any]) -> None:
        """:raises TypeError: when `init` lacks a `track` that is a MediaStreamTrack."""
        if not isinstance(init, dict) or not isinstance(init.get("track"), Track):
            raise TypeError("a MediaStreamTrackEvent needs {'track': MediaStreamTrack}")
        super().__init__(type)
        self._track: Track = init["track"]

    @property
    def track(self) -> Track:
        """The track that joined or left."""
        return self._track


class MediaStream(EventTarget):
    """A set of tracks, in the order in which they came.

    :param source: another stream, whose tracks are shared, or tracks; nothing for an empty one.
    :raises TypeError: when it is neither.
    """

    onaddtrack = event_handler("addtrack")
    onremovetrack = event_handler("removetrack")

    def __init__(self, source: "MediaStream | Iterable[Track] | None" = None) -> None:
        super().__init__()
        self._id = str(uuid.uuid4())
        self._tracks: dict[str, Track] = {}
        if isinstance(source, MediaStream):
            source = source.getTracks()
        elif source is not None and not isinstance(source, Iterable):
            raise TypeError(f"a MediaStream is made of a stream or of tracks, not {source!r}")
        for track in source or ():
            self.addTrack(track)

    def __repr__(self) -> str:
        return f"<MediaStream {self.id} {self.getTracks()}>"

    @property
    def id(self) -> str:
        """A UUID, new for each stream."""
        return self._id

    @property
    def active(self) -> bool:
        """Whether at least one track is live."""
        return any(track.readyState == "live" for track in self._tracks.values())

    def getAudioTracks(self) -> list[Track]:
        """The audio tracks now in the stream."""
        return [track for track in self._tracks.values() if track.kind == "audio"]

    def getVideoTracks(self) -> list[Track]:
        """The video tracks now in the stream."""
        return [track for track in self._tracks.values() if track.kind == "video"]

    def getTracks(self) -> list[Track]:
        """All tracks now in the stream."""
        return list(self._tracks.values())

    def getTrackById(self, trackId: str) -> Track | None:
        """The track with this id, or None."""
        return self._tracks.get(trackId)

    def addTrack(self, track: Track) -> None:
        """Add a track; one that is there already changes nothing. No event is fired.

        :raises TypeError: when it is no track.
        """
        self._tracks.setdefault(_checked(track).id, track)

    def removeTrack(self, track: Track) -> None:
        """Take a track out; one that is not there changes nothing. No event is fired.

        :raises TypeError: when it is no track.
        """
        self._tracks.pop(_checked(track).id, None)

    def clone(self) -> "MediaStream":
        """A stream of clones of all tracks, the ended ones too.

        :raises TypeError: when a track can't be cloned, as aiortc's own can't.
        """
        clones = []
        for track in self._tracks.values():
            if not callable(clone := getattr(track, "clone", None)):
                raise TypeError(f"{track!r} can't be cloned: it is not one of peer's tracks")
            clones.append(clone())
        return MediaStream(clones)


def _checked(track: object) -> Track:
    if not isinstance(track, Track):
        raise TypeError(f"a MediaStreamTrack is wanted, not {track!r}")
    return track
