"""ALSA's lists, from files as the kernel writes them, and the clock of its samples."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from peer.devices.alsa import AlsaBackend, hda_modes, usb_modes, use_system_alsa
from peer.devices.backend import AudioMode
from peer.devices.sample_clock import SampleClock

CARDS = """\
 0 [PCH            ]: HDA-Intel - HDA Intel PCH
                      HDA Intel PCH at 0xb1218000 irq 142
 1 [C920           ]: USB-Audio - HD Pro Webcam C920
                      HD Pro Webcam C920 at usb-0000:00:14.0-2, high speed
"""

INFO = """\
card: {card}
device: {device}
subdevice: 0
stream: CAPTURE
id: {name}
name: {name}
subname: subdevice #0
class: 0
subclass: 0
subdevices_count: 1
subdevices_avail: 1
"""

WEBCAM = """\
HD Pro Webcam C920 at usb-0000:00:14.0-2, high speed : USB Audio

Capture:
  Status: Running
    Interface = 3
    Altset = 3
    Packet Size = 132
    Momentary freq = 32000 Hz (0x4.0000)
  Interface 3
    Altset 1
    Format: S16_LE
    Channels: 2
    Endpoint: 0x84 (4 IN) (ASYNC)
    Rates: 16000
    Bits: 16
    Channel map: FL FR
  Interface 3
    Altset 2
    Format: S16_LE
    Channels: 2
    Endpoint: 0x84 (4 IN) (ASYNC)
    Rates: 24000
    Bits: 16
    Channel map: FL FR
  Interface 3
    Altset 3
    Format: S16_LE
    Channels: 2
    Endpoint: 0x84 (4 IN) (ASYNC)
    Rates: 32000
    Bits: 16
    Channel map: FL FR
"""

HEADSET = """\
A headset at usb-0000:00:14.0-3, full speed : USB Audio

Playback:
  Status: Stop
  Interface 1
    Altset 1
    Format: S16_LE
    Channels: 2
    Endpoint: 0x01 (1 OUT) (ADAPTIVE)
    Rates: 96000

Capture:
  Status: Stop
  Interface 2
    Altset 1
    Format: S16_LE
    Channels: 1
    Endpoint: 0x82 (2 IN) (ASYNC)
    Rates: 8000 - 48000 (continuous)
"""

CODEC = """\
Codec: Realtek ALC257
Address: 0
Default PCM:
    rates [0x560]: 44100 48000 96000 192000
    bits [0xe]: 16 20 24
    formats [0x1]: PCM
Node 0x02 [Audio Output] wcaps 0x41d: Stereo Amp-Out
  PCM:
    rates [0x7f0]: 32000 44100 48000 88200 96000 176400 192000
Node 0x08 [Audio Input] wcaps 0x10051b: Stereo Amp-In
  Device: name="ALC257 Analog", type="Audio", device=0
  Converter: stream=1, channel=0
  PCM:
    rates [0x60]: 44100 48000
    bits [0xe]: 16 20 24
    formats [0x1]: PCM
Node 0x0f [Audio Input] wcaps 0x1b0791: Stereo Digital
  PCM:
    rates [0x5f0]: 32000 44100 48000 88200 96000 192000
"""

HDMI = """\
Codec: Intel Kabylake HDMI
Node 0x03 [Audio Output] wcaps 0x6611: 8-Channels Digital
  PCM:
    rates [0x7f0]: 32000 44100 48000 88200 96000 176400 192000
"""


def rates(modes: tuple[AudioMode, ...]) -> list[tuple[int, int]]:
    return [(mode.sample_rate, mode.channel_count) for mode in modes]


def test_usb_modes() -> None:
    assert rates(usb_modes(WEBCAM)) == [(32000, 2), (24000, 2), (16000, 2)]


def test_usb_range_and_playback() -> None:
    """48 kHz comes first; a playback's rates don't count."""
    expected = [(48000, 1), (44100, 1), (32000, 1), (16000, 1), (8000, 1)]
    assert rates(usb_modes(HEADSET)) == expected


def test_pc_modes_are_the_analogue_input_s() -> None:
    assert rates(hda_modes(CODEC)) == [(48000, 2), (44100, 2)]
    assert hda_modes(HDMI) == ()


class Machine:
    """A machine's /proc/asound, /sys and /dev/snd."""

    def __init__(self, root: Path) -> None:
        self.proc, self.sys, self.dev = root / "proc", root / "sys", root / "dev"
        for folder in (self.proc, self.sys / "class" / "sound", self.dev):
            folder.mkdir(parents=True)

    def plug(self, number: int, card_id: str, name: str, hardware: str, **files: str) -> Path:
        """Add a card with one device that captures.

        :return: its hardware's folder in /sys.
        """
        card = self.proc / f"card{number}"
        pcm = card / "pcm0c"
        pcm.mkdir(parents=True)
        (card / "id").write_text(f"{card_id}\n")
        (pcm / "info").write_text(INFO.format(card=number, device=0, name=name))
        for file, text in files.items():
            (card / file.replace("codec", "codec#")).write_text(text)
        device = self.sys / "devices" / hardware
        device.mkdir(parents=True)
        link = self.sys / "class" / "sound" / f"card{number}"
        link.mkdir()
        (link / "device").symlink_to(device)
        (self.dev / f"pcmC{number}D0c").touch()
        return device

    def backend(self) -> AlsaBackend:
        return AlsaBackend(self.proc, self.sys, self.dev)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    configuration = tmp_path / "alsa"
    configuration.mkdir()
    (configuration / "alsa.conf").touch()
    monkeypatch.setenv("ALSA_CONFIG_DIR", str(configuration))
    return Machine(tmp_path)


@pytest.fixture
def laptop(machine: Machine) -> Machine:
    """A laptop's own sound card, and a USB webcam."""
    (machine.proc / "cards").write_text(CARDS)
    machine.plug(0, "PCH", "ALC257 Analog", "pci/0000:00:1f.3", codec0=CODEC, codec2=HDMI)
    interface = machine.plug(1, "C920", "USB Audio", "pci/usb1/1-2/1-2:1.2", stream0=WEBCAM)
    (interface.parent / "idVendor").write_text("046d\n")
    (interface.parent / "serial").write_text("A1B2C3\n")
    return machine


def test_list(laptop: Machine) -> None:
    own, webcam = laptop.backend().list_devices()
    assert own.label == "HDA Intel PCH, ALC257 Analog"
    assert own.location == "hw:CARD=PCH,DEV=0"
    assert own.default
    assert rates(own.modes)[0] == (48000, 2)  # type: ignore[arg-type]
    assert webcam.label == "HD Pro Webcam C920"
    assert webcam.location == "hw:CARD=C920,DEV=0"
    assert not webcam.default
    assert webcam.hardware_id.endswith("/A1B2C3")
    assert webcam.group == str(laptop.sys / "devices/pci/usb1/1-2")
    assert not own.unusable
    assert not webcam.unusable


def test_identity_is_not_the_card_s_number(tmp_path: Path, laptop: Machine) -> None:
    """A webcam that was there at start is card 0; its hardware id stays what it was."""
    _, before = laptop.backend().list_devices()
    (tmp_path / "again").mkdir()
    machine = Machine(tmp_path / "again")
    (machine.proc / "cards").write_text("")
    interface = machine.plug(0, "C920_1", "USB Audio", "pci/usb1/1-2/1-2:1.2", stream0=WEBCAM)
    (interface.parent / "idVendor").write_text("046d\n")
    (interface.parent / "serial").write_text("A1B2C3\n")
    (after,) = machine.backend().list_devices()
    assert after.location != before.location
    assert after.hardware_id == before.hardware_id


def test_driver_that_says_nothing(machine: Machine) -> None:
    (machine.proc / "cards").write_text("")
    machine.plug(0, "Loopback", "Loopback PCM", "platform/snd_aloop.0")
    (device,) = machine.backend().list_devices()
    assert rates(device.modes) == [(48000, 2)]  # type: ignore[arg-type]
    assert device.label == "Loopback, Loopback PCM"


def test_container_without_the_node(laptop: Machine) -> None:
    (laptop.dev / "pcmC1D0c").unlink()
    own, webcam = laptop.backend().list_devices()
    assert not own.unusable
    assert "give the container" in webcam.unusable
    assert webcam.modes == ()


def test_missing_configuration(laptop: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALSA_CONFIG_DIR", "/nonexistent")
    own, _ = laptop.backend().list_devices()
    assert "libasound2-data" in own.unusable


def test_system_without_sound(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    assert AlsaBackend(nowhere, nowhere, nowhere).list_devices() == []


def test_library_paths_are_the_system_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library in the wheel would look in a folder that anyone may make."""
    for variable in ("ALSA_CONFIG_DIR", "ALSA_PLUGIN_DIR"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    use_system_alsa()
    assert os.environ["ALSA_CONFIG_DIR"] == "/usr/share/alsa"
    assert os.environ["ALSA_PLUGIN_DIR"].startswith("/usr/lib")


def test_library_paths_of_the_user_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALSA_CONFIG_DIR", "/opt/alsa")
    use_system_alsa()
    assert os.environ["ALSA_CONFIG_DIR"] == "/opt/alsa"


def test_clock_is_even_when_wakeups_are_not() -> None:
    clock = SampleClock(48000)
    late = [0.0, 0.004, 0.001, 0.009, 0.0, 0.003] * 50
    stamps = [clock.stamp(480, 100 + 0.01 * (n + 1) + late[n]) for n in range(len(late))]
    steps = [after - before for before, after in pairwise(stamps)]
    assert max(abs(step - 0.01) for step in steps) < 0.0006
    assert abs(stamps[-1] - (100 + 0.01 * 299)) < 0.005


def test_clock_begins_anew_after_a_gap() -> None:
    """Samples that were dropped leave a gap, not a delay that stays."""
    clock = SampleClock(48000)
    assert clock.stamp(480, 100.01) == pytest.approx(100.0)
    assert clock.stamp(480, 100.02) == pytest.approx(100.01)
    assert clock.stamp(480, 101.0) == pytest.approx(100.99)


def test_clock_goes_neither_back_nor_ahead() -> None:
    """A reader who slept finds all at once what came meanwhile: none of it is of the future."""
    clock = SampleClock(48000)
    burst = [100.2 + n * 1e-5 for n in range(20)]
    times = [100.01, 100.02, 100.03, *burst, 100.21, 100.22]
    stamps = [clock.stamp(480, now) for now in times]
    assert stamps == sorted(set(stamps))
    assert all(at <= now for at, now in zip(stamps, times, strict=True))
