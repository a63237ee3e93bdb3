"""No encoder makes this program more urgent than others; as root SVT-AV1 would."""

import os
import sys

import pytest

from peer.media.capabilities import sendable_codecs
from peer.media.video_encoders import VideoEncoder

from .moving_pictures import RATE, pictures

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads are listed as on Linux")


def urgent() -> list[int]:
    """The threads of this process that are more urgent than others."""
    threads = [int(name) for name in os.listdir("/proc/self/task")]
    return [one for one in threads if os.sched_getscheduler(one) != os.SCHED_OTHER]


@pytest.mark.parametrize("codec", [codec.name.lower() for codec in sendable_codecs("video")])
def test_encoding_is_not_urgent(codec: str) -> None:
    encoder = VideoEncoder(codec)
    assert urgent() == []
    for frame, timestamp in pictures(3):
        encoder.encode(frame, timestamp, RATE, keyframe=False)
        assert urgent() == []
