"""Which backends this system has."""

import sys

from .backend import Backend


def system_backends() -> list[Backend]:
    """The backends of this operating system's own devices; empty on an unknown one."""
    if sys.platform == "darwin":
        from .avfoundation import AVFoundationBackend

        return [AVFoundationBackend()]
    if sys.platform == "win32":
        from .dshow import DirectShowBackend, GdiGrabBackend

        return [DirectShowBackend(), GdiGrabBackend()]
    if sys.platform.startswith("linux"):
        from .alsa import AlsaBackend
        from .pulse import PulseBackend
        from .screen import ScreenBackend
        from .sound import SoundBackend
        from .v4l2 import V4L2Backend

        sound = SoundBackend(PulseBackend(), AlsaBackend())
        return [sound, V4L2Backend(), ScreenBackend()]
    return []
