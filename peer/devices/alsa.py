"""Microphones of the Linux kernel (ALSA): listed from /proc/asound, captured by FFmpeg."""

import errno
import os
import platform
import re
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import av
from av import AudioFrame
from av.error import FFmpegError

from .backend import AudioMode, Captured, DeviceDescription, DeviceError, DeviceLost, Mode
from .hotplug import watch_paths
from .nodes import forbidden, open_error, physical_parent, read_attribute
from .sample_clock import SampleClock

NODES = "/dev/snd/pcm*c"
CONFIGURATION = "/usr/share/alsa"
READ_TIMEOUT = 0.1
"""Seconds until `read()` answers that there is nothing: the protocol's limit."""
CHUNK = 0.01
"""Seconds of sound to wait for. Cards deliver as little as 16 samples at once: a hundred wake-ups a
second are enough, and add less delay than a network packet of 20 ms."""
NON_BLOCKING = {"fflags": "4"}
"""AVFMT_FLAG_NONBLOCK: else a read waits in the driver for as long as nothing is delivered."""

STANDARD_RATES = (48000, 44100, 32000, 16000, 8000)
ASSUMED_MODES = (AudioMode(48000, 2, latency=CHUNK),)
"""Where the driver doesn't say: what sound cards of PCs have in common."""


class AlsaBackend:
    """The capture PCMs of sound cards.

    :param proc, sys, dev: where the kernel shows itself.
    """

    name = "alsa"

    def __init__(
        self,
        proc: Path = Path("/proc/asound"),
        sys: Path = Path("/sys"),
        dev: Path = Path("/dev/snd"),
    ) -> None:
        self._proc, self._sys, self._dev = proc, sys, dev
        use_system_alsa()

    def list_devices(self) -> list[DeviceDescription]:
        return [self._describe(pcm) for pcm in self._pcms()]

    def _pcms(self) -> list[Path]:
        """The kernel's folders of what can be captured from: `/proc/asound/card0/pcm0c`."""
        return sorted(
            self._proc.glob("card[0-9]*/pcm[0-9]*c"),
            key=lambda pcm: (int(pcm.parent.name[4:]), int(pcm.name[3:-1])),
        )

    def _node(self, pcm: Path) -> Path:
        return self._dev / f"pcmC{pcm.parent.name[4:]}D{pcm.name[3:]}"

    def _describe(self, pcm: Path) -> DeviceDescription:
        card, device = pcm.parent, pcm.name[3:-1]
        card_id = read_attribute(card / "id")
        hardware = (self._sys / "class" / "sound" / card.name / "device").resolve()
        bus = hardware.name if hardware.exists() else card_id
        parent = physical_parent(hardware)
        serial = read_attribute(parent / "serial") if parent else ""
        label = _label(_card_name(card) or card_id, _info(pcm).get("name", ""))
        unusable = _why_unusable(label, self._node(pcm))
        return DeviceDescription(
            kind="audioinput",
            hardware_id="/".join(part for part in ("alsa", bus, device, serial) if part),
            label=label,
            modes=() if unusable else card_modes(card, device),
            location=f"hw:CARD={card_id},DEV={device}",
            group=str(parent or hardware),
            default=(card.name, device) == ("card0", "0"),
            unusable=unusable,
            native_ids={"node": str(self._node(pcm))},
        )

    def open(self, device: DeviceDescription, mode: Mode) -> "AlsaCapture":
        if not isinstance(mode, AudioMode):
            raise DeviceError(f"{device.label} is a microphone: it needs an AudioMode, not {mode}")
        for pcm in self._pcms():
            here = self._describe(pcm)
            if here.hardware_id == device.hardware_id:
                break
        else:
            raise DeviceLost(f"{device.label} is no longer at {device.location}")
        if here.unusable:
            raise open_error(_open_errno(pcm, self._node(pcm)), here.label, str(self._node(pcm)))
        try:
            return AlsaCapture(here.label, here.location, mode)
        except FFmpegError:  # perhaps the card can't do it, but ALSA can convert
            try:
                return AlsaCapture(here.label, f"plug{here.location}", mode)
            except FFmpegError as error:
                node = self._node(pcm)
                raise open_error(_open_errno(pcm, node), here.label, str(node)) from error

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        return watch_paths([str(self._dev / "pcm*c")], changed)


class AlsaCapture:
    """A microphone that records into the kernel's ring, which is emptied every ten milliseconds."""

    muted = False

    def __init__(self, label: str, location: str, mode: AudioMode) -> None:
        self._label = label
        self._container = av.open(
            location,
            format="alsa",
            options={
                "sample_rate": str(mode.sample_rate),
                "channels": str(mode.channel_count),
                **NON_BLOCKING,
            },
        )
        stream = self._container.streams.audio[0]
        self.mode: Mode = AudioMode(stream.rate, stream.channels, latency=CHUNK)
        self._sample_rate = stream.rate
        self._bytes_per_sample = 2 * stream.channels
        self._layout = stream.layout
        self._clock = SampleClock(stream.rate)

    def read(self) -> Captured | None:
        chunks: list[bytes] = []
        missing = CHUNK
        deadline = time.monotonic() + READ_TIMEOUT
        while missing > 0 and time.monotonic() < deadline:
            chunk = self._take()
            if chunk:
                chunks.append(chunk)
                missing -= len(chunk) / self._bytes_per_sample / self._sample_rate
            else:
                time.sleep(missing)
        if not chunks:
            return None
        data = b"".join(chunks)
        samples = len(data) // self._bytes_per_sample
        frame = AudioFrame(format="s16", layout=self._layout, samples=samples, align=1)
        frame.sample_rate = self._sample_rate
        frame.planes[0].update(data)
        return Captured(frame, self._clock.stamp(samples, time.monotonic()))

    def _take(self) -> bytes:
        """What the card has recorded since the last time, which may be nothing."""
        try:
            return bytes(next(self._container.demux()))
        except BlockingIOError:
            return b""
        except (FFmpegError, StopIteration) as error:
            raise DeviceLost(f"{self._label} stopped delivering sound: {error}") from error

    def close(self) -> None:
        self._container.close()


def use_system_alsa() -> None:
    """Make FFmpeg's ALSA library read the system's configuration and plug-ins.

    The library in PyAV's wheels looks for them where it was built: a folder that doesn't exist, and
    which anyone could make where /tmp is in its path. What the user has set is left alone.
    """
    os.environ.setdefault("ALSA_CONFIG_DIR", CONFIGURATION)
    os.environ.setdefault("ALSA_PLUGIN_DIR", _plugin_folder())


def _plugin_folder() -> str:
    multiarch = sysconfig.get_config_var("MULTIARCH") or f"{platform.machine()}-linux-gnu"
    folders = [f"/usr/lib/{multiarch}/alsa-lib", "/usr/lib64/alsa-lib", "/usr/lib/alsa-lib"]
    return next((folder for folder in folders if os.path.isdir(folder)), folders[0])


def _may_open(node: Path) -> bool:
    return os.access(node, os.R_OK | os.W_OK, effective_ids=True)


def _open_errno(pcm: Path, node: Path) -> int:
    """Why a card didn't open: FFmpeg calls everything an input/output error."""
    if not _may_open(node):
        return errno.EACCES
    return errno.EBUSY if _info(pcm).get("subdevices_avail") == "0" else errno.EIO


def _why_unusable(label: str, node: Path) -> str:
    configuration = Path(os.environ["ALSA_CONFIG_DIR"]) / "alsa.conf"
    if not node.exists():
        return f"{label} has no {node} here: give the container the folder {node.parent}"
    if not _may_open(node):
        return forbidden(label, str(node))
    if not configuration.exists() and "ALSA_CONFIG_PATH" not in os.environ:
        return f"{label} needs ALSA's {configuration}: install the package libasound2-data"
    return ""


def _card_name(card: Path) -> str:
    """The card's name in /proc/asound/cards: ` 0 [PCH  ]: HDA-Intel - HDA Intel PCH`."""
    cards = (card.parent / "cards").read_text(errors="replace")
    line = re.search(rf"^ *{card.name[4:]} \[.*?\]: .*? - (.*)$", cards, re.M)
    return line[1].strip() if line else ""


def _info(pcm: Path) -> dict[str, str]:
    """The `name: value` lines of a PCM's info file."""
    lines = read_attribute(pcm / "info").splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def _label(card: str, pcm: str) -> str:
    return card if not pcm or pcm in card or pcm == "USB Audio" else f"{card}, {pcm}"


def card_modes(card: Path, device: str) -> tuple[AudioMode, ...]:
    """What a card's driver says of its rates and channels, without opening it."""
    stream = read_attribute(card / f"stream{device}")
    if stream:
        return usb_modes(stream) or ASSUMED_MODES
    for codec in sorted(card.glob("codec#*")):
        if modes := hda_modes(read_attribute(codec)):
            return modes
    return ASSUMED_MODES


def usb_modes(stream: str) -> tuple[AudioMode, ...]:
    """The modes in the capture part of a USB card's `streamN`, the usual one first."""
    _, _, capture = stream.partition("\nCapture:")
    modes = set()
    for setting in re.split(r"^ *Altset ", capture, flags=re.M)[1:]:
        fields = dict(re.findall(r"^ *(\w+): (.*)$", setting, re.M))
        channels = int(fields.get("Channels", 2))
        for rate in _rates(fields.get("Rates", "")):
            modes.add(AudioMode(rate, channels, latency=CHUNK))
    return _usual_first(modes)


def hda_modes(codec: str) -> tuple[AudioMode, ...]:
    """The modes of the analogue inputs in a PC sound card's `codec#N`."""
    modes = set()
    for node in re.split(r"^Node ", codec, flags=re.M)[1:]:
        what = node.splitlines()[0]
        rates = re.search(r"^ *rates \[0x[0-9a-f]+\]: (.*)$", node, re.M)
        if "[Audio Input]" in what and "Digital" not in what and rates:
            channels = 1 if "Mono" in what else 2
            modes |= {AudioMode(rate, channels, latency=CHUNK) for rate in _rates(rates[1])}
    return _usual_first(modes)


def _rates(text: str) -> list[int]:
    """Rates such as `16000, 48000`, `44100 48000` or `8000 - 48000 (continuous)`."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if "continuous" in text and len(numbers) == 2:
        return [rate for rate in STANDARD_RATES if numbers[0] <= rate <= numbers[1]]
    return numbers


def _usual_first(modes: set[AudioMode]) -> tuple[AudioMode, ...]:
    """48 kHz first, which Opus needs no conversion for; then the others, the best first."""
    return tuple(
        sorted(
            modes,
            key=lambda mode: (mode.sample_rate != 48000, -mode.sample_rate, -mode.channel_count),
        )
    )
