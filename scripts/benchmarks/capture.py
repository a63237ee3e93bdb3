"""What capturing costs: CPU time of a 720p frame and its age, beside OpenCV and aiortc's player.

Each contender runs in a process of its own, one after the other. The work is the same: a frame of
1280x720 in Python's hands, as yuv420p; OpenCV gives BGR, and is left at that. The sources are
yuyv and nv12 (the lab's camera), mjpeg (the lab's loopback camera), screen (an X display) and file.

The lab's kernel counts CPU time by its ticks, which says nothing of milliseconds. So the lab as a
whole is measured from outside, in a short run and a long one: the difference is what the frames
cost, the camera's drawing of them included, which is the same for all.
"""

import argparse
import asyncio
import json
import logging
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, RATE = 1280, 720, 30
WARM_UP = 15
FRAMES = 150
LAB_FRAMES = (30, 450)
TIMEOUT = 60  # seconds for one contender
V4L2_FORMATS = {"yuyv": ("yuyv422", "YUYV"), "nv12": ("nv12", "NV12"), "mjpeg": ("mjpeg", "MJPG")}
CONTENDERS = ("this", "opencv", "aiortc")

Measured = dict[str, Any]


class Meter:
    """CPU time and ages of the frames after the first few."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self.count = 0
        self.ages: list[float] = []

    def frame(self, age: float | None) -> bool:
        """Count a frame; False once there are enough."""
        self.count += 1
        if self.count == WARM_UP:
            self._cpu, self._wall = time.process_time(), time.monotonic()
        if self.count > WARM_UP and age is not None:
            self.ages.append(age * 1000)
        return self.count < WARM_UP + self._frames

    def result(self) -> Measured:
        cpu, wall = time.process_time() - self._cpu, time.monotonic() - self._wall
        ages = sorted(self.ages)
        return {
            "cpu": cpu / self._frames * 1000,
            "fps": self._frames / wall,
            "p50": statistics.median(ages) if ages else None,
            "p95": ages[int(len(ages) * 0.95)] if ages else None,
        }


async def this(source: str, location: str, frames: int) -> Measured:
    from peer import MediaDevices
    from peer.capture import clock
    from peer.devices.media_file import MediaFile
    from peer.devices.screen import ScreenBackend
    from peer.devices.v4l2 import V4L2Backend

    class OneFormat(V4L2Backend):
        """Only the camera and the pixel format that are measured."""

        def list_devices(self) -> list[Any]:
            wanted = V4L2_FORMATS[source][0]
            found = [device for device in super().list_devices() if device.location == location]
            modes = [replace(m, pixel_format=wanted) for m in found[0].modes]
            return [replace(found[0], modes=tuple(dict.fromkeys(modes)))]

    backend: Any = OneFormat()
    if source == "screen":
        backend = ScreenBackend(location)
    elif source == "file":
        backend = MediaFile(location, loop=True)
    devices = MediaDevices([backend], salt=bytes(32))
    size = {"width": WIDTH, "height": HEIGHT, "frameRate": RATE}
    if source == "screen":
        stream = await devices.getDisplayMedia({"video": size})
    else:
        stream = await devices.getUserMedia({"video": size})
    [track] = stream.getVideoTracks()
    meter = Meter(frames)
    going = True
    while going:
        frame: Any = await track.recv()
        assert (frame.width, frame.height, frame.format.name) == (WIDTH, HEIGHT, "yuv420p")
        captured_at = clock._ORIGIN + float(frame.pts * frame.time_base)
        going = meter.frame(time.monotonic() - captured_at)
    result = meter.result()
    devices.end()
    await devices.closed()
    return result


def opencv(source: str, location: str, frames: int) -> Measured:
    import cv2

    if source == "screen":
        return {"missing": "can't"}
    if source == "file":
        capture = cv2.VideoCapture(location, cv2.CAP_FFMPEG)
    else:
        capture = cv2.VideoCapture(int(location[-1]), cv2.CAP_V4L2)
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*V4L2_FORMATS[source][1]))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, WIDTH)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, HEIGHT)
        capture.set(cv2.CAP_PROP_FPS, RATE)
    meter = Meter(frames)
    going = True
    due = time.monotonic()
    while going:
        if source == "file":  # it reads as fast as it can: keep the pace of the others
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
        there, picture = capture.read()
        if not there and source == "file":
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            continue
        if not there or picture.shape[:2] != (HEIGHT, WIDTH):
            return {"missing": "no frame" if not there else f"{picture.shape}"}
        stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        age = time.monotonic() - stamp
        going = meter.frame(age if source != "file" and 0 <= age < 5 else None)
    capture.release()
    return meter.result()


async def aiortc(source: str, location: str, frames: int) -> Measured:
    from aiortc.contrib.media import MediaPlayer

    options = {"video_size": f"{WIDTH}x{HEIGHT}", "framerate": str(RATE)}
    if source == "screen":
        player = MediaPlayer(f"{location}.0", format="x11grab", options=options)
    elif source == "file":
        player = MediaPlayer(location, loop=True)
    else:
        codec = {"mjpeg": "mjpeg", "yuyv": "yuyv422", "nv12": "nv12"}[source]
        options["input_format"] = codec
        player = MediaPlayer(location, format="v4l2", options=options)
    meter = Meter(frames)
    going = True
    while going:
        frame: Any = await player.video.recv()  # type: ignore[union-attr]
        if frame.format.name != "yuv420p":
            frame = frame.reformat(format="yuv420p")
        assert (frame.width, frame.height) == (WIDTH, HEIGHT)
        going = meter.frame(None)  # its time stamps begin at zero
    result = meter.result()
    player.video.stop()  # type: ignore[union-attr]
    return result


def measure(contender: str, source: str, location: str) -> Measured:
    """Run a contender in a process of its own; what it prints last is its result."""
    return run([sys.executable, __file__, "--one", contender, source, location])


def run(command: list[str]) -> Measured:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return {"missing": "hung"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        if "No module named 'cv2'" in done.stderr:
            return {"missing": "not installed"}
        reason = done.stderr.splitlines()[-1][:40] if done.stderr else ""
        return {"missing": f"failed ({done.returncode}) {reason}"}
    result: Measured = json.loads(lines[-1])
    return result


def measure_in_lab(contender: str, source: str) -> Measured:
    """Run a contender in the lab, twice, and take the CPU time from outside."""
    spent = []
    result: Measured = {}
    for frames in LAB_FRAMES:
        before = children_cpu()
        command = [sys.executable, __file__, "--guest", contender, source, str(frames)]
        result = run(["scripts/lab", "--built", "--timeout", str(TIMEOUT), *command])
        if "missing" in result:
            return result
        spent.append(children_cpu() - before)
    between = LAB_FRAMES[1] - LAB_FRAMES[0]
    return {**result, "cpu": (spent[1] - spent[0]) / between * 1000}


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def guest(contender: str, source: str, frames: int) -> Measured:
    """What runs in the lab: the camera's set-up, and the contender."""
    if source != "mjpeg":
        return contend(contender, source, "/dev/video0", frames)
    subprocess.run(["modprobe", "v4l2loopback", "video_nr=9", "exclusive_caps=0"], check=True)
    feeder = subprocess.Popen([sys.executable, __file__, "--feed", "/dev/video9"])
    try:
        wait_for(lambda: "MJPG" in Path("/sys/class/video4linux/video9/format").read_text())
        return contend(contender, source, "/dev/video9", frames)
    finally:
        feeder.kill()
        feeder.wait()


def contend(contender: str, source: str, location: str, frames: int) -> Measured:
    if contender == "opencv":
        return opencv(source, location, frames)
    return asyncio.run({"this": this, "aiortc": aiortc}[contender](source, location, frames))


def feed(location: str) -> None:
    """Write MJPEG pictures into a loopback camera until the process is ended."""
    import os

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
    while True:
        for picture in pictures:
            os.write(camera, picture)
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))


def every_source(display: str, folder: str) -> dict[str, dict[str, Measured]]:
    results = {
        source: {one: measure_in_lab(one, source) for one in CONTENDERS} for source in V4L2_FORMATS
    }
    clip = str(Path(folder, "clip.mp4"))
    make_clip(clip)
    for source, location in (("screen", display), ("file", clip)):
        results[source] = {one: measure(one, source, location) for one in CONTENDERS}
    return results


def make_clip(path: str) -> None:
    import av

    from peer.devices.test_pattern import VideoPattern

    pattern = VideoPattern(WIDTH, HEIGHT, (128, 128))
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(10 * RATE):
            frame = pattern.frame(number, number / RATE, RATE)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not there():
        if time.monotonic() > deadline:
            raise SystemExit("the loopback camera was not fed in time")
        time.sleep(0.1)


def table(results: dict[str, dict[str, Measured]]) -> str:
    lines = [
        f"CPU ms a frame of {WIDTH}x{HEIGHT} at {RATE} a second; age of the frame at recv(), ms",
        f"{'source':<8} {'this':>7} {'OpenCV':>14} {'aiortc':>14} {'age p50':>9} {'p95':>6}"
        f" {'OpenCV p50':>11} {'fps':>6}",
    ]
    for source, row in results.items():
        ours, theirs = row["this"], row["opencv"]
        cells = [_number(row[one], "cpu") for one in CONTENDERS]
        lines.append(
            f"{source:<8} {cells[0]:>7} {cells[1]:>14} {cells[2]:>14} {_number(ours, 'p50'):>9}"
            f" {_number(ours, 'p95'):>6} {_number(theirs, 'p50'):>11} {_number(ours, 'fps'):>6}"
        )
    return "\n".join(lines)


def _number(measured: Measured, name: str) -> str:
    if "missing" in measured:
        return str(measured["missing"]) if name == "cpu" else "-"
    value = measured.get(name)
    return "-" if value is None else f"{value:.2f}" if name == "cpu" else f"{value:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "SOURCE", "LOCATION"))
    parser.add_argument("--guest", nargs=3, metavar=("CONTENDER", "SOURCE", "FRAMES"))
    parser.add_argument("--feed", metavar="NODE")
    parser.add_argument("--all", nargs=2, metavar=("DISPLAY", "FOLDER"))
    options = parser.parse_args()
    logging.disable(logging.INFO)
    if options.one:
        contender, source, location = options.one
        print(json.dumps(contend(contender, source, location, FRAMES)), flush=True)
    elif options.guest:
        contender, source, frames = options.guest
        print(json.dumps(guest(contender, source, int(frames))), flush=True)
    elif options.feed:
        feed(options.feed)
    elif options.all:
        print(table(every_source(*options.all)))


if __name__ == "__main__":
    main()
