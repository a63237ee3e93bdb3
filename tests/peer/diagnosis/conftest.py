"""Servers on loopback that the doctor can ask: STUN in a few lines, and a real coturn."""

import asyncio
import datetime
import ipaddress
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from aioice import stun
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ...processes import send_signal

START_TIMEOUT = 20
"""Seconds for coturn to listen: far more than it takes."""


class StunServer(asyncio.DatagramProtocol):
    """Answers binding requests, in the way that its test sets."""

    port: int
    ignored = 0
    """So many requests are left unanswered at first."""
    refuse: tuple[int, str] | None = None
    pretended: tuple[str, int] | None = None
    """The address to answer with; the true one when None."""
    junk = False
    """Whether something that is not STUN comes before the answer."""
    received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received += 1
        if self.received <= self.ignored:
            return
        request = stun.parse_message(data)
        answer = stun.Message(
            stun.Method.BINDING,
            stun.Class.ERROR if self.refuse else stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        if self.refuse:
            answer.attributes["ERROR-CODE"] = self.refuse
        else:
            answer.attributes["XOR-MAPPED-ADDRESS"] = self.pretended or addr[:2]
        if self.junk:
            self.transport.sendto(b"not STUN at all", addr)
        self.transport.sendto(bytes(answer), addr)


StunServers = Callable[[], Awaitable[StunServer]]


@pytest.fixture
async def stun_servers() -> AsyncIterator[StunServers]:
    """Starts a STUN server on loopback whenever it is called."""
    async with AsyncExitStack() as stack:

        async def start() -> StunServer:
            transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
                StunServer, local_addr=("127.0.0.1", 0)
            )
            stack.callback(transport.close)
            return server

        yield start


@pytest.fixture
def unused_port() -> int:
    """A port at which nothing listens, neither over UDP nor over TCP."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", 0))
        port: int = udp.getsockname()[1]
        tcp.bind(("127.0.0.1", port))
    return port


@dataclass(frozen=True)
class Coturn:
    """A TURN server: `user` has the password `secret`."""

    port: int
    """UDP and TCP."""
    tls_port: int
    certificate: Path


@pytest.fixture
async def coturn(tmp_path: Path) -> AsyncIterator[Coturn]:
    """A real TURN server on loopback, with a configuration of its own."""
    program = shutil.which("turnserver")
    if program is None:
        pytest.skip("needs turnserver: install the package coturn")
    certificate, key = _certificate(tmp_path)
    with socket.socket() as plain, socket.socket() as secure:
        for taken in (plain, secure):
            taken.bind(("127.0.0.1", 0))
        port, tls_port = plain.getsockname()[1], secure.getsockname()[1]
    configuration = tmp_path / "turnserver.conf"
    settings = {
        "listening-ip": "127.0.0.1", "relay-ip": "127.0.0.1", "listening-port": port,
        "tls-listening-port": tls_port, "cert": certificate, "pkey": key, "realm": "test",
        "user": "user:secret", "userdb": tmp_path / "users.sqlite",
        "pidfile": tmp_path / "pid", "log-file": "stdout",
    }  # fmt: skip
    flags = ("lt-cred-mech", "no-cli", "simple-log", "no-dtls", "allow-loopback-peers")
    configuration.write_text(
        "\n".join([*flags, *(f"{name}={value}" for name, value in settings.items())])
    )
    async with _running(program, "-c", str(configuration)):
        async with asyncio.timeout(START_TIMEOUT):
            for number in (port, tls_port):
                await _listens(number)
        yield Coturn(port, tls_port, certificate)


@asynccontextmanager
async def _running(*command: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        send_signal(process, signal.SIGKILL)
        await process.wait()


async def _listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        await writer.wait_closed()
        return


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
