"""WHIP and WHEP against servers that behave, and against others."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from signaling import SignalingError
from signaling.clients import backoff, http, whip
from signaling.clients.whip import WhepClient, WhipClient, WhipSession
from signaling.session import Candidate, Description, Ended, EndReason, IceServer
from signaling.tls import own_tls

from .conftest import Handler, ScriptedServer
from .test_fragment import FIRST, OFFER, SECOND

ANSWER = "v=0\r\na=answer\r\n"
TOKEN = "0123456789abcdef"

Respond = Callable[..., Handler]


def respond(status: int = 200, text: str = "", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=names)

    return handler


def created(**headers: str) -> Handler:
    found = {"Content_Type": "application/sdp", "Location": "/session/1", "ETag": '"1"'} | headers
    return respond(201, ANSWER, **{name: value for name, value in found.items() if value})


def problem(status: int, detail: str, **headers: str) -> Handler:
    body = json.dumps({"title": "No", "detail": detail})
    return respond(status, body, Content_Type="application/problem+json", **headers)


def in_turn(*handlers: Handler) -> Handler:
    """Each once, the last one ever after."""
    left = list(handlers)

    async def handler(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return handler


@pytest.fixture
def server(scripted: ScriptedServer) -> ScriptedServer:
    """A server that behaves."""
    scripted.handlers |= {
        "OPTIONS": respond(204),
        "POST": created(),
        "PATCH": respond(204),
        "DELETE": respond(200),
    }
    return scripted


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[WhipClient]:
    client = WhipClient(f"{server.url}/whip/room", TOKEN)
    yield client
    await client.close()


@pytest.fixture
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_DELAY", 0.0)
    monkeypatch.setattr(backoff.Backoff, "next_delay", lambda self: 0.01)


async def begin(client: WhipClient) -> WhipSession:
    await client.start()
    return await anext(client.sessions())


async def offer(session: WhipSession) -> None:
    await session.send(Description("offer", OFFER))


async def everything(session: WhipSession) -> list[Any]:
    return [message async for message in session.messages()]


async def test_a_session_from_post_to_delete(server: ScriptedServer, client: WhipClient) -> None:
    session = await begin(client)
    assert (session.offers, session.renegotiates, session.polite) == (True, False, False)
    await offer(session)
    [post] = server.of("POST")
    assert (post.path, post.body) == ("/whip/room", OFFER)
    assert post.headers["content-type"] == "application/sdp"
    assert post.headers["authorization"] == f"Bearer {TOKEN}"
    messages = session.messages()
    assert await anext(messages) == Description("answer", ANSWER)
    await session.end(EndReason.FAILED, "why")
    assert await anext(messages) == Ended(EndReason.FAILED, "why")
    await session.end()
    [delete] = server.of("DELETE")
    assert (delete.path, delete.headers["authorization"]) == ("/session/1", f"Bearer {TOKEN}")
    await session.send(Candidate(FIRST, "0"))
    assert server.methods()[-1] == "DELETE"


async def test_close_deletes_and_ends_the_sessions(
    server: ScriptedServer, client: WhipClient
) -> None:
    await client.start()
    sessions = client.sessions()
    session = await anext(sessions)
    await offer(session)
    await client.close()
    assert server.methods()[-1] == "DELETE"
    assert (await everything(session))[-1] == Ended()
    assert await anext(sessions, None) is None
    await client.close()


async def test_candidates_are_trickled_after_the_answer(
    server: ScriptedServer, client: WhipClient
) -> None:
    session = await begin(client)
    await session.send(Candidate(FIRST, "0"))
    assert server.of("PATCH") == []
    await offer(session)
    await session.send(Candidate(SECOND, "0"))
    await session.send(Candidate("", "0"))
    patches = server.of("PATCH")
    assert [patch.path for patch in patches] == ["/session/1"] * 3
    assert {patch.headers["if-match"] for patch in patches} == {'"1"'}
    assert {patch.headers["content-type"] for patch in patches} == {whip.SDPFRAG}
    assert FIRST in patches[0].body
    assert patches[2].body.endswith("a=mid:0\r\na=end-of-candidates\r\n")


async def test_without_an_etag_there_is_no_if_match(
    server: ScriptedServer, client: WhipClient
) -> None:
    server.handlers["POST"] = created(ETag="")
    session = await begin(client)
    await offer(session)
    await session.send(Candidate(FIRST, "0"))
    assert "if-match" not in server.of("PATCH")[0].headers


@pytest.mark.parametrize("status", [404, 405, 412, 422, 501])
async def test_a_server_that_takes_no_candidates_is_not_asked_again(
    server: ScriptedServer, client: WhipClient, status: int
) -> None:
    server.handlers["PATCH"] = respond(status)
    session = await begin(client)
    await offer(session)
    await session.send(Candidate(FIRST, "0"))
    await session.send(Candidate(SECOND, "0"))
    assert len(server.of("PATCH")) == 1
    assert session.inbox.ended is None, "the connection may stand without them"


async def test_ice_servers_of_the_preflight_and_of_the_answer(
    server: ScriptedServer, client: WhipClient
) -> None:
    server.handlers["OPTIONS"] = respond(204, Link='<stun:a>; rel="ice-server"')
    server.handlers["POST"] = created(Link='<turn:b>; rel="ice-server"; username=u; credential=c')
    session = await begin(client)
    assert session.ice_servers == (IceServer("stun:a"),)
    await offer(session)
    assert session.ice_servers == (IceServer("turn:b", "u", "c"),)


async def test_a_server_without_a_preflight_is_asked_all_the_same(
    server: ScriptedServer, client: WhipClient
) -> None:
    server.handlers["OPTIONS"] = respond(405)
    await offer(await begin(client))
    assert server.methods() == ["OPTIONS", "POST"]


# Refusals.


async def test_a_wrong_token_is_said_at_the_start(
    server: ScriptedServer, client: WhipClient
) -> None:
    server.handlers["OPTIONS"] = problem(401, "the token is wrong")
    with pytest.raises(SignalingError, match="the token is wrong"):
        await client.start()


async def test_a_server_that_is_not_there_is_said_at_the_start(server: ScriptedServer) -> None:
    await server.stop()
    client = WhipClient(f"{server.url}/whip/room")
    with pytest.raises(SignalingError, match=rf"can't reach 127.0.0.1:{server.port}: .*refused"):
        await client.start()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, EndReason.MALFORMED),
        (401, EndReason.UNAUTHORIZED),
        (403, EndReason.UNAUTHORIZED),
        (404, EndReason.FAILED),
        (422, EndReason.REJECTED),
    ],
)
async def test_a_refusal_names_what_the_server_said(
    server: ScriptedServer, client: WhipClient, status: int, reason: EndReason
) -> None:
    server.handlers["POST"] = problem(status, "no such\nroom")
    await client.start()
    sessions = client.sessions()
    session = await anext(sessions)
    with pytest.raises(SignalingError, match=f"said {status}, no such room"):
        await offer(session)
    [ended] = await everything(session)
    assert ended.reason is reason
    with pytest.raises(SignalingError, match="no such room"):
        await anext(sessions)
    assert server.of("DELETE") == []


async def test_a_counter_offer_is_refused(server: ScriptedServer) -> None:
    server.handlers["POST"] = respond(406, OFFER, Content_Type="application/sdp")
    client = WhepClient(f"{server.url}/whep/camera")
    session = await begin(client)
    with pytest.raises(SignalingError, match=r"watching.* 406"):
        await offer(session)
    assert (await everything(session))[-1].reason is EndReason.REJECTED
    await client.close()


@pytest.mark.parametrize("status", [409, 429, 503])
async def test_a_busy_server_is_asked_again(
    server: ScriptedServer, client: WhipClient, no_delay: None, status: int
) -> None:
    server.handlers["POST"] = in_turn(respond(status), respond(status), created())
    session = await begin(client)
    await offer(session)
    assert await anext(session.messages()) == Description("answer", ANSWER)
    assert len(server.of("POST")) == 3


async def test_a_busy_server_is_asked_a_few_times_and_then_with_another_offer(
    server: ScriptedServer, client: WhipClient, no_delay: None
) -> None:
    server.handlers["POST"] = problem(503, "full")
    await client.start()
    sessions = client.sessions()
    session = await anext(sessions)
    with pytest.raises(SignalingError, match="full"):
        await offer(session)
    assert len(server.of("POST")) == whip.MOST_ATTEMPTS
    assert (await everything(session))[-1].reason is EndReason.OVERLOADED
    server.handlers["POST"] = created()
    again = await anext(sessions)
    assert again is not session
    await offer(again)


@pytest.mark.parametrize("asked", ["1", "999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_the_server_says_how_long_to_wait_but_not_for_ever(
    server: ScriptedServer, client: WhipClient, no_delay: None, asked: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(whip, "LONGEST_RETRY_AFTER", 0.3)
    server.handlers["POST"] = in_turn(respond(503, Retry_After=asked), created())
    session = await begin(client)
    began = asyncio.get_running_loop().time()
    await offer(session)
    assert asyncio.get_running_loop().time() - began >= 0.3


async def test_an_end_while_waiting_for_a_busy_server(
    server: ScriptedServer, client: WhipClient
) -> None:
    server.handlers["POST"] = respond(503, Retry_After="60")
    session = await begin(client)
    sending = asyncio.create_task(offer(session))
    await server.was_asked("POST")
    await session.end()
    await asyncio.wait_for(sending, 30)
    assert len(server.of("POST")) == 1


async def test_a_cancelled_sender_leaves_no_session_behind(
    server: ScriptedServer, client: WhipClient
) -> None:
    answer = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await answer.wait()
        return await created()(request)

    server.handlers["POST"] = slow
    session = await begin(client)
    sending = asyncio.create_task(offer(session))
    await server.was_asked("POST")
    sending.cancel()
    ending = asyncio.create_task(session.end())
    answer.set()
    await ending
    assert server.methods()[-1] == "DELETE"


# What follows a session.


@pytest.mark.parametrize("reason", [EndReason.FAILED, EndReason.LOST])
async def test_a_lost_session_is_followed_by_another(
    server: ScriptedServer, client: WhipClient, no_delay: None, reason: EndReason
) -> None:
    await client.start()
    sessions = client.sessions()
    first = await anext(sessions)
    await offer(first)
    await first.end(reason)
    second = await anext(sessions)
    assert second.id != first.id
    await offer(second)
    assert server.methods() == ["OPTIONS", "POST", "DELETE", "OPTIONS", "POST"]


@pytest.mark.parametrize(("stable_after", "waits"), [(60.0, [0, 1, 2]), (0.0, [0, 0, 0])])
async def test_a_session_that_lasted_is_followed_sooner(
    server: ScriptedServer, client: WhipClient, monkeypatch: pytest.MonkeyPatch,
    stable_after: float, waits: list[int],
) -> None:  # fmt: skip
    failures: list[int] = []

    def delay(self: backoff.Backoff) -> float:
        failures.append(self._failures)
        self._failures += 1
        return 0.0

    monkeypatch.setattr(backoff.Backoff, "next_delay", delay)
    monkeypatch.setattr(whip, "STABLE_AFTER", stable_after)
    await client.start()
    sessions = client.sessions()
    for _ in waits:
        session = await anext(sessions)
        await offer(session)
        await session.end(EndReason.LOST)
    await anext(sessions)
    assert failures == waits


async def test_a_session_that_was_ended_in_order_is_the_last(
    server: ScriptedServer, client: WhipClient
) -> None:
    await client.start()
    sessions = client.sessions()
    session = await anext(sessions)
    await offer(session)
    await session.end()
    assert await anext(sessions, None) is None


async def test_a_server_that_restarts_may_forget_its_paths_for_a_while(
    server: ScriptedServer, client: WhipClient, no_delay: None
) -> None:
    await client.start()
    sessions = client.sessions()
    session = await anext(sessions)
    await offer(session)
    await session.end(EndReason.LOST)
    server.handlers["POST"] = in_turn(respond(404), respond(401))
    with pytest.raises(SignalingError, match="404"):
        await offer(await anext(sessions))
    with pytest.raises(SignalingError, match="401"):
        await offer(await anext(sessions))
    with pytest.raises(SignalingError, match="401"):
        await anext(sessions)


# Where a server may send us, and where it may not (SECURITY.md, row 9).


@pytest.mark.parametrize(
    "url",
    ["http://example.org/whip", "ftp://127.0.0.1/", "https:///whip", "https://h:x/", "whip",
     "https://user:password@example.org/whip", "http://127.0.0.1.example.org/"],
)  # fmt: skip
def test_urls_that_are_not_asked(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|https|token"):
        WhipClient(url)


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_keeps_method_and_body(
    server: ScriptedServer, client: WhipClient, status: int
) -> None:
    server.handlers["POST"] = in_turn(respond(status, Location="../other/room"), created())
    await offer(await begin(client))
    first, second = server.of("POST")
    assert (second.path, second.body) == ("/other/room", first.body)
    assert second.headers["authorization"] == f"Bearer {TOKEN}"


async def test_the_token_does_not_go_to_another_origin(
    server: ScriptedServer, elsewhere: ScriptedServer, client: WhipClient
) -> None:
    server.handlers["POST"] = respond(307, Location=f"{elsewhere.url}/whip")
    elsewhere.handlers |= {"POST": created(), "PATCH": respond(204), "DELETE": respond(200)}
    session = await begin(client)
    await offer(session)
    await session.send(Candidate(FIRST, "0"))
    await session.end()
    assert elsewhere.methods() == ["POST", "PATCH", "DELETE"]
    assert not any("authorization" in asked.headers for asked in elsewhere.asked)
    assert server.of("DELETE") == []


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_other_redirects_are_refusals(
    server: ScriptedServer, client: WhipClient, status: int
) -> None:
    server.handlers["POST"] = respond(status, Location="/other")
    session = await begin(client)
    with pytest.raises(SignalingError, match=str(status)):
        await offer(session)
    assert len(server.asked) == 2


async def test_redirects_without_end(server: ScriptedServer, client: WhipClient) -> None:
    server.handlers["POST"] = respond(307, Location="/again")
    session = await begin(client)
    with pytest.raises(SignalingError, match="redirects more than 3 times"):
        await offer(session)
    assert len(server.of("POST")) == 1 + http.MOST_REDIRECTS


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/", "http://example.org/", "file:///etc/passwd", "//[", ""]
)
async def test_redirects_that_are_not_followed(
    server: ScriptedServer, client: WhipClient, location: str
) -> None:
    headers = {"Location": location} if location else {}
    server.handlers["POST"] = respond(307, **headers)
    session = await begin(client)
    with pytest.raises(SignalingError, match="redirects to"):
        await offer(session)
    assert len(server.of("POST")) == 1


async def test_no_redirect_leads_from_https_to_http(
    scripted: ScriptedServer, elsewhere: ScriptedServer, tmp_path: Path
) -> None:
    tls = await asyncio.to_thread(own_tls, path=tmp_path / "tls.pem")
    await scripted.stop()
    await scripted.start(tls.context)
    scripted.handlers["POST"] = respond(307, Location=f"{elsewhere.url}/whip")
    trusted = ssl.create_default_context(cafile=str(tmp_path / "tls.pem"))
    client = WhipClient(f"https://127.0.0.1:{scripted.port}/whip", TOKEN, tls=trusted)
    session = await begin(client)
    with pytest.raises(SignalingError, match="from https to http"):
        await offer(session)
    assert elsewhere.asked == []
    await client.close()


@pytest.mark.parametrize("location", ["https://evil.example/1", "//evil.example/1", "//[", ""])
async def test_a_session_on_another_server_is_refused(
    server: ScriptedServer, client: WhipClient, location: str
) -> None:
    server.handlers["POST"] = created(Location=location)
    session = await begin(client)
    with pytest.raises(SignalingError, match=r"another server|say where"):
        await offer(session)
    await session.end()
    assert server.of("DELETE") == []


async def test_the_location_is_relative_to_the_request(
    server: ScriptedServer, client: WhipClient
) -> None:
    server.handlers["POST"] = created(Location="room/abc?x=1")
    session = await begin(client)
    await offer(session)
    await session.end()
    assert server.of("DELETE")[0].path == "/whip/room/abc"


# Answers that are none.


async def test_an_answer_of_another_type_is_refused_and_the_session_deleted(
    server: ScriptedServer, client: WhipClient
) -> None:
    server.handlers["POST"] = created(Content_Type="text/html")
    session = await begin(client)
    with pytest.raises(SignalingError, match="text/html"):
        await offer(session)
    await client.close()
    assert server.methods()[-1] == "DELETE"


async def test_an_answer_without_end_is_not_read(
    server: ScriptedServer, client: WhipClient
) -> None:
    server.handlers["POST"] = respond(201, "v" * (http.LARGEST_BODY + 1))
    session = await begin(client)
    with pytest.raises(SignalingError, match="more than 65536 bytes"):
        await offer(session)


async def test_a_dripping_answer_is_given_up(
    server: ScriptedServer, no_delay: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "REQUEST_TIMEOUT", 0.2)
    monkeypatch.setattr(whip, "MOST_ATTEMPTS", 1)

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=201, headers={"Content-Type": "application/sdp"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"v")
                await asyncio.sleep(0.05)
        except ConnectionError:
            return response

    server.handlers["POST"] = drip
    client = WhipClient(f"{server.url}/whip/room")
    session = await begin(client)
    with pytest.raises(SignalingError, match="no answer in time"):
        await offer(session)
    await client.close()


async def test_only_one_offer_can_be_sent(server: ScriptedServer, client: WhipClient) -> None:
    session = await begin(client)
    with pytest.raises(ValueError, match="one offer"):
        await session.send(Description("answer", ANSWER))
    await offer(session)
    with pytest.raises(ValueError, match="one offer"):
        await offer(session)


async def test_nothing_is_left_after_close(server: ScriptedServer, client: WhipClient) -> None:
    before = asyncio.all_tasks()
    session = await begin(client)
    await offer(session)
    await client.close()
    await server.stop()
    assert asyncio.all_tasks() <= before
