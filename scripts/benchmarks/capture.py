"""What capturing costs: CPU time of a 720p frame and its age, beside OpenCV and aiortc's player.

Each contender runs in a process of its own, one after the other, to the same end: a yuv420p frame
of 1280x720 in Python's hands; OpenCV gives BGR, and is left at that. The sources are yuyv and nv12
(the lab's camera), mjpeg (the lab's loopback camera), screen (an X display) and file.

The lab's kernel counts CPU time by its ticks, at which cameras wake their readers, so that short
work between two ticks goes uncounted. Its processes are processes of this machine, too, and are
counted here: all of the lab, from the moment on when the contender says that it has warmed up. What
the camera and a bare read of it cost is measured in the same way, and subtracted. System calls and
page faults cost more in the lab than elsewhere, for all contenders.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, RATE = 1280, 720, 30
WARM_UP = 15  # frames
SECONDS = 8.0
"""How long each contender is measured: CPU time is known to 10 ms, a process and mark."""
TIMEOUT = 25.0
"""Seconds for one contender: the lab's boot, importing and measuring take 13."""
WHOLE_TIMEOUT = 235.0
"""Seconds for all of them, which is what people wait for a benchmark."""
FORMATS = {"yuyv": ("yuyv422", "YUYV"), "nv12": ("nv12", "NV12"), "mjpeg": ("mjpeg", "MJPG")}
CAMERAS = {"yuyv": "/dev/video0", "nv12": "/dev/video0", "mjpeg": "/dev/video9"}
CONTENDERS = ("this", "opencv", "aiortc")
IMPOSSIBLE = {("opencv", "screen")}
VIVID_TIMESTAMP_SOURCE, START_OF_EXPOSURE = 0xF0F018, 1
ROOT = Path(__file__).parents[2]

Measured = dict[str, Any]


class Meter:
    """Counts frames and collects their ages, once warm, until the time is over."""

    def __init__(self) -> None:
        self._count = 0
        self._ages: list[float] = []

    def frame(self, age: float | None) -> bool:
        """Take a frame, and its age in seconds where that is known; False when it was the last."""
        self._count += 1
        now = time.monotonic()
        if self._count < WARM_UP:
            return True
        if self._count == WARM_UP:
            print("begin", flush=True)
            self._start, self._cpu = now, time.process_time()
            return True
        if age is not None:
            self._ages.append(age * 1000)
        if now < self._start + SECONDS:
            return True
        frames, cpu = self._count - WARM_UP, time.process_time() - self._cpu
        ages = sorted(self._ages)
        result = {
            "frames": frames,
            "cpu": cpu / frames * 1000,
            "fps": frames / (now - self._start),
            "p50": statistics.median(ages) if ages else None,
            "p95": ages[int(len(ages) * 0.95)] if ages else None,
        }
        print(json.dumps(result), flush=True)
        return False


# The contenders.


async def this(source: str, location: str, meter: Meter) -> None:
    from peer import MediaDevices
    from peer.capture.clock import sample_time
    from peer.devices.backend import VideoMode
    from peer.devices.media_file import MediaFile
    from peer.devices.screen import ScreenBackend
    from peer.devices.v4l2 import V4L2Backend

    class OneFormat(V4L2Backend):
        """Only the camera and the pixel format that are measured."""

        def list_devices(self) -> list[Any]:
            [found] = [device for device in super().list_devices() if device.location == location]
            wanted = FORMATS[source][0]
            modes = [
                replace(m, pixel_format=wanted) for m in found.modes if isinstance(m, VideoMode)
            ]
            return [replace(found, modes=tuple(dict.fromkeys(modes)))]

    if source == "screen":
        devices = MediaDevices([ScreenBackend(location)], salt=bytes(32))
        size: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "frameRate": RATE}
        stream = await devices.getDisplayMedia({"video": size})
    else:
        backend: Any = MediaFile(location, loop=True) if source == "file" else OneFormat()
        devices = MediaDevices([backend], salt=bytes(32))
        size = {"width": {"exact": WIDTH}, "height": {"exact": HEIGHT}, "frameRate": RATE}
        stream = await devices.getUserMedia({"video": size})
    [track] = stream.getVideoTracks()
    going = True
    while going:
        frame: Any = await track.recv()
        at = sample_time(frame.pts, frame.time_base.denominator)
        going = meter.frame(time.monotonic() - at)
        assert (frame.width, frame.height, frame.format.name) == (WIDTH, HEIGHT, "yuv420p")
    devices.end()
    await devices.closed()


def opencv(source: str, location: str, meter: Meter) -> None:
    import cv2

    if source == "file":
        capture = cv2.VideoCapture(location, cv2.CAP_FFMPEG)
    else:
        capture = cv2.VideoCapture(location, cv2.CAP_V4L2)
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*FORMATS[source][1]))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, WIDTH)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, HEIGHT)
        capture.set(cv2.CAP_PROP_FPS, RATE)
    going = True
    due = time.monotonic()
    while going:
        if source == "file":  # it reads as fast as it can: keep the pace of the others
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
        there, picture = capture.read()
        age = None
        if source != "file":
            age = time.monotonic() - capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        assert there, "no picture"
        assert picture.shape == (HEIGHT, WIDTH, 3)
        going = meter.frame(age)
    capture.release()


async def aiortc(source: str, location: str, meter: Meter) -> None:
    from aiortc.contrib.media import MediaPlayer

    options = {"video_size": f"{WIDTH}x{HEIGHT}", "framerate": str(RATE)}
    if source == "screen":
        player = MediaPlayer(f"{location}.0", format="x11grab", options=options)
    elif source == "file":
        player = MediaPlayer(location, loop=True)
    else:
        options["input_format"] = FORMATS[source][0]
        player = MediaPlayer(location, format="v4l2", options=options)
    # Its time stamps begin at zero. Where they began before is the container's to say.
    [stream] = player._MediaPlayer__container.streams.video  # type: ignore[attr-defined]
    now = time.time if source == "screen" else time.monotonic
    track: Any = player.video
    going = True
    while going:
        frame = await track.recv()
        if frame.format.name != "yuv420p":
            pts, frame = frame.pts, frame.reformat(format="yuv420p")
            frame.pts = pts
        age = None
        if source != "file":
            age = now() - float((stream.start_time + frame.pts) * Fraction(stream.time_base))
        assert (frame.width, frame.height) == (WIDTH, HEIGHT)
        going = meter.frame(age)
    track.stop()


def bare(source: str, location: str, meter: Meter) -> None:
    """The camera, whose pictures nobody looks at."""
    from peer.devices.backend import Captured, VideoMode
    from peer.devices.v4l2_capture import V4L2Capture

    class Unlooked(V4L2Capture):
        def _captured(self, data: memoryview, at: float, keyframe: bool) -> Captured:
            return Captured(None, at)

    node = os.open(location, os.O_RDWR | os.O_NONBLOCK)
    capture = Unlooked(node, location, VideoMode(WIDTH, HEIGHT, RATE, FORMATS[source][0]))
    going = True
    while going:
        if captured := capture.read():
            going = meter.frame(time.monotonic() - captured.at)
    capture.close()


def contend(contender: str, source: str, location: str) -> None:
    """Be a contender: says when it is warm, and then what it measured."""
    meter = Meter()
    with prepared_camera(source) if source in CAMERAS else contextlib.nullcontext():
        if contender in ("opencv", "bare"):
            {"opencv": opencv, "bare": bare}[contender](source, location, meter)
        else:
            asyncio.run({"this": this, "aiortc": aiortc}[contender](source, location, meter))


# What is captured.


@contextlib.contextmanager
def prepared_camera(source: str) -> Iterator[None]:
    """In the lab: a camera whose time stamps are those of its frames' beginning; mjpeg's is fed."""
    from peer.devices import v4l2_abi as abi

    if source != "mjpeg":
        # The end of a frame, which is vivid's other choice, lies in the future when it delivers.
        node = os.open(CAMERAS[source], os.O_RDWR)
        control = abi.v4l2_control(id=VIVID_TIMESTAMP_SOURCE, value=START_OF_EXPOSURE)
        abi.ioctl(node, abi.IOC.S_CTRL, control)
        os.close(node)
        yield
        return
    subprocess.run(["modprobe", "v4l2loopback", "video_nr=9", "exclusive_caps=0"], check=True)
    with subprocess.Popen(
        [sys.executable, __file__, "--feed", CAMERAS[source]], stdout=subprocess.PIPE
    ) as feeder:
        try:
            assert feeder.stdout is not None
            assert feeder.stdout.readline(), "the loopback camera can't be fed"
            yield
        finally:
            feeder.kill()


def feed(location: str) -> None:
    """Write MJPEG pictures into a loopback camera until the process is ended."""
    from peer.devices import v4l2_abi as abi
    from peer.devices.backend import VideoMode
    from peer.devices.compressor import Compressor
    from peer.devices.test_pattern import VideoPattern

    compressor = Compressor(VideoMode(WIDTH, HEIGHT, RATE, "mjpeg"))
    pattern = VideoPattern(WIDTH, HEIGHT, (128, 128))
    pictures = [compressor.compress(pattern.frame(n, n / RATE, RATE)).data for n in range(30)]
    camera = os.open(location, os.O_RDWR)
    wanted = abi.v4l2_format(type=2)  # V4L2_BUF_TYPE_VIDEO_OUTPUT
    pix = wanted.fmt.pix
    pix.width, pix.height, pix.sizeimage, pix.field = WIDTH, HEIGHT, WIDTH * HEIGHT * 2, 1
    pix.pixelformat = abi.fourcc("MJPG")
    abi.ioctl(camera, abi.IOC.S_FMT, wanted)
    due = time.monotonic()
    for number in range(sys.maxsize):
        os.write(camera, pictures[number % len(pictures)])
        if number == 0:
            print("fed", flush=True)  # the loopback is a camera now
        due += 1 / RATE
        time.sleep(max(0.0, due - time.monotonic()))


@contextlib.contextmanager
def moving_screen() -> Iterator[str]:
    """An X server with a moving picture; its display, which is empty when there is no Xvfb."""
    read_end, write_end = os.pipe()
    options = ["-displayfd", str(write_end), "-noreset", "-nolisten", "tcp"]
    command = ["Xvfb", *options, "-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(
                subprocess.Popen(command, pass_fds=[write_end], stderr=subprocess.DEVNULL)
            )
        except FileNotFoundError:
            yield ""
            return
        finally:
            os.close(write_end)
        stack.callback(server.kill)
        with open(read_end) as answer:
            display = f":{answer.readline().strip()}"
        painter = stack.enter_context(
            subprocess.Popen([sys.executable, __file__, "--paint", display])
        )
        stack.callback(painter.kill)
        yield display


def paint(location: str) -> None:
    """Move a bar over all of a screen until the process is ended."""
    import struct

    from peer.devices.x11 import Connection
    from peer.devices.x11_display import Display
    from peer.devices.x11_requests import Request

    connection = Connection(Display.parse(location))
    root = connection.screen.root
    due = time.monotonic()
    for number in range(sys.maxsize):
        left = number * 16 % WIDTH
        for colour, x, width in ((0x305070, 0, 0), (0xFF8020, left, 160)):
            background = struct.pack("<BBHIII", 2, 0, 4, root, 1 << 1, colour)
            clear = struct.pack("<BBHIhhHH", 61, 0, 4, root, x, 0, width, 0)
            for order in (background, clear):
                connection.send(Request(order, lambda data: None, answered=False))
        connection.settle_all()
        due += 1 / RATE
        time.sleep(max(0.0, due - time.monotonic()))


def make_clip(path: str) -> None:
    """A file of H.264, longer than any contender reads: aiortc's player may fail at its end."""
    import av

    from peer.devices.test_pattern import VideoPattern

    pattern = VideoPattern(WIDTH, HEIGHT, (128, 128))
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(round((SECONDS + 4) * RATE)):
            frame = pattern.frame(number, number / RATE, RATE)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# The comparison.


def measure(contender: str, source: str, location: str, deadline: float) -> Measured:
    """Run a contender in a process of its own, cameras' in the lab; never longer than allowed."""
    if (contender, source) in IMPOSSIBLE:
        return {"missing": "–"}
    timeout = min(TIMEOUT, deadline - time.monotonic())
    if timeout <= 0:
        return {"missing": "no time left"}
    in_lab = source in CAMERAS
    command = [sys.executable, str(Path(__file__)), "--one", contender, source, location]
    if in_lab:
        command = ["scripts/lab", "--built", *command]
    cpu: list[float] = []
    result: Measured = {}
    late = threading.Event()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):

        def stop() -> None:
            late.set()
            # The lab ends its kernel before it ends; a contender may hang in FFmpeg.
            process.send_signal(signal.SIGTERM if in_lab else signal.SIGKILL)

        watchdog = threading.Timer(timeout, stop)
        watchdog.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    result = json.loads(line)
                if line.startswith(("begin", "{")) and in_lab:
                    cpu.append(cpu_of_tree(process.pid))
            process.wait()
        except BaseException:
            process.send_signal(signal.SIGTERM)
            raise
        finally:
            watchdog.cancel()
        errors.seek(0)
        said = errors.read()
    if result:
        if in_lab:
            result["cpu"] = (cpu[-1] - cpu[0]) / result["frames"] * 1000
        result["end"] = "hung" if late.is_set() else process.returncode
        return result
    if late.is_set():
        return {"missing": "hung"}
    if "No module named 'cv2'" in said:
        return {"missing": "not installed"}
    print(f"{contender}, {source}: {said.strip()[-300:]}", file=sys.stderr)
    return {"missing": f"failed ({process.returncode})"}


def cpu_of_tree(root: int) -> float:
    """Seconds of CPU of a process and of all below it, those that have ended included."""
    parents: dict[int, int] = {}
    spent: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = stat.read_text().rpartition(")")[2].split()
            pid = int(stat.parent.name)
            parents[pid], spent[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    tree = {root}
    while below := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= below
    return sum(spent.get(pid, 0) for pid in tree) / os.sysconf("SC_CLK_TCK")


def every_source(folder: str) -> dict[str, dict[str, Measured]]:
    clip = str(Path(folder, "clip.mp4"))
    make_clip(clip)
    deadline = time.monotonic() + WHOLE_TIMEOUT
    results: dict[str, dict[str, Measured]] = {}
    for source, node in CAMERAS.items():
        row = {one: measure(one, source, node, deadline) for one in ("bare", *CONTENDERS)}
        results[source] = row
        for one in CONTENDERS:
            if "cpu" in row[one]:
                camera = row["bare"].get("cpu")
                row[one]["cpu"] = None if camera is None else row[one]["cpu"] - camera
    with moving_screen() as display:
        results["screen"] = {
            one: measure(one, "screen", display, deadline) if display else {"missing": "no Xvfb"}
            for one in CONTENDERS
        }
    results["file"] = {one: measure(one, "file", clip, deadline) for one in CONTENDERS}
    return results


def table(results: dict[str, dict[str, Measured]]) -> str:
    names = "".join(f"{name:>{width}}" for name, width in (("this", 8), ("OpenCV", 14)))
    heads = f"{names}{'aiortc':>14}"
    lines = [
        f"{WIDTH}x{HEIGHT} at {RATE} a second. CPU: ms a frame; OpenCV's end in BGR. Camera: what",
        "a bare read of it costs, the camera's work included; that is subtracted from the others.",
        "Age: ms from the device's time stamp to recv(), median/95 of 100; file: since it was due.",
        "",
        f"{'CPU':<8}{heads}{'camera':>9}",
        *(_line(source, row, ["cpu"]) for source, row in results.items()),
        "",
        f"{'age':<8}{heads}",
        *(_line(source, row, ["p50", "p95"]) for source, row in results.items()),
        "",
        f"{'fps':<8}{heads}",
        *(_line(source, row, ["fps"]) for source, row in results.items()),
    ]
    for source, row in results.items():
        lines += [
            f"{one}, {source}: did not end well after it was measured ({measured['end']})"
            for one, measured in row.items()
            if measured.get("end")
        ]
    return "\n".join(lines)


def _line(source: str, row: dict[str, Measured], fields: list[str]) -> str:
    cells = [_cell(row[one], fields) for one in CONTENDERS]
    line = f"{source:<8}{cells[0]:>8}{cells[1]:>14}{cells[2]:>14}"
    return f"{line}{_cell(row['bare'], fields):>9}" if "bare" in row and "cpu" in fields else line


def _cell(measured: Measured, fields: list[str]) -> str:
    if "missing" in measured:
        return str(measured["missing"]) if "cpu" in fields else "–"
    values = [measured[field] for field in fields]
    decimals = 2 if "cpu" in fields else 1
    return "–" if None in values else "/".join(f"{value:.{decimals}f}" for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "SOURCE", "LOCATION"))
    parser.add_argument("--feed", metavar="NODE")
    parser.add_argument("--paint", metavar="DISPLAY")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    if options.one:
        contend(*options.one)
    elif options.feed:
        feed(options.feed)
    elif options.paint:
        paint(options.paint)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # contexts are left, children end
        with tempfile.TemporaryDirectory() as folder:
            print(table(every_source(folder)))


if __name__ == "__main__":
    main()
