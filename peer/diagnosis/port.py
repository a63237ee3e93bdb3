"""Whether the page can be served at the address that was asked for, and if not, who is there."""

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..devices.nodes import holders, read_attribute
from .addresses import Address, Unresolved, resolve
from .finding import Finding
from .threads import in_thread

HOLDERS_TIMEOUT = 3.0
"""Seconds to look through the open files of every process: some 10 ms a hundred of them."""

_LISTENING = "0A"


class Listener(NamedTuple):
    """A listening TCP socket of any program."""

    address: str
    port: int
    inode: int


async def examine(host: str, port: int, *, tls: bool = False) -> list[Finding]:
    """Bind the address, and let it go again."""
    try:
        addresses = await resolve(host, port, socket.SOCK_STREAM)
    except Unresolved as error:
        return [
            Finding(
                "port",
                "problem",
                f"The page can't be served at {host}: {error}",
                "Give --host an address of this computer, or 127.0.0.1 or 0.0.0.0",
            )
        ]
    for address in addresses:
        if code := bind_error(address):
            by: list[str] = []
            if code == errno.EADDRINUSE:
                with suppress(TimeoutError):  # that it is taken is the news; by whom, an extra
                    by = await in_thread(partial(_held_by, address), HOLDERS_TIMEOUT)
            return [judge_bind(host, port, code, by)]
    found = "0 stands for any that is free" if port == 0 else "it is free"
    findings = [Finding("port", "ok", f"The page can be served at {host}, port {port}: {found}")]
    if not tls and not all(ipaddress.ip_address(a).is_loopback for a, _ in addresses):
        findings.append(
            Finding(
                "port",
                "ok",
                f"Without TLS browsers elsewhere can watch at {host}, but can't show a camera or "
                "microphone of their own",
            )
        )
    return findings


def bind_error(address: Address) -> int:
    """The system's number of the error that keeps a server from this address; 0 if there is
    none."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as server:
            # As asyncio's servers do: connections that have just ended don't keep the port.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind(address)
            server.listen()
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def judge_bind(host: str, port: int, code: int, by: Iterable[str]) -> Finding:
    """What an error of `bind()` means.

    :param by: the programs that hold the port, as far as they are known.
    """
    where = f"The page can't be served at {host}, port {port}"
    if code == errno.EADDRINUSE:
        who = " and ".join(by) or "a program that this user may not see"
        text = f"{where}: {who} is there already"
        remedy = "End that program, or use `--port 0` for any port that is free"
    elif code == errno.EADDRNOTAVAIL:
        text = f"{where}: this computer does not have that address"
        remedy = "Give --host an address that `ip address` shows, or 0.0.0.0 for all of them"
    elif code in (errno.EACCES, errno.EPERM):
        text = f"{where}: this user may not use ports below 1024"
        remedy = "Choose a --port of 1024 or more, and let a proxy serve the lower one"
    else:
        text = f"{where}: {os.strerror(code)}"
        remedy = "Give --host another address, for example 127.0.0.1"
    return Finding("port", "problem", text, remedy)


def _held_by(address: Address) -> list[str]:
    tables = (read_attribute(Path("/proc/net", name)) for name in ("tcp", "tcp6"))
    listeners = [listener for table in tables for listener in parse_listeners(table)]
    return [
        holder
        for inode in in_the_way(listeners, address)
        for holder in holders(f"socket:[{inode}]")
    ]


def in_the_way(listeners: Iterable[Listener], address: Address) -> list[int]:
    """The inodes of the sockets that keep others from an address: those at the same port, and at
    the same address or at all of them."""
    host, port = ipaddress.ip_address(address[0]), address[1]
    found = []
    for listener in listeners:
        there = ipaddress.ip_address(listener.address)
        if listener.port == port and (there == host or there.is_unspecified or host.is_unspecified):
            found.append(listener.inode)
    return found


def parse_listeners(table: str) -> list[Listener]:
    """The listening sockets in a text of `/proc/net/tcp` or `/proc/net/tcp6`."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTENING:
            host, _, port = fields[1].partition(":")
            found.append(Listener(_parse_address(host), int(port, 16), int(fields[9])))
    return found


def _parse_address(text: str) -> str:
    """The kernel prints each 32 bits of an address as a number of its own byte order."""
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    address = ipaddress.ip_address(b"".join(struct.pack("=I", word) for word in words))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
