"""Plays a tone to an ALSA device until it is killed: `python play_tone.py hw:… HERTZ`."""

import sys

import av
import numpy as np

from peer.devices.alsa import AlsaBackend

RATE = 48000


def main(device: str, hertz: float) -> None:
    AlsaBackend()  # shows PyAV's ALSA where this system's configuration is
    wave = np.round(np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE) * 16384).astype(np.int16)
    second = np.repeat(wave, 2)
    with av.open(device, "w", format="alsa") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="stereo")
        position = 0
        while True:
            start = position % RATE * 2
            frame = av.AudioFrame.from_ndarray(
                second[start : start + 960].reshape(1, -1), format="s16", layout="stereo"
            )
            frame.sample_rate = RATE
            frame.pts = position
            position += 480
            container.mux(stream.encode(frame))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
