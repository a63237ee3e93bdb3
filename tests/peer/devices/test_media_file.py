"""A file as devices: it plays in real time, picture and sound in step, from any position, again."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av import AudioFrame, CodecContext, Packet, VideoFrame

from peer import MediaDevices
from peer.devices.backend import (
    AudioMode,
    Capture,
    Captured,
    DeviceBusy,
    DeviceError,
    DeviceLost,
    VideoMode,
)
from peer.devices.decoder import PictureDecoder
from peer.devices.media_file import MediaFile
from peer.testing.backend_contract import check_backend

from .media_samples import RATE, SIZE, make_sample, picture_number

PATIENCE = 20.0


def open_all(backend: MediaFile) -> dict[str, Capture]:
    devices = backend.list_devices()
    assert not any(device.unusable for device in devices), devices
    return {device.kind: backend.open(device, device.modes[0]) for device in devices}


def take(capture: Capture) -> Captured:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (captured := capture.read()) is not None:
            return captured
    raise AssertionError("nothing came")


def take_until(capture: Capture, at: float) -> list[Captured]:
    taken = [take(capture)]
    while taken[-1].at < at:
        taken.append(take(capture))
    return taken


def take_all(capture: Capture) -> list[Captured]:
    taken: list[Captured] = []

    def read_on() -> None:
        while True:
            taken.append(take(capture))

    with pytest.raises(DeviceLost, match="has ended"):
        read_on()
    return taken


def each(
    captures: Mapping[Any, Capture], read: Callable[[Capture], list[Captured]]
) -> dict[Any, list[Captured]]:
    """Read from all captures at the same time, as their own threads would."""
    with ThreadPoolExecutor() as threads:
        taken = {kind: threads.submit(read, capture) for kind, capture in captures.items()}
        return {kind: future.result(PATIENCE) for kind, future in taken.items()}


def numbers(pictures: list[Captured]) -> list[int]:
    """The pictures' numbers, decoded where need be; a decoder must be able to begin."""
    decoder = PictureDecoder()
    shown = []
    for picture in pictures:
        frame = picture.frame or (picture.encoded and decoder.decode(picture.encoded))
        assert isinstance(frame, VideoFrame), "a picture that can't be decoded"
        shown.append(picture_number(frame))
    return shown


def open_files(path: Path) -> int:
    links = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
    return sum(os.path.lexists(link) and os.path.realpath(link) == str(path) for link in links)


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("reader of")]


@pytest.mark.parametrize(
    ("name", "options", "loop"),
    [
        ("h264.mp4", {}, False),
        ("loop.mp4", {"duration": 0.4}, True),
        ("bframes.mp4", {"bframes": 2}, False),
        ("vp8.webm", {"video": "libvpx", "audio": "libopus"}, False),
        ("motion.avi", {"video": "mjpeg", "audio": "pcm_s16le"}, False),
        ("late.ts", {"first_pts": 30.0}, False),
        ("odd.webm", {"video": "libvpx", "audio": None, "size": (161, 99)}, False),
        ("sound.wav", {"video": None, "audio": "pcm_s16le", "sample_rate": 44100}, False),
        ("speech.mp3", {"video": None, "audio": "mp3", "layout": "mono"}, True),
    ],
)
def test_every_sort_of_file_keeps_the_contract(
    tmp_path: Path, name: str, options: dict[str, object], loop: bool
) -> None:
    path = make_sample(tmp_path / name, **options)  # type: ignore[arg-type]
    devices = check_backend(MediaFile(path, loop=loop))
    kinds = {"videoinput"} if options.get("video", "") is not None else set()
    kinds |= {"audioinput"} if options.get("audio", "") is not None else set()
    assert {device.kind for device in devices} == kinds
    assert len({device.group for device in devices}) == 1
    assert readers() == []
    assert open_files(path) == 0


def test_a_file_says_what_is_in_it(tmp_path: Path) -> None:
    video, audio = MediaFile(make_sample(tmp_path / "clip.mp4")).list_devices()
    assert video.label == audio.label == "clip.mp4"
    assert video.modes == (VideoMode(*SIZE, RATE, "h264"),)
    assert audio.modes == (AudioMode(48000, 2),)
    plain, mono = MediaFile(
        make_sample(tmp_path / "b.mp4", bframes=2, layout="mono")
    ).list_devices()
    assert plain.modes == (VideoMode(*SIZE, RATE),)
    assert mono.modes == (AudioMode(48000, 1),)


@pytest.mark.parametrize("options", [{}, {"bframes": 2}])
def test_every_picture_comes_in_order_and_in_real_time(
    tmp_path: Path, options: dict[str, int]
) -> None:
    backend = MediaFile(make_sample(tmp_path / "clip.mp4", audio=None, duration=1.0, **options))  # type: ignore[arg-type]
    opened_at = time.monotonic()
    capture = open_all(backend)["videoinput"]
    try:
        pictures = take_all(capture)
        assert time.monotonic() - opened_at >= 1.0, "the last picture is shown for its duration"
    finally:
        capture.close()
    steps = np.diff([picture.at for picture in pictures])
    assert np.allclose(steps, 1 / RATE, atol=1e-3)
    shown = numbers(pictures)
    assert [number for number in shown if number < 50] == [n for n in range(20) if n != 10]


def test_each_passed_key_frame_can_be_begun_with(tmp_path: Path) -> None:
    captures = {}
    for name in ("clip.mp4", "clip.ts", "clip.mkv"):
        path = make_sample(tmp_path / name, audio=None)
        captures[name] = open_all(MediaFile(path))["videoinput"]
    try:
        taken = each(captures, lambda capture: [take(capture) for _ in range(21)])
    finally:
        for capture in captures.values():
            capture.close()
    for pictures in taken.values():
        keys = [picture.encoded for picture in pictures if picture.encoded.keyframe]  # type: ignore[union-attr]
        assert len(keys) == 3, "one of ten pictures is a key frame"
        for key in keys:
            assert key is not None
            decoder = CodecContext.create("h264", "r")
            frames = [*decoder.decode(Packet(key.data)), *decoder.decode(None)]
            assert [(frame.width, frame.height) for frame in frames] == [SIZE]


@pytest.mark.parametrize("video_first", [True, False])
def test_picture_and_sound_are_in_step_whichever_opens_first(
    tmp_path: Path, video_first: bool
) -> None:
    path = make_sample(tmp_path / "clip.mp4", duration=1.5, click_at=1.0, bframes=2)
    backend = MediaFile(path)
    video, audio = backend.list_devices()
    order = [video, audio] if video_first else [audio, video]
    first = backend.open(order[0], order[0].modes[0])
    take_until(first, time.monotonic() + 0.3)
    second = backend.open(order[1], order[1].modes[0])
    both = {order[0].kind: first, order[1].kind: second}
    try:
        joined_at = time.monotonic()
        earliest = take(second)
        assert earliest.at > joined_at - 0.2, "it joins at the current position"
        taken = each(both, take_all)
    finally:
        for capture in both.values():
            capture.close()
    white = next(
        picture.at
        for picture in taken["videoinput"]
        if isinstance(picture.frame, VideoFrame) and picture_number(picture.frame) > 50
    )
    clicks = [
        sound.at + int(loud[0]) / 48000
        for sound in taken["audioinput"]
        if isinstance(sound.frame, AudioFrame)
        and len(loud := np.flatnonzero(np.abs(sound.frame.to_ndarray()[0, ::2]) > 5000))
    ]
    assert abs(clicks[0] - white) < 0.03
    assert readers() == []
    assert open_files(path) == 0


@pytest.mark.parametrize("bframes", [0, 2])
def test_it_starts_at_any_picture(tmp_path: Path, bframes: int) -> None:
    path = make_sample(tmp_path / "clip.mp4", duration=1.6, bframes=bframes, click_at=0.1)
    captures = open_all(MediaFile(path, start=0.85))
    try:
        opened_at = time.monotonic()
        taken = each(captures, lambda capture: take_until(capture, opened_at + 0.2))
    finally:
        for capture in captures.values():
            capture.close()
    pictures = taken["videoinput"]
    shown = numbers(pictures)
    first = shown.index(17)
    sound = taken["audioinput"][0]
    if bframes:
        assert first == 0, "what is before the start is not shown"
    begins = pictures[first].at
    # The sound is opened later, and joins where the pictures are.
    assert begins - 0.02 < sound.at < max(begins + 0.02, opened_at)
    assert pictures[0].at > pictures[first].at - 0.02, "what it builds on takes no time"


@pytest.mark.parametrize("bframes", [0, 2])
def test_a_loop_goes_on_without_a_gap(tmp_path: Path, bframes: int) -> None:
    path = make_sample(tmp_path / "clip.mp4", duration=0.4, bframes=bframes, click_at=0.1)
    captures = open_all(MediaFile(path, loop=True))
    try:
        until = time.monotonic() + 1.3
        taken = each(captures, lambda capture: take_until(capture, until))
    finally:
        for capture in captures.values():
            capture.close()
    pictures, sounds = taken["videoinput"], taken["audioinput"]
    shown = numbers(pictures)
    assert shown[:8] == shown[8:16] == shown[16:24]
    assert max(np.diff([picture.at for picture in pictures])) < 1 / RATE + 0.03
    ends = [sound.at + sound.frame.samples / 48000 for sound in sounds]  # type: ignore[union-attr]
    gaps = [sound.at - end for sound, end in zip(sounds[1:], ends, strict=False)]
    assert max(np.abs(gaps)) < 0.03
    passes = [pictures[index * 8].at - pictures[0].at for index in (1, 2)]
    assert passes[1] == pytest.approx(2 * passes[0], abs=0.002)


def test_one_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    captures = open_all(MediaFile(make_sample(tmp_path / "clip.mp4", duration=4.0, click_at=0.1)))
    try:
        sounds = take_until(captures["audioinput"], time.monotonic() + 2.5)
        assert np.diff([sound.at for sound in sounds]).max() < 0.05
        picture = take(captures["videoinput"])
        assert picture.at > sounds[0].at + 1.0, "what is old by now is dropped"
    finally:
        for capture in captures.values():
            capture.close()


def test_it_is_rewound_when_all_are_closed(tmp_path: Path) -> None:
    backend = MediaFile(make_sample(tmp_path / "clip.mp4", duration=1.0, bframes=2))
    device = backend.list_devices()[0]
    for _ in range(2):
        capture = backend.open(device, device.modes[0])
        try:
            with pytest.raises(DeviceBusy, match=r"clip\.mp4 is open already"):
                backend.open(device, device.modes[0])
            assert numbers([take(capture) for _ in range(5)]) == [0, 1, 2, 3, 4]
        finally:
            capture.close()


def test_close_wakes_a_read(tmp_path: Path) -> None:
    still = make_sample(tmp_path / "clip.mp4", duration=1.0, audio=None)
    capture = open_all(MediaFile(still))["videoinput"]
    capture.close()
    assert capture.read() is None


def test_a_still_image_is_shown_until_it_is_closed(tmp_path: Path) -> None:
    path = make_sample(tmp_path / "still.png", video="png", audio=None, duration=1 / RATE)
    check_backend(MediaFile(path))
    capture = open_all(MediaFile(path))["videoinput"]
    try:
        pictures = [take(capture) for _ in range(4)]
    finally:
        capture.close()
    assert np.allclose(np.diff([picture.at for picture in pictures]), 0.2, atol=0.01)


def test_what_can_not_be_played_says_why(tmp_path: Path) -> None:
    missing, text, empty = tmp_path / "missing.mp4", tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("This is no film.\n" * 100)
    empty.touch()
    clip = make_sample(tmp_path / "clip.mp4", duration=0.5)
    subtitles = tmp_path / "subtitles.srt"
    subtitles.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    for backend, reason in (
        (MediaFile(missing), r"missing\.mp4 can't be read: No such file"),
        (MediaFile(text), r"text\.mp4 is not a media file"),
        (MediaFile(empty), r"empty\.mp4 is not a media file"),
        (MediaFile(tmp_path), "is not a media file, but a folder"),
        (MediaFile(clip, start=7), r"it lasts 0\.5\d* s: start before 7"),
        (MediaFile(subtitles), "there is neither a picture nor sound"),
    ):
        assert check_backend(backend) == []
        (device,) = backend.list_devices()
        assert device.kind == "videoinput"
        with pytest.raises(DeviceError, match=reason) as refusal:
            backend.open(device, VideoMode(*SIZE, RATE))
        assert device.unusable == str(refusal.value)


def test_a_file_that_comes_later_is_found(tmp_path: Path) -> None:
    backend = MediaFile(tmp_path / "later [1].mp4")
    assert backend.list_devices()[0].unusable
    changed = threading.Event()
    stop = backend.watch(changed.set)
    try:
        make_sample(tmp_path / "x.mp4").rename(tmp_path / "later [1].mp4")
        assert changed.wait(PATIENCE)
        assert [device.unusable for device in backend.list_devices()] == ["", ""]
    finally:
        stop()


def test_the_start_is_not_before_the_beginning() -> None:
    with pytest.raises(ValueError, match="start is -1, and has to be 0 or more seconds"):
        MediaFile("clip.mp4", start=-1)


async def test_get_user_media_turns_a_file_into_tracks(tmp_path: Path) -> None:
    path = make_sample(tmp_path / "clip.mp4", duration=1.0)
    devices = MediaDevices([MediaFile(path)])
    stream = await devices.getUserMedia({"video": True, "audio": True})
    (video,), (audio,) = stream.getVideoTracks(), stream.getAudioTracks()
    try:
        frame, sound = await video.recv(), await audio.recv()
        assert (frame.width, frame.height) == SIZE
        assert sound.sample_rate == 48000
        assert video.getSettings()["groupId"] == audio.getSettings()["groupId"]
    finally:
        video.stop()
        audio.stop()
        await devices.closed()
    assert readers() == []
