"""A real sound server: a PulseAudio daemon in a folder of its own, with a private socket."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 20  # seconds; nothing that works takes a tenth of one
SPEAKER = "speaker"
TONES = {"high": 1000, "low": 600}  # sources, and Hz

needs_pulseaudio = pytest.mark.skipif(
    not all(map(shutil.which, ("pulseaudio", "pactl"))),
    reason="PulseAudio isn't installed (Debian packages: pulseaudio pulseaudio-utils)",
)


class SoundServer:
    """A daemon, as it is told by `pactl`. Its microphones hear what is played on cables."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "native"
        self.address = f"unix:{self.socket}"
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return once it can be talked to."""
        environment = {
            **os.environ,
            "HOME": str(self._folder),
            "PULSE_RUNTIME_PATH": str(self._folder),
            "PULSE_STATE_PATH": str(self._folder / "state"),
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere",
            "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere",
        }
        command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
        command += ["--realtime=no", "--high-priority=no", "--log-target=stderr"]
        modules = ["module-rescue-streams", "module-suspend-on-idle timeout=0"]
        modules += [f"module-native-protocol-unix auth-anonymous=1 socket={self.socket}"]
        command += [f"--load={module}" for module in modules]
        with open(self._folder / "log", "ab") as log:
            self._daemon = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while self._pactl("info").returncode:
            assert self._daemon.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "the sound server does not answer"

    def add_sink(self, name: str) -> int:
        """An output that nobody hears; the number of its module."""
        properties = f"sink_properties=device.description={name.title()}"
        # It has no great latency to begin with, as hardware has not.
        return self.load(f"module-null-sink sink_name={name} rate=48000 norewinds=1 {properties}")

    def add_microphone(self, name: str, frequency: int, properties: str = "") -> int:
        """A microphone that hears a tone; the number of its module."""
        self.add_sink(f"{name}_cable")
        self.play(f"{name}_cable", frequency)
        properties = f"source_properties='device.description={name.title()} {properties}'"
        source = f"master={name}_cable.monitor source_name={name}"
        return self.load(f"module-remap-source {source} {properties}")

    def play(self, sink: str, frequency: int) -> int:
        """Let a tone be heard; the number of its module."""
        return self.load(f"module-sine sink={sink} frequency={frequency}")

    def state(self, source: str) -> str:
        """`RUNNING` while something is recorded, `SUSPENDED` once nobody uses it."""
        return self._source(source)[-1]

    def recordings(self, source: str) -> list[str]:
        """The numbers of what programs record from a source."""
        number = self._source(source)[0]
        return [fields[0] for fields in self._list("source-outputs") if fields[1] == number]

    def _source(self, name: str) -> list[str]:
        (fields,) = (fields for fields in self._list("sources") if fields[1] == name)
        return fields

    def _list(self, what: str) -> list[list[str]]:
        return [line.split("\t") for line in self.tell("list", "short", what).splitlines()]

    def load(self, module: str) -> int:
        return int(self.tell("load-module", *module.split(" ", 1)))

    def tell(self, *words: str) -> str:
        """Run `pactl`, which must succeed; what it prints."""
        done = self._pactl(*words)
        assert not done.returncode, f"pactl {words}: {done.stderr}"
        return done.stdout

    def _pactl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "LC_ALL": "C", "HOME": str(self._folder)}
        return subprocess.run(
            ["pactl", "-s", self.address, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def pause(self) -> None:
        """Let it hang: it neither answers nor hangs up."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._daemon is not None
        self._daemon.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without its help, which leaves its socket behind."""
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()


@contextmanager
def sound_server() -> Iterator[SoundServer]:
    """A server with an output and two microphones, the first of which is the default."""
    with tempfile.TemporaryDirectory(prefix="pulse") as folder:
        server = SoundServer(Path(folder))
        try:
            server.start()
            server.add_sink(SPEAKER)
            for name, frequency in TONES.items():
                server.add_microphone(name, frequency)
            server.tell("set-default-sink", SPEAKER)
            server.tell("set-default-source", "high")
            yield server
        finally:
            server.kill()
