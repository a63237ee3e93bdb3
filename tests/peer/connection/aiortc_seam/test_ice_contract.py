"""What the seam needs of aioice's private parts: fails, and says which, when a release changes one.

That they do what they are needed for is shown by the other tests of ICE.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from aioice import Candidate, Connection, ice, mdns, stun, turn
from aiortc import rtcicetransport

ATTRIBUTES = {
    "_check_list": list,
    "_closing": bool,
    "_early_checks_done": bool,
    "_local_candidates": list,
    "_local_candidates_end": bool,
    "_nominated": dict,
    "_protocols": list,
    "_remote_candidates": list,
    "_remote_candidates_end": bool,
}

METHODS = {
    Connection._add_remote_candidate: ["self", "remote_candidate", "network_host"],
    Connection._check_periodic: ["self"],
    Connection._pair_remote_candidate: ["self", "remote_candidate"],
    Connection._remote_candidates_expected: ["self"],
    # Not private, and still nobody's promise.
    Connection.build_request: ["self", "pair", "nominate"],
    Connection.check_complete: ["self", "pair"],
    Connection.check_incoming: ["self", "message", "addr", "protocol"],
    Connection.check_start_task: ["self", "pair"],
    Connection.check_state: ["self", "pair", "state"],
    Connection.data_received: ["self", "data", "component"],
    Connection.protocol_lost: ["self", "protocol"],
    Connection.query_consent: ["self"],
    Connection.request_received: ["self", "message", "addr", "protocol"],
    Connection.respond_error: ["self", "request", "addr", "protocol", "error_code"],
    Connection.sort_check_list: ["self"],
    ice.StunProtocol.__init__: ["self", "receiver"],
    ice.StunProtocol.datagram_received: ["self", "data", "addr"],
    ice.StunProtocol.error_received: ["self", "exc"],
    ice.StunProtocol.request: ["self", "request", "addr", "integrity_key", "retransmissions"],
    ice.StunProtocol.send_stun: ["self", "message", "addr"],
    ice.get_host_addresses: ["use_ipv4", "use_ipv6"],
    ice.get_or_create_mdns_protocol: ["subscriber"],
    mdns.MDnsProtocol.resolve: ["self", "hostname", "timeout"],
    mdns.is_mdns_hostname: ["name"],
    rtcicetransport.candidate_from_aioice: ["x"],
    rtcicetransport.candidate_to_aioice: ["x"],
}

CALLED_BY = [
    (Connection.connect, "_check_periodic"),
    (Connection.connect, "query_consent"),
    (Connection._check_periodic, "_remote_candidates_expected"),
    (Connection._check_periodic, "check_start_task"),
    (Connection._check_list_maybe_fail, "_remote_candidates_expected"),
    (Connection.check_start, "build_request"),
    (Connection.check_start, "check_complete"),
    (Connection.check_incoming, "check_complete"),
    (Connection.check_incoming, "check_start_task"),
    (Connection.request_received, "check_incoming"),
    (Connection.request_received, "respond_error"),
    (Connection.request_received, "send_stun"),
    (ice.StunProtocol.datagram_received, "request_received"),
    (ice.StunProtocol.datagram_received, "data_received"),
    (stun.Transaction._Transaction__retry, "send_stun"),  # type: ignore[attr-defined]
]


@pytest.mark.parametrize("name", ATTRIBUTES)
async def test_a_connection_has_the_attribute(name: str) -> None:
    found = getattr(Connection(ice_controlling=True), name, None)
    assert isinstance(found, ATTRIBUTES[name]), f"aioice's Connection.{name} is {found!r} now"


@pytest.mark.parametrize("function", METHODS, ids=lambda function: function.__qualname__)
def test_a_function_has_these_parameters(function: Callable[..., Any]) -> None:
    parameters = list(inspect.signature(function).parameters)
    assert parameters == METHODS[function], f"{function.__qualname__} has other parameters now"


@pytest.mark.parametrize(
    ("caller", "called"), CALLED_BY, ids=[f"{one.__qualname__}-{name}" for one, name in CALLED_BY]
)
def test_an_overridden_method_is_called(caller: Callable[..., Any], called: str) -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(caller)))
    calls = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert called in calls, f"aioice's {caller.__qualname__} no longer calls {called}()"


def test_a_candidate_keeps_its_address_apart_from_its_name() -> None:
    candidate = Candidate.from_sdp("1 1 udp 1 192.0.2.1 9 typ host")
    assert candidate._network_host == "192.0.2.1", "aioice's Candidate._network_host is gone"


def test_a_relay_is_opened_with_these_arguments() -> None:
    parameters = set(inspect.signature(ice.relayed_candidate).parameters)
    assert parameters == {
        "component",
        "hide_related_address",
        "protocol_factory",
        "turn_server",
        "turn_username",
        "turn_password",
        "turn_ssl",
        "turn_transport",
    }, "aioice's relayed_candidate() has other parameters now"


def test_a_relay_can_be_abandoned() -> None:
    relay = turn.TurnTransport(None)  # type: ignore[arg-type]
    for name in ("_TurnTransport__close_task", "_TurnTransport__send_tasks"):
        assert hasattr(relay, name), f"aioice's {name} is gone"
    # Cancelling the first closes the socket.
    source = inspect.getsource(turn.TurnClientMixin.delete)
    assert "finally:" in source, "aioice's TurnClientMixin.delete() no longer always closes"


@pytest.mark.parametrize("state", ["WAITING", "IN_PROGRESS", "SUCCEEDED"])
def test_a_pair_has_the_state(state: str) -> None:
    assert hasattr(ice.CandidatePair.State, state), f"aioice's CandidatePair.State.{state} is gone"


def test_a_check_that_is_not_answered_takes_as_long_as_consent_assumes() -> None:
    # One retransmission after RETRY_RTO, and twice that until it is given up.
    assert stun.RETRY_RTO == 0.5, "aioice's time-outs have changed: see CHECK_SECONDS"


def test_aioice_still_passes_datagrams_of_strangers_on() -> None:
    """When this fails the guard in IceProtocol has been built into aioice, and may go."""
    source = inspect.getsource(ice.StunProtocol.datagram_received)
    assert "self.receiver.data_received(data, self.local_candidate.component)" in source
    assert "addr" not in inspect.signature(Connection.data_received).parameters


def test_aioice_still_leaves_triggered_checks_out() -> None:
    """When this fails IceAgent.check_incoming() may do less."""
    assert "IN_PROGRESS" not in inspect.getsource(Connection.check_incoming)
