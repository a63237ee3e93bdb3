"""The surface against the machine-readable IDL: each member is offered as the IDL has it, or is
left out for a reason; what is offered beyond it is named, too. Fails when either side drifts.

`idl.json` is written by `scripts/update-idl` from npm's @webref/idl.
"""

import inspect
import json
from pathlib import Path

import pytest

import peer

IDL: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "idl.json").read_text())[
    "interfaces"
]

# Members of the IDL that are not offered, each with the reason.
LEFT_OUT: dict[str, str] = {
    "Blob.stream": "what is in memory as a whole needs no reading in pieces",
    "Blob.textStream": "the same",
    "RTCPeerConnection.onicecandidateerror": "what a server answers wrongly is in the log",
    "RTCRtpReceiver.jitterBufferTarget": "nothing that arrives in order is held back",
    "RTCPeerConnectionIceEvent.url": "of an old draft; the candidate's own url has taken its place",
}

# Operations of the IDL that are coroutines here, each with the reason.
COROUTINES = {
    "RTCPeerConnection.close": "as aiortc has it: when it returns everything has been let go of",
    "RTCPeerConnection.createOffer": "an overload for callbacks comes last in the IDL",
    "RTCPeerConnection.setLocalDescription": "the same",
    "RTCPeerConnection.createAnswer": "the same",
    "RTCPeerConnection.setRemoteDescription": "the same",
    "RTCPeerConnection.addIceCandidate": "the same",
}

# Public members that the IDL does not have, each with the reason.
ADDED = {
    "EventTarget": {"addEventListener", "removeEventListener", "dispatchEvent"},
    "MediaDevices": {
        "permissions",  # the policy object stands where a browser has its prompt
        "end",  # what closing the page is to a browser
        "closed",
    },
    "MediaStreamTrack": {"recv", "reader"},  # how a program reads samples
    "ImageBitmap": {"to_ndarray", "to_frame", "to_jpeg", "to_png"},  # there is no canvas
    "Permissions": {
        "handler", "state", "set_state", "request", "on_revocation",  # the policy itself
    },
    "RTCPeerConnection": {"onsendererror"},  # the specification's senders never fail
    "RTCRtpTransceiver": {"kind", "stopped"},  # as aiortc has them
    "OverconstrainedError": {"name", "message", "code"},  # DOMException's
}  # fmt: skip

MEMBERS = [(i, member, kind) for i, found in IDL.items() for member, kind in found.items()]


@pytest.mark.parametrize(("interface", "member", "kind"), MEMBERS)
@pytest.mark.spec("0.6", "2.1")
def test_each_member_is_offered_as_the_idl_has_it(interface: str, member: str, kind: str) -> None:
    cls = getattr(peer, interface)
    offered = inspect.getattr_static(cls, member, None)
    if f"{interface}.{member}" in LEFT_OUT:
        assert offered is None, "offered by now: take it off the list"
        return
    assert offered is not None, f"{interface}.{member} is missing, and no reason is given"
    if kind in ("readonly", "attribute", "handler"):
        assert isinstance(offered, property), "an attribute"
        assert (offered.fset is None) == (kind == "readonly")
    else:
        function = offered.__func__ if isinstance(offered, staticmethod) else offered
        promised = kind == "promise" or f"{interface}.{member}" in COROUTINES
        assert inspect.iscoroutinefunction(function) == promised
        assert callable(function)


@pytest.mark.parametrize("interface", sorted(IDL))
def test_nothing_is_offered_beyond_it_without_a_reason(interface: str) -> None:
    cls = getattr(peer, interface)
    ours = [c for c in cls.__mro__ if c.__module__.startswith("peer.")]
    public = {name for c in ours for name in vars(c) if not name.startswith("_")}
    in_idl = {name for c in ours for name in IDL.get(c.__name__, {})}
    added = ADDED["EventTarget"] | ADDED.get(interface, set())
    assert public - in_idl <= added | {"type", "target"}, "new: name it, with the reason"


def test_reasons_are_given_for_what_exists() -> None:
    known = {f"{interface}.{member}" for interface, member, _ in MEMBERS}
    assert set(LEFT_OUT) <= known


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (peer.MediaDevices.getUserMedia, ["constraints"]),
        (peer.MediaDevices.getDisplayMedia, ["options"]),
        (peer.MediaStreamTrack.applyConstraints, ["constraints"]),
        (peer.MediaStream.getTrackById, ["trackId"]),
        (peer.MediaStream.addTrack, ["track"]),
        (peer.CaptureController.setFocusBehavior, ["focusBehavior"]),
    ],
)
def test_arguments_have_the_names_of_the_idl(method: object, parameters: list[str]) -> None:
    assert list(inspect.signature(method).parameters)[1:] == parameters  # type: ignore[arg-type]
