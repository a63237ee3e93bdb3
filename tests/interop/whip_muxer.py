"""FFmpeg's WHIP muxer as a program that can be killed: `whip_muxer.py URL OPTION=VALUE…`."""

import sys
import time

import av
import numpy as np

RATE = 30
SECONDS = 3


def publish(url: str, options: dict[str, str]) -> None:
    """Send three seconds of pictures and silence, in real time."""
    with av.open(url, "w", format="whip", options=options) as output:
        video = output.add_stream(
            "libx264", rate=RATE, options={"preset": "ultrafast", "tune": "zerolatency"}
        )
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        video.profile = "Baseline"
        audio = output.add_stream("libopus", rate=48000, layout="stereo")
        begun = time.monotonic()
        for number in range(RATE * SECONDS):
            picture = av.VideoFrame.from_ndarray(
                np.full((720, 640), number, np.uint8), format="yuv420p"
            )
            picture.pts = number
            output.mux(video.encode(picture))
            for half in range(2):
                sound = av.AudioFrame.from_ndarray(
                    np.zeros((1, 2 * 800), np.int16), format="s16", layout="stereo"
                )
                sound.sample_rate = 48000
                sound.pts = number * 1600 + half * 800
                output.mux(audio.encode(sound))
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))


if __name__ == "__main__":
    publish(sys.argv[1], dict(word.split("=", 1) for word in sys.argv[2:]))
