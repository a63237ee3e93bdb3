import os
import stat
from pathlib import Path

import pytest

from peer.capture import identity


@pytest.mark.spec("0.5", "7.7")
def test_ids_are_stable_keyed_and_told_apart_by_kind() -> None:
    salt, other = bytes(32), bytes([1]) * 32
    one = identity.device_id(salt, "videoinput", "usb-1")
    assert one == identity.device_id(salt, "videoinput", "usb-1")
    different = {
        one,
        identity.device_id(other, "videoinput", "usb-1"),
        identity.device_id(salt, "audioinput", "usb-1"),
        identity.device_id(salt, "videoinput", "usb-2"),
    }
    assert len(different) == 4
    assert "usb" not in one


@pytest.mark.spec("0.5")
def test_the_salt_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "salt"
    salt = identity.load_salt(path)
    assert len(salt) == 32
    assert identity.load_salt(path) == salt
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["salt"]


def test_a_damaged_or_unreachable_salt_is_said_and_lasts_for_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = tmp_path / "salt"
    damaged.write_bytes(b"short")
    assert len(identity.load_salt(damaged)) == 32
    assert len(identity.load_salt(damaged / "below")) == 32
    assert caplog.text.count("will not survive this process") == 2
