"""MediaStream (SPEC 1)."""

import uuid

import pytest

from peer import MediaDevices, MediaStream, MediaStreamTrackEvent


@pytest.mark.spec("1.4", "1.5")
async def test_a_stream_is_a_set_of_tracks(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"audio": True, "video": True})
    [audio], [video] = stream.getAudioTracks(), stream.getVideoTracks()
    fired: list[object] = []
    stream.onaddtrack = stream.onremovetrack = fired.append

    stream.addTrack(audio)
    assert stream.getTracks() == [audio, video], "1.5: a present track is no news"
    stream.removeTrack(audio)
    stream.removeTrack(audio)
    assert stream.getTracks() == [video]
    assert stream.getTrackById(video.id) is video
    assert stream.getTrackById(audio.id) is None
    stream.addTrack(audio)
    assert fired == [], "1.5: the script's own changes fire nothing"
    stream.getTracks().clear()
    assert len(stream.getTracks()) == 2, "1.4: a snapshot"


@pytest.mark.spec("1.1")
async def test_construction(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"video": True})
    same = MediaStream(stream)
    listed = MediaStream([*stream.getTracks(), *stream.getTracks()])
    assert same.getTracks() == listed.getTracks() == stream.getTracks()
    assert len({stream.id, same.id, listed.id, MediaStream().id}) == 4
    assert uuid.UUID(stream.id).version == 4
    for wrong in (3, [3], [None]):
        with pytest.raises(TypeError):
            MediaStream(wrong)  # type: ignore[arg-type]
    for change in (stream.addTrack, stream.removeTrack):
        with pytest.raises(TypeError, match="MediaStreamTrack"):
            change(None)  # type: ignore[arg-type]


@pytest.mark.spec("1.3", "1.7", "1.1")
async def test_active_follows_the_tracks(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"audio": True, "video": True})
    assert not MediaStream().active
    first, second = stream.getTracks()
    first.stop()
    assert stream.active
    second.stop()
    assert not stream.active
    assert len(stream.getTracks()) == 2, "1.7: ended tracks stay"
    assert len(MediaStream(stream).getTracks()) == 2, "1.1: and are accepted"


@pytest.mark.spec("1.8", wpt=["MediaStream-clone.https.html"])
async def test_clone(media_devices: MediaDevices) -> None:
    stream = await media_devices.getUserMedia({"audio": True, "video": True})
    stream.getAudioTracks()[0].stop()
    clone = stream.clone()
    assert clone.id != stream.id
    states = [(track.kind, track.readyState) for track in clone.getTracks()]
    assert states == [("audio", "ended"), ("video", "live")], "1.8"
    assert not {t.id for t in clone.getTracks()} & {t.id for t in stream.getTracks()}


@pytest.mark.spec("1.6", wpt=["MediaStreamTrackEvent-constructor.https.html"])
async def test_track_events(media_devices: MediaDevices) -> None:
    [track] = (await media_devices.getUserMedia({"video": True})).getTracks()
    event = MediaStreamTrackEvent("addtrack", {"track": track})
    assert event.track is track
    for init in ({}, {"track": None}, None):
        with pytest.raises(TypeError, match="track"):
            MediaStreamTrackEvent("addtrack", init)  # type: ignore[arg-type]
