"""What a program may want of all its encoders."""

from dataclasses import dataclass


@dataclass
class EncoderSettings:
    """Read when an encoder is opened, and when codecs are offered."""

    codecs: tuple[str, ...] = ("VP8", "H264", "VP9", "AV1")
    """Video codecs that may be sent, the preferred one first. VP8 is the first, since every browser
    decodes it; H.264 isn't in all of them."""
    hardware: tuple[str, ...] = ()
    """Names of the encoders in hardware that are tried before the ones in software, of
    `encoder_catalogue.HARDWARE`."""
    dtx: bool = False
    """Whether pauses in sound are left out for everybody, and not only for those who prefer it."""


settings = EncoderSettings()
"""Those of this process."""
