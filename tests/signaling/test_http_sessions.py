"""WHIP and WHEP sessions over real sockets: SECURITY's checklist."""

import asyncio
import re
from dataclasses import replace

import aiohttp
import pytest

from signaling import (
    Candidate,
    Description,
    Ended,
    EndReason,
    Message,
    PeerRole,
    ServerConfig,
    SignalingServer,
)
from signaling.ice import IceConfiguration, parse_ice_server

from .conftest import CONTROL_TOKEN, LIMITS, PUBLISH_TOKEN, TOKEN, StubPeer, answer
from .test_sdp_guard import OFFER, candidate
from .test_whip import HOST, TRICKLE

SDP = {"Content-Type": "application/sdp"}
SDPFRAG = {"Content-Type": "application/trickle-ice-sdpfrag"}
PUBLISHER = {"Authorization": f"Bearer {PUBLISH_TOKEN}"}
SENDING = OFFER.replace("a=recvonly", "a=sendonly")
RESTART = TRICKLE.replace("abcd\r", "new1\r").replace("abcdefghijklmnopqrstuv", "n" * 22)
EARLY = answer().partition("a=candidate")[0]
"""An answer that is sent before its candidates are known."""


@pytest.fixture
def config(config: ServerConfig) -> ServerConfig:
    servers = tuple(map(parse_ice_server, ("stun:192.0.2.3:3478", "turn:192.0.2.3:3478")))
    return replace(config, ice=IceConfiguration(servers, turn_secret="shared"))


async def start(
    http: aiohttp.ClientSession, path: str = "/whep/camera", offer: str = OFFER
) -> aiohttp.ClientResponse:
    headers = {**SDP, **(PUBLISHER if path.startswith("/whip") else {})}
    response = await http.post(path, data=offer, headers=headers)
    await response.read()
    return response


async def patch(
    http: aiohttp.ClientSession, session: aiohttp.ClientResponse, body: str, **headers: str
) -> aiohttp.ClientResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await http.patch(
        session.headers["Location"], data=body, headers={**SDPFRAG, **named}
    )
    await response.read()
    return response


async def test_the_answer_names_ice_servers_with_credentials_that_expire(
    http: aiohttp.ClientSession,
) -> None:
    stun, turn = (await start(http)).headers.getall("Link")
    assert stun == '<stun:192.0.2.3:3478>; rel="ice-server"'
    assert re.search(r'username="\d{10}:', turn)
    assert 'credential="' in turn
    assert "shared" not in turn


async def test_an_answer_gets_the_candidates_that_come_after_it(
    http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    producer.says = [Description("answer", EARLY), Candidate(HOST, "0"), Candidate("")]
    response = await start(http)
    assert await response.text() == f"{EARLY}a={HOST}\r\na=end-of-candidates\r\n"


async def test_candidates_are_not_waited_for_without_end(
    http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    producer.says = [Description("answer", EARLY), Candidate(HOST, "0")]
    response = await start(http)
    assert response.status == 201
    assert f"a={HOST}" in await response.text()


async def test_an_answer_gets_so_many_candidates_and_no_more(
    http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    flood = [Candidate(HOST, "0")] * (LIMITS.candidates + 8)
    producer.says = [Description("answer", EARLY), *flood, Candidate("")]
    response = await start(http)
    assert (await response.text()).count("a=candidate:") == LIMITS.candidates


async def test_no_answer_in_time_is_503_and_no_session(
    server: SignalingServer, http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    producer.silent = True
    response = await start(http)
    assert response.status == 503
    assert response.headers["Retry-After"]
    assert server.hub.switchboard.sessions == {}
    [ended] = producer.ended.values()
    assert ended.reason is EndReason.FAILED


async def test_a_producer_that_only_offers_is_422_at_once(
    server: SignalingServer, http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    producer.says = [Description("offer", OFFER)]
    response = await start(http)
    assert response.status == 422
    assert server.hub.switchboard.sessions == {}


async def test_an_offer_later_is_not_for_a_client_that_can_not_answer(
    http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    session = await start(http)
    producer.says = [Description("offer", OFFER), Description("answer", answer(1))]
    assert (await patch(http, session, RESTART, If_Match="*")).status == 200


async def test_an_end_between_answer_and_candidates_is_no_session(
    server: SignalingServer, http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    producer.says = [Description("answer", EARLY), Ended(EndReason.NOT_LIVE, "unplugged")]
    response = await start(http)
    assert response.status == 409
    assert set(server.hub.switchboard.peers) == {"camera"}


@pytest.mark.parametrize("if_match", ["none", "own", "any"])
async def test_candidates_trickle(
    http: aiohttp.ClientSession, producer: StubPeer, if_match: str
) -> None:
    session = await start(http)
    headers = {"none": {}, "own": {"If_Match": session.headers["ETag"]}, "any": {"If_Match": "*"}}
    response = await patch(http, session, TRICKLE, **headers[if_match])
    assert response.status == 204
    assert producer.candidates[0] == HOST
    assert len(producer.candidates) == 2, "an end of candidates is ignored"


async def test_trickled_candidates_are_filtered(
    http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    session = await start(http)
    response = await patch(http, session, candidate("169.254.169.254") + "\r\n" + candidate("::1"))
    assert response.status == 204
    assert producer.candidates == ["candidate:1 1 udp 2130706431 ::1 5000 typ host"], "loopback"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(TRICKLE, {"If_Match": '"other"'}, 412, id="another ETag"),
        pytest.param(TRICKLE, {"Content_Type": "application/sdp"}, 415, id="wrong type"),
        pytest.param("hello", {}, 400, id="malformed"),
        pytest.param("a=x:" + "y" * 70000, {}, 413, id="too large"),
        pytest.param(RESTART, {}, 428, id="restart without If-Match"),
        pytest.param(RESTART, {"Authorization": "Bearer wrong"}, 401, id="no token"),
        pytest.param(RESTART, {"Origin": "http://evil.example"}, 403, id="another site"),
    ],
)
async def test_patches_that_are_refused(
    http: aiohttp.ClientSession,
    producer: StubPeer,
    body: str,
    headers: dict[str, str],
    status: int,
) -> None:
    session = await start(http)
    response = await patch(http, session, body, **headers)
    assert response.status == status
    assert response.content_type == "application/problem+json"
    assert producer.candidates == []
    assert len(next(iter(producer.offers.values()))) == 1


@pytest.mark.parametrize("if_match", ["*", '"*"'])
async def test_ice_restarts(http: aiohttp.ClientSession, producer: StubPeer, if_match: str) -> None:
    session = await start(http)
    response = await patch(http, session, RESTART, If_Match=if_match)
    assert response.status == 200
    assert response.content_type == "application/trickle-ice-sdpfrag"
    assert "a=ice-ufrag:srv1\r\n" in await response.text()
    assert "a=candidate:" in await response.text()
    [[_, again]] = producer.offers.values()
    assert "a=ice-ufrag:new1\r\n" in again
    assert f"a={HOST}\r\n" in again

    new, old = response.headers["ETag"], session.headers["ETag"]
    assert new != old
    trickle = RESTART.partition("m=")[0]
    assert (await patch(http, session, trickle, If_Match=old)).status == 412
    assert (await patch(http, session, trickle, If_Match=new)).status == 204
    async with http.get(session.headers["Location"]) as look:
        assert look.headers["ETag"] == new


@pytest.mark.parametrize(
    ("says", "status"),
    [
        ([Description("answer", answer(0))], 422),
        ([Candidate("")], 503),
        ([Description("answer", "nonsense")], 503),
    ],
)
async def test_a_restart_that_fails_leaves_the_session_as_it_was(
    http: aiohttp.ClientSession,
    producer: StubPeer,
    says: list[Message],
    status: int,
) -> None:
    session = await start(http)
    producer.says = says
    assert (await patch(http, session, RESTART, If_Match="*")).status == status
    etag = session.headers["ETag"]
    assert (await patch(http, session, TRICKLE, If_Match=etag)).status == 204
    async with http.delete(session.headers["Location"]) as gone:
        assert gone.status == 200


async def test_one_restart_at_a_time(http: aiohttp.ClientSession, producer: StubPeer) -> None:
    session = await start(http)
    producer.silent = True
    both = await asyncio.gather(*(patch(http, session, RESTART, If_Match="*") for _ in range(2)))
    assert sorted(response.status for response in both) == [409, 503]


async def test_a_session_that_its_peer_ended_is_gone(
    server: SignalingServer, http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    session = await start(http)
    await next(iter(producer.sessions.values())).end(EndReason.NOT_LIVE)
    assert (await patch(http, session, TRICKLE)).status == 404
    async with http.delete(session.headers["Location"]) as gone:
        assert gone.status == 404
    assert set(server.hub.switchboard.peers) == {"camera"}


async def test_nobody_guesses_a_session_of_another_producer(
    server: SignalingServer, http: aiohttp.ClientSession
) -> None:
    session = await start(http)
    other = session.headers["Location"].replace("/camera/", "/other/")
    async with http.delete(other) as response:
        assert response.status == 404
    assert len(server.hub.switchboard.sessions) == 1


async def test_candidates_without_end_are_too_many(
    http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    session = await start(http)
    statuses = [(await patch(http, session, "")).status for _ in range(LIMITS.messages + 1)]
    assert statuses == [204] * LIMITS.messages + [429]


async def test_producers_of_other_machines_can_be_watched_by_name(
    server: SignalingServer, http: aiohttp.ClientSession
) -> None:
    garden = StubPeer(server.hub, "abc")
    await garden.start()
    await garden.client.set_meta({"name": "the garden"})
    response = await start(http, "/whep/the%20garden")
    assert response.status == 201
    assert response.headers["Location"].startswith("/whep/the%20garden/")
    async with http.delete(response.headers["Location"]) as gone:
        assert gone.status == 200
    await garden.close()


async def test_a_whip_client_sends_to_a_consumer(
    server: SignalingServer, http: aiohttp.ClientSession
) -> None:
    sink = StubPeer(server.hub, "recorder", PeerRole.CONSUMER)
    await sink.start()
    response = await start(http, "/whip/recorder", SENDING)
    assert response.status == 201
    assert response.headers["Location"].startswith("/whip/recorder/")
    [session] = sink.sessions.values()
    assert (session.offers, session.polite, session.renegotiates) == (False, True, False)
    assert not session.may_control
    restarted = await http.patch(
        response.headers["Location"],
        data=RESTART,
        headers={**SDPFRAG, **PUBLISHER, "If-Match": "*"},
    )
    assert restarted.status == 200
    async with http.delete(response.headers["Location"], headers=PUBLISHER) as gone:
        assert gone.status == 200
    await sink.close()
    assert sink.ended == {session.id: Ended(EndReason.CLOSED)}


@pytest.mark.parametrize(
    ("path", "offer", "token", "status"),
    [
        pytest.param("/whip/camera", SENDING, PUBLISH_TOKEN, 404, id="a producer takes nothing"),
        pytest.param("/whep/recorder", OFFER, TOKEN, 404, id="a consumer sends nothing"),
        pytest.param("/whip/recorder", OFFER, PUBLISH_TOKEN, 422, id="nothing is offered"),
        pytest.param("/whip/recorder", SENDING, TOKEN, 403, id="watchers don't publish"),
        pytest.param("/whip/recorder", SENDING, CONTROL_TOKEN, 403, id="nor do controllers"),
        pytest.param("/whip/recorder", SENDING, "wrong", 401, id="wrong token"),
    ],
)
async def test_publishing_that_is_refused(
    server: SignalingServer,
    http: aiohttp.ClientSession,
    path: str,
    offer: str,
    token: str,
    status: int,
) -> None:
    sink = StubPeer(server.hub, "recorder", PeerRole.CONSUMER)
    await sink.start()
    headers = {**SDP, "Authorization": f"Bearer {token}"}
    async with http.post(path, data=offer, headers=headers) as response:
        assert response.status == status
    await sink.close()


async def test_a_page_of_an_allowed_site_reads_every_header(http: aiohttp.ClientSession) -> None:
    origin = f"http://127.0.0.1:{http._base_url.port if http._base_url else 0}"
    session = await start(http)
    headers = {"Origin": origin}
    async with http.options(session.headers["Location"], headers=headers) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
        assert "If-Match" in response.headers["Access-Control-Allow-Headers"]
        exposed = response.headers["Access-Control-Expose-Headers"]
        assert exposed == "Location, ETag, Link, Retry-After"
        assert response.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
        assert "Access-Control-Allow-Credentials" not in response.headers


async def test_a_strict_server_wants_if_match(config: ServerConfig) -> None:
    server = SignalingServer(replace(config, strict=True))
    await server.start()
    producer = StubPeer(server.hub, "camera")
    await producer.start()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", headers=headers) as http:
        session = await start(http)
        assert (await patch(http, session, TRICKLE)).status == 428
        etag = session.headers["ETag"]
        assert (await patch(http, session, TRICKLE, If_Match=etag)).status == 204
    await producer.close()
    await server.stop()
