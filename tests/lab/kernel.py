"""Pulling the plug of a kernel device: the driver is taken from it, and given back."""

import contextlib
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def unplugged(driver: str, device: str) -> Iterator[None]:
    """Within the block the device is gone, for example `unplugged("vivid", "vivid.0")`.

    Another process does it: the kernel waits for whoever holds a sound card open.
    """
    _write(f"/sys/bus/platform/drivers/{driver}/unbind", device)
    try:
        yield
    finally:
        _write(f"/sys/bus/platform/drivers/{driver}/bind", device)


def _write(path: str, text: str) -> None:
    subprocess.run(["sh", "-c", f"echo {text} > {path}"], check=True)
