"""The binding request, against a server that loses, refuses, or talks nonsense."""

import pytest

from peer.diagnosis.stun_client import NoAnswer, Unreachable, stun_client

from .conftest import StunServers


async def test_an_answer_has_an_address_and_a_time(stun_servers: StunServers) -> None:
    server = await stun_servers()
    async with stun_client(local=("127.0.0.1", 0)) as client:
        answer = await client.ask(("127.0.0.1", server.port))
    assert answer.address[0] == "127.0.0.1"
    assert answer.seconds > 0


async def test_a_lost_request_is_sent_again(stun_servers: StunServers) -> None:
    server = await stun_servers()
    server.ignored = 2
    address = ("127.0.0.1", server.port)
    async with stun_client(server=address) as client:
        await client.ask(address)
    assert server.received >= 3


async def test_what_is_not_stun_is_ignored(stun_servers: StunServers) -> None:
    server = await stun_servers()
    server.junk = True
    address = ("127.0.0.1", server.port)
    async with stun_client(server=address) as client:
        assert (await client.ask(address)).address[0] == "127.0.0.1"


async def test_a_refusal_is_told(stun_servers: StunServers) -> None:
    server = await stun_servers()
    server.refuse = (500, "Server Error")
    address = ("127.0.0.1", server.port)
    async with stun_client(server=address) as client:
        with pytest.raises(NoAnswer, match=r"refused the request \(500: Server Error\)"):
            await client.ask(address)


async def test_nothing_listens(unused_port: int) -> None:
    address = ("127.0.0.1", unused_port)
    async with stun_client(server=address) as client:
        with pytest.raises(Unreachable, match="nothing listens there"):
            await client.ask(address)


async def test_an_address_of_another_computer_can_t_be_sent_from() -> None:
    with pytest.raises(Unreachable, match="there is no way to it"):
        async with stun_client(local=("192.0.2.200", 0)):
            pass


async def test_two_servers_are_asked_from_one_socket(stun_servers: StunServers) -> None:
    servers = [await stun_servers(), await stun_servers()]
    async with stun_client(local=("127.0.0.1", 0)) as client:
        seen = {(await client.ask(("127.0.0.1", server.port))).address for server in servers}
    assert len(seen) == 1
