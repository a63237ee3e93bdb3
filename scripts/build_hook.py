"""Compiles burst.c when the package is built or installed, where there is a C compiler on Linux."""

import os
import shlex
import shutil
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
        source, library = FOLDER / "burst.c", FOLDER / "burst.so"
        Path(self.root, library).unlink(missing_ok=True)  # it may be another version's
        compiler = shlex.split(os.environ.get("CC") or "cc")
        if shutil.which(compiler[0]) is None:
            self.app.display_warning("no C compiler: many viewers will cost more than they need")
            return
        try:
            subprocess.run([*compiler, *OPTIONS, source, "-o", library], cwd=self.root, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"many viewers will cost more than they need: {error}")
            return
        build_data["artifacts"].append(str(library))
        build_data["pure_python"] = False
        build_data["tag"] = (
            f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        )
