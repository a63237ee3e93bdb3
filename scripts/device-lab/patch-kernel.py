"""Adapts a Debian kernel source tree (argument) to the device lab. Tried with 6.1 and 6.12."""

import sys
from pathlib import Path

VIVID = "drivers/media/test-drivers/vivid"
HUE = "V4L2_CID_HUE, -128, 128, 1, 0);"
CAMERA_CONTROLS = (
    "PAN_ABSOLUTE, -36000, 36000, 3600, 0",
    "TILT_ABSOLUTE, -36000, 36000, 3600, 0",
    "ZOOM_ABSOLUTE, 100, 500, 10, 100",
    "FOCUS_ABSOLUTE, 0, 250, 5, 0",
    "SHARPNESS, 0, 255, 1, 128",
    "BACKLIGHT_COMPENSATION, 0, 2, 1, 0",
)


def main(tree: Path) -> None:
    def replace(path: str, old: str, new: str, *, required: bool = True) -> None:
        file = tree / path
        text = file.read_text(encoding="utf-8")
        if required and old not in text:
            sys.exit(f"device lab: {path} has no {old!r}: the lab knows no such kernel")
        file.write_text(text.replace(old, new), encoding="utf-8")

    # ALSA's virtual cards need no hardware, but 6.1's Kconfig leaves all of ALSA out.
    replace("sound/Kconfig", "if !UML\n", "if SOUND\n", required=False)

    # Processors with AMX save 11008 bytes of registers, more than there is room for.
    replace("arch/x86/um/user-offsets.c", "HOST_FP_SIZE, 2696", "HOST_FP_SIZE, 12288")

    # If the kernel process is killed its traced processes must die too, not run on untraced:
    # their system calls would then be the host's. So must its helper (later kernels see to that).
    replace(
        "arch/um/os-Linux/skas/process.c",
        "PTRACE_O_TRACESYSGOOD)",
        "(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))",
    )
    sigio = "arch/um/os-Linux/sigio.c"
    replace(sigio, "#include <pty.h>\n", "#include <pty.h>\n#include <sys/prctl.h>\n")
    replace(
        sigio,
        "char c;\n\n\tos_fix_helper_signals();",
        "char c;\n\n\tprctl(PR_SET_PDEATHSIG, SIGKILL);\n\tos_fix_helper_signals();",
        required=False,
    )

    # 6.1's vivid webcam runs 640x480 at 25 and 1280x720 at 12.5 frames a second at most;
    # later ones run them at 60.
    capture = f"{VIVID}/vivid-vid-cap.c"
    for limit in ("VIVID_WEBCAM_SIZES - i", "VIVID_WEBCAM_SIZES - dev->webcam_size_idx"):
        replace(capture, f"2 * ({limit})", "VIVID_WEBCAM_IVALS", required=False)

    # vivid has no camera controls: let V4L2's control framework keep some (the picture stays).
    controls = "".join(
        f"\n\t\tv4l2_ctrl_new_std(hdl_user_vid, NULL, V4L2_CID_{control});"
        for control in CAMERA_CONTROLS
    )
    replace(f"{VIVID}/vivid-ctrls.c", HUE, HUE + controls)


main(Path(sys.argv[1]))
