"""RTCPeerConnection by itself and against another: what WebRTC 1.0 says of its methods."""

import asyncio
import gc

import aiortc
import pytest

from peer import (
    InvalidAccessError,
    InvalidModificationError,
    InvalidStateError,
    MediaStream,
    OperationError,
    OverconstrainedError,
    RTCError,
    RTCPeerConnection,
    RTCRtpSender,
)
from peer.connection.sdp import parse
from peer.media.shared_encoder import _encoders

from .pairs import Diary, captured, negotiate, pair, settled

# Sending


@pytest.mark.spec("12.1")
async def test_add_track() -> None:
    async with captured() as stream, pair() as (connection, _other):
        [audio], [video] = stream.getAudioTracks(), stream.getVideoTracks()
        sender = connection.addTrack(video, stream)
        assert connection.getSenders() == [sender]
        [transceiver] = connection.getTransceivers()
        assert (transceiver.direction, transceiver.mid) == ("sendrecv", None)
        with pytest.raises(InvalidAccessError):
            connection.addTrack(video)
        with pytest.raises(TypeError):
            connection.addTrack("camera")  # type: ignore[arg-type]
        # One that was never used to send is taken.
        waiting = connection.addTransceiver("audio", {"direction": "recvonly"})
        assert connection.addTrack(audio, stream) is waiting.sender
        assert waiting.direction == "sendrecv"
        offer = parse((await connection.createOffer()).sdp)
        assert [section.streams for section in offer.sections] == [[stream.id], [stream.id]]
        await connection.close()
        with pytest.raises(InvalidStateError):
            connection.addTrack(audio)
        assert audio.readyState == "live"


@pytest.mark.spec("12.2")
async def test_remove_track() -> None:
    async with captured() as stream, pair() as (connection, other):
        [video] = stream.getVideoTracks()
        sender = connection.addTrack(video, stream)
        with pytest.raises(InvalidAccessError):
            other.removeTrack(sender)
        connection.removeTrack(sender)
        [transceiver] = connection.getTransceivers()
        assert (sender.track, transceiver.direction) == (None, "recvonly")
        assert connection.getSenders() == [sender]
        connection.removeTrack(sender)
        assert video.readyState == "live"
        await connection.close()
        with pytest.raises(InvalidStateError):
            connection.removeTrack(sender)


@pytest.mark.spec("12.4")
async def test_replace_track() -> None:
    async with captured() as stream, pair() as (connection, _other):
        [audio], [video] = stream.getAudioTracks(), stream.getVideoTracks()
        sender = connection.addTrack(video, stream)
        diary = Diary().keep(connection, "negotiationneeded")
        with pytest.raises(TypeError):
            await sender.replaceTrack(audio)
        clone = video.clone()
        await sender.replaceTrack(clone)
        assert sender.track is clone
        assert video.readyState == "live"
        clone.stop()
        await sender.replaceTrack(video)
        await sender.replaceTrack(None)
        assert sender.track is None
        assert diary.types.count("negotiationneeded") <= 1, "replacing is no negotiation"
        [transceiver] = connection.getTransceivers()
        await transceiver.stop()
        with pytest.raises(InvalidStateError):
            await sender.replaceTrack(video)


@pytest.mark.spec("12.4", "12.3")
async def test_another_track_is_seen_without_negotiation() -> None:
    async with captured() as stream, pair() as (connection, other):
        [video] = stream.getVideoTracks()
        small = video.clone()
        await small.applyConstraints({"width": {"exact": 160}, "height": {"exact": 120}})
        sender = connection.addTrack(video, stream)
        await negotiate(connection, other)
        [receiver] = other.getReceivers()
        async with asyncio.timeout(30):
            assert (await receiver.track.recv()).width == 320
            await sender.replaceTrack(small)
            while (await receiver.track.recv()).width != 160:
                pass
            small.stop()  # black, of the same size, and no end
            while (await receiver.track.recv()).to_ndarray()[:120].max() > 40:
                pass
        assert receiver.track.readyState == "live"


@pytest.mark.spec("12.5")
async def test_set_streams() -> None:
    async with captured() as stream, pair() as (connection, other):
        [video] = stream.getVideoTracks()
        sender = connection.addTrack(video, stream)
        await negotiate(connection, other)
        diary = Diary().keep(connection, "negotiationneeded")
        tracks = Diary().keep(other, "track")
        another = MediaStream()
        sender.setStreams(another)
        await diary.has("negotiationneeded")
        await negotiate(connection, other)
        event = await tracks.has("track")
        assert [one.id for one in event.streams] == [another.id]  # type: ignore[attr-defined]
        await connection.close()
        with pytest.raises(InvalidStateError):
            sender.setStreams()


@pytest.mark.spec("12.6")
async def test_add_transceiver() -> None:
    async with pair() as (connection, _other):
        with pytest.raises(TypeError):
            connection.addTransceiver("smell")
        with pytest.raises(TypeError):
            connection.addTransceiver("video", {"direction": "sideways"})
        with pytest.raises(TypeError):
            connection.addTransceiver("video", {"sendEncodings": [{}, {}]})
        with pytest.raises(ValueError, match="scaleResolutionDownBy"):
            connection.addTransceiver("video", {"sendEncodings": [{"scaleResolutionDownBy": 0.5}]})
        with pytest.raises(ValueError, match="maxFramerate"):
            connection.addTransceiver("video", {"sendEncodings": [{"maxFramerate": 0}]})
        assert connection.getTransceivers() == []
        transceiver = connection.addTransceiver(
            "video", {"direction": "recvonly", "sendEncodings": [{"maxBitrate": 100_000}]}
        )
        [encoding] = transceiver.sender.getParameters()["encodings"]
        assert encoding == {"active": True, "maxBitrate": 100_000}
        await connection.close()
        with pytest.raises(InvalidStateError):
            connection.addTransceiver("video")


async def test_parameters_are_set_as_they_were_got() -> None:
    async with captured() as stream, pair() as (connection, _other):
        sender = connection.addTrack(stream.getVideoTracks()[0])
        parameters = sender.getParameters()
        with pytest.raises(InvalidModificationError):
            await sender.setParameters(parameters | {"transactionId": "another"})
        parameters["encodings"][0]["active"] = False
        await sender.setParameters(parameters)
        with pytest.raises(InvalidStateError):
            await sender.setParameters(parameters)
        assert sender.getParameters()["encodings"] == [{"active": False}]


@pytest.mark.spec("12.7")
async def test_closing_stops_no_local_track_and_ends_the_remote_ones() -> None:
    async with captured() as stream, pair() as (connection, other):
        for track in stream.getTracks():
            connection.addTrack(track, stream)
        await negotiate(connection, other)
        remote = [receiver.track for receiver in other.getReceivers()]
        diary = Diary()
        for one in remote:
            diary.keep(one, "ended")
        states = Diary().keep(other, "connectionstatechange", "signalingstatechange")
        await other.close()
        await other.close()
        assert diary.types == ["ended", "ended"]
        assert states.types.count("signalingstatechange") == 0, "no events of the connection"
        assert (other.connectionState, other.signalingState) == ("closed", "closed")
        assert all(track.readyState == "live" for track in stream.getTracks())
        with pytest.raises(InvalidStateError):
            await other.createOffer()


@pytest.mark.spec("12.8")
async def test_lists_of_senders_and_receivers() -> None:
    async with captured() as stream, pair() as (connection, _other):
        for track in stream.getTracks():
            connection.addTrack(track)
        first, second = connection.getTransceivers()
        await first.stop()
        assert connection.getSenders() == [second.sender]
        assert connection.getReceivers() == [second.receiver]
        assert connection.getTransceivers() == [first, second], "until that is negotiated"


async def test_a_track_that_fails_is_an_event_and_no_end() -> None:
    class Broken(aiortc.MediaStreamTrack):
        kind = "video"

        async def recv(self) -> None:  # type: ignore[override]
            raise ZeroDivisionError("a broken camera")

    async with pair() as (connection, other):
        diary = Diary().keep(connection, "sendererror")
        connection.addTrack(Broken())
        await negotiate(connection, other)
        event = await diary.has("sendererror")
        assert isinstance(event.error, ZeroDivisionError)  # type: ignore[attr-defined]
        [receiver] = other.getReceivers()
        async with asyncio.timeout(30):
            frame = await receiver.track.recv()
        assert frame.to_ndarray()[: frame.height].max() < 40, "black"


# Receiving


@pytest.mark.spec("13.1", "13.9")
async def test_a_receiver_has_a_muted_track_from_the_beginning() -> None:
    async with pair() as (connection, _other):
        receiver = connection.addTransceiver("video").receiver
        track = receiver.track
        assert (track.kind, track.label) == ("video", "remote video")
        assert (track.muted, track.readyState) == (True, "live")
        assert track.getCapabilities() == {}
        assert track.getSettings() == {}
        for name in ("width", "height", "frameRate", "aspectRatio"):
            with pytest.raises(OverconstrainedError) as caught:
                await track.applyConstraints({name: 1})
            assert caught.value.constraint == name
        await track.applyConstraints({})


@pytest.mark.spec("13.2", "13.3", "13.4", "1.2")
async def test_what_comes_is_told_in_order() -> None:
    async with captured() as stream, pair() as (connection, other):
        [video] = stream.getVideoTracks()
        connection.addTrack(video, stream)
        diary = Diary().keep(other, "signalingstatechange", "track")
        await connection.setLocalDescription()
        await other.setRemoteDescription(connection.localDescription)
        assert diary.types == ["signalingstatechange", "track"]
        event = diary.events[1]
        [transceiver] = other.getTransceivers()
        assert event.transceiver is transceiver  # type: ignore[attr-defined]
        assert event.receiver is transceiver.receiver  # type: ignore[attr-defined]
        assert event.track is transceiver.receiver.track  # type: ignore[attr-defined]
        [remote] = event.streams  # type: ignore[attr-defined]
        assert remote.id == stream.id
        assert remote.getTracks() == [transceiver.receiver.track]
        assert transceiver.receiver.track.id != video.id
        diary.keep(transceiver.receiver.track, "unmute")
        await other.setLocalDescription()
        await connection.setRemoteDescription(other.localDescription)
        await diary.has("unmute")
        assert (await transceiver.receiver.track.recv()).width == 320
        assert transceiver.receiver.track.getSettings()["width"] == 320


@pytest.mark.spec("13.5")
async def test_a_track_that_is_removed_is_muted_and_may_come_back() -> None:
    async with captured() as stream, pair() as (connection, other):
        [video] = stream.getVideoTracks()
        sender = connection.addTrack(video, stream)
        await negotiate(connection, other)
        [receiver] = other.getReceivers()
        [remote] = receiver._streams
        diary = Diary().keep(receiver.track, "mute", "unmute", "ended")
        diary.keep(remote, "removetrack", "addtrack").keep(other, "track")
        await diary.has("unmute")
        connection.removeTrack(sender)
        await negotiate(connection, other)
        assert diary.types == ["unmute", "mute", "removetrack"]
        assert (receiver.track.muted, receiver.track.readyState) == (True, "live")
        assert remote.getTracks() == []
        assert other.getTransceivers()[0].currentDirection == "inactive"
        await sender.replaceTrack(video)
        connection.getTransceivers()[0].direction = "sendrecv"
        await negotiate(connection, other)
        await diary.has("unmute", 2)
        assert diary.types[3:] == ["addtrack", "track", "unmute"]
        assert diary.events[4].track is receiver.track  # type: ignore[attr-defined]


@pytest.mark.spec("13.2")
async def test_bye_mutes() -> None:
    async with captured() as stream, pair() as (connection, other):
        connection.addTrack(stream.getVideoTracks()[0], stream)
        await negotiate(connection, other)
        [receiver] = other.getReceivers()
        diary = Diary().keep(receiver.track, "mute", "unmute", "ended")
        await diary.has("unmute")
        [transceiver] = connection.getTransceivers()
        await transceiver.stop()  # sends BYE, and nothing is negotiated yet
        await diary.has("mute")
        assert receiver.track.readyState == "live"


@pytest.mark.spec("13.6", "13.7")
async def test_a_stopped_transceiver_ends_tracks_on_both_sides() -> None:
    async with captured() as stream, pair() as (connection, other):
        for track in stream.getTracks():
            connection.addTrack(track, stream)
        await negotiate(connection, other)
        kept, _ = connection.getTransceivers()
        stopped = connection.getTransceivers()[1]
        own = Diary().keep(stopped.receiver.track, "ended")
        theirs = other.getTransceivers()[1].receiver
        [remote] = theirs._streams
        diary = Diary().keep(theirs.track, "ended").keep(remote, "removetrack")
        needed = Diary().keep(connection, "negotiationneeded")
        ended = stopped.stop()
        assert (stopped.direction, stopped.currentDirection) == ("stopped", "sendonly")
        assert own.types == ["ended"]
        await ended
        await needed.has("negotiationneeded")
        await negotiate(connection, other)
        assert sorted(diary.types) == ["ended", "removetrack"]
        assert connection.getTransceivers() == [kept]
        assert stopped.currentDirection == "stopped"
        assert len(other.getTransceivers()) == 1
        with pytest.raises(InvalidStateError):
            stopped.direction = "sendrecv"
        # The place is used again.
        [video] = stream.getVideoTracks()
        connection.addTrack(video, stream)
        await negotiate(connection, other)
        assert len(parse(connection.localDescription.sdp).sections) == 2
        assert len(other.getTransceivers()) == 2


@pytest.mark.spec("13.8")
async def test_a_clone_outlives_its_original() -> None:
    async with captured() as stream, pair() as (connection, other):
        connection.addTrack(stream.getVideoTracks()[0], stream)
        await negotiate(connection, other)
        [receiver] = other.getReceivers()
        clone = receiver.track.clone()
        diary = Diary().keep(receiver.track, "ended", "mute", "unmute")
        receiver.track.stop()
        async with asyncio.timeout(30):
            assert (await clone.recv()).width == 320
        assert diary.types == []
        clone.enabled = False
        async with asyncio.timeout(30):
            frame = await clone.recv()
        assert frame.to_ndarray()[: frame.height].max() == 16, "black"
        with pytest.raises(aiortc.mediastreams.MediaStreamError):
            await receiver.track.recv()


# Negotiation


@pytest.mark.spec("13.10", "14.3")
async def test_a_rollback_takes_back_what_only_the_offer_had_made() -> None:
    async with captured() as stream, pair() as (connection, other):
        for track in stream.getTracks():
            connection.addTrack(track, stream)
        await connection.setLocalDescription()
        diary = Diary().keep(other, "track")
        await other.setRemoteDescription(connection.localDescription)
        made = other.getTransceivers()
        ended = Diary().keep(made[0].receiver.track, "ended")
        other.addTrack(stream.getVideoTracks()[0].clone())  # takes none of the two
        await other.setRemoteDescription({"type": "rollback"})
        assert other.signalingState == "stable"
        assert len(other.getTransceivers()) == 1, "its own"
        assert ended.types == ["ended"]
        assert diary.types == ["track", "track"]
        await connection.setLocalDescription({"type": "rollback"})
        assert connection.signalingState == "stable"
        assert [one.mid for one in connection.getTransceivers()] == [None, None]
        with pytest.raises(InvalidStateError):
            await connection.setLocalDescription({"type": "rollback"})
        await negotiate(connection, other)
        assert len(other.getTransceivers()) == 2, "its own has the offered video's section"
        other.getSenders()[0].track.stop()  # type: ignore[union-attr]


@pytest.mark.spec("14.3", "14.1")
async def test_an_offer_takes_back_this_sides_own() -> None:
    async with captured() as stream, pair() as (connection, other):
        connection.addTrack(stream.getVideoTracks()[0], stream)
        other.addTrack(stream.getAudioTracks()[0], stream)
        await asyncio.gather(connection.setLocalDescription(), other.setLocalDescription())
        await other.setRemoteDescription(connection.localDescription)
        assert other.signalingState == "have-remote-offer"
        await other.setLocalDescription()
        await connection.setRemoteDescription(other.localDescription)
        await negotiate(other, connection)
        kinds = [one.kind for one in connection.getTransceivers()]
        assert kinds == ["video", "audio"]
        directions = [one.currentDirection for one in connection.getTransceivers()]
        assert directions == ["sendonly", "recvonly"]


@pytest.mark.spec("14.2")
async def test_negotiation_is_needed_once_for_many_changes() -> None:
    async with captured() as stream, pair() as (connection, other):
        diary = Diary().keep(connection, "negotiationneeded")
        for track in stream.getTracks():
            connection.addTrack(track, stream)
        assert diary.types == [], "in a task"
        await settled()
        assert diary.types == ["negotiationneeded"]
        await negotiate(connection, other)
        await settled()
        assert diary.types == ["negotiationneeded"]
        [first, second] = connection.getTransceivers()
        first.direction = "recvonly"
        first.direction = "sendrecv"  # cancels out
        await settled()
        assert diary.types == ["negotiationneeded"]
        first.direction = "inactive"
        await diary.has("negotiationneeded", 2)
        await negotiate(connection, other)
        connection.createDataChannel("data")
        await diary.has("negotiationneeded", 3)
        await negotiate(connection, other)
        connection.restartIce()
        await diary.has("negotiationneeded", 4)
        await negotiate(connection, other)
        await second.stop()
        await diary.has("negotiationneeded", 5)


@pytest.mark.spec("14.4")
async def test_candidates_that_can_not_be_taken() -> None:
    async with pair(data=True) as (connection, other):
        candidate = "candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host"
        with pytest.raises(InvalidStateError):
            await other.addIceCandidate({"candidate": candidate, "sdpMid": "0"})
        await negotiate(connection, other)
        with pytest.raises(TypeError):
            await other.addIceCandidate({"candidate": candidate})
        with pytest.raises(OperationError):
            await other.addIceCandidate({"candidate": "candidate:nonsense", "sdpMid": "0"})
        for end in (None, {}, {"candidate": "", "sdpMid": "0"}):
            await other.addIceCandidate(end)


async def test_candidates_come_by_events_and_are_enough() -> None:
    async with pair(data=True) as (connection, other):
        for one, another in ((connection, other), (other, connection)):
            one.addEventListener(
                "icecandidate",
                lambda event, another=another: (
                    asyncio.ensure_future(another.addIceCandidate(event.candidate.toJSON()))
                    if event.candidate
                    else None
                ),
            )

        def without_candidates(description: aiortc.RTCSessionDescription) -> dict[str, str]:
            lines = description.sdp.splitlines()
            kept = [line for line in lines if "candidate" not in line]
            return {"type": description.type, "sdp": "\r\n".join(kept) + "\r\n"}

        diary = Diary().keep(connection, "connectionstatechange")
        offer = await connection.createOffer()
        assert "a=candidate" not in offer.sdp
        gathering = asyncio.ensure_future(connection.setLocalDescription(offer))
        await other.setRemoteDescription(without_candidates(offer))
        await gathering
        await other.setLocalDescription()
        await connection.setRemoteDescription(without_candidates(other.localDescription))
        await diary.has("connectionstatechange", 2)
        assert connection.connectionState == "connected"


BROKEN = [
    pytest.param("hello", RTCError, id="no SDP"),
    pytest.param("v=0\r\nm=video\r\n", RTCError, id="a short m-line"),
    pytest.param("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:x\r\n", RTCError, id="rtpmap"),
    pytest.param("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", InvalidAccessError, id="no ICE"),
]


@pytest.mark.spec("14.5")
@pytest.mark.parametrize(("text", "error"), BROKEN)
async def test_descriptions_that_can_not_be_taken(text: str, error: type[Exception]) -> None:
    async with pair() as (connection, _other):
        with pytest.raises(error):
            await connection.setRemoteDescription({"type": "offer", "sdp": text})
        assert connection.signalingState == "stable"


@pytest.mark.spec("14.5")
async def test_descriptions_in_the_wrong_state() -> None:
    async with pair(data=True) as (connection, _other):
        offer = await connection.createOffer()
        with pytest.raises(InvalidStateError):
            await connection.setRemoteDescription({"type": "answer", "sdp": offer.sdp})
        with pytest.raises(InvalidStateError):
            await connection.createAnswer()
        with pytest.raises(TypeError):
            await connection.setRemoteDescription({"type": "question", "sdp": offer.sdp})
        with pytest.raises(InvalidModificationError):
            await connection.setLocalDescription({"type": "offer", "sdp": offer.sdp + "a=x\r\n"})
        await connection.setLocalDescription(offer)


@pytest.mark.spec("14.6")
async def test_directions_that_can_not_be_set() -> None:
    async with pair() as (connection, _other):
        transceiver = connection.addTransceiver("video")
        with pytest.raises(TypeError):
            transceiver.direction = "stopped"  # type: ignore[assignment]
        transceiver.direction = "sendrecv"
        await transceiver.stop()
        with pytest.raises(InvalidStateError):
            transceiver.direction = "inactive"


async def test_an_offer_can_be_made_anew_before_it_is_answered() -> None:
    async with pair() as (connection, other):
        first = connection.addTransceiver("audio")
        await connection.setLocalDescription()
        second = connection.addTransceiver("video")
        await connection.setLocalDescription()
        offered = parse(connection.localDescription.sdp).sections
        assert [(one.kind, one.mid) for one in offered] == [
            ("audio", first.mid), ("video", second.mid)
        ]  # fmt: skip
        await other.setRemoteDescription(connection.localDescription)
        await other.setLocalDescription()
        answer = other.localDescription.sdp
        with pytest.raises(InvalidAccessError):
            await connection.setRemoteDescription(
                {"type": "answer", "sdp": answer.replace("a=setup:active", "a=setup:actpass")}
            )
        await connection.setRemoteDescription(other.localDescription)
        assert len(other.getTransceivers()) == 2


async def test_a_section_without_a_common_codec_is_rejected_alone() -> None:
    """B1, B12: the rest of the offer goes on."""
    async with captured() as stream, pair() as (connection, other):
        for track in stream.getTracks():
            connection.addTrack(track, stream)
        await connection.setLocalDescription()
        offer = connection.localDescription.sdp
        for name in ("VP8", "H264", "VP9", "AV1"):
            offer = offer.replace(f" {name}/90000", " XYZ/90000")
        await other.setRemoteDescription({"type": "offer", "sdp": offer})
        await other.setLocalDescription()
        answer = parse(other.localDescription.sdp)
        assert [(section.kind, section.rejected) for section in answer.sections] == [
            ("audio", False), ("video", True)
        ]  # fmt: skip
        assert "m=video 0 " in other.localDescription.sdp
        assert answer.bundle == ["0"]
        await connection.setRemoteDescription(other.localDescription)
        assert [one.kind for one in connection.getTransceivers()] == ["audio"]
        [receiver] = other.getReceivers()
        async with asyncio.timeout(30):
            assert (await receiver.track.recv()).sample_rate == 48000


async def test_numbers_are_kept_whoever_offers() -> None:
    """B7: payload types and extension ids are the first offerer's for good."""
    async with captured() as stream, pair() as (connection, other):
        connection.addTrack(stream.getVideoTracks()[0], stream)
        await connection.setLocalDescription()
        text = connection.localDescription.sdp
        codecs = parse(text).sections[0].codecs
        vp8, rtx = (next(c for c in codecs if c.name == name) for name in ("VP8", "rtx"))
        for old, new in ((vp8.payloadType, 120), (rtx.payloadType, 121)):
            text = text.replace(f":{old} ", f":{new} ").replace(f" {old} ", f" {new} ", 1)
            text = text.replace(f"apt={old}\r", f"apt={new}\r")
        text = text.replace("a=extmap:4 ", "a=extmap:9 ")
        await other.setRemoteDescription({"type": "offer", "sdp": text})
        await other.setLocalDescription()
        other.addTransceiver("video")
        offered = parse((await other.createOffer()).sdp)
        for section in offered.sections:
            numbers = {codec.name: codec.payloadType for codec in section.codecs[:2]}
            assert numbers == {"VP8": 120, "rtx": 121}
            [mid] = [one.id for one in section.extensions if one.uri.endswith(":mid")]
            assert mid == 9


# What others may say, and must not do


async def answered_with(
    connection: RTCPeerConnection, other: RTCPeerConnection, *changes: tuple[str, str]
) -> None:
    """One offer, whose answer comes changed."""
    await connection.setLocalDescription()
    await other.setRemoteDescription(connection.localDescription)
    await other.setLocalDescription()
    sdp = other.localDescription.sdp
    for old, new in changes:
        assert old in sdp, old
        sdp = sdp.replace(old, new)
    await connection.setRemoteDescription({"type": "answer", "sdp": sdp})


async def test_an_answer_gets_no_more_than_was_offered() -> None:
    async with captured() as stream, pair() as (connection, other):
        [video] = stream.getVideoTracks()
        transceiver = connection.addTransceiver(video, {"direction": "inactive"})
        await answered_with(connection, other, ("a=inactive", "a=sendrecv"))
        assert transceiver.currentDirection == "inactive"
        assert transceiver.sender._negotiated is None


async def test_an_answer_with_a_codec_that_was_not_offered() -> None:
    async with captured() as stream, pair() as (connection, other):
        [video] = stream.getVideoTracks()
        transceiver = connection.addTransceiver(video, {"direction": "sendonly"})
        capabilities = RTCRtpSender.getCapabilities("video")
        assert capabilities is not None
        transceiver.setCodecPreferences([c for c in capabilities.codecs if c.name == "H264"])
        await answered_with(connection, other, (" H264/90000", " VP8/90000"))
        assert transceiver.sender._negotiated is None


@pytest.mark.parametrize(
    "line", ["a=extmap:300 urn:ietf:params:rtp-hdrext:sdes:mid", "a=extmap:0 urn:x"]
)
async def test_extension_ids_that_no_packet_can_carry_are_passed_over(line: str) -> None:
    text = f"v=0\r\nm=video 9 X 96\r\na=mid:0\r\n{line}\r\n"
    assert parse(text).sections[0].extensions == []
    with pytest.raises(ValueError, match="at most 255"):
        parse(f"v=0\r\nm=video 9 X 96\r\na=mid:{'m' * 256}\r\n")


async def test_data_that_is_rejected_is_not_offered_again_and_again() -> None:
    async with captured() as stream, pair(data=True) as (connection, other):
        connection.addTrack(stream.getVideoTracks()[0])
        diary = Diary().keep(connection, "negotiationneeded")
        await settled()
        assert diary.types == ["negotiationneeded"]
        await answered_with(
            connection, other, ("m=application 9 ", "m=application 0 "), ("BUNDLE 0 ", "BUNDLE ")
        )
        await settled()
        assert diary.types == ["negotiationneeded"]


async def test_a_restart_outlives_the_other_sides_offer() -> None:
    async with pair(data=True) as (connection, other):
        await negotiate(connection, other)
        diary = Diary().keep(connection, "negotiationneeded")
        other.addTransceiver("audio")
        await other.setLocalDescription()
        await connection.setRemoteDescription(other.localDescription)
        connection.restartIce()
        await connection.setLocalDescription()
        await other.setRemoteDescription(connection.localDescription)
        await diary.has("negotiationneeded")
        await negotiate(connection, other)
        await settled()
        assert diary.types == ["negotiationneeded"], "done"


async def test_candidates_of_a_restart_are_for_the_new_generation() -> None:
    async with pair(data=True) as (connection, other):
        await negotiate(connection, other)
        connection.restartIce()
        await connection.setLocalDescription()
        await other.setRemoteDescription(connection.localDescription)
        offered = parse(connection.localDescription.sdp).sections[0].candidates
        known = {(one.ip, one.port) for one in other._transport.ice.remote_candidates}
        assert {(one.ip, one.port) for one in offered} <= known


async def test_an_offer_that_is_only_created_changes_nothing() -> None:
    async with pair() as (connection, other):
        connection.addTransceiver("audio")
        await connection.setLocalDescription()
        connection.addTransceiver("video")
        await connection.createOffer()
        await other.setRemoteDescription(connection.localDescription)
        await other.setLocalDescription()
        await connection.setRemoteDescription(other.localDescription)
        assert connection.signalingState == "stable"
        assert [one.mid for one in connection.getTransceivers()] == ["0", None]


async def test_an_offer_may_be_followed_by_another_before_it_is_answered() -> None:
    async with pair() as (connection, other):
        connection.addTransceiver("audio")
        await connection.setLocalDescription()
        await other.setRemoteDescription(connection.localDescription)
        connection.addTransceiver("video")
        await connection.setLocalDescription()
        await other.setRemoteDescription(connection.localDescription)
        assert [(one.kind, one.mid) for one in other.getTransceivers()] == [
            ("audio", "0"), ("video", "1")
        ]  # fmt: skip


async def test_roles_of_an_answer_that_was_taken_back_are_forgotten() -> None:
    async with pair(data=True) as (connection, other):
        await connection.setLocalDescription()
        await other.setRemoteDescription(connection.localDescription)
        await other.createAnswer()
        await other.setRemoteDescription({"type": "rollback"})
        await connection.setLocalDescription({"type": "rollback"})
        other.createDataChannel("data")
        diary = Diary().keep(other, "connectionstatechange")
        await negotiate(other, connection)
        await diary.has("connectionstatechange", 2)
        assert other.connectionState == "connected"


async def test_many_names_of_streams_are_not_kept() -> None:
    async with captured() as stream, pair() as (connection, other):
        sender = connection.addTrack(stream.getVideoTracks()[0], stream)
        for _ in range(20):
            sender.setStreams(MediaStream())
            await negotiate(connection, other)
        gc.collect()
        assert len(other._remote_streams._streams) == 1


async def test_a_sender_that_was_stopped_can_be_removed_without_effect() -> None:
    async with captured() as stream, pair() as (connection, other):
        sender = connection.addTrack(stream.getVideoTracks()[0])
        await negotiate(connection, other)
        await connection.getTransceivers()[0].stop()
        await negotiate(connection, other)
        connection.removeTrack(sender)
        with pytest.raises(InvalidAccessError):
            other.removeTrack(sender)


# Statistics


@pytest.mark.spec("16")
async def test_statistics_have_what_the_specification_wants() -> None:
    async with captured() as stream, pair(data=True) as (connection, other):
        for track in stream.getTracks():
            connection.addTrack(track, stream)
        channel = connection.createDataChannel("chat")
        opened = asyncio.Event()
        channel.on("open", opened.set)
        await negotiate(connection, other)
        async with asyncio.timeout(30):
            await opened.wait()
            for receiver in other.getReceivers():
                await receiver.track.recv()
            while not (await connection.getStats()).of_type("remote-inbound-rtp"):
                await receiver.track.recv()  # reports come about once a second
        sent, received = await connection.getStats(), await other.getStats()
        for report, type_, members in (
            *((sent, *wanted) for wanted in SENT),
            *((received, *wanted) for wanted in RECEIVED),
        ):
            found = report.of_type(type_)
            assert found, type_
            for stats in found:
                kind = stats.get("kind")
                missing = [
                    name
                    for name in members.split()
                    if name.partition(":")[0] not in stats and name.partition(":")[2] in ("", kind)
                ]
                assert missing == [], (type_, kind)
        references = [
            value
            for stats in (*sent.values(), *received.values())
            for name, value in stats.items()
            if name.endswith("Id") and name not in ("id", "remoteId")
        ]
        assert {one for one in references if isinstance(one, str)} <= {*sent, *received}
        again = await connection.getStats()
        assert set(sent) <= set(again), "ids are stable"
        [sender, _] = connection.getSenders()
        own = await connection.getStats(sender.track)
        assert [one.kind for one in own.of_type("outbound-rtp")] == [sender.track.kind]
        with pytest.raises(InvalidAccessError):
            await other.getStats(sender.track)


SENT = [
    ("codec", "payloadType mimeType clockRate transportId"),
    ("outbound-rtp", "ssrc kind transportId codecId packetsSent bytesSent nackCount mediaSourceId "
     "framesEncoded:video framesSent:video"),
    ("remote-inbound-rtp", "ssrc kind transportId codecId packetsReceived packetsLost jitter "
     "localId"),
    ("media-source", "trackIdentifier kind width:video height:video framesPerSecond:video"),
    ("peer-connection", "dataChannelsOpened dataChannelsClosed"),
    ("data-channel", "label protocol dataChannelIdentifier state messagesSent bytesSent "
     "messagesReceived bytesReceived"),
    ("transport", "bytesSent bytesReceived selectedCandidatePairId localCertificateId "
     "remoteCertificateId"),
    ("candidate-pair", "transportId localCandidateId remoteCandidateId state nominated bytesSent "
     "bytesReceived totalRoundTripTime responsesReceived"),
    ("local-candidate", "address port protocol candidateType"),
    ("remote-candidate", "address port protocol candidateType"),
    ("certificate", "fingerprint fingerprintAlgorithm base64Certificate"),
]  # fmt: skip
RECEIVED = [
    ("inbound-rtp", "ssrc kind transportId codecId packetsReceived packetsLost jitter "
     "trackIdentifier nackCount bytesReceived packetsDiscarded framesDecoded:video "
     "framesDropped:video framesReceived:video totalAudioEnergy:audio totalSamplesDuration:audio"),
    ("remote-outbound-rtp", "ssrc kind transportId codecId packetsSent bytesSent localId "
     "remoteTimestamp"),
]  # fmt: skip


# aiortc


async def test_stock_aiortc_is_a_peer_like_others() -> None:
    async with captured() as stream:
        ours = RTCPeerConnection(alwaysNegotiateDataChannels=True)
        stock = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        try:
            received: asyncio.Queue[aiortc.MediaStreamTrack] = asyncio.Queue()
            stock.on("track", received.put_nowait)
            for track in stream.getTracks():
                ours.addTrack(track, stream)
            await ours.setLocalDescription()
            await stock.setRemoteDescription(ours.localDescription)
            await stock.setLocalDescription(await stock.createAnswer())
            await ours.setRemoteDescription(stock.localDescription)
            async with asyncio.timeout(30):
                for _ in range(2):
                    assert await (await received.get()).recv()
        finally:
            await ours.close()
            await stock.close()


async def test_listeners_of_aiortcs_kind_get_what_they_know() -> None:
    async with captured() as stream, pair() as (connection, other):
        got: list[object] = []
        other.on("track", got.append)
        other.on("connectionstatechange", lambda: got.append(other.connectionState))
        connection.addTrack(stream.getVideoTracks()[0])
        await negotiate(connection, other)
        assert got[0] is other.getReceivers()[0].track
        await other.close()
        assert got[-1] == "closed"


async def test_nothing_stays_behind() -> None:
    async with captured() as stream:
        before = asyncio.all_tasks()
        for _ in range(3):
            async with pair(data=True) as (connection, other):
                connection.addTrack(stream.getVideoTracks()[0], stream)
                await negotiate(connection, other)
                [receiver] = other.getReceivers()
                async with asyncio.timeout(30):
                    await receiver.track.recv()
        await settled()
        left = {task for task in asyncio.all_tasks() - before if not task.done()}
        assert not left
        del connection, other, receiver
        gc.collect()
        assert not [one for one in gc.get_objects() if isinstance(one, RTCPeerConnection)]


async def test_an_offer_gets_the_encoder_going_and_nothing_else_keeps_it() -> None:
    async with captured() as stream, pair() as (connection, other):
        [track] = stream.getVideoTracks()
        connection.addTrack(track, stream)
        await connection.setLocalDescription()
        [encoder] = _encoders[track].values()
        await other.setRemoteDescription(connection.localDescription)
        await other.setLocalDescription()
        await connection.setRemoteDescription(other.localDescription)
        [transceiver] = connection.getTransceivers()
        assert list(_encoders[track].values()) == [encoder]
        transceiver.direction = "inactive"
        await negotiate(connection, other)
        assert not _encoders[track]
        transceiver.direction = "sendonly"
        await connection.setLocalDescription()
        assert _encoders[track]
        await connection.close()
        assert not _encoders[track]
