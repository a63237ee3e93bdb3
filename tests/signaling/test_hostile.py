"""Whatever is sent is refused or understood: no request is a 500, no message stops the others."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace

import aiohttp
import pytest

from signaling import Limits, ServerConfig, SignalingServer
from signaling.protocol import Error, ListProducers, Producers

from .conftest import PUBLISH_TOKEN, StubPeer
from .test_http_sessions import RESTART, SDPFRAG
from .test_protocol import FROM_CLIENTS
from .test_sdp_guard import OFFER
from .test_server import SDP
from .test_websocket import connected
from .test_whip import TRICKLE

# A fixed seed: every run is the same.
SEED = 1
NOISE = [
    "\0",
    "\r",
    "\u2028",
    "\ud83d\ude00",
    "a=",
    "m=",
    "9" * 50,
    ":",
    '"',
    "{",
    "[" * 100,
    "null",
]
PLENTY = Limits(starts_per_address=10_000, messages=10_000)


@pytest.fixture
def config(config: ServerConfig) -> ServerConfig:
    return replace(config, limits=PLENTY)


def mutations(text: str, count: int) -> Iterator[str]:
    """The text with something missing, twice, elsewhere or strange."""
    chance = random.Random(SEED)
    for _ in range(count):
        mutant = text
        for _ in range(chance.randint(1, 3)):
            begin = chance.randrange(len(mutant) + 1)
            end = min(len(mutant), begin + chance.randint(0, 40))
            inserted = chance.choice(["", mutant[begin:end] * 2, chance.choice(NOISE)])
            mutant = mutant[:begin] + inserted + mutant[end:]
        yield mutant.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


async def test_no_offer_is_an_internal_error(
    server: SignalingServer, http: aiohttp.ClientSession, producer: StubPeer
) -> None:
    statuses = set()
    for mutant in mutations(OFFER, 300):
        async with http.post("/whep/camera", data=mutant.encode(), headers=SDP) as response:
            statuses.add(response.status)
        if response.status == 201:
            async with http.delete(response.headers["Location"]) as gone:
                assert gone.status == 200
    assert statuses == {201, 400, 422}
    assert server.hub.switchboard.sessions == {}
    assert set(server.hub.switchboard.peers) == {"camera"}


@pytest.mark.parametrize("fragment", [TRICKLE, RESTART])
async def test_no_fragment_is_an_internal_error(
    http: aiohttp.ClientSession, producer: StubPeer, fragment: str
) -> None:
    async with http.post("/whep/camera", data=OFFER, headers=SDP) as session:
        location = session.headers["Location"]
    statuses = set()
    for mutant in mutations(fragment, 300):
        headers = {**SDPFRAG, "If-Match": "*"}
        async with http.patch(location, data=mutant.encode(), headers=headers) as response:
            statuses.add(response.status)
    assert statuses <= {200, 204, 400, 422}
    assert {204, 400} <= statuses
    async with http.delete(location) as gone:
        assert gone.status == 200


async def test_no_message_stops_the_others(server: SignalingServer, producer: StubPeer) -> None:
    async with connected(server, PUBLISH_TOKEN) as client:
        await client.welcomed()
        await client.say(ListProducers())
        await client.hear()
        refusals = 0
        for text, _ in FROM_CLIENTS:
            text = text.replace('"p"', '"camera"').replace("v=0", json.dumps(OFFER)[1:-1])
            for mutant in mutations(text, 60):
                await client.socket.send_str(mutant)
                await client.say(ListProducers())
                while not isinstance(message := await client.hear(), Producers):
                    refusals += isinstance(message, Error)
    assert refusals > 300
