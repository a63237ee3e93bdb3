"""Compiles burst.c when the package is built or installed, where there is a C compiler on Linux."""

import contextlib
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("peer/connection/aiortc_seam")
OPTIONS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC")


class BurstHook(BuildHookInterface):
    """Without its result the package does the same, for more CPU."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or sys.platform != "linux":
            return
        compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
        folder = Path(self.root, FOLDER)
        library, made = folder / "burst.so", folder / f"burst.{os.getpid()}.so"
        try:
            subprocess.run([*compiler, *OPTIONS, folder / "burst.c", "-o", made], check=True)
            made.replace(library)  # at once: somebody may be about to load it
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"many viewers will cost more than they need: {error}")
            with contextlib.suppress(OSError):
                library.unlink()  # another version's
            return
        build_data["artifacts"].append(str(FOLDER / library.name))
        build_data["pure_python"] = False
        build_data["tag"] = (
            f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        )
