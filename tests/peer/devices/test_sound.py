"""One list of sound devices: the server's where one runs, else the kernel's."""

import pytest

from peer.devices.backend import DeviceLost
from peer.devices.sound import SoundBackend
from peer.devices.virtual import VirtualBackend, virtual_microphone
from peer.testing import check_backend


def test_the_first_that_has_any() -> None:
    server = VirtualBackend([virtual_microphone("Server's")])
    kernel = VirtualBackend([virtual_microphone("Kernel's")])
    sound = SoundBackend(server, kernel)
    changes = []
    stop = sound.watch(lambda: changes.append([d.label for d in sound.list_devices()]))
    [device] = sound.list_devices()
    assert device.label == "Server's"
    sound.open(device, device.modes[0]).close()
    server.unplug("Server's")
    [other] = sound.list_devices()
    assert other.label == "Kernel's"
    sound.open(other, other.modes[0]).close()
    with pytest.raises(DeviceLost, match="Server's is no longer there"):
        sound.open(device, device.modes[0])
    kernel.unplug("Kernel's")
    assert changes == [["Kernel's"], []]
    assert sound.list_devices() == []
    stop()
    server.plug("Server's")
    assert len(changes) == 2


def test_contract() -> None:
    assert check_backend(SoundBackend(VirtualBackend([virtual_microphone("Server's")])))
