"""What can be sent, and how the other side prefers it."""

import pytest
from aiortc.sdp import parameters_from_sdp

from peer.media.capabilities import leaves_pauses_out, sendable_codecs
from peer.media.encoder_settings import settings


@pytest.mark.parametrize(
    ("fmtp", "leaves_out"),
    [("minptime=10;useinbandfec=1", False), ("usedtx=0", False), ("useinbandfec=1;usedtx=1", True)],
)
def test_pauses_are_left_out_for_who_prefers_it(fmtp: str, leaves_out: bool) -> None:
    [opus] = sendable_codecs("audio")
    opus.parameters = parameters_from_sdp(fmtp)
    assert leaves_pauses_out(opus) is leaves_out


def test_the_program_may_have_pauses_left_out_for_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [opus] = sendable_codecs("audio")
    assert not leaves_pauses_out(opus)
    monkeypatch.setattr(settings, "dtx", True)
    assert leaves_pauses_out(opus)
