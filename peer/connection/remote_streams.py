"""What a description of the other side changes of its tracks and streams (WebRTC 4.4.1.5)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from ..capture.media_stream import MediaStream, MediaStreamTrackEvent
from .events import RTCTrackEvent
from .remote_track import RemoteTrack
from .rtc_rtp_transceiver import RTCRtpTransceiver
from .sdp import RECEIVING, Direction


@dataclass
class RemoteChanges:
    """What is to be told, in the order in which it is told."""

    muted: list[RTCRtpTransceiver] = field(default_factory=list)
    removed: list[tuple[MediaStream, RemoteTrack]] = field(default_factory=list)
    added: list[tuple[MediaStream, RemoteTrack]] = field(default_factory=list)
    tracks: list[RTCRtpTransceiver] = field(default_factory=list)

    def tell(self) -> list[RTCTrackEvent]:
        """Mute, take out and put in, with their events; returns the `track` events to be fired."""
        for transceiver in self.muted:
            transceiver.receiver._mute()
        for stream, track in self.removed:
            stream.removeTrack(track)
            stream.dispatchEvent(MediaStreamTrackEvent("removetrack", {"track": track}))
        for stream, track in self.added:
            stream.addTrack(track)
            stream.dispatchEvent(MediaStreamTrackEvent("addtrack", {"track": track}))
        return [
            RTCTrackEvent("track", transceiver, transceiver.receiver._streams)
            for transceiver in self.tracks
        ]


class RemoteStreams:
    """The streams that the other side has named, each of which exists once."""

    def __init__(self) -> None:
        # Those that nobody holds any more need not be known again.
        self._streams: WeakValueDictionary[str, MediaStream] = WeakValueDictionary()

    def process(
        self,
        transceiver: RTCRtpTransceiver,
        direction: Direction,
        stream_ids: Sequence[str],
        changes: RemoteChanges,
    ) -> None:
        """Take what the other side says of a transceiver.

        :param direction: as this side sees it.
        """
        receiver, fired = transceiver.receiver, transceiver._fired_direction
        if direction in RECEIVING:
            before = {stream.id for stream in receiver._streams}
            self._set_streams(transceiver, stream_ids, changes)
            if fired not in RECEIVING or set(stream_ids) - before:
                changes.tracks.append(transceiver)
        elif fired in RECEIVING:
            self.remove(transceiver, changes)
        transceiver._fired_direction = direction

    def remove(self, transceiver: RTCRtpTransceiver, changes: RemoteChanges) -> None:
        """The other side sends this track no longer."""
        self._set_streams(transceiver, (), changes)
        if not transceiver.receiver.track.muted:
            changes.muted.append(transceiver)

    def _set_streams(
        self, transceiver: RTCRtpTransceiver, stream_ids: Sequence[str], changes: RemoteChanges
    ) -> None:
        receiver = transceiver.receiver
        streams = [self._stream(stream_id) for stream_id in dict.fromkeys(stream_ids)]
        changes.removed += [
            (stream, receiver.track) for stream in receiver._streams if stream not in streams
        ]
        changes.added += [
            (stream, receiver.track) for stream in streams if stream not in receiver._streams
        ]
        receiver._streams = streams

    def _stream(self, stream_id: str) -> MediaStream:
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = MediaStream()
            stream._id = stream_id  # Media Capture and Streams 4.2: a remote one keeps its id
            self._streams[stream_id] = stream
        return stream
