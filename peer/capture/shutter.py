"""One picture of a device at its best, whatever its tracks are set to."""

import asyncio
from collections.abc import Iterable

from ..controls import ControlValue
from ..devices.backend import Captured, DeviceError, DeviceLost, Mode, VideoMode
from ..devices.source import Source

PATIENCE = 5.0
"""Seconds to wait for a picture: cameras that change their mode need up to two."""
SETTLING = 2
"""Pictures to let pass after a change of mode: with the first ones a camera finds its exposure."""


class PictureSink:
    """Takes one picture of a source, and no more.

    :param passing: how many pictures to let pass before.
    """

    def __init__(self, passing: int = 0) -> None:
        self._loop = asyncio.get_running_loop()
        self._taken: asyncio.Future[Captured] = self._loop.create_future()
        self._passing = passing

    async def picture(self, source: Source) -> Captured:
        """The picture: as the camera compressed it, if it has MJPEG, else a frame.

        :raises DeviceError: the device delivers none, or is gone.
        """
        source.add_sink(self)
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._taken
        except TimeoutError as error:
            raise DeviceError(
                f"{source.device.label} delivered no picture for {PATIENCE:g} s"
            ) from error
        finally:
            source.remove_sink(self)

    # In the capture thread.

    wants_frames = True

    def deliver(self, captured: Captured) -> None:
        """Take a picture."""
        if captured.frame is None:
            return  # H.264 before its key frame
        self._passing -= 1
        if self._passing < 0:
            self._tell(captured)

    def lost(self, error: DeviceLost) -> None:
        """The device is gone."""
        self._tell(error)

    def controls_changed(self, values: object) -> None:
        """Nothing to do."""

    def mode_changed(self, mode: Mode) -> None:
        """Nothing to do."""

    def mute_changed(self, muted: bool) -> None:
        """Nothing to do."""

    def _tell(self, outcome: Captured | DeviceLost) -> None:
        def tell() -> None:
            if self._taken.done():
                return
            if isinstance(outcome, DeviceLost):
                self._taken.set_exception(outcome)
            else:
                self._taken.set_result(outcome)

        self._loop.call_soon_threadsafe(tell)


def photo_mode(
    modes: Iterable[Mode], now: VideoMode, width: int | None, height: int | None
) -> VideoMode:
    """The mode to take a photograph in.

    :param now: the mode that the camera is in. It stays when it delivers photographs by itself,
        and when no other is better.
    :param width, height: what is wanted; the nearest size that there is. Without, the largest.
    """
    if width is None and height is None and now.pixel_format == "mjpeg":
        return now
    possible = [mode for mode in modes if isinstance(mode, VideoMode)]

    def order(mode: VideoMode) -> tuple[float, bool, bool]:
        if width is None and height is None:
            misfit = float(-mode.width * mode.height)
        else:
            misfit = abs(mode.width - (width or mode.width)) + abs(
                mode.height - (height or mode.height)
            )
        return misfit, mode != now, mode.pixel_format != "mjpeg"

    best = min([now, *possible], key=order)
    return now if (best.width, best.height) == (now.width, now.height) else best


FLASH: dict[str, ControlValue] = {"torch": True}
NO_FLASH: dict[str, ControlValue] = {"torch": False}
