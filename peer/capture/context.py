"""What the tracks of one MediaDevices have in common, as those of one page of a browser have."""

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .permissions import Permissions

if TYPE_CHECKING:
    from .media_stream_track import MediaStreamTrack


@dataclass(eq=False)
class CaptureContext:
    """Who captures: with which permissions, and which tracks there are."""

    permissions: Permissions
    moving_allowed: bool = False
    """Whether whoever was asked has allowed it for this process."""
    tracks: "weakref.WeakSet[MediaStreamTrack]" = field(default_factory=weakref.WeakSet)

    @property
    def may_move_cameras(self) -> bool:
        """Whether pan, tilt and zoom may be known and set (Image Capture 8.2)."""
        state = self.permissions.state("pan-tilt-zoom")
        return state == "granted" or (state == "prompt" and self.moving_allowed)
