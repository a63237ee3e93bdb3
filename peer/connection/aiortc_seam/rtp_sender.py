"""Requests for key frames: those a sender has received, and those made of it."""

from aiortc import RTCRtpSender

_FORCE_KEYFRAME = "_RTCRtpSender__force_keyframe"


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
