"""Outgoing streams, over real transports on loopback to aiortc's receiver, which decodes them."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise
from struct import unpack_from
from typing import Any

import aiortc
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import (
    RTCP_PSFB_FIR,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpSrPacket,
    RtpPacket,
    is_rtcp,
    unpack_header_extensions,
)
from av import Packet, VideoFrame

from peer import MediaDevices, MediaStreamTrack
from peer.capture.clock import VIDEO_TIME_BASE
from peer.connection.aiortc_seam.srtp import SrtpTransport
from peer.devices import barcode
from peer.devices.virtual import VirtualBackend
from peer.media import outgoing, rungs
from peer.media import shared_encoder as shared_encoder_module
from peer.media.outgoing import OutgoingStream, preferred_codecs, sendable_codecs
from peer.media.rtp_packet import ABS_CAPTURE_TIME
from peer.media.shared_encoder import KEPT_PICTURES
from peer.media.video_encoders import VideoEncoder

from .loopback import EXTENSIONS, RTX_SSRC, SSRC, Viewer, parameters, viewer
from .moving_pictures import RATE, number_in, picture


class Foreign(aiortc.MediaStreamTrack):
    """A stock aiortc track: one reader, time stamps from 0."""

    kind = "video"

    def __init__(self, width: int = 320, height: int = 240) -> None:
        super().__init__()
        self.size = (width, height)
        self.number = 0
        self.failing: Exception | None = None

    async def recv(self) -> VideoFrame:
        if self.readyState == "ended":
            raise MediaStreamError
        await asyncio.sleep(1 / RATE)
        if self.failing is not None:
            raise self.failing
        width, height = self.size
        frame = picture(self.number).reformat(width, height)
        frame.pts, frame.time_base = self.number * 3000, VIDEO_TIME_BASE
        self.number += 1
        return frame


def is_black(frame: Any) -> bool:
    luma = frame.to_ndarray(format="gray")
    return bool(luma.max() < 32)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def picture_that(viewer: Viewer, condition: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(30):
        while True:
            frame = await viewer.frame()
            if condition(frame):
                return frame


class Wire:
    """What a viewer's transport receives, RTP and RTCP apart, decrypted."""

    def __init__(self, viewer: Viewer) -> None:
        self.packets: list[RtpPacket] = []
        self.reports: list[Any] = []
        self.extensions: dict[tuple[int, int], dict[int, bytes]] = {}
        self.lose: Callable[[RtpPacket], bool] = lambda packet: False
        transport = viewer.transport
        receive = transport.transport._recv
        handle_rtp, handle_rtcp = transport._handle_rtp_data, transport._handle_rtcp_data

        async def lossy() -> bytes:
            while True:
                data: bytes = await receive()
                if (
                    not 128 <= data[0] < 192
                    or is_rtcp(data)
                    or not self.lose(RtpPacket.parse(data))
                ):
                    return data

        async def rtp(data: bytes, arrival_time_ms: int) -> None:
            packet = RtpPacket.parse(data)
            self.packets.append(packet)
            profile, words = unpack_from("!HH", data, 12)
            found = unpack_header_extensions(profile, data[16 : 16 + 4 * words])
            self.extensions[packet.sequence_number, packet.ssrc] = dict(found)
            await handle_rtp(data, arrival_time_ms)

        async def rtcp(data: bytes) -> None:
            assert is_rtcp(data)
            self.reports += RtcpPacket.parse(data)
            await handle_rtcp(data)

        transport.transport._recv = lossy
        transport._handle_rtp_data = rtp
        transport._handle_rtcp_data = rtcp

    def extension(self, packet: RtpPacket, uri: str) -> bytes:
        return self.extensions[packet.sequence_number, packet.ssrc][EXTENSIONS[uri]]


async def watch(viewer: Viewer, track: aiortc.MediaStreamTrack, codec: str = "VP8") -> None:
    viewer.stream.set_track(track)
    viewer.stream.start(parameters(codec))


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_every_picture_arrives_in_order(camera: MediaStreamTrack, codec: str) -> None:
    async with viewer(parameters(codec)) as one:
        await watch(one, camera, codec)
        numbers = [await one.number() for _ in range(20)]
        assert None not in numbers
        assert numbers == sorted(set(numbers))
        statistics = one.stream.statistics
    assert statistics.keyFramesEncoded == 1
    assert statistics.framesSent >= 20
    assert (statistics.frameWidth, statistics.frameHeight) == (320, 240)
    assert statistics.packetsSent >= statistics.framesSent
    assert statistics.bytesSent > 0
    assert statistics.headerBytesSent > 12 * statistics.packetsSent - 1


async def test_sound_arrives(microphone: MediaStreamTrack) -> None:
    async with viewer(parameters("opus", rtx=False)) as one:
        await watch(one, microphone, "opus")
        frames = [await one.frame() for _ in range(10)]
        assert {frame.samples for frame in frames} == {960}  # type: ignore[union-attr]
        assert np.abs(frames[-1].to_ndarray()).max() > 1000
        level = one.stream.statistics.audioLevel
    assert level is not None
    assert level > 0.05


async def test_a_track_is_encoded_once_for_all(camera: MediaStreamTrack) -> None:
    async with AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(viewer(parameters())) for _ in range(3)]
        for one in viewers:
            await watch(one, camera)
        for one in viewers:
            assert await one.number() is not None
        encoders = {one.stream._feed.encoder for one in viewers}  # type: ignore[union-attr]
        assert len(encoders) == 1
        [encoder] = encoders
        await until(lambda: len(encoder._fan_out._in_step) == 3)
    assert not shared_encoder_module._encoders.get(camera)


async def test_a_foreign_track_is_read_once_for_all() -> None:
    track = Foreign()
    async with viewer(parameters()) as one, viewer(parameters("H264")) as other:
        await watch(one, track)
        await watch(other, track, "H264")
        numbers = [await one.number() for _ in range(5)]
        others = [await other.number() for _ in range(5)]
    assert None not in numbers + others
    for found in (numbers, others):
        steps = {b - a for a, b in pairwise(found)}  # type: ignore[operator]
        assert steps <= {1, 2}, "they do not take each other's frames"
    assert track.readyState == "live"


async def test_who_comes_later_gets_a_key_frame_and_one_request_serves_many(
    camera: MediaStreamTrack,
) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(viewer(parameters()))
        await watch(first, camera)
        await until(lambda: first.stream.statistics.framesSent > KEPT_PICTURES)
        others = [await stack.enter_async_context(viewer(parameters())) for _ in range(4)]
        for other in others:
            await watch(other, camera)
        for other in others:
            assert await other.number() is not None
        assert first.stream.statistics.keyFramesEncoded == 2


async def test_closing_one_stream_leaves_the_camera_and_the_others_alone(
    camera: MediaStreamTrack,
) -> None:
    async with viewer(parameters()) as one:
        async with viewer(parameters()) as other:
            wire = Wire(other)
            await watch(one, camera)
            await watch(other, camera)
            await other.number()
            await other.stream.close()
            await until(lambda: any(type(r).__name__ == "RtcpByePacket" for r in wire.reports))
        assert camera.readyState == "live"
        before = one.stream.statistics.framesSent
        await until(lambda: one.stream.statistics.framesSent > before + 5)


async def test_lost_packets_are_sent_again_in_a_stream_of_their_own(
    camera: MediaStreamTrack,
) -> None:
    async with viewer(parameters()) as one:
        wire = Wire(one)
        await watch(one, camera)
        await one.number()
        lost: list[int] = []

        def lose(packet: RtpPacket) -> bool:
            if packet.ssrc == SSRC and packet.sequence_number % 5 == 0:
                lost.append(packet.sequence_number)
                return True
            return False

        wire.lose = lose
        numbers = [await one.number() for _ in range(30)]
        repeated = [packet for packet in wire.packets if packet.ssrc == RTX_SSRC]
        statistics = one.stream.statistics
    assert None not in numbers
    assert {int.from_bytes(packet.payload[:2], "big") for packet in repeated} <= set(lost)
    assert len(lost) > 3
    assert statistics.retransmittedPacketsSent >= len(lost) - 2
    assert statistics.nackCount > 0
    sequence = [packet.sequence_number for packet in repeated]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))


async def test_without_a_stream_of_their_own_they_are_sent_as_they_were(
    camera: MediaStreamTrack,
) -> None:
    negotiated = parameters(rtx=False)
    async with viewer(negotiated) as one:
        wire = Wire(one)
        one.stream.set_track(camera)
        one.stream.start(negotiated)
        await one.number()
        lost: set[int] = set()

        def lose(packet: RtpPacket) -> bool:
            first_time = packet.sequence_number not in lost and packet.sequence_number % 5 == 0
            if first_time:
                lost.add(packet.sequence_number)
            return first_time

        wire.lose = lose
        numbers = [await one.number() for _ in range(30)]
        assert one.stream.statistics.retransmittedPacketsSent > 0
    assert None not in numbers


async def test_key_frames_on_request(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one:
        await watch(one, camera)
        await one.number()
        transport = one.transport
        pli = RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=SSRC)
        fir = RtcpPsfbPacket(
            fmt=RTCP_PSFB_FIR, ssrc=1, media_ssrc=0, fci=SSRC.to_bytes(4, "big") + b"\x05\0\0\0"
        )
        await transport._send_rtp(bytes(pli))
        await until(lambda: one.stream.statistics.keyFramesEncoded == 2)
        for _ in range(2):
            await transport._send_rtp(bytes(fir))  # the second repeats the first
        await until(lambda: one.stream.statistics.keyFramesEncoded == 3)
        statistics = one.stream.statistics
    assert (statistics.pliCount, statistics.firCount) == (1, 1)


async def test_a_flood_of_requests_is_no_flood_of_key_frames(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one, viewer(parameters()) as other:
        await watch(one, camera)
        await watch(other, camera)
        await one.number()
        before = other.stream.statistics
        for _ in range(20):
            one.stream.picture_lost()
            await one.frame()
        after = other.stream.statistics
    assert after.keyFramesEncoded - before.keyFramesEncoded <= 2
    assert after.framesEncoded - before.framesEncoded >= 18


async def test_reports_and_packets_tell_the_same_time_of_capture(
    camera: MediaStreamTrack, microphone: MediaStreamTrack
) -> None:
    async with viewer(parameters()) as seen, viewer(parameters("opus", rtx=False)) as heard:
        wires = [Wire(seen), Wire(heard)]
        await watch(seen, camera)
        await watch(heard, microphone, "opus")
        stamp = barcode.read((await seen.frame()).to_ndarray(format="gray"))  # type: ignore[union-attr]
        for wire in wires:
            await until(lambda wire=wire: bool(wire.packets and wire.reports))  # type: ignore[misc]
    captured = []
    for wire, clock_rate in zip(wires, (90000, 48000), strict=True):
        [report, *_] = [r for r in wire.reports if isinstance(r, RtcpSrPacket)]
        info, packet = report.sender_info, wire.packets[0]
        ahead = (packet.timestamp - info.rtp_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        by_report = info.ntp_timestamp / (1 << 32) + ahead / clock_rate
        by_packet = int.from_bytes(wire.extension(packet, ABS_CAPTURE_TIME), "big") / (1 << 32)
        assert by_report == pytest.approx(by_packet, abs=0.001)
        captured.append(by_packet)
    assert captured[0] - captured[1] == pytest.approx(0, abs=1), "both have just begun"
    assert stamp is not None
    seconds = (captured[0] - 2_208_988_800) % ((1 << barcode.TIME_BITS) / 1000)
    assert seconds == pytest.approx(stamp.time, abs=0.2), "and it is the camera's"


async def test_a_disabled_track_is_black_and_comes_back(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one:
        await watch(one, camera)
        await one.number()
        camera.enabled = False
        await picture_that(one, is_black)
        before = one.stream.statistics.framesEncoded
        await asyncio.sleep(0.5)
        assert one.stream.statistics.framesEncoded - before <= 3, "a picture a second is enough"
        camera.enabled = True
        await picture_that(one, lambda frame: not is_black(frame))


async def test_an_ended_track_is_black(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one:
        await watch(one, camera)
        await one.number()
        camera.stop()
        frame = await picture_that(one, is_black)
        assert (frame.width, frame.height) == (320, 240)
        async with viewer(parameters()) as late:
            await watch(late, camera)
            assert is_black(await late.frame()), "whoever comes later sees it at once"
    assert not one.failures


async def test_of_an_ended_microphone_nothing_is_sent(microphone: MediaStreamTrack) -> None:
    async with viewer(parameters("opus", rtx=False)) as one:
        wire = Wire(one)
        await watch(one, microphone, "opus")
        await one.frame()
        microphone.stop()
        await asyncio.sleep(0.1)
        before = len(wire.packets)
        await asyncio.sleep(0.2)
        assert len(wire.packets) == before
        assert not any(type(r).__name__ == "RtcpByePacket" for r in wire.reports)


async def test_a_camera_that_is_unplugged_leaves_black(
    camera: MediaStreamTrack, backend: VirtualBackend
) -> None:
    async with viewer(parameters()) as one:
        await watch(one, camera)
        await one.number()
        backend.unplug(camera.label)
        await picture_that(one, is_black)


async def test_a_track_that_fails_is_told_once_and_goes_on_black(
    caplog: pytest.LogCaptureFixture,
) -> None:
    track = Foreign()
    async with viewer(parameters()) as one, viewer(parameters()) as other:
        await watch(one, track)
        await watch(other, track)
        await one.number()
        track.failing = RuntimeError("the lens fell off")
        await picture_that(one, is_black)
        await picture_that(other, is_black)
        for viewed in (one, other):
            assert [str(error) for error in viewed.failures] == ["the lens fell off"]
        assert [r for r in caplog.records if "the lens fell off" in r.getMessage()]


async def test_a_track_that_hangs_when_it_is_stopped_is_black() -> None:
    class Hanging(Foreign):
        async def recv(self) -> VideoFrame:
            if self.number == 5:
                await asyncio.Event().wait()
            return await super().recv()

    track = Hanging()
    async with viewer(parameters()) as one:
        await watch(one, track)
        await one.number()
        track.stop()
        await picture_that(one, is_black)


async def test_another_track_takes_over_and_time_goes_on(
    camera: MediaStreamTrack, media_devices: MediaDevices
) -> None:
    async with viewer(parameters()) as one:
        wire = Wire(one)
        await watch(one, camera)
        await one.number()
        foreign = Foreign(160, 120)
        one.stream.set_track(foreign)
        await picture_that(one, lambda frame: frame.width == 160)
        one.stream.set_track(None)
        before = one.stream.statistics.packetsSent
        await asyncio.sleep(0.1)
        assert one.stream.statistics.packetsSent == before
        one.stream.set_track(camera)
        await picture_that(one, lambda frame: frame.width == 320)
    timestamps = [packet.timestamp for packet in wire.packets if packet.ssrc == SSRC]
    steps = [(b - a) & 0xFFFFFFFF for a, b in pairwise(timestamps)]
    assert max(steps) < 5 * 90000, "no jump, and none back"
    numbers = [packet.sequence_number for packet in wire.packets if packet.ssrc == SSRC]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_a_pause_sends_nothing_and_ends_with_a_key_frame(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one:
        wire = Wire(one)
        await watch(one, camera)
        await one.number()
        one.stream.pause()
        before = one.stream.statistics
        await asyncio.sleep(0.2)
        assert one.stream.statistics.packetsSent == before.packetsSent
        one.stream.start(parameters())
        await until(lambda: one.stream.statistics.framesSent > before.framesSent + 3)
        assert one.stream.statistics.keyFramesEncoded == before.keyFramesEncoded + 1
        numbers = [packet.sequence_number for packet in wire.packets if packet.ssrc == SSRC]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_another_codec_may_be_negotiated(camera: MediaStreamTrack) -> None:
    async with viewer(parameters("H264")) as one:
        wire = Wire(one)
        h264 = parameters("H264")
        vp8 = replace(parameters(), codec=replace(parameters().codec, payloadType=100))
        one.stream.set_track(camera)
        one.stream.start(vp8)
        await until(lambda: one.stream.statistics.framesSent > 3)
        one.stream.start(h264)
        assert await one.number() is not None
    kinds = [packet.payload_type for packet in wire.packets]
    assert kinds == sorted(kinds, reverse=True), "nothing of the old codec comes after the new"
    assert set(kinds) == {100, h264.codec.payloadType}
    first = next(packet for packet in wire.packets if packet.payload_type != 100)
    assert first.payload[0] & 0x1F == 24, "parameter sets, and so a key frame"


async def test_the_size_of_the_frames_may_change() -> None:
    track = Foreign()
    async with viewer(parameters("H264")) as one:
        await watch(one, track, "H264")
        await picture_that(one, lambda frame: frame.width == 320)
        track.size = (241, 161)
        frame = await picture_that(one, lambda frame: frame.width != 320)
    assert (frame.width, frame.height) == (240, 160), "H.264 has even sizes"


async def test_limits(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one, viewer(parameters()) as other:
        await watch(one, camera)
        await watch(other, camera)
        one.stream.set_limits(scale_down_by=2, max_bitrate=200_000)
        frame = await picture_that(one, lambda frame: frame.width == 160)
        assert frame.height == 120
        assert one.stream.statistics.targetBitrate == 200_000
        assert (await other.frame()).width == 320  # type: ignore[union-attr]
        one.stream.set_limits(active=False)
        before = one.stream.statistics.packetsSent
        await other.frame()
        assert one.stream.statistics.packetsSent == before


async def test_a_lower_frame_rate(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one:
        one.stream.set_limits(max_framerate=10)
        await watch(one, camera)
        numbers = [await one.number() for _ in range(6)]
    assert None not in numbers
    rate = camera.getSettings()["frameRate"]
    steps = [b - a for a, b in pairwise(numbers)]  # type: ignore[operator]
    assert sum(steps) / len(steps) == pytest.approx(rate / 10, rel=0.35)


async def test_a_viewer_whose_way_is_narrow_gets_smaller_pictures_and_the_others_do_not(
    media_devices: MediaDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await media_devices.getUserMedia({"video": {"width": 640, "height": 480}})
    [camera] = stream.getVideoTracks()
    monkeypatch.setattr(outgoing, "REPORT_INTERVAL", 0.1)
    for name in ("SETTLING", "BAD_FOR"):
        monkeypatch.setattr(rungs, name, 0.2)
    async with viewer(parameters()) as one, viewer(parameters()) as other:
        wire = Wire(one)
        await watch(one, camera)
        await watch(other, camera)
        assert (await one.frame()).width == 640  # type: ignore[union-attr]
        one.says_nothing()
        one.stream._steering.adaptation._choice = rungs.Choice(patience=0.2)
        one.stream.estimated(10_000)
        frame = await picture_that(one, lambda frame: frame.width != 640)
        assert (frame.width, frame.height) == (320, 240)
        assert number_in(frame) is not None, "nothing is broken by the change"
        statistics = one.stream.statistics
        assert (statistics.rung, statistics.qualityLimitationReason) == (1, "bandwidth")
        assert other.stream.statistics.rung == 0

        def is_large(frame: Any) -> bool:
            one.stream.estimated(50_000_000)  # as a viewer says again and again
            return bool(frame.width == 640)

        await picture_that(one, is_large)
    numbers = [packet.sequence_number for packet in wire.packets if packet.ssrc == SSRC]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_the_bitrate_follows_a_single_viewer_without_a_key_frame(
    camera: MediaStreamTrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "REPORT_INTERVAL", 0.05)
    monkeypatch.setattr(rungs, "BAD_FOR", 60)
    async with viewer(parameters("H264")) as one:
        await watch(one, camera, "H264")
        await one.number()
        nominal = one.stream.statistics.targetBitrate
        one.says_nothing()
        one.stream.estimated(10_000)
        await until(lambda: one.stream.statistics.targetBitrate == round(nominal / 2))
        assert one.stream.statistics.keyFramesEncoded == 1
        async with viewer(parameters("H264")) as other:
            other.says_nothing()
            await watch(other, camera, "H264")
            await until(lambda: one.stream.statistics.targetBitrate == nominal)


async def test_what_the_viewer_estimates_is_told(camera: MediaStreamTrack) -> None:
    async with viewer(parameters()) as one:
        await watch(one, camera)
        await one.number()
        one.stream.estimated(1_000_000)
        assert one.stream.statistics.availableBitrate == 1_000_000
        await until(lambda: one.stream.statistics.roundTripTime is not None)
        assert 0 <= one.stream.statistics.roundTripTime < 1  # type: ignore[operator]


async def test_a_viewer_that_cannot_take_more_goes_on_at_a_key_frame(
    camera: MediaStreamTrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SrtpTransport, "open_row", lambda self: None)
    async with viewer(parameters()) as one, viewer(parameters()) as other:
        await watch(one, camera)
        await watch(other, camera)
        await one.number()
        real = one.stream._transport.send_rtp
        one.stream._transport.send_rtp = lambda batch: False  # type: ignore[method-assign]
        before = one.stream.statistics.framesSent
        await other.frame()
        await other.frame()
        assert one.stream.statistics.framesSent == before
        one.stream._transport.send_rtp = real  # type: ignore[method-assign]
        await until(lambda: one.stream.statistics.framesSent > before + 3)
        assert await one.number() is not None


async def test_nothing_is_sent_before_the_transport_is_ready(camera: MediaStreamTrack) -> None:
    class Closed:
        ready, trailer = False, 16

        def send_rtp(self, batch: object) -> bool:
            raise AssertionError("not ready")

        def send_rtcp(self, data: bytes) -> bool:
            raise AssertionError("not ready")

    stream = OutgoingStream("video", Closed(), failed=lambda error: None)
    stream.set_track(camera)
    stream.start(parameters())
    await asyncio.sleep(0.1)
    await stream.close()


async def test_codecs_that_can_be_sent() -> None:
    assert [codec.name for codec in sendable_codecs("video")] == ["VP8", "H264", "VP9", "AV1"]
    [opus] = sendable_codecs("audio")
    assert (opus.mimeType, opus.channels, opus.parameters) == ("audio/opus", 2, {"useinbandfec": 1})
    for codec in sendable_codecs("video"):
        feedback = {(one.type, one.parameter) for one in codec.rtcpFeedback}
        assert feedback == {("nack", None), ("nack", "pli"), ("ccm", "fir"), ("goog-remb", None)}


async def test_cameras_that_compress_are_asked_for_what_they_have(
    camera: MediaStreamTrack, media_devices: MediaDevices
) -> None:
    codecs = sendable_codecs("video")
    assert preferred_codecs(camera, codecs) == codecs
    assert preferred_codecs(None, codecs) == codecs


async def test_a_foreign_track_may_bring_packets() -> None:
    """As aiortc's player does that doesn't decode; who makes them may not say which are key."""

    class Encoded(Foreign):
        encoder = VideoEncoder("vp8")

        async def recv(self) -> Any:
            frame = await super().recv()
            keyframe = self.number % 10 == 1
            encoded = self.encoder.encode(frame, frame.pts or 0, RATE, keyframe=keyframe)
            assert encoded is not None
            packet = Packet(encoded.data)
            packet.pts, packet.time_base = frame.pts, frame.time_base
            return packet

    async with viewer(parameters()) as one, viewer(parameters()) as other:
        track = Encoded()
        await watch(one, track)
        numbers = [await one.number() for _ in range(5)]
        await watch(other, track)
        assert await other.number() is not None
    assert numbers == list(range(numbers[0], numbers[0] + 5))  # type: ignore[operator, arg-type]
