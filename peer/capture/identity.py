"""The ids of devices: the same for this user tomorrow, and telling nobody what the hardware is.

deviceId is a keyed hash of a salt, which lies in a file of the user's, and of the device's
hardware identity (Media Capture and Streams 9.2.1). groupId's key lives as long as the process.
"""

import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path

logger = logging.getLogger(__name__)

_SALT_BYTES = 32
_group_salt = secrets.token_bytes(_SALT_BYTES)


def device_id(salt: bytes, kind: str, hardware_id: str) -> str:
    """64 hexadecimal digits, unique for each device of a kind."""
    return hmac.new(salt, f"{kind}\0{hardware_id}".encode(), hashlib.sha256).hexdigest()


def group_id(group: str) -> str:
    """64 hexadecimal digits, equal for the functions of one physical device."""
    return hmac.new(_group_salt, group.encode(), hashlib.sha256).hexdigest()


def salt_path() -> Path:
    """Where this user's salt is kept. Deleting the file gives every device a new id."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "getusermedia" / "salt"


def load_salt(path: Path | None = None) -> bytes:
    """This user's salt, made at first use; one for this process where it can't be kept. Blocks."""
    path = path or salt_path()
    try:
        salt = _read_or_create(path)
    except OSError as error:
        logger.warning("device ids will not survive this process: %s", error)
        return secrets.token_bytes(_SALT_BYTES)
    if len(salt) < _SALT_BYTES:
        logger.warning("device ids will not survive this process: %s is damaged", path)
        return secrets.token_bytes(_SALT_BYTES)
    return salt


def _read_or_create(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written aside and linked into place: two processes that start together agree on one.
        aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SALT_BYTES))
        try:
            os.link(aside, path)
        except FileExistsError:
            logger.debug("another process made %s at the same time", path)
        finally:
            os.unlink(aside)
    return path.read_bytes()
