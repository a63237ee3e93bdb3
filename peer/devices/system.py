"""Which backends this system has."""

import sys

from .backend import Backend


def system_backends() -> list[Backend]:
    """The backends of this operating system's own devices; empty where there is none yet."""
    if not sys.platform.startswith("linux"):
        return []
    from .alsa import AlsaBackend
    from .screen import ScreenBackend
    from .v4l2 import V4L2Backend

    return [AlsaBackend(), V4L2Backend(), ScreenBackend()]
