"""What an offer asks of a transceiver, and which codec answers it."""

from aiortc import RTCRtpTransceiver


def wants_media(transceiver: RTCRtpTransceiver) -> bool:
    """Whether the remote offer wants to receive on this transceiver.

    Needs: `RTCRtpTransceiver._offerDirection`, the offered direction as seen from this side,
    set by `setRemoteDescription()`.
    """
    return transceiver._offerDirection in ("sendonly", "sendrecv")


def prefer_codec(transceiver: RTCRtpTransceiver, name: str) -> None:
    """Before answering: send this codec (`H264`) if the offer has it.

    `setCodecPreferences()` comes too late for an offer that is there already. Needs:
    `RTCRtpTransceiver._codecs`, the codecs in common after `setRemoteDescription()`, of which the
    answer lists all and the sender uses the first.
    """
    transceiver._codecs = sorted(
        transceiver._codecs, key=lambda codec: codec.name.upper() != name.upper()
    )


def sends_codec(transceiver: RTCRtpTransceiver, name: str) -> bool:
    """Whether the first codec in common, which the sender uses, is this one.

    Needs: `RTCRtpTransceiver._codecs`, as `prefer_codec()`.
    """
    return bool(transceiver._codecs) and transceiver._codecs[0].name.upper() == name.upper()
