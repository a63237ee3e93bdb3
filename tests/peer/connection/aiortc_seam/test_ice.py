"""The ICE transport as its connection sees it."""

import asyncio
import contextlib

import pytest
from aiortc import InvalidStateError, RTCIceCandidate, RTCIceParameters, RTCIceServer

from peer.connection.aiortc_seam import ice, ice_agent
from peer.connection.aiortc_seam.ice import IceTransport

from .ice_network import (
    PATIENCE,
    introduce,
    join,
    joined_by_line,
    nothing_left,
    peer,
    receive,
    start_both,
    transports,
    wait_for_state,
)


async def test_it_begins_with_nothing() -> None:
    async with nothing_left():
        transport = IceTransport()
        assert transport.state == "new"
        assert transport.gathering_state == "new"
        assert transport.role == "controlled"
        assert transport.candidates == transport.remote_candidates == []
        assert transport.selected_pair is None
        assert transport.selected_path() is None
        assert transport.pair_statistics().packets_sent == 0
        with pytest.raises(ConnectionError):
            transport.send_now(b"\x80")
        await transport.stop()
        assert transport.state == "closed"


async def test_two_transports_connect_and_exchange_datagrams() -> None:
    async with transports() as (one, other):
        await join(one, other)
        assert (one.role, other.role) == ("controlling", "controlled")
        assert one.state == other.state == "completed"
        one.send_now(b"\x80 there")
        assert await receive(other) == b"\x80 there"
        await other._send(b"\x80 back")
        assert await receive(one) == b"\x80 back"


async def test_both_use_the_same_pair() -> None:
    async with transports() as (one, other):
        changed = asyncio.Event()
        other.on("selectedcandidatepairchange", changed.set)
        await join(one, other)
        assert one.selected_pair is not None
        near, far = one.selected_pair
        assert near in one.candidates
        async with asyncio.timeout(PATIENCE):
            while other.selected_pair is None or other.selected_pair[0].ip != far.ip:
                changed.clear()
                await changed.wait()
        assert other.selected_pair[0].port == far.port


async def test_datagrams_may_be_sent_through_the_socket_itself() -> None:
    async with transports() as (one, other):
        await join(one, other)
        path = one.selected_path()
        assert path is not None
        sock, address = path
        sock.sendmsg([b"\x80 part", b" and part"], [], 0, address)
        assert await receive(other) == b"\x80 part and part"


async def test_what_passes_is_counted() -> None:
    async with transports() as (one, other):
        await join(one, other)
        one.send_now(b"\x80" * 100)
        await receive(other)
        sent, received = one.pair_statistics(), other.pair_statistics()
        assert (sent.packets_sent, sent.bytes_sent) == (1, 100)
        assert (received.packets_received, received.bytes_received) == (1, 100)
        for statistics in (sent, received):
            assert statistics.requests_sent >= 1
            assert statistics.responses_received >= 1
            assert statistics.requests_received == statistics.responses_sent >= 1
            assert statistics.current_round_trip_time is not None
            assert statistics.total_round_trip_time >= statistics.current_round_trip_time > 0


async def test_a_round_trip_is_measured_when_wanted() -> None:
    async with transports() as (one, other):
        measured: list[float] = []
        one.measure_round_trip(measured.append)  # there is no pair as yet
        await join(one, other)
        before = one.pair_statistics().responses_received
        one.measure_round_trip(measured.append)
        async with asyncio.timeout(PATIENCE):
            while not measured:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
        assert one.pair_statistics().responses_received > before
        assert measured == [one.pair_statistics().current_round_trip_time]
        one.measure_round_trip(measured.append)  # and is stopped meanwhile


async def test_candidates_are_told_one_by_one_and_the_end_after_them() -> None:
    async with nothing_left():
        transport = IceTransport()
        told: list[RTCIceCandidate | None] = []
        states: list[str] = []
        transport.on("candidate", told.append)
        transport.on("gatheringstatechange", lambda: states.append(transport.gathering_state))
        await transport.gather(complete=True)
        assert told == [*transport.candidates, None]
        assert len(told) > 1
        assert states == ["gathering", "complete"]
        await transport.gather(complete=True)
        assert len(told) == len(transport.candidates) + 1, "gathered once"
        await transport.stop()


async def test_candidates_may_come_after_the_checks_have_begun() -> None:
    async with transports() as (one, other):
        await one.gather()
        await other.gather()
        starting = asyncio.create_task(start_both(one, other))
        await wait_for_state(one, "checking")
        await introduce(one, other)
        await starting
        assert one.selected_pair is not None


async def test_one_side_needs_no_candidates_of_the_other() -> None:
    async with transports() as (one, other):
        await one.gather()
        for candidate in one.candidates:
            await other.add_remote_candidate(candidate)
        await one.add_remote_candidate(None)
        await start_both(one, other)
        assert one.selected_pair is not None
        assert one.selected_pair[1].type == "prflx"


async def test_starting_twice_is_starting_once() -> None:
    async with transports() as (one, other):
        await introduce(one, other)
        await asyncio.gather(start_both(one, other), start_both(one, other))
        await start_both(one, other)


async def test_two_that_both_want_control_agree() -> None:
    async with transports() as (one, other):
        await introduce(one, other)
        await asyncio.gather(
            one.start(other.parameters, controlling=True),
            other.start(one.parameters, controlling=True),
        )
        assert {one.role, other.role} == {"controlling", "controlled"}


async def test_who_has_a_wrong_password_is_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice_agent, "CONNECT_TIMEOUT", 0.5)
    async with transports() as (one, other):
        await introduce(one, other)
        wrong = RTCIceParameters(other.parameters.usernameFragment, "x" * 24)
        results = await asyncio.gather(
            one.start(wrong, controlling=True),
            other.start(one.parameters, controlling=False),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [ConnectionError, ConnectionError]
        assert one.state == other.state == "failed"


async def test_the_oldest_datagrams_go_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "RECEIVE_QUEUE", 8)
    async with transports() as (one, other):
        await join(one, other)
        arrived = other.pair_statistics()
        for number in range(20):
            one.send_now(bytes([0x80, number]))
        async with asyncio.timeout(PATIENCE):
            while arrived.packets_received < 20:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert [(await receive(other))[1] for _ in range(8)] == list(range(12, 20))


# Restart


async def test_data_goes_on_while_ice_is_restarted() -> None:
    async with transports() as (one, other):
        await join(one, other)
        before = one.selected_pair
        changes: list[str] = []
        one.on("statechange", lambda: changes.append(one.state))
        one.on("selectedcandidatepairchange", lambda: changes.append("pair"))
        stop = asyncio.Event()
        sent = 0

        async def talk() -> None:
            nonlocal sent
            while not stop.is_set():
                one.send_now(b"\x80" + sent.to_bytes(4, "big"))
                sent += 1
                await asyncio.sleep(0)

        talking = asyncio.create_task(talk())
        old = one.parameters
        one.restart()
        other.restart()
        assert one.parameters.usernameFragment != old.usernameFragment
        assert one.parameters.password != old.password
        assert one.candidates == []
        await join(one, other)
        stop.set()
        await talking
        assert one.selected_pair != before
        assert "pair" in changes
        assert "checking" not in changes
        for number in range(sent):
            assert await receive(other) == b"\x80" + number.to_bytes(4, "big")


async def test_a_restart_can_be_given_up() -> None:
    async with transports() as (one, other):
        await join(one, other)
        before = one.parameters, one.candidates, one.selected_pair
        one.restart()
        await one.gather()
        one.rollback_restart()
        assert (one.parameters, one.candidates, one.selected_pair) == before
        one.send_now(b"\x80")
        assert await receive(other) == b"\x80"


async def test_a_restart_that_fails_leaves_the_old_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    async with transports() as (one, other), peer() as silent:
        await join(one, other)
        one.restart()
        await one.add_remote_candidate(silent.as_candidate())
        monkeypatch.setattr(ice_agent, "CONNECT_TIMEOUT", 0.2)
        with pytest.raises(ConnectionError):
            await one.start(RTCIceParameters("user", "x" * 24), controlling=True)
        assert one.state == "connected"
        one.send_now(b"\x80")
        assert await receive(other) == b"\x80"
        one.rollback_restart()
        assert one.state == "completed"


async def test_nothing_is_sent_without_consent_while_ice_is_restarted() -> None:
    """RFC 7675 5.1; the state is that of the new generation then, and does not change."""
    async with transports() as (one, other), peer() as silent:
        await join(one, other)
        paths: list[object] = []
        one.on("pathchange", lambda: paths.append(one.selected_path()))
        one._current._set_state("disconnected")
        one.restart()
        await one.add_remote_candidate(silent.as_candidate())
        starting = asyncio.create_task(
            one.start(RTCIceParameters("user", "x" * 24), controlling=True)
        )
        async with asyncio.timeout(5):
            while one.state != "checking":  # noqa: ASYNC110 - it is in the task's hands
                await asyncio.sleep(0.001)
        assert one.selected_path() is not None
        one._current._set_state("failed")
        assert one.state == "checking"
        assert paths == [None]
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting


async def test_a_failed_transport_can_be_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with transports() as (one, other):
        await introduce(one, other)
        with monkeypatch.context() as patch:
            patch.setattr(ice_agent, "CONNECT_TIMEOUT", 0.2)
            with pytest.raises(ConnectionError):
                await one.start(RTCIceParameters("user", "x" * 24), controlling=True)
        assert one.state == "failed"
        reading = asyncio.create_task(receive(one))
        one.restart()
        other.restart()
        await join(one, other)
        assert one.state == "completed"
        other.send_now(b"\x80")
        assert await reading == b"\x80", "whoever read all the time goes on reading"


# Liveness


async def test_a_silent_remote_side_is_missed_and_welcomed_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ice_agent, "SILENCE", 0.3)
    monkeypatch.setattr(ice_agent, "DISCONNECTED_AFTER", 1.0)
    async with joined_by_line() as (one, other, line):
        line.open = False
        await wait_for_state(one, "disconnected")
        await wait_for_state(other, "disconnected")
        assert one.selected_path() is not None, "it is still spoken to"
        line.open = True
        await wait_for_state(one, "connected")
        await wait_for_state(other, "connected")


async def test_a_remote_side_that_stays_silent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice_agent, "SILENCE", 0.3)
    monkeypatch.setattr(ice_agent, "DISCONNECTED_AFTER", 1.0)
    monkeypatch.setattr(ice_agent, "FAILED_AFTER", 2.0)
    async with joined_by_line() as (one, _other, line):
        line.open = False
        await wait_for_state(one, "failed")
        assert one.selected_path() is None
        with pytest.raises(ConnectionError):
            one.send_now(b"\x80 without consent")
        await one._send(b"\x80 lost")


async def test_the_network_tells_of_a_process_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ice_agent, "SILENCE", 1000.0)
    monkeypatch.setattr(ice_agent, "CONSENT_INTERVAL", 1000.0)
    monkeypatch.setattr(ice_agent, "DISCONNECTED_AFTER", 1000.0)
    async with transports() as (one, other):
        await join(one, other)
        await other.stop()
        one.send_now(b"\x80 is anybody there?")
        await wait_for_state(one, "disconnected")


# The end


async def test_stopping_ends_reading_and_sending() -> None:
    async with transports() as (one, other):
        await join(one, other)
        reading = asyncio.create_task(one._recv())
        states: list[str] = []
        one.on("statechange", lambda: states.append(one.state))
        await one.stop()
        with pytest.raises(ConnectionError):
            await reading
        with pytest.raises(ConnectionError):
            await one._recv()
        with pytest.raises(ConnectionError):
            one.send_now(b"\x80")
        with pytest.raises(ConnectionError):
            await one._send(b"\x80")
        assert states == ["closed"]
        for call in (one.gather(), one.start(other.parameters, controlling=True)):
            with pytest.raises(InvalidStateError):
                await call
        with pytest.raises(InvalidStateError):
            one.restart()
        await one.add_remote_candidate(None)


@pytest.mark.parametrize("turns", range(0, 12, 2))
async def test_it_can_be_stopped_at_any_time(turns: int) -> None:
    async with nothing_left(), peer() as silent:
        server = RTCIceServer(f"stun:127.0.0.1:{silent.address[1]}")
        one, other = IceTransport([server]), IceTransport([server])
        gathering = asyncio.create_task(one.gather(complete=True))
        starting = asyncio.create_task(one.start(other.parameters, controlling=True))
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.gather(one.stop(), one.stop(), other.stop())
        await gathering
        with pytest.raises(ConnectionError):
            await starting
        await one.stop()


async def test_it_can_be_stopped_while_it_checks() -> None:
    async with nothing_left(), peer() as silent:
        transport = IceTransport()
        await transport.add_remote_candidate(silent.as_candidate())
        starting = asyncio.create_task(
            transport.start(RTCIceParameters("user", "x" * 24), controlling=True)
        )
        await silent.next()
        await transport.stop()
        with pytest.raises(ConnectionError):
            await starting


@pytest.mark.parametrize("begun", [False, True])
async def test_it_can_be_stopped_while_it_restarts(begun: bool) -> None:
    async with transports() as (one, other):
        await join(one, other)
        one.restart()
        if begun:
            await one.gather()
        await one.stop()


async def test_it_can_be_stopped_right_after_a_restart() -> None:
    async with transports() as (one, other):
        await join(one, other)
        one.restart()
        other.restart()
        await join(one, other)
        await one.stop()


# Many interfaces


async def test_many_interfaces_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [f"127.0.0.{number}" for number in range(1, 101)]
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: many)
    async with nothing_left():
        transport = IceTransport()
        await transport.gather(complete=True)
        assert [one.ip for one in transport.candidates] == many[:16]
        assert len({one.priority for one in transport.candidates}) == 16
        await transport.stop()


async def test_an_interface_that_cannot_be_used_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["203.0.113.1", "127.0.0.1"]
    )
    async with nothing_left():
        transport = IceTransport()
        await transport.gather(complete=True)
        assert [one.ip for one in transport.candidates] == ["127.0.0.1"]
        await transport.stop()


async def test_a_computer_that_is_alone_talks_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: [])
    async with transports() as (one, other):
        await join(one, other)
        assert [candidate.ip for candidate in one.candidates] == ["127.0.0.1"]


def test_its_time_limits_are_in_order() -> None:
    assert ice_agent.CHECK_SECONDS <= ice_agent.DISCONNECTED_AFTER < ice_agent.FAILED_AFTER
