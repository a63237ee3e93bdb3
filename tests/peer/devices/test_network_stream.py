"""Streams as devices: real servers on loopback, connections that break, and what is refused."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av import AudioFrame

from peer.devices import network_stream
from peer.devices.backend import (
    AudioMode,
    Capture,
    Captured,
    DeviceError,
    DeviceForbidden,
    DeviceLost,
    VideoMode,
)
from peer.devices.network_stream import JUMP, ArrivalClock, NetworkStream
from peer.testing.backend_contract import check_backend

from .media_samples import RATE, SIZE, make_sample
from .test_media_file import PATIENCE, each, numbers, readers, take, take_all, take_until

SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_SERVER = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=20/1"
    " ! openh264enc gop-size=2 ! h264parse ! rtph264pay name=pay0 pt=96"
    " audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1"
    " ! mulawenc ! rtppcmupay name=pay1 pt=0 )"
)
factory.set_shared(True)
server.get_mount_points().add_factory("/camera", factory)
if len(sys.argv) > 2:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic("me", sys.argv[2]), token)
    server.set_auth(auth)
    role = Gst.Structure.new_empty("user")
    role.set_value("media.factory.access", True)
    role.set_value("media.factory.construct", True)
    factory.add_role_from_structure(role)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""
NEEDED_ELEMENTS = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); gi.require_version('Gst', '1.0');"
    "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
    "assert all(map(Gst.ElementFactory.find, ['openh264enc', 'h264parse', 'rtph264pay',"
    " 'mulawenc', 'rtppcmupay', 'videotestsrc']))"
)


@pytest.fixture(scope="module")
def gstreamer() -> None:
    try:
        found = subprocess.run([SYSTEM_PYTHON, "-c", NEEDED_ELEMENTS], capture_output=True)
    except OSError:
        pytest.skip(f"needs {SYSTEM_PYTHON}, of the package python3")
    if found.returncode:
        pytest.skip(
            "needs the packages python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-base, "
            "gstreamer1.0-plugins-good and gstreamer1.0-plugins-bad"
        )


@contextmanager
def rtsp_server(port: int = 0, password: str = "") -> Iterator[int]:
    """A camera at rtsp://127.0.0.1:PORT/camera: H.264 and mu-law sound."""
    command = [SYSTEM_PYTHON, "-c", RTSP_SERVER, str(port), *([password] if password else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


class WebServer:
    """Serves a file on loopback: all of it, or at the pace of a live stream, again and again."""

    def __init__(self, path: Path, *, seconds: float | None = None, port: int = 0) -> None:
        data = path.read_bytes()
        stopping = self._stopping = threading.Event()
        self.connections = 0
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.partition("?")[0] != f"/{path.name}":
                    self.send_error(int(self.path[1:4]))
                    return
                web.connections += 1
                self.send_response(200)
                if seconds is None:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.close_connection = True
                try:
                    self._send()
                except OSError:  # the player has gone
                    return

            def _send(self) -> None:
                if seconds is None:
                    self.wfile.write(data)
                    return
                begun, sent = time.monotonic(), 0
                while sent < len(data) and not stopping.wait(0.02):
                    due = int((time.monotonic() - begun) / seconds * len(data))
                    self.wfile.write(data[sent:due])
                    sent = max(sent, due)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def __enter__(self) -> "WebServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    wait_for(lambda: not readers())


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def read_until(capture: Capture, condition: Callable[[Captured | None], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition(capture.read()):
        assert time.monotonic() < deadline, "it took too long"


@pytest.fixture
def short_probing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent here says within two key frames what it is, wherever it is joined; the tests
    without this wait as long as a real stream may need."""
    monkeypatch.setitem(network_stream.OPTIONS, "analyzeduration", "250000")


@pytest.fixture(scope="module")
def live_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    return make_sample(folder / "live.ts", duration=60.0, audio="mp2", gop=2)


@pytest.mark.usefixtures("short_probing")
def test_a_live_stream_of_a_web_server(live_sample: Path) -> None:
    with WebServer(live_sample, seconds=60.0) as server:
        backend = NetworkStream(f"http://127.0.0.1:{server.port}/live.ts?key=secret")
        assert len(check_backend(backend)) == 2
        video, audio = backend.list_devices()
        assert video.modes == (VideoMode(*SIZE, RATE, "h264"),)
        assert audio.modes == (AudioMode(48000, 2),)
        connections = server.connections
        captures = {device.kind: backend.open(device, device.modes[0]) for device in (video, audio)}
        try:
            until = time.monotonic() + 1.0
            taken = each(captures, lambda capture: take_until(capture, until))
        finally:
            for capture in captures.values():
                capture.close()
        assert server.connections == connections + 1, "picture and sound share a connection"
    assert len(numbers(taken["videoinput"])) > 10
    steps = np.diff([picture.at for picture in taken["videoinput"]])
    assert np.all(steps > 0)
    assert np.median(steps) == pytest.approx(1 / RATE, abs=0.02)


@pytest.mark.usefixtures("short_probing")
def test_a_broken_connection_is_muted_and_comes_back(live_sample: Path) -> None:
    with WebServer(live_sample, seconds=60.0) as server:
        backend = NetworkStream(f"http://127.0.0.1:{server.port}/live.ts")
        device = backend.list_devices()[0]
        capture = backend.open(device, device.modes[0])
        take(capture)
        assert not capture.muted
    try:
        read_until(capture, lambda captured: captured is None and capture.muted)
        gone_at = time.monotonic()
        with WebServer(live_sample, seconds=60.0, port=server.port):
            read_until(capture, lambda captured: captured is not None)
            assert not capture.muted
            pictures = [take(capture) for _ in range(10)]
            assert pictures[0].at > gone_at
            assert len(numbers(pictures[pictures.index(_keyframe(pictures)) :])) > 0
            capture.close()
    finally:
        capture.close()


def _keyframe(pictures: list[Captured]) -> Captured:
    return next(picture for picture in pictures if picture.encoded and picture.encoded.keyframe)


@pytest.mark.usefixtures("short_probing")
def test_it_gives_up_when_it_is_told_to(live_sample: Path) -> None:
    with WebServer(live_sample, seconds=60.0) as server:
        backend = NetworkStream(f"http://127.0.0.1:{server.port}/live.ts", give_up_after=0.1)
        device = backend.list_devices()[0]
        capture = backend.open(device, device.modes[0])
        take(capture)
    try:
        with pytest.raises(DeviceLost, match="the connection was refused"):
            read_until(capture, lambda _: False)
    finally:
        capture.close()


def test_a_recording_of_a_web_server_plays_in_real_time_and_ends(tmp_path: Path) -> None:
    path = make_sample(tmp_path / "clip.mkv", duration=1.5, bframes=2, audio="libopus")
    with WebServer(path) as server:
        backend = NetworkStream(f"http://127.0.0.1:{server.port}/clip.mkv")
        captures = {
            device.kind: backend.open(device, device.modes[0]) for device in backend.list_devices()
        }
        opened_at = time.monotonic()
        try:
            taken = each(captures, take_all)
        finally:
            for capture in captures.values():
                capture.close()
        assert time.monotonic() - opened_at >= 1.4
    assert [n for n in numbers(taken["videoinput"]) if n < 50] == [n for n in range(30) if n != 10]
    first, last = (taken["audioinput"][index].at for index in (0, -1))
    assert last - first == pytest.approx(1.5, abs=0.1)


@pytest.mark.usefixtures("short_probing")
def test_udp_comes_over_one_socket(live_sample: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    data, stopping = live_sample.read_bytes(), threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for begin in range(0, len(data), 1316):
                sender.sendto(data[begin : begin + 1316], ("127.0.0.1", port))
                if stopping.wait(1316 / len(data) * 60):
                    return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        assert len(check_backend(NetworkStream(f"udp://127.0.0.1:{port}"))) == 2
    finally:
        stopping.set()
        thread.join()


@pytest.mark.usefixtures("gstreamer", "short_probing")
def test_an_rtsp_camera() -> None:
    with rtsp_server() as port:
        backend = NetworkStream(f"rtsp://127.0.0.1:{port}/camera")
        video, audio = check_backend(backend)
        assert (video.modes[0].pixel_format, video.label) == ("h264", backend.location)  # type: ignore[union-attr]
        assert audio.modes == (AudioMode(48000, 1),)
        captures = {device.kind: backend.open(device, device.modes[0]) for device in (video, audio)}
        try:
            until = time.monotonic() + 1.0
            taken = each(captures, lambda capture: take_until(capture, until))
            first = _keyframe(taken["videoinput"])
            assert numbers(taken["videoinput"][taken["videoinput"].index(first) :])
            sound = np.concatenate([_samples(captured) for captured in taken["audioinput"]])
            assert np.abs(sound).max() > 1000, "the tone is heard"
        except BaseException:
            for capture in captures.values():
                capture.close()
            raise
    try:
        capture = captures["videoinput"]
        read_until(capture, lambda captured: captured is None and capture.muted)
        with rtsp_server(port):
            read_until(capture, lambda captured: captured is not None)
            assert not capture.muted
            captures["videoinput"].close()
            captures["audioinput"].close()
    finally:
        for capture in captures.values():
            capture.close()


def _samples(captured: Captured) -> Any:
    assert isinstance(captured.frame, AudioFrame)
    return captured.frame.to_ndarray()[0]


@pytest.mark.usefixtures("gstreamer")
def test_an_rtsp_camera_with_a_password() -> None:
    with rtsp_server(password="right") as port:
        for url in (f"rtsp://127.0.0.1:{port}/camera", f"rtsp://me:wrong@127.0.0.1:{port}/camera"):
            (device,) = NetworkStream(url).list_devices()
            assert "missing or wrong (401)" in device.unusable
            assert "wrong@" not in repr(device)
        backend = NetworkStream(f"rtsp://me:right@127.0.0.1:{port}/camera")
        video, _ = backend.list_devices()
        assert video.modes == (VideoMode(*SIZE, RATE, "h264"),)
        assert "right" not in repr(video)
        (missing,) = NetworkStream(f"rtsp://me:right@127.0.0.1:{port}/door").list_devices()
        assert "no such stream (404)" in missing.unusable


def test_what_can_not_be_reached_says_why(
    live_sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_stream, "PROBE_TIMEOUT", 0.3)
    with WebServer(live_sample) as server, socket.create_server(("127.0.0.1", 0)) as silent:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            nobody = closed.getsockname()[1]
        web = f"http://me:secret@127.0.0.1:{server.port}"
        for url, kind, reason in (
            (f"rtsp://127.0.0.1:{nobody}/", DeviceError, "the connection was refused"),
            (f"{web}/401", DeviceForbidden, r"missing or wrong \(401\)"),
            (f"{web}/403", DeviceForbidden, r"forbids it \(403\)"),
            (f"{web}/404", DeviceError, r"no such stream \(404\)"),
            (f"rtsp://127.0.0.1:{silent.getsockname()[1]}/", DeviceError, "no answer within"),
            ("gopher://example.org/1", DeviceError, "has to be one of rtsp, .*, not gopher"),
        ):
            backend = NetworkStream(url)
            (device,) = backend.list_devices()
            assert device.unusable
            assert device.kind == "videoinput"
            assert "secret" not in repr(device)
            with pytest.raises(kind, match=reason) as refusal:
                backend.open(device, VideoMode(*SIZE, RATE))
            assert "secret" not in str(refusal.value)


def test_a_stream_that_comes_later_is_found(
    live_sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_stream, "PROBE_AGAIN", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    backend = NetworkStream(f"http://127.0.0.1:{port}/live.ts")
    assert backend.list_devices()[0].unusable
    changed = threading.Event()
    stop = backend.watch(changed.set)
    try:
        with WebServer(live_sample, seconds=60.0, port=port):
            assert changed.wait(PATIENCE)
            video, audio = backend.list_devices()
            assert video.modes == (VideoMode(*SIZE, RATE, "h264"),)
            assert audio.modes == (AudioMode(48000, 2),)
    finally:
        stop()


def test_a_stream_can_not_have_files_read(tmp_path: Path) -> None:
    clip = make_sample(tmp_path / "clip.ts", duration=0.5)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\n{clip.as_uri()}\n#EXT-X-ENDLIST\n"
    )
    with WebServer(playlist) as server:
        (device,) = NetworkStream(f"http://127.0.0.1:{server.port}/list.m3u8").list_devices()
        assert device.unusable


@pytest.mark.parametrize("paced", [True, False])
def test_the_clock_is_never_ahead_of_arrival(paced: bool) -> None:
    clock = ArrivalClock(paced=paced)
    arrivals = [(0.0, 100.0), (0.1, 100.15), (0.2, 100.19), (0.3, 100.5), (0.4, 100.5)]
    stamps = [clock.offset(position, now) + position for position, now in arrivals]
    assert np.all(np.diff(stamps) > 0)
    if not paced:
        assert all(at <= now for at, (_, now) in zip(stamps, arrivals, strict=True))
        assert stamps[2] == pytest.approx(100.19), "the least delay that was seen"
        assert stamps[4] == pytest.approx(100.39, abs=0.01), "and even from then on"
    else:
        assert np.allclose(stamps, [100.0, 100.1, 100.2, 100.3, 100.4])
    late = clock.offset(0.5, 105.0) + 0.5
    assert late == 105.0
    back = clock.offset(0.0, 106.0)
    assert back == 106.0
    assert clock.offset(50 + JUMP, 106.1) + 50 + JUMP == pytest.approx(106.1)
