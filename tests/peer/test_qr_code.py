"""The QR code, painted as a terminal paints it, and read by an independent decoder."""

import re

import numpy as np
import pytest
import zxingcpp

from peer.qr_code import terminal_qr

URL = "https://camera.local:8443/#t=AbCdEfGhIjKlMnOpQrStUvWx"

MODULE = 4
"""Pixels."""
MARGIN = 6
"""Characters of the terminal around."""

# What the colours in use look like; all others are the theme's, and no business of the code's.
PALETTE = {16: 0, 231: 255}


def paint(text: str, background: int) -> np.ndarray:
    """A grey picture of a terminal that shows this text."""
    lines = text.split("\n")
    width = max(len(re.sub(r"\x1b\[[\d;]*m", "", line)) for line in lines)
    screen = np.full(
        (2 * (len(lines) + 2 * MARGIN), width + 2 * MARGIN), background, dtype=np.uint8
    )
    for row, line in enumerate(lines):
        ink, paper, column = 255 - background, background, MARGIN
        for code, character in re.findall(r"\x1b\[([\d;]*)m|(.)", line):
            if code == "0":
                ink, paper = 255 - background, background
            elif code:
                colours = re.fullmatch(r"38;5;(\d+);48;5;(\d+)", code)
                assert colours, f"a code that no test knows: {code}"
                ink, paper = (PALETTE[int(number)] for number in colours.groups())
            else:
                upper, lower = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}[character]
                top = 2 * (row + MARGIN)
                screen[top, column] = ink if upper else paper
                screen[top + 1, column] = ink if lower else paper
                column += 1
        assert (ink, paper) == (255 - background, background), "what follows keeps the colour"
    return screen.repeat(MODULE, axis=0).repeat(MODULE, axis=1)


@pytest.mark.parametrize("background", [0, 128, 255], ids=["dark", "grey", "light"])
@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:1/", URL + "x" * 200])
def test_a_decoder_reads_it(url: str, background: int) -> None:
    found = zxingcpp.read_barcodes(paint(terminal_qr(url), background))
    assert [(code.text, code.format) for code in found] == [(url, zxingcpp.BarcodeFormat.QRCode)]


def test_it_fits_into_a_terminal() -> None:
    lines = re.sub(r"\x1b\[[\d;]*m", "", terminal_qr(URL)).split("\n")
    assert len(lines) <= 24
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= 80


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        terminal_qr("x" * 3000)
