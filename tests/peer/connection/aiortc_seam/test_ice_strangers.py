"""What ICE does about those who are none of its business (threats 8, 16 and 17 of SECURITY)."""

import asyncio
from typing import cast

import pytest
from aioice import stun
from aiortc import RTCCertificate, RTCDtlsParameters, RTCDtlsTransport, RTCIceTransport
from OpenSSL import SSL

from peer.connection.aiortc_seam import ice_gathering
from peer.connection.aiortc_seam.ice import IceTransport

from .ice_network import (
    PATIENCE,
    Peer,
    introduce,
    join,
    nothing_left,
    parameters,
    peer,
    receive,
    start_both,
    transports,
)

# A fatal handshake_failure: content type, DTLS 1.2, epoch and sequence number, length, alert.
ALERT = bytes.fromhex("15 fefd 0000 000000000000 0002 02 28")


def client_hello() -> bytes:
    """What begins a DTLS handshake, as any stranger can make it."""
    connection = SSL.Connection(SSL.Context(SSL.DTLS_METHOD), None)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(4096)


def targets(transport: IceTransport) -> list[tuple[str, int]]:
    return [(one.ip, one.port) for one in transport.candidates if ":" not in one.ip]


def check(
    transport: IceTransport, other: IceTransport, *, user: str = "", password: str = ""
) -> stun.Message:
    """A check as the other side sends it."""
    right_user, right_password = parameters(transport)
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{user or right_user}:{parameters(other)[0]}"
    request.attributes["PRIORITY"] = 1
    request.add_message_integrity((password or right_password).encode())
    return request


async def answered(sender: Peer, request: stun.Message, address: tuple[str, int]) -> None:
    """Send a check; returns when it is answered."""
    sender.transport.sendto(bytes(request), address)
    while True:
        message = stun.parse_message((await sender.next())[0])
        if message.transaction_id == request.transaction_id:
            assert message.message_class == stun.Class.RESPONSE
            return


async def sent_and_read(
    stranger: Peer, transport: IceTransport, other: IceTransport, datagrams: list[bytes]
) -> None:
    """Returns when the transport has read the datagrams: it answers a check that follows them."""
    for address in targets(transport):
        for datagram in datagrams:
            stranger.transport.sendto(datagram, address)
    async with peer() as known:
        for address in targets(transport):
            await answered(known, check(transport, other), address)


@pytest.mark.parametrize("server", [True, False], ids=["as server", "as client"])
@pytest.mark.parametrize("datagram", [client_hello(), ALERT], ids=["hello", "alert"])
async def test_a_stranger_cannot_end_the_handshake(server: bool, datagram: bytes) -> None:
    certificates = [RTCCertificate.generateCertificate() for _ in range(2)]
    async with transports() as (one, other), peer() as stranger:
        await join(one, other)
        await sent_and_read(stranger, one, other, [datagram] * 3)
        near, far = (
            RTCDtlsTransport(cast(RTCIceTransport, ice), [certificate])
            for ice, certificate in zip((one, other), certificates, strict=True)
        )
        # The controlling side is the server.
        roles = ("client", "server") if server else ("server", "client")
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(
                near.start(RTCDtlsParameters(certificates[1].getFingerprints(), roles[0])),
                far.start(RTCDtlsParameters(certificates[0].getFingerprints(), roles[1])),
            )
        assert near.state == far.state == "connected"
        await asyncio.gather(near.stop(), far.stop())


@pytest.mark.parametrize("started", [False, True])
async def test_a_flood_is_not_kept(started: bool) -> None:
    async with transports() as (one, other), peer() as stranger:
        await introduce(one, other)
        if started:
            await start_both(one, other)
        await sent_and_read(stranger, one, other, [b"\x80" * 1000] * 200)
        assert one._queue.empty()


async def test_every_validated_pair_may_bring_data() -> None:
    async with transports() as (one, other), peer() as roaming:
        await join(one, other)
        address = targets(one)[0]
        await answered(roaming, check(one, other), address)
        roaming.transport.sendto(b"\x80 from somewhere else", address)
        assert await receive(one) == b"\x80 from somewhere else"


async def test_a_wrong_password_gets_no_answer() -> None:
    async with transports() as (one, other), peer() as stranger:
        await one.gather()
        address = targets(one)[0]
        no_integrity = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        wrong_password = check(one, other, password="x" * 24)
        for wrong in (wrong_password, check(one, other, user="nobody"), no_integrity):
            stranger.transport.sendto(bytes(wrong), address)
        right = check(one, other)
        stranger.transport.sendto(bytes(right), address)
        answer, _source = await stranger.next()
        assert stun.parse_message(answer).transaction_id == right.transaction_id
        assert stranger.received.empty()


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x00",
        b"\x00\x01" + bytes(18),
        bytes.fromhex("0001 0008 2112a442") + bytes(12) + bytes.fromhex("0024 0001 01000000"),
        bytes.fromhex("0101 0004 2112a442") + bytes(12) + bytes.fromhex("0020 0000"),
    ],
    ids=["empty", "one byte", "no cookie", "short priority", "empty address"],
)
async def test_malformed_stun_is_nothing(datagram: bytes) -> None:
    errors: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: errors.append(context))
    async with transports() as (one, other), peer() as stranger:
        await one.gather()
        await sent_and_read(stranger, one, other, [datagram])
        assert one._queue.empty()
    assert not errors


async def test_a_check_without_priority_is_ignored() -> None:
    async with transports() as (one, other), peer() as stranger:
        await join(one, other)
        known = len(one.remote_candidates)
        incomplete = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        incomplete.attributes["USERNAME"] = f"{parameters(one)[0]}:{parameters(other)[0]}"
        incomplete.add_message_integrity(parameters(one)[1].encode())
        await answered(stranger, incomplete, targets(one)[0])
        assert len(one.remote_candidates) == known


# The policy of the caller


async def test_a_candidate_that_is_not_allowed_gets_no_checks() -> None:
    async with peer() as refused, peer() as allowed, nothing_left():
        transport = IceTransport(allow_remote=lambda one: one.port != refused.address[1])
        await transport.add_remote_candidate(refused.as_candidate())
        await transport.add_remote_candidate(allowed.as_candidate())
        starting = asyncio.create_task(transport.start(transport.parameters, controlling=True))
        for _ in range(2):
            await allowed.next()
        assert refused.received.empty()
        await transport.stop()
        with pytest.raises(ConnectionError):
            await starting


async def test_a_sender_of_checks_that_is_not_allowed_is_not_answered() -> None:
    async with peer() as refused, peer() as allowed:
        first = IceTransport(allow_remote=lambda one: one.port != refused.address[1])
        async with transports(first) as (one, other):
            await one.gather()
            refused.transport.sendto(bytes(check(one, other)), targets(one)[0])
            await answered(allowed, check(one, other), targets(one)[0])
            assert refused.received.empty()


@pytest.mark.parametrize(
    ("ip", "change"),
    [
        ("example.org", {}),
        ("", {}),
        ("127.0.0.1", {"protocol": "tcp"}),
        ("127.0.0.1", {"component": 2}),
        ("127.0.0.1", {"port": 0}),
        ("127.0.0.1", {"port": 70000}),
        ("127.0.0.1", {"type": "strange"}),
    ],
)
async def test_a_candidate_that_cannot_be_used_is_dropped(
    ip: str, change: dict[str, object]
) -> None:
    async with transports() as (one, _), peer() as some:
        candidate = some.as_candidate()
        vars(candidate).update({"ip": ip, **change})
        await one.add_remote_candidate(candidate)
        assert one.remote_candidates == []


async def test_remote_candidates_are_bounded() -> None:
    async with transports() as (one, _), peer() as some:
        for port in range(1024, 1200):
            candidate = some.as_candidate()
            candidate.port = port
            await one.add_remote_candidate(candidate)
        assert len(one.remote_candidates) == ice_gathering.MAX_REMOTE_CANDIDATES


# Names


class Resolver:
    """In place of multicast, which would leave this computer."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self.addresses = addresses
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def resolve(self, name: str, timeout: float) -> str | None:
        assert timeout <= 1.0
        self.asked.set()
        await self.answer.wait()
        return self.addresses.get(name)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    found = Resolver({"browser.local": "127.0.0.1", "router.local": "192.0.2.1"})

    async def get(subscriber: object) -> Resolver:
        return found

    monkeypatch.setattr(ice_gathering, "get_or_create_mdns_protocol", get)
    return found


async def test_a_name_is_resolved_without_delaying_others(resolver: Resolver) -> None:
    async with transports() as (one, _), peer() as named, peer() as numbered:
        candidate = named.as_candidate()
        candidate.ip = "browser.local"
        await one.add_remote_candidate(candidate)
        await one.add_remote_candidate(numbered.as_candidate())
        await one.add_remote_candidate(None)
        starting = asyncio.create_task(one.start(one.parameters, controlling=True))
        await numbered.next()
        assert resolver.asked.is_set()
        assert named.received.empty()
        resolver.answer.set()
        await named.next()
        assert "browser.local" in [one.ip for one in one.remote_candidates]
        await one.stop()
        with pytest.raises(ConnectionError):
            await starting


@pytest.mark.parametrize("name", ["router.local", "unknown.local"])
async def test_a_name_cannot_get_around_the_policy(resolver: Resolver, name: str) -> None:
    asked: list[str] = []

    def allow(candidate: object) -> bool:
        asked.append(candidate.ip)  # type: ignore[attr-defined]
        return asked[-1] != "192.0.2.1"

    async with transports(IceTransport(allow_remote=allow)) as (one, _), peer() as some:
        candidate = some.as_candidate()
        candidate.ip = name
        resolver.answer.set()
        await one.add_remote_candidate(candidate)
        await one.add_remote_candidate(None)
        await resolver.asked.wait()
        await asyncio.sleep(0)
        assert asked[0] == name
        assert one.remote_candidates == []


async def test_a_relay_is_not_told_what_a_name_hides(resolver: Resolver) -> None:
    async with transports(IceTransport(relay_only=True)) as (one, _), peer() as some:
        candidate = some.as_candidate()
        candidate.ip = "browser.local"
        await one.add_remote_candidate(candidate)
        await asyncio.sleep(0)
        assert not resolver.asked.is_set()


async def test_it_can_be_stopped_while_a_name_is_resolved(resolver: Resolver) -> None:
    async with nothing_left():
        transport = IceTransport()
        async with peer() as some:
            candidate = some.as_candidate()
            candidate.ip = "browser.local"
            await transport.add_remote_candidate(candidate)
            await resolver.asked.wait()
            await transport.stop()
