"""ICE servers: what people write, what headers carry, and whether a real coturn believes it."""

import asyncio
import base64
import hashlib
import hmac
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aioice
import pytest
from aioice import stun, turn
from hypothesis import given
from hypothesis import strategies as st

from signaling.ice import (
    LIFETIME,
    IceConfiguration,
    link_headers,
    parse_ice_server,
    parse_link_headers,
)
from signaling.session import IceServer

from ..processes import send_signal

SECRET = "what both sides know"
START_TIMEOUT = 20
"""Seconds for coturn to listen: far more than it takes."""


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("stun:example.org", IceServer("stun:example.org")),
        ("stun:192.0.2.1:3478", IceServer("stun:192.0.2.1:3478")),
        ("turn:[2001:db8::1]:99", IceServer("turn:[2001:db8::1]:99")),
        ("turns:a.example:443?transport=tcp,me,pass",
         IceServer("turns:a.example:443?transport=tcp", "me", "pass")),
        ("turn:a,me,commas, and = and \"", IceServer("turn:a", "me", "commas, and = and \"")),
    ],
)  # fmt: skip
def test_a_server_is_read(text: str, server: IceServer) -> None:
    assert parse_ice_server(text) == server


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no ICE server"),
        ("host", "is no ICE server"),
        ("http://host", "is no ICE server"),
        ("stun://host", "is no ICE server"),
        ("stun:", "is no ICE server"),
        ("stun:host:0", "is no ICE server"),
        ("stun:host:65536", "is no ICE server"),
        ("stun:host>;evil", "is no ICE server"),
        ("stun:host\r\nX: y", "is no ICE server"),
        ("turn:host?transport=sctp,a,b", "is no ICE server"),
        ("turn:h\N{LATIN SMALL LETTER O WITH DIAERESIS}st,a,b", "is no ICE server"),
        ("stun:host,me,pass", "a STUN server takes no"),
        ("stun:host?transport=udp", "a STUN server takes no"),
        ("turn:host,me", "takes a user and a password"),
        ("turn:host,me,", "takes a user and a password"),
        ("turn:host,me,a\rb", "printable ASCII only"),
    ],
)
def test_a_mistake_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_ice_server(text)


def test_a_password_is_not_in_the_message() -> None:
    with pytest.raises(ValueError, match="printable") as caught:
        parse_ice_server("turn:host,me,secr\tet")
    assert "secr" not in str(caught.value)


def test_a_relay_needs_an_account_or_the_secret() -> None:
    servers = (parse_ice_server("stun:a"), parse_ice_server("turn:b"))
    with pytest.raises(ValueError, match="takes a user and a password after commas, or the secret"):
        IceConfiguration(servers)
    IceConfiguration(servers, SECRET)


def test_only_the_relay_without_an_account_gets_one() -> None:
    servers = (IceServer("stun:a"), IceServer("turn:b", "me", "pass"), IceServer("turn:c"))
    stun_server, own, made = IceConfiguration(servers, SECRET).servers("viewer", 1000.9)
    assert (stun_server, own) == servers[:2]
    assert made.username == f"{1000 + int(LIFETIME)}:viewer"
    mac = hmac.new(SECRET.encode(), made.username.encode(), hashlib.sha1).digest()
    assert made.credential == base64.b64encode(mac).decode()


@pytest.mark.parametrize("name", ['a"b\r\nc', "1:2", "\N{SNOWMAN}", "x" * 1000])
def test_a_name_that_somebody_chose_does_no_harm(name: str) -> None:
    (server,) = IceConfiguration((IceServer("turn:a"),), SECRET).servers(name, 0)
    assert server.username is not None
    assert server.username.count(":") == 1
    assert len(server.username) < 80
    assert parse_link_headers(link_headers([server])) == (server,)


def test_links_are_written_as_rfc_9725_has_them() -> None:
    assert link_headers(
        [IceServer("stun:a:1"), IceServer("turn:b:2?transport=udp", 'm"e', "p\\s")]
    ) == [
        '<stun:a:1>; rel="ice-server"',
        '<turn:b:2?transport=udp>; rel="ice-server"; username="m\\"e"; credential="p\\\\s"; '
        'credential-type="password"',
    ]


@pytest.mark.parametrize(
    "server",
    [
        IceServer("stun:a>; rel=evil"),
        IceServer("turn:a", "new\r\nline", "p"),
        IceServer("turn:a", "u", "\N{SNOWMAN}"),
    ],
)
def test_what_a_header_can_t_carry_is_refused(server: IceServer) -> None:
    with pytest.raises(ValueError, match="in a header"):
        link_headers([server])


printable = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(st.lists(st.tuples(printable, printable)))
def test_links_survive_the_way(accounts: list[tuple[str, str]]) -> None:
    servers = tuple(IceServer(f"turn:a:{n + 1}", *account) for n, account in enumerate(accounts))
    links = link_headers(servers)
    assert parse_link_headers(links) == servers
    assert parse_link_headers([", ".join(links)]) == servers, "one header for all"


@given(st.text(st.sampled_from('<>;,="\\ atsunr:ice-server'), max_size=60))
def test_no_header_breaks_the_parser(header: str) -> None:
    parse_link_headers([header])


@pytest.mark.parametrize(
    ("header", "servers"),
    [
        ("<stun:a>; rel=ice-server", ["stun:a"]),
        ('<stun:a>;REL="next ICE-server";x', ["stun:a"]),
        ('<https://a/>; rel="next", <stun:b>; rel="ice-server"', ["stun:b"]),
        ('<https://a/>; title="<stun:evil>; rel=ice-server", <stun:b>; rel=ice-server', ["stun:b"]),
        ("<https://a/>; rel=ice-server", []),
        ("<turn:a>; rel=ice-server; username=u", []),
        ("<turn:a>; rel=ice-server; username=u; credential=c; credential-type=oauth", []),
        ('<stun:a>; rel="ice-server', []),
        ("stun:a; rel=ice-server", []),
    ],
)
def test_links_of_others_are_read(header: str, servers: list[str]) -> None:
    assert [server.urls for server in parse_link_headers([header])] == servers


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[int]:
    """A real TURN server on loopback that shares the secret; its port."""
    program = shutil.which("turnserver")
    if program is None:
        pytest.skip("needs turnserver: install the package coturn")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    configuration = tmp_path / "turnserver.conf"
    configuration.write_text(
        "use-auth-secret\nallow-loopback-peers\nno-cli\nno-tls\nno-dtls\nrealm=test\n"
        f"static-auth-secret={SECRET}\nlistening-port={port}\nlog-file=stdout\n"
        f"listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\npidfile={tmp_path / 'pid'}\n"
        f"userdb={tmp_path / 'users.sqlite'}\n"
    )
    process = await asyncio.create_subprocess_exec(
        program, "-c", str(configuration),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(START_TIMEOUT):
            await listens(port)
        yield port
    finally:
        send_signal(process, signal.SIGKILL)
        await process.wait()


async def listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        await writer.wait_closed()
        return


def credentials(port: int, secret: str = SECRET, *, age: float = 0) -> IceServer:
    """What a session was told so many seconds ago."""
    servers = (parse_ice_server(f"turn:127.0.0.1:{port}"),)
    (server,) = IceConfiguration(servers, secret).servers("viewer", time.time() - age)
    return server


def connection(port: int, *, controlling: bool) -> aioice.Connection:
    """One that has relay candidates only."""
    server = credentials(port)
    return aioice.Connection(
        ice_controlling=controlling,
        turn_server=("127.0.0.1", port),
        turn_username=server.username,
        turn_password=server.credential,
        transport_policy=aioice.TransportPolicy.RELAY,
    )


async def test_two_peers_talk_through_the_relay(relay: int) -> None:
    ours, theirs = connection(relay, controlling=True), connection(relay, controlling=False)
    try:
        for here in (ours, theirs):
            await here.gather_candidates()
            assert [candidate.type for candidate in here.local_candidates] == ["relay"]
        for here, there in ((ours, theirs), (theirs, ours)):
            here.remote_username, here.remote_password = there.local_username, there.local_password
            for candidate in there.local_candidates:
                await here.add_remote_candidate(candidate)
            await here.add_remote_candidate(None)
        await asyncio.gather(ours.connect(), theirs.connect())
        await ours.send(b"to you")
        assert await theirs.recv() == b"to you"
        await theirs.send(b"and to you")
        assert await ours.recv() == b"and to you"
    finally:
        await asyncio.gather(ours.close(), theirs.close())


@pytest.mark.parametrize(
    ("secret", "age"),
    [
        pytest.param(SECRET, LIFETIME + 1, id="expired"),
        pytest.param("another", 0, id="another secret"),
    ],
)
async def test_the_relay_refuses(relay: int, secret: str, age: float) -> None:
    server = credentials(relay, secret, age=age)
    with pytest.raises(stun.TransactionFailed) as caught:
        await turn.create_turn_endpoint(
            asyncio.DatagramProtocol,
            server_addr=("127.0.0.1", relay),
            username=server.username,
            password=server.credential,
        )
    assert caught.value.response.attributes["ERROR-CODE"][0] == 401
