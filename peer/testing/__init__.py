"""Public test kit: virtual devices in place of this computer's, and the contract of a backend.

    from peer import mediaDevices
    from peer.testing import install

    with install() as kit:
        stream = await mediaDevices.getUserMedia({"video": True})
        kit.unplug(stream.getVideoTracks()[0].getSettings()["deviceId"])

The standard set: microphones "Mic A" (group a) and "Mic B"; cameras "Cam A" (group a, facing user;
native 640x480@30, 1280x720@30, 320x240@60) and "Cam C" (facing environment; the same and
1920x1080@15); a screen of 1920x1080@60; every prompt is granted.

`VirtualNetwork` joins two peers by a line of a given rate, delay and loss, the same in each run.
"""

from .backend_contract import check_backend
from .kit import TestKit, install
from .network import Line, Path, VirtualNetwork

__all__ = ["Line", "Path", "TestKit", "VirtualNetwork", "check_backend", "install"]
