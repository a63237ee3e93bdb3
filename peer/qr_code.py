"""An address as a QR code in the terminal, for a phone's camera."""

import segno

_QUIET_ZONE = 2
"""Modules around the code. The standard has 4, which costs lines; every decoder takes 2."""

# Black on white whatever the terminal's own colours are: the palette's first sixteen are themed,
# those of the colour cube are not.
_COLOURS = "\x1b[38;5;16;48;5;231m"
_RESET = "\x1b[0m"

# By whether the upper and the lower module of a character are dark.
_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def terminal_qr(url: str) -> str:
    """Lines to print where standard output is a terminal; each character is two modules high.

    :raises ValueError: it is longer than a QR code can be.
    """
    rows = [
        [bool(module) for module in row]
        for row in segno.make_qr(url, error="l").matrix_iter(border=_QUIET_ZONE)
    ]
    rows.append([False] * len(rows[0]))  # a QR code's height is odd
    return "\n".join(
        _COLOURS + "".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True)) + _RESET
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )
