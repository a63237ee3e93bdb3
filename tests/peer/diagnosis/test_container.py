"""Containers: which it is, from the files that each leaves, and what it lacks."""

from pathlib import Path

import pytest

from peer.diagnosis.container import (
    Surroundings,
    container_kind,
    examine,
    judge,
    kind_in_cgroup,
    kind_in_version,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0::/\n", ""),
        ("12:memory:/docker/0123456789abcdef\n0::/docker/0123456789abcdef\n", "docker"),
        ("0::/kubepods/besteffort/pod1234/0123456789abcdef\n", "kubernetes"),
        ("0::/machine.slice/libpod-0123456789abcdef.scope\n", "podman"),
        ("1:name=systemd:/lxc/box\n", "lxc"),
        ("0::/init.scope\n", ""),
    ],
)
def test_cgroups_tell(text: str, kind: str) -> None:
    assert kind_in_cgroup(text) == kind


def test_the_kernel_s_version_tells() -> None:
    assert kind_in_version("Linux version 5.15.90.1-microsoft-standard-WSL2 (gcc)") == "WSL"
    assert kind_in_version("Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)") == ""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (".dockerenv", "docker"),
        ("run/.containerenv", "podman"),
        ("run/systemd/container", "lxc"),
        ("proc/1/cgroup", "docker"),
        ("proc/version", "WSL"),
        ("etc/hostname", ""),
    ],
)
def test_files_tell(tmp_path: Path, path: str, kind: str) -> None:
    texts = {
        "run/systemd/container": "lxc\n",
        "proc/1/cgroup": "0::/docker/0123\n",
        "proc/version": "Linux version 5.15.90.1-microsoft-standard-WSL2\n",
    }
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(texts.get(path, ""))
    assert container_kind(tmp_path, {}) == kind


def test_the_environment_tells(tmp_path: Path) -> None:
    assert container_kind(tmp_path, {"container": "lxc"}) == "lxc"
    (tmp_path / ".dockerenv").touch()
    assert container_kind(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) == "kubernetes"


def test_no_container() -> None:
    (finding,) = judge(Surroundings("", cameras=False, sound=False, display=False, bridged=True))
    assert finding.level == "ok"


def test_a_container_that_has_everything() -> None:
    (finding,) = judge(
        Surroundings("docker", cameras=True, sound=True, display=True, bridged=False)
    )
    assert finding.level == "ok"


def test_a_container_is_given_only_what_it_lacks() -> None:
    (finding,) = judge(
        Surroundings("podman", cameras=False, sound=True, display=True, bridged=True)
    )
    assert finding.level == "warning"
    assert "without cameras and the host's network" in finding.text
    assert "`podman run --device /dev/video0 --group-add video --network host …`" in finding.remedy


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("docker", "--device /dev/snd --group-add audio --env DISPLAY"),
        ("kubernetes", "hostNetwork: true"),
        ("WSL", "usbipd"),
        ("lxc", "lxc config device add"),
    ],
)
def test_each_kind_has_its_own_remedy(kind: str, remedy: str) -> None:
    (finding,) = judge(Surroundings(kind, cameras=False, sound=False, display=False, bridged=True))
    assert remedy in finding.remedy


async def test_the_files_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    for name in (".dockerenv", "dev/video2", "dev/snd/timer"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name, index, link in (("lo", "1", "1"), ("eth0", "5", "6")):
        folder = tmp_path / "sys/class/net" / name
        folder.mkdir(parents=True)
        (folder / "ifindex").write_text(index)
        (folder / "iflink").write_text(link)
    (finding,) = await examine(tmp_path)
    assert "without an X11 display and the host's network" in finding.text
