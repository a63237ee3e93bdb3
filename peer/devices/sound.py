"""Where a Linux desktop's sound comes from: its sound server, or the kernel where there is none."""

from collections.abc import Callable, Sequence

from .backend import Backend, Capture, DeviceDescription, DeviceLost, Mode


class SoundBackend:
    """The devices of the first of some backends that has any.

    A sound server holds the cards that the kernel lists, so that each would be there twice, and
    busy.

    :param backends: the server's first.
    """

    name = "sound"

    def __init__(self, *backends: Backend) -> None:
        self._backends = backends

    def list_devices(self) -> Sequence[DeviceDescription]:
        for backend in self._backends:
            if devices := backend.list_devices():
                return devices
        return []

    def open(self, device: DeviceDescription, mode: Mode) -> Capture:
        for backend in self._backends:
            for here in backend.list_devices():
                if (here.kind, here.hardware_id) == (device.kind, device.hardware_id):
                    return backend.open(device, mode)
        raise DeviceLost(f"{device.label} is no longer there")

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        stops = [backend.watch(changed) for backend in self._backends]

        def stop() -> None:
            for stop_one in stops:
                stop_one()

        return stop
