"""One picture is scaled for several tracks and encoders at the same time, each in a thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from av import VideoFrame

from peer.capture.processing import scale

PICTURES = 100  # the interpreter crashed within the first few


def test_threads_scale_the_same_picture() -> None:
    planes = np.random.default_rng(1).integers(0, 255, (720 * 3 // 2, 1280), np.uint8)
    sizes = [(640, 360), (320, 180)]
    with ThreadPoolExecutor(len(sizes)) as threads:
        for _ in range(PICTURES):
            frame = VideoFrame.from_ndarray(planes, "yuv420p")
            scaled = threads.map(scale, [frame] * 2, *zip(*sizes, strict=True))
            assert [(one.width, one.height) for one in scaled] == sizes
