"""ICE servers in Link headers."""

import time

from signaling import Limits
from signaling.clients.links import MOST_SERVERS, ice_servers
from signaling.session import IceServer


def test_the_example_of_the_standard() -> None:
    assert ice_servers([
        '<stun:stun.example.net>; rel="ice-server"',
        '<turn:turn.example.net?transport=udp>; rel="ice-server"; '
        'username="user"; credential="myPassword"; credential-type="password"',
    ]) == (
        IceServer("stun:stun.example.net"),
        IceServer("turn:turn.example.net?transport=udp", "user", "myPassword"),
    )  # fmt: skip


def test_several_in_one_header_and_signs_in_quotes() -> None:
    header = (
        r'<turn:a:3478>; username="1,<x>;rel=no \"q\""; rel=ice-server; credential="p=a;b", '
        '<https://example.net/>; rel="next",<turns:b>;REL="other ice-server";credential=c/d=='
    )
    assert ice_servers([header]) == (
        IceServer("turn:a:3478", '1,<x>;rel=no "q"', "p=a;b"),
        IceServer("turns:b", None, "c/d=="),
    )


def test_what_is_no_ice_server_is_passed_over() -> None:
    assert ice_servers([
        "", "turn:a", "<turn:a", "<turn:a>", '<http://169.254.169.254/>; rel="ice-server"',
        '<turn:a>; rel="preload"', "<turn:a>; rel", ";;;=",
    ]) == ()  # fmt: skip


def test_there_are_not_more_than_a_connection_can_try() -> None:
    header = ",".join(f'<stun:s{number}>; rel="ice-server"' for number in range(100))
    assert len(ice_servers([header])) == MOST_SERVERS


def test_a_hostile_header_takes_no_time() -> None:
    began = time.process_time()
    for piece in (";", "; ", ";a=", '"', "<", "<a>;", '<a>;"', " ", "\\", ';a="\\'):
        ice_servers(["<a>" + piece * (8190 // len(piece))])
    assert time.process_time() - began < Limits().body_timeout
