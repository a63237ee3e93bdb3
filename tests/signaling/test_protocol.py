"""Messages as GStreamer's elements and gstwebrtc-api write and read them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.fields import MAX_DEPTH, MessageInvalid
from signaling.protocol import (
    Authenticate,
    ClientMessage,
    Consumers,
    EndSession,
    Error,
    ListConsumers,
    ListProducers,
    PeerInfo,
    PeerMessage,
    PeerRole,
    PeerStatusChanged,
    Producers,
    Resume,
    ServerMessage,
    SessionRequested,
    SessionStarted,
    SetPeerStatus,
    SetProtocolVersion,
    StartSession,
    Welcome,
    parse_client_message,
    parse_server_message,
    serialise,
)
from signaling.session import Candidate, Description, EndReason, IceServer

TURN = IceServer("turn:turn.example.org", "user", "secret")
CANDIDATE = "candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host"

# What `gstwebrtc-api` 3.0.0 and the elements of gst-plugins-rs send.
FROM_CLIENTS: list[tuple[str, ClientMessage]] = [
    ('{"type":"setProtocolVersion","version":"v1_0"}', SetProtocolVersion("v1_0")),
    ('{"type":"setPeerStatus","roles":["listener"],"meta":null}',
     SetPeerStatus(frozenset({PeerRole.LISTENER}))),
    ('{"type":"setPeerStatus","roles":["listener","producer"],"meta":{"name":"x"},"peerId":null}',
     SetPeerStatus(frozenset({PeerRole.LISTENER, PeerRole.PRODUCER}), {"name": "x"})),
    ('{"type":"list"}', ListProducers()),
    ('{"type":"listConsumers"}', ListConsumers()),
    ('{"type":"startSession","peerId":"p"}', StartSession("p")),
    ('{"type":"startSession","peerId":"p","offer":null}', StartSession("p")),
    ('{"type":"startSession","peerId":"p","offer":"v=0"}', StartSession("p", "v=0")),
    ('{"type":"endSession","sessionId":"s"}', EndSession("s")),
    ('{"type":"peer","sessionId":"s","sdp":{"type":"answer","sdp":"v=0"}}',
     PeerMessage("s", Description("answer", "v=0"))),
    ('{"type":"peer","sessionId":"s","ice":{"candidate":"' + CANDIDATE + '","sdpMLineIndex":1}}',
     PeerMessage("s", Candidate(CANDIDATE, None, 1))),
    ('{"type":"peer","sessionId":"s","ice":{"candidate":"","sdpMid":"0","sdpMLineIndex":0,'
     '"usernameFragment":"abcd"}}', PeerMessage("s", Candidate("", "0", 0))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), FROM_CLIENTS)
def test_what_gstreamers_clients_send_is_understood(text: str, message: ClientMessage) -> None:
    assert parse_client_message(text) == message


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (Welcome("p"), {"type": "welcome", "peerId": "p", "iceServers": []}),
        (PeerStatusChanged("p", frozenset({PeerRole.PRODUCER}), {"a": 1}),
         {"type": "peerStatusChanged", "peerId": "p", "roles": ["producer"], "meta": {"a": 1}}),
        (PeerStatusChanged("p", frozenset()),
         {"type": "peerStatusChanged", "peerId": "p", "roles": [], "meta": {}}),
        (Producers(()), {"type": "list", "producers": []}),
        (Producers((PeerInfo("p", {"a": 1}),)),
         {"type": "list", "producers": [{"id": "p", "meta": {"a": 1}}]}),
        (Consumers((PeerInfo("p"),)),
         {"type": "listConsumers", "consumers": [{"id": "p", "meta": {}}]}),
        (PeerMessage("s", Candidate(CANDIDATE, "0")),
         {"type": "peer", "sessionId": "s",
          "ice": {"candidate": CANDIDATE, "sdpMLineIndex": 0, "sdpMid": "0"}}),
        (Error("no"), {"type": "error", "details": "no"}),
    ],
)  # fmt: skip
def test_gstreamers_clients_get_every_field_that_they_need(
    message: ServerMessage, fields: dict[str, Any]
) -> None:
    assert json.loads(serialise(message)) == fields


@pytest.mark.parametrize(
    "message",
    [
        Authenticate("t"),
        Resume("key", 7),
        SetPeerStatus(frozenset({PeerRole.CONSUMER}), {"a": [1, {"b": None}]}, "room"),
        EndSession("s", EndReason.NOT_LIVE, "unplugged"),
    ],
)
def test_what_our_clients_send_beside_that_arrives(message: ClientMessage) -> None:
    assert parse_client_message(serialise(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        Welcome("p", "key", 3, (TURN, IceServer("stun:stun.example.org"))),
        SessionRequested("p", "s", "v=0", True, False, (TURN,)),
        SessionStarted("p", "s", True, False, (TURN,)),
        Error("no", EndReason.OVERLOADED, "p", "s"),
        Producers((PeerInfo("p", {"a": 1}), PeerInfo("q"))),
        Consumers((PeerInfo("p"),)),
        PeerStatusChanged("p", frozenset(PeerRole), {"a": 1}),
        PeerMessage("s", Description("offer", "v=0")),
    ],
)
def test_what_the_server_says_beside_that_arrives(message: ServerMessage) -> None:
    assert parse_server_message(serialise(message)) == message


def test_secrets_are_in_no_log() -> None:
    assert "hush" not in repr([Authenticate("hush"), Resume("hush"), Welcome("p", "hush")])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="no JSON"),
        pytest.param("[]", id="no object"),
        pytest.param("[" * 30000, id="deep"),
        pytest.param('{"type":"shout"}', id="unknown type"),
        pytest.param('{"type":["list"]}', id="type of a type"),
        pytest.param('{"type":"startSession"}', id="missing field"),
        pytest.param('{"type":"startSession","peerId":7}', id="number for a string"),
        pytest.param('{"type":"startSession","peerId":"%s"}' % ("x" * 257), id="long id"),
        pytest.param('{"type":"startSession","peerId":"\\ud800"}', id="half a character"),
        pytest.param('{"type":"setPeerStatus","roles":["king"]}', id="unknown role"),
        pytest.param('{"type":"setPeerStatus","roles":[["producer"]]}', id="nested role"),
        pytest.param('{"type":"setPeerStatus","roles":[],"meta":[]}', id="meta is no object"),
        pytest.param('{"type":"setPeerStatus","roles":[],"meta":{"a":NaN}}', id="NaN"),
        pytest.param('{"type":"setPeerStatus","roles":[],"meta":{"a":1e999}}', id="infinite"),
        pytest.param('{"type":"setPeerStatus","roles":[],"meta":' + '{"a":' * MAX_DEPTH + "1"
                     + "}" * MAX_DEPTH + "}", id="deep meta"),
        pytest.param('{"type":"peer","sessionId":"s"}', id="empty peer message"),
        pytest.param('{"type":"peer","sessionId":"s","sdp":{"type":"pranswer","sdp":""}}',
                     id="description of another type"),
        pytest.param('{"type":"peer","sessionId":"s","ice":{"candidate":"","sdpMLineIndex":-1}}',
                     id="negative index"),
        pytest.param('{"type":"peer","sessionId":"s","ice":{"candidate":"","sdpMLineIndex":true}}',
                     id="true as index"),
        pytest.param('{"type":"peer","sessionId":"s","ice":{"candidate":"%s"}}' % ("x" * 1025),
                     id="long candidate"),
        pytest.param('{"type":"endSession","sessionId":"s","reason":"bored"}', id="unknown reason"),
        pytest.param('{"type":"welcome","peerId":"p"}', id="a server's message"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_protocol_is_refused(text: str) -> None:
    with pytest.raises(MessageInvalid):
        parse_client_message(text)


def test_a_long_explanation_of_an_end_is_cut_and_the_end_heard() -> None:
    message = parse_client_message(serialise(EndSession("s", detail="x" * 1000)))
    assert message == EndSession("s", detail="x" * 256)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
names = ["type", "sessionId", "peerId", "roles", "meta", "sdp", "ice", "candidate", "token", "room"]


@given(
    st.sampled_from([json.loads(text) for text, _ in FROM_CLIENTS]),
    st.dictionaries(st.sampled_from(names), json_values, min_size=1),
)
def test_a_message_is_understood_or_refused_and_can_be_written_out(
    fields: dict[str, Any], changes: dict[str, Any]
) -> None:
    try:
        message = parse_client_message(json.dumps({**fields, **changes}))
    except MessageInvalid:
        return
    assert parse_client_message(serialise(message)).type == message.type


@given(st.text())
def test_any_text_is_understood_or_refused(text: str) -> None:
    with pytest.raises(MessageInvalid):
        parse_server_message(text)
