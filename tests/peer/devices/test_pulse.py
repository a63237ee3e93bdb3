"""The sound server's sources, of a real PulseAudio daemon, while all sorts of things happen."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from av import AudioFrame
from numpy.typing import NDArray

from peer.devices import libpulse, pulse_watch
from peer.devices.backend import AudioMode, Captured, DeviceDescription, DeviceLost
from peer.devices.pulse import PulseBackend, PulseCapture
from peer.devices.pulse_connection import LONGEST_QUEUE, Connection, Recording
from peer.devices.pulse_watch import sockets
from peer.testing.backend_contract import check_backend

from .pulse_server import PATIENCE, SPEAKER, TONES, SoundServer, needs_pulseaudio, sound_server

pytestmark = needs_pulseaudio
RATE = 48000
UNHEARD = 0.5  # seconds; many times what the watch needs


@pytest.fixture
def server() -> Iterator[SoundServer]:
    with sound_server() as server:
        yield server


def find(server: SoundServer, name: str) -> DeviceDescription:
    devices = PulseBackend(server.address).list_devices()
    return next(device for device in devices if device.location == name)


@contextmanager
def captured(
    server: SoundServer, name: str, mode: AudioMode | None = None
) -> Iterator[PulseCapture]:
    device = find(server, name)
    capture = PulseBackend(server.address).open(device, mode or device.modes[0])
    try:
        yield capture
    finally:
        capture.close()


def read_until(capture: PulseCapture, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it didn't become true"
        capture.read()


def record(capture: PulseCapture, seconds: float) -> list[Captured]:
    """So much sound of one piece."""
    deadline = time.monotonic() + PATIENCE
    found: list[Captured] = []
    missing = seconds * capture.mode.sample_rate if isinstance(capture.mode, AudioMode) else 0
    while missing > 0:
        assert time.monotonic() < deadline, f"nothing for {PATIENCE} s"
        if (captured := capture.read()) is not None:
            assert isinstance(captured.frame, AudioFrame)
            found.append(captured)
            missing -= captured.frame.samples
    return found


def samples(recorded: list[Captured]) -> NDArray[np.int16]:
    """By moment and channel."""
    rows = []
    for captured in recorded:
        assert isinstance(captured.frame, AudioFrame)
        channels = captured.frame.layout.nb_channels
        rows.append(captured.frame.to_ndarray().reshape(-1, channels))
    return np.concatenate(rows)


def frequency(sound: NDArray[np.int16], rate: int) -> float:
    """The loudest, in Hz; 0 of silence."""
    spectrum = np.abs(np.fft.rfft(sound[:, 0] * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * rate / len(sound)


def heard(capture: PulseCapture, wanted: float, rate: int = RATE) -> bool:
    """Whether a tone, and nothing else as loud, is in the next tenth of a second."""
    return abs(frequency(samples(record(capture, 0.1)), rate) - wanted) <= 10


# What there is.


def test_satisfies_the_contract(server: SoundServer) -> None:
    captured = check_backend(PulseBackend(server.address))
    assert {device.location for device in captured} >= {*TONES, f"{SPEAKER}.monitor"}


def test_lists_microphones_and_what_outputs_play(server: SoundServer) -> None:
    microphone = find(server, "high")
    assert microphone.kind == "audioinput"
    assert microphone.label == "High"
    assert microphone.hardware_id == "pulse/high"
    assert microphone.default
    assert microphone.modes[0] == AudioMode(48000, 2, latency=0.01)
    assert AudioMode(16000, 1, latency=0.01) in microphone.modes
    assert not find(server, "low").default
    speaker = find(server, f"{SPEAKER}.monitor")
    assert (speaker.kind, speaker.label) == ("displayaudio", "Monitor of Speaker")
    assert speaker.default
    assert not find(server, "high_cable.monitor").default


def test_a_microphone_is_not_said_to_have_more_channels_than_it_has(server: SoundServer) -> None:
    server.load("module-remap-source master=high source_name=single channels=1")
    modes = find(server, "single").modes
    assert {mode.channel_count for mode in modes if isinstance(mode, AudioMode)} == {1}


def test_default_follows_the_servers(server: SoundServer) -> None:
    server.tell("set-default-source", "low")
    server.tell("set-default-sink", "low_cable")
    assert not find(server, "high").default
    assert find(server, "low").default
    assert not find(server, f"{SPEAKER}.monitor").default
    assert find(server, "low_cable.monitor").default


def test_a_card_of_the_kernel_groups_its_functions(server: SoundServer, tmp_path: Path) -> None:
    webcam = tmp_path / "devices" / "usb1" / "1-2"
    (webcam / "1-2:1.2").mkdir(parents=True)
    (webcam / "idVendor").write_text("046d\n")
    card = tmp_path / "class" / "sound" / "card7"
    card.mkdir(parents=True)
    (card / "device").symlink_to(webcam / "1-2:1.2")
    server.add_microphone("webcam", 440, "alsa.card=7")
    groups = {
        device.location: device.group
        for device in PulseBackend(server.address, sys=tmp_path).list_devices()
    }
    assert groups["webcam"] == str(webcam)
    assert groups["high"] == ""


# No server, or none that works.


def test_without_a_server(tmp_path: Path) -> None:
    backend = PulseBackend(f"unix:{tmp_path}/native")
    assert backend.list_devices() == []
    assert list(tmp_path.iterdir()) == [], "none was started"
    assert not check_backend(backend)


def test_without_the_library(server: SoundServer, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = PulseBackend(server.address)
    assert backend.list_devices()
    monkeypatch.setattr(libpulse, "library", lambda: None)
    assert backend.list_devices() == []
    assert not check_backend(backend)


def test_the_socket_of_a_dead_server(server: SoundServer) -> None:
    device = find(server, "high")
    server.kill()
    assert server.socket.exists()
    backend = PulseBackend(server.address)
    assert backend.list_devices() == []
    with pytest.raises(DeviceLost, match="High"):
        backend.open(device, device.modes[0])


def test_a_server_that_hangs_is_soon_given_up(server: SoundServer) -> None:
    device = find(server, "high")
    backend = PulseBackend(server.address)
    server.pause()
    before = time.monotonic()
    assert backend.list_devices() == []
    with pytest.raises(DeviceLost, match="does not answer"):
        backend.open(device, device.modes[0])
    backend.watch(lambda: None)()
    assert time.monotonic() - before < PATIENCE  # libpulse itself takes 30 s


def test_where_the_sockets_of_a_server_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PULSE_SERVER", "PULSE_RUNTIME_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert sockets(None) == ["/run/user/7/pulse/native", "/run/pulse/native"]
    monkeypatch.setenv("PULSE_RUNTIME_PATH", "/some")
    assert sockets(None)[0] == "/some/native"
    monkeypatch.setenv("PULSE_SERVER", "{0123abc}unix:/one tcp:elsewhere /two")
    assert sockets(None) == ["/one", "/two"]
    assert sockets("unix:/three") == ["/three"]


# Capture.


@pytest.mark.parametrize("mode", [AudioMode(48000, 2), AudioMode(44100, 1), AudioMode(8000, 1)])
def test_hears_the_tone(server: SoundServer, mode: AudioMode) -> None:
    with captured(server, "low", mode) as capture:
        record(capture, 0.1)
        sound = samples(record(capture, 1.0))
        assert sound.shape[1] == mode.channel_count
        assert frequency(sound, mode.sample_rate) == pytest.approx(TONES["low"], abs=2)


def test_hears_what_is_played_on_the_output(server: SoundServer) -> None:
    with captured(server, f"{SPEAKER}.monitor") as capture:
        assert not samples(record(capture, 0.1)).any()
        tone = server.play(SPEAKER, 1500)
        read_until(capture, lambda: heard(capture, 1500))
        server.tell("unload-module", str(tone))
        read_until(capture, lambda: not samples(record(capture, 0.1)).any())


def test_time_goes_with_the_samples(server: SoundServer) -> None:
    """They are the cable's, which has the computer's clock: so neither runs away."""
    with captured(server, "high") as capture:
        record(capture, 0.5)
        recorded = record(capture, 4.0)
    counts = np.array([len(samples([captured])) for captured in recorded])
    at = np.array([captured.at for captured in recorded])
    expected = at[0] + np.concatenate([[0], np.cumsum(counts)[:-1]]) / RATE
    # A clock of another rate is off by seconds; a busy machine wakes the server late by hundredths.
    assert np.abs(at - expected).max() < 0.1
    assert np.diff(at).min() > 0


def test_time_is_that_of_the_sound(server: SoundServer) -> None:
    """A tone is not heard before it is played, nor is its sound said to be older than it is."""
    with captured(server, f"{SPEAKER}.monitor") as capture:
        record(capture, 0.5)
        before = time.monotonic()
        server.play(SPEAKER, 1500)
        found: Captured | None = None
        while found is None:
            found = next((one for one in record(capture, 0.01) if samples([one]).any()), None)
        assert before - 0.02 < found.at <= time.monotonic()


def test_nothing_is_recorded_before_the_first_read(server: SoundServer) -> None:
    with captured(server, "high") as capture:
        assert server.state("high") != "RUNNING"
        record(capture, 0.01)
        assert server.state("high") == "RUNNING"


def test_what_is_read_late_was_not_captured_late(server: SoundServer) -> None:
    with captured(server, "high") as capture:
        *_, before = record(capture, 0.5)
        time.sleep(0.4)  # a reader that has something else to do
        after, *_ = record(capture, 0.01)
        expected = before.at + len(samples([before])) / RATE
        assert after.at == pytest.approx(expected, abs=0.02)


def test_what_waits_in_the_program_grows_old(server: SoundServer) -> None:
    with closing(Connection(server.address)) as connection:
        recording = Recording(connection, "high", "Test", RATE, 2, 0.01)
        with closing(recording):
            recording.start()
            while recording.next_at is None:
                connection.turn(PATIENCE)
                recording.take()
            expected = recording.next_at
            end = time.monotonic() + LONGEST_QUEUE  # in which the server says more than once
            while time.monotonic() < end:
                connection.turn(LONGEST_QUEUE)
            assert recording.next_at == pytest.approx(expected, abs=0.02)


def test_a_read_returns_when_there_is_nothing(server: SoundServer) -> None:
    with captured(server, "high") as capture:
        record(capture, 0.1)
        server.tell("suspend-source", "high", "1")
        server.tell("suspend-sink", "high_cable", "1")
        read_until(capture, lambda: capture.read() is None)


def test_muted_source(server: SoundServer) -> None:
    with captured(server, "high") as capture:
        record(capture, 0.1)
        assert not capture.muted
        server.tell("set-source-mute", "high", "1")
        read_until(capture, lambda: capture.muted)
        server.tell("set-source-mute", "high", "0")
        read_until(capture, lambda: not capture.muted)


def test_source_that_was_muted_before(server: SoundServer) -> None:
    server.tell("set-source-mute", "high", "1")
    with captured(server, "high") as capture:
        capture.read()
        assert capture.muted


def test_recording_muted_in_a_mixer(server: SoundServer) -> None:
    with captured(server, "high") as capture:
        record(capture, 0.1)
        for recording in server.recordings("high"):
            server.tell("set-source-output-mute", recording, "1")
        read_until(capture, lambda: capture.muted)
        for recording in server.recordings("high"):
            server.tell("set-source-output-mute", recording, "0")
        read_until(capture, lambda: not capture.muted)


def test_suspended_source(server: SoundServer) -> None:
    with captured(server, "high") as capture:
        record(capture, 0.1)
        server.tell("suspend-source", "high", "1")
        read_until(capture, lambda: capture.muted)
        server.tell("suspend-source", "high", "0")
        read_until(capture, lambda: not capture.muted)
        record(capture, 0.1)


def test_source_that_wakes_up_is_not_muted(server: SoundServer) -> None:
    with captured(server, "low") as capture:
        deadline = time.monotonic() + PATIENCE
        while server.state("low") != "SUSPENDED":  # because nobody uses it
            assert time.monotonic() < deadline
        server.pause()  # waking up takes some devices longer than a read
        assert capture.read() is None
        assert not capture.muted
        server.resume()
        record(capture, 0.1)
        assert not capture.muted


# Losing it.


def read_until_lost(capture: PulseCapture) -> None:
    with pytest.raises(DeviceLost, match="High"):
        read_until(capture, lambda: False)
    with pytest.raises(DeviceLost):  # and it stays lost
        capture.read()


def test_source_that_goes(server: SoundServer) -> None:
    server.tell("unload-module", "module-remap-source")  # all of them
    module = server.load(
        "module-remap-source master=high_cable.monitor source_name=gone "
        "source_properties=device.description=High"
    )
    device = find(server, "gone")
    with captured(server, "gone") as capture:
        record(capture, 0.1)
        server.tell("unload-module", str(module))
        read_until_lost(capture)
    with pytest.raises(DeviceLost, match="High"):
        PulseBackend(server.address).open(device, device.modes[0])


def test_server_that_ends(server: SoundServer) -> None:
    with captured(server, "high") as capture:
        record(capture, 0.1)
        server.kill()
        read_until_lost(capture)


def test_name_that_is_another_device_now(server: SoundServer) -> None:
    device = replace(find(server, "high"), hardware_id="pulse/other")
    with pytest.raises(DeviceLost, match="High"):
        PulseBackend(server.address).open(device, device.modes[0])


def test_two_hundred_captures_leave_nothing_open(server: SoundServer) -> None:
    def use() -> None:
        with captured(server, "high") as capture:
            capture.read()

    use()
    before = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    for _ in range(200):
        use()
    # Threads of earlier tests' pools may have ended meanwhile.
    assert len(os.listdir("/proc/self/fd")) <= before[0]
    assert len(os.listdir("/proc/self/task")) <= before[1]


# The watch.


@contextmanager
def watched(server: SoundServer) -> Iterator[threading.Event]:
    """Is set when the watch calls."""
    called = threading.Event()
    threads = threading.active_count()
    stop = PulseBackend(server.address).watch(called.set)
    try:
        yield called
    finally:
        stop()
        assert threading.active_count() == threads


def test_watch_hears_of_a_source_that_comes_and_goes(server: SoundServer) -> None:
    with watched(server) as called:
        assert not called.is_set()
        module = server.load("module-remap-source master=high source_name=more")
        assert called.wait(PATIENCE)
        while called.wait(UNHEARD):
            called.clear()
        server.tell("unload-module", str(module))
        assert called.wait(PATIENCE)


@pytest.mark.parametrize("change", [("source", "low"), ("sink", "low_cable")])
def test_watch_hears_of_another_default(server: SoundServer, change: tuple[str, str]) -> None:
    sort, name = change
    with watched(server) as called:
        server.tell(f"set-default-{sort}", name)
        assert called.wait(PATIENCE)


def test_watch_is_silent_about_what_does_not_matter(server: SoundServer) -> None:
    with watched(server) as called, captured(server, "high") as capture:
        record(capture, 0.1)
        server.tell("set-source-volume", "high", "50%")
        server.tell("set-source-mute", "high", "1")
        assert not called.wait(UNHEARD)


def test_watch_hears_of_a_server_that_ends_and_starts(
    server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse_watch, "RETRY_INTERVAL", 10 * PATIENCE)
    with watched(server) as called:
        server.kill()
        assert called.wait(PATIENCE)
        assert PulseBackend(server.address).list_devices() == []
        called.clear()
        server.start()
        server.add_sink(SPEAKER)
        assert called.wait(PATIENCE)
        while not PulseBackend(server.address).list_devices():
            called.clear()
            assert called.wait(PATIENCE)


def test_watch_looks_again_where_no_socket_tells(
    server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse_watch, "RETRY_INTERVAL", 0.1)
    monkeypatch.setattr(pulse_watch, "sockets", lambda server: [])
    server.kill()
    with watched(server) as called:
        server.start()
        server.add_sink(SPEAKER)
        assert called.wait(PATIENCE)


def test_watch_may_be_ended_by_what_it_calls(server: SoundServer) -> None:
    done = threading.Event()
    stops: list[Callable[[], None]] = []

    def changed() -> None:
        stops[0]()
        done.set()

    stops.append(PulseBackend(server.address).watch(changed))
    server.tell("set-default-source", "low")
    assert done.wait(PATIENCE)
    for thread in threading.enumerate():
        if thread.name == "sound server watch":
            thread.join(PATIENCE)
            assert not thread.is_alive()
