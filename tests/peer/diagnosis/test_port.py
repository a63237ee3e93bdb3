"""The port: free, taken and by whom, or not to be had at all."""

import errno
import os
import socket
import sys

import pytest

from peer.diagnosis.port import Listener, examine, in_the_way, judge_bind, parse_listeners

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1 0
   2: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 7
   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 8
   2: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the tables are those of such a computer")
def test_listening_sockets_are_read_from_the_kernel_s_tables() -> None:
    assert parse_listeners(TCP) == [
        Listener("127.0.0.1", 8080, 4242),
        Listener("0.0.0.0", 22, 17),
    ]
    assert parse_listeners(TCP6) == [
        Listener("::", 8080, 7),
        Listener("::1", 80, 8),
        Listener("127.0.0.1", 81, 9),
    ]
    assert parse_listeners("") == []


def test_who_is_in_the_way() -> None:
    listeners = [
        Listener("127.0.0.1", 80, 1),
        Listener("0.0.0.0", 80, 2),
        Listener("192.0.2.1", 80, 3),
        Listener("127.0.0.1", 81, 4),
    ]
    assert in_the_way(listeners, ("127.0.0.1", 80)) == [1, 2]
    assert in_the_way(listeners, ("0.0.0.0", 80)) == [1, 2, 3]
    assert in_the_way(listeners, ("127.0.0.1", 82)) == []


async def test_a_free_port(unused_port: int) -> None:
    (finding,) = await examine("127.0.0.1", unused_port)
    assert finding.level == "ok"
    assert f"127.0.0.1, port {unused_port}: it is free" in finding.text


async def test_the_port_is_let_go_again(unused_port: int) -> None:
    await examine("127.0.0.1", unused_port)
    with socket.create_server(("127.0.0.1", unused_port)):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the holder is read from /proc")
@pytest.mark.parametrize("listening_at", ["127.0.0.1", "0.0.0.0"])
async def test_a_taken_port_and_its_holder(listening_at: str) -> None:
    with socket.create_server((listening_at, 0)) as server:
        port = server.getsockname()[1]
        (finding,) = await examine("127.0.0.1", port)
    assert finding.level == "problem"
    assert f"(pid {os.getpid()}) is there already" in finding.text
    assert "--port 0" in finding.remedy


async def test_an_address_of_another_computer() -> None:
    (finding,) = await examine("192.0.2.200", 0)
    assert finding.level == "problem"
    assert "this computer does not have that address" in finding.text


async def test_no_host() -> None:
    (finding,) = await examine("no such host", 8080)
    assert finding.level == "problem"
    assert "no such host" in finding.text


async def test_without_tls_others_can_t_show_their_camera() -> None:
    watching = await examine("0.0.0.0", 0)
    assert [finding.level for finding in watching] == ["ok", "ok"]
    assert "can't show a camera" in watching[1].text
    assert len(await examine("0.0.0.0", 0, tls=True)) == 1
    assert len(await examine("127.0.0.1", 0)) == 1


def test_errors_of_bind() -> None:
    assert "ports below 1024" in judge_bind("127.0.0.1", 80, errno.EACCES, []).text
    assert "a program that this user may not see" in judge_bind("h", 80, errno.EADDRINUSE, []).text
    assert os.strerror(errno.ENOBUFS) in judge_bind("h", 80, errno.ENOBUFS, []).text
