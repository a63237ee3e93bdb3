"""The only module that touches private parts of aiortc and aioice.

Each function says what it needs of them; `tests/peer/connection/test_aiortc_seam.py` fails, and
says which, when a new release changes one.
"""

from collections.abc import Callable

from aioice import ice
from aiortc import RTCRtpSender, RTCRtpTransceiver

_FORCE_KEYFRAME = "_RTCRtpSender__force_keyframe"

HostAddresses = Callable[[bool, bool], list[str]]


def gather_loopback_when_alone() -> None:
    """Let ICE use 127.0.0.1 on a computer that has no other address.

    aioice leaves loopback out, so that a laptop without a network could not show its camera even
    to a browser of its own. Needs: `aioice.ice.get_host_addresses(use_ipv4, use_ipv6)`, called
    by its module-level name. Calling it again changes nothing.
    """
    gathered: HostAddresses = ice.get_host_addresses
    if getattr(gathered, "with_loopback", False):
        return

    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return gathered(use_ipv4, use_ipv6) or ["127.0.0.1"]

    get_host_addresses.with_loopback = True  # type: ignore[attr-defined]
    ice.get_host_addresses = get_host_addresses


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


def take_keyframe_request(sender: RTCRtpSender) -> bool:
    """Whether the remote side has asked for a key frame since the last call.

    Needs: `RTCRtpSender.__force_keyframe`, which PLI and FIR set, and which the sender itself
    resets only when it encodes.
    """
    requested: bool = getattr(sender, _FORCE_KEYFRAME)
    setattr(sender, _FORCE_KEYFRAME, False)
    return requested


def force_keyframe(sender: RTCRtpSender) -> None:
    """Make the next frame that the sender encodes a key frame.

    Needs: `RTCRtpSender._send_keyframe()`.
    """
    sender._send_keyframe()
