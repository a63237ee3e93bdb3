import pytest

from signaling.cluster.messages import (
    Alive,
    Ask,
    Changed,
    Hello,
    Left,
    NodeMessage,
    Presence,
    Said,
    State,
    read,
    write,
)
from signaling.fields import MessageInvalid
from signaling.protocol import EndSession, PeerMessage, PeerRole, SessionRequested
from signaling.session import Candidate, Description, EndReason

CAMERA = Presence(
    "camera", frozenset({PeerRole.PRODUCER}), {"name": "Küche", "n": [1]}, "room", True, False
)


@pytest.mark.parametrize(
    "message",
    [
        Hello("a"),
        Alive("a", 7),
        Left("a"),
        Changed("a", 8, CAMERA),
        Changed("a", 9, Presence("camera")),
        Ask("a"),
        State("a", 9, (CAMERA, Presence("x")), frozenset({"s", "t"})),
        Said("a", "y", SessionRequested("x", "s", "v=0", may_control=True)),
        Said("a", "y", PeerMessage("s", Description("offer", "v=0\r\n"))),
        Said("a", "y", PeerMessage("s", Candidate("candidate:1", "0", 0))),
        Said("a", "y", EndSession("s", EndReason.LOST, "gone")),
    ],
    ids=lambda message: message.type,
)
def test_messages_survive_the_way(message: NodeMessage) -> None:
    assert read(write(message)) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        "{}",
        '{"type":"hello"}',
        '{"type":"bye","node":"a"}',
        '{"type":"alive","node":"a"}',
        '{"type":"changed","node":"a","version":1,"peer":7}',
        '{"type":"state","node":"a","version":1,"peers":[{"id":"x"}],"sessions":[]}',
        '{"type":"said","node":"a","recipient":"y","message":"{}"}',
    ],
)
def test_what_no_node_says_is_refused(text: str) -> None:
    with pytest.raises(MessageInvalid):
        read(text)
