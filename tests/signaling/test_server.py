"""The server over real sockets: WHEP, the page, and every guard."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from signaling import (
    Ended,
    EndReason,
    ServerConfig,
    ServerStartError,
    SignalingServer,
)

from .conftest import CONTROL_TOKEN, LIMITS, TOKEN, StubPeer, answer
from .test_sdp_guard import OFFER, candidate

SDP = {"Content-Type": "application/sdp"}


@contextlib.asynccontextmanager
async def connection(
    server: SignalingServer,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    yield reader, writer
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def start(http: aiohttp.ClientSession, offer: str = OFFER) -> aiohttp.ClientResponse:
    return await http.post("/whep/camera", data=offer, headers=SDP)


async def test_a_session_from_post_to_delete(
    http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    response = await start(http)
    assert response.status == 201
    assert response.content_type == "application/sdp"
    assert await response.text() == answer()
    location, etag = response.headers["Location"], response.headers["ETag"]
    assert etag.startswith('"')
    [session_id] = producer.offers
    assert location == f"/whep/camera/{session_id}"
    assert len(session_id) >= 43, "256 bits"

    async with http.get(location) as look:
        assert (look.status, await look.read()) == (204, b"")
    async with http.delete(location) as gone:
        assert gone.status == 200
    assert producer.ended == {session_id: Ended(EndReason.CLOSED)}
    async with http.delete(location) as again:
        assert again.status == 404
    async with http.get(location) as look:
        assert look.status == 404


async def test_options_tell_without_a_token(server: SignalingServer) -> None:
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http,
        http.options(
            "/whep/camera", headers={"Origin": f"http://127.0.0.1:{server.port}"}
        ) as response,
    ):
        assert response.status == 204
        assert response.headers["Accept-Post"] == "application/sdp"
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert "Location" in response.headers["Access-Control-Expose-Headers"]


async def test_head_and_get_of_the_endpoint_carry_nothing(http: aiohttp.ClientSession) -> None:
    async with http.head("/whep/camera") as response:
        assert (response.status, response.content_type) == (200, "application/sdp")
    async with http.get("/whep/camera") as response:
        assert (response.status, await response.read()) == (204, b"")
    async with http.head("/whep/nobody") as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("offer", "content_type", "status"),
    [
        pytest.param(OFFER, "application/json", 415, id="wrong type"),
        pytest.param("hello", "application/sdp", 400, id="malformed"),
        pytest.param(OFFER + "a=refuse-me\r\n", "application/sdp", 422, id="rejected"),
        pytest.param(OFFER + "a=x:" + "y" * 70000, "application/sdp", 413, id="too large"),
    ],
)
async def test_bad_offers_get_a_problem_document(
    server: SignalingServer, http: aiohttp.ClientSession, offer: str, content_type: str, status: int
) -> None:
    async with http.post(
        "/whep/camera", data=offer, headers={"Content-Type": content_type}
    ) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        problem = await response.json(content_type=None)
        assert problem["status"] == status
        assert problem["detail"]
    assert server.hub.switchboard.sessions == {}


@pytest.mark.parametrize(
    ("reason", "status", "waits"),
    [
        (EndReason.NOT_LIVE, 409, True),
        (EndReason.MALFORMED, 400, False),
        (EndReason.REJECTED, 422, False),
        (EndReason.OVERLOADED, 503, True),
        (EndReason.UNAUTHORIZED, 401, False),
        (EndReason.FAILED, 503, True),
        (EndReason.LOST, 503, True),
        (EndReason.CLOSED, 503, True),
    ],
)
async def test_why_a_producer_ends_a_session_becomes_a_status(
    http: aiohttp.ClientSession,
    producer: StubPeer,
    reason: EndReason,
    status: int,
    waits: bool,
) -> None:
    producer.refusal = Ended(reason, "the camera is unplugged")
    response = await start(http)
    assert response.status == status
    assert ("Retry-After" in response.headers) is waits
    assert (await response.json(content_type=None))["detail"] == "the camera is unplugged"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/producers"),
        ("POST", "/whep/camera"),
        ("GET", "/whep/camera"),
        ("DELETE", "/whep/camera/whatever"),
    ],
)
@pytest.mark.parametrize("authorization", [None, "Bearer wrong"])
async def test_everything_but_page_and_preflight_needs_the_token(
    server: SignalingServer, method: str, path: str, authorization: str | None
) -> None:
    base = f"http://127.0.0.1:{server.port}"
    headers = {**SDP, "Origin": base}
    if authorization:
        headers["Authorization"] = authorization
    async with (
        aiohttp.ClientSession(base) as http,
        http.request(method, path, data=OFFER, headers=headers) as response,
    ):
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_page_of_another_site_can_change_nothing(
    http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    evil = {"Origin": "http://evil.example"}
    async with http.post("/whep/camera", data=OFFER, headers={**SDP, **evil}) as response:
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers
    async with http.options("/whep/camera", headers=evil) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
    assert producer.offers == {}


async def test_a_host_name_that_is_not_ours_is_misdirected(http: aiohttp.ClientSession) -> None:
    async with http.get("/", headers={"Host": "rebound.example"}) as response:
        assert response.status == 421


async def test_without_a_token_origin_still_counts() -> None:
    server = SignalingServer(ServerConfig(port=0, token=None))
    await server.start()
    producer = StubPeer(server.hub, "camera")
    await producer.start()
    base = f"http://127.0.0.1:{server.port}"
    async with aiohttp.ClientSession(base) as http:
        for origin, status in ((None, 403), ("http://evil.example", 403), (base, 201)):
            headers = {**SDP, "Origin": origin} if origin else SDP
            async with http.post("/whep/camera", data=OFFER, headers=headers) as response:
                assert response.status == status
    await producer.close()
    await server.stop()


async def test_an_upgrade_is_no_way_around_the_origin() -> None:
    server = SignalingServer(ServerConfig(port=0, token=None))
    await server.start()
    headers = {**SDP, "Upgrade": "websocket", "Connection": "Upgrade"}
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http,
        http.post("/whep/camera", data=OFFER, headers=headers) as response,
    ):
        assert response.status == 403
    await server.stop()


async def test_candidates_are_filtered_before_the_producer_sees_them(
    http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    metadata, loopback = candidate("169.254.169.254"), candidate("127.0.0.1")
    response = await start(http, f"{OFFER}{metadata}\r\n{loopback}\r\n")
    assert response.status == 201
    [[seen]] = producer.offers.values()
    assert metadata not in seen
    assert loopback in seen, "the server is bound to loopback"


async def test_there_are_so_many_places_and_no_more(http: aiohttp.ClientSession) -> None:
    statuses = [(await start(http)).status for _ in range(LIMITS.sessions + 1)]
    assert statuses == [201] * LIMITS.sessions + [503]


async def test_one_address_can_not_start_sessions_without_end(http: aiohttp.ClientSession) -> None:
    for _ in range(LIMITS.starts_per_address):
        response = await start(http)
        if response.status == 201:
            await http.delete(response.headers["Location"])
    response = await start(http)
    assert response.status == 429
    assert response.headers["Retry-After"]


async def test_an_idle_connection_is_closed(server: SignalingServer) -> None:
    async with connection(server) as (reader, _):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)


async def test_a_connection_that_idles_after_a_request_is_closed(server: SignalingServer) -> None:
    async with connection(server) as (reader, writer), asyncio.timeout(30):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")


async def test_dripped_headers_are_cut_off(server: SignalingServer) -> None:
    async with connection(server) as (reader, writer), asyncio.timeout(30):

        async def drip() -> None:
            writer.write(b"GET / HTTP/1.1\r\nHost: local")
            while True:
                writer.write(b"x")
                await asyncio.sleep(LIMITS.header_timeout / 10)

        dripping = asyncio.create_task(drip())
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        dripping.cancel()


async def test_a_stalled_body_is_a_time_out(server: SignalingServer, producer: StubPeer) -> None:
    async with connection(server) as (reader, writer):
        writer.write(
            f"POST /whep/camera HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Type: application/sdp\r\nContent-Length: 1000\r\n\r\nv=0".encode()
        )
        assert (await reader.readline()).split()[1] == b"408"


async def test_connections_are_capped_per_address(server: SignalingServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(connection(server))
            for _ in range(LIMITS.connections_per_address + 1)
        ]
        for _, writer in connections:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        *served, (refused, _) = connections
        for reader, _ in served:
            assert (await reader.readline()).split()[1] == b"200"
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await refused.readexactly(1)


async def test_connections_are_capped_in_all() -> None:
    limits = replace(LIMITS, connections=1)
    server = SignalingServer(ServerConfig(port=0, token=TOKEN, limits=limits))
    await server.start()
    async with connection(server) as (served, asks):
        asks.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await served.readline()).split()[1] == b"200"
        other = await asyncio.open_connection("127.0.0.1", server.port, local_addr=("127.0.0.2", 0))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await other[0].readexactly(1)
        other[1].close()
    await server.stop()


async def test_the_page_carries_its_policy(http: aiohttp.ClientSession) -> None:
    async with http.get("/") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/pyproject.toml", "/web/index.html", "/etc/passwd"]
)
async def test_no_path_leads_out_of_the_page(server: SignalingServer, path: str) -> None:
    async with connection(server) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == b"404"


async def test_the_list_of_producers(http: aiohttp.ClientSession) -> None:
    async with http.get("/api/producers") as response:
        assert await response.json() == {
            "producers": [{"id": "camera", "label": "Camera", "live": True, "tracks": []}],
            "mayControl": False,
        }


@pytest.mark.parametrize(
    ("token", "bearer", "status", "may_control"),
    [
        (TOKEN, TOKEN, 201, False),
        (TOKEN, CONTROL_TOKEN, 201, True),
        (TOKEN, "something else entirely", 401, None),
        (None, CONTROL_TOKEN, 201, True),
        (None, "something else entirely", 201, False),
    ],
)
async def test_only_the_control_token_lets_control(
    token: str | None, bearer: str, status: int, may_control: bool | None
) -> None:
    server = SignalingServer(ServerConfig(port=0, token=token, control_token=CONTROL_TOKEN))
    await server.start()
    producer = StubPeer(server.hub, "camera")
    await producer.start()
    base = server.url.partition("#")[0]
    headers = {"Authorization": f"Bearer {bearer}", "Origin": base.rstrip("/")}
    try:
        assert server.control_url.endswith(f"#t={CONTROL_TOKEN}")
        async with aiohttp.ClientSession(headers=headers) as http:
            async with http.get(f"{base}api/producers") as response:
                if status == 201:
                    assert (await response.json())["mayControl"] is may_control
            posted = http.post(f"{base}whep/camera", data=OFFER, headers=SDP)
            async with posted as response:
                assert response.status == status
        assert producer.may_control == ([] if may_control is None else [may_control])
    finally:
        await producer.close()
        await server.stop()


async def test_a_busy_port_is_one_clear_line(server: SignalingServer) -> None:
    other = SignalingServer(ServerConfig(port=server.port, token=TOKEN))
    with pytest.raises(ServerStartError, match=r"port is in use; choose another with --port"):
        await other.start()


async def test_an_address_of_another_machine_is_one_clear_line() -> None:
    server = SignalingServer(ServerConfig(host="192.0.2.200", port=0, token=TOKEN))
    with pytest.raises(ServerStartError, match="does not have that address"):
        await server.start()


async def test_no_token_beyond_loopback_must_be_said() -> None:
    closed = SignalingServer(ServerConfig(host="0.0.0.0", port=0))
    with pytest.raises(ServerStartError, match="needs a token"):
        await closed.start()
    told = ServerConfig(host="0.0.0.0", port=0, open_to_all=True)
    assert any("anybody" in line for line in SignalingServer(told).warnings)


async def test_stopping_ends_sessions_and_closes_connections(
    server: SignalingServer, http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    await start(http)
    port = server.port
    await server.stop()
    await asyncio.sleep(0)
    assert list(producer.ended) == list(producer.offers)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_metrics_count_what_is_and_was(http: aiohttp.ClientSession) -> None:
    await start(http)
    async with http.delete("/whep/camera/nothing") as response:
        assert response.status == 404
    async with http.get("/metrics") as response:
        assert response.content_type == "text/plain"
        lines = (await response.text()).splitlines()
    for line in (
        "signaling_peers 2",
        "signaling_sessions 1",
        "signaling_sessions_begun_total 1",
        'signaling_messages_total{type="peer"} 1',
        'signaling_refusals_total{reason="404"} 1',
    ):
        assert line in lines
    async with http.get("/metrics", headers={"Authorization": ""}) as response:
        assert response.status == 401


async def test_no_metrics_unless_asked_for() -> None:
    server = SignalingServer(ServerConfig(port=0, token=TOKEN))
    await server.start()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
        http.get(f"http://127.0.0.1:{server.port}/metrics") as response,
    ):
        assert response.status == 404
    await server.stop()


async def test_ws_is_for_websockets_only(http: aiohttp.ClientSession) -> None:
    async with http.get("/ws") as response:
        assert response.status == 404
