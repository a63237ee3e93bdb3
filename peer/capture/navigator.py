"""The process's `navigator`: where a page would find mediaDevices and permissions."""

from .media_devices import MediaDevices
from .permissions import Permissions


class Navigator:
    """What of the browser's Navigator makes sense without a page."""

    def __init__(self) -> None:
        self._mediaDevices = MediaDevices()

    @property
    def mediaDevices(self) -> MediaDevices:
        """The devices of this computer; always the same object."""
        return self._mediaDevices

    @property
    def permissions(self) -> Permissions:
        """Who may capture what through `mediaDevices`."""
        return self._mediaDevices.permissions


navigator = Navigator()
mediaDevices = navigator.mediaDevices
