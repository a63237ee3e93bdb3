"""TLS: real handshakes on loopback with certificates that were made, kept, renewed and given."""

import datetime
import hashlib
import logging
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from signaling.tls import (
    RENEWAL,
    VALIDITY,
    ServerTls,
    TlsError,
    certificate_path,
    given_tls,
    own_tls,
    parse_certificate_and_key,
)

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the certificate is kept; the folder is not there yet."""
    return tmp_path / "state" / "tls.pem"


@asynccontextmanager
async def serving(tls: ServerTls, host: str = "127.0.0.1") -> AsyncIterator[int]:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=tls.context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def hello(url: str, trusted: Path) -> str:
    """What a client gets that trusts this certificate, and checks the name."""
    context = ssl.create_default_context(cafile=str(trusted))
    async with aiohttp.ClientSession() as http, http.get(url, ssl=context) as response:
        return await response.text()


@pytest.mark.parametrize(
    ("bound", "host"),
    [
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]"),
        ("127.0.0.2", "127.0.0.2"),
    ],
)
async def test_a_client_that_trusts_it_gets_through(path: Path, bound: str, host: str) -> None:
    tls = own_tls(["127.0.0.2", "fe80::1%eth0"], path)
    assert tls.self_signed
    async with serving(tls, bound) as port:
        assert await hello(f"https://{host}:{port}/", path) == "hello"


async def test_a_client_that_knows_nothing_of_it_does_not(path: Path) -> None:
    async with serving(own_tls(path=path)) as port, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorCertificateError, match="self-signed"):
            await http.get(f"https://localhost:{port}/")


async def test_it_is_for_no_address_that_is_not_the_machine_s(path: Path) -> None:
    async with serving(own_tls(path=path), "127.0.0.2") as port:
        with pytest.raises(aiohttp.ClientConnectorCertificateError, match="not valid for"):
            await hello(f"https://127.0.0.2:{port}/", path)


async def test_the_fingerprint_is_what_the_client_sees(path: Path) -> None:
    tls = own_tls(path=path)
    async with serving(tls) as port:
        pin = aiohttp.Fingerprint(bytes.fromhex(tls.fingerprint.replace(":", "")))
        async with aiohttp.ClientSession() as http:
            async with http.get(f"https://localhost:{port}/", ssl=pin) as response:
                assert response.status == 200
            wrong = aiohttp.Fingerprint(hashlib.sha256(b"another").digest())
            with pytest.raises(aiohttp.ServerFingerprintMismatch):
                await http.get(f"https://localhost:{port}/", ssl=wrong)
    assert len(tls.fingerprint) == 32 * 3 - 1
    assert tls.fingerprint == tls.fingerprint.upper()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_is_1_2_at_least(path: Path, version: ssl.TLSVersion) -> None:
    tls = own_tls(path=path)
    assert tls.context.minimum_version == ssl.TLSVersion.TLSv1_2
    client = ssl.create_default_context(cafile=str(path))
    client.minimum_version = client.maximum_version = version
    async with (
        serving(tls) as port,
        aiohttp.ClientSession() as http,
        http.get(f"https://localhost:{port}/", ssl=client) as response,
    ):
        assert response.status == 200


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_what_browsers_ask_of_a_certificate(path: Path) -> None:
    own_tls(["192.0.2.7", "2001:db8::7"], path)
    made = certificate(path)
    period = made.not_valid_after_utc - made.not_valid_before_utc
    assert datetime.timedelta(days=365) < period <= datetime.timedelta(days=397)
    key = made.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    host = socket.gethostname().lower()
    assert {host, f"{host}.local", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1", "::1", "192.0.2.7", "2001:db8::7",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a" * 300, "Bühne", "-", ""])
def test_any_host_name_will_do(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    assert own_tls(path=path).fingerprint == own_tls(path=path).fingerprint


def test_it_stays_the_same_and_only_its_owner_reads_it(path: Path) -> None:
    first = own_tls(["192.0.2.7"], path).fingerprint
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert own_tls(["192.0.2.7"], path).fingerprint == first
    assert own_tls([], path).fingerprint == first, "an address that is gone does no harm"
    assert os.listdir(path.parent) == ["tls.pem"]


def test_a_new_address_makes_a_new_one(path: Path) -> None:
    first = own_tls(["192.0.2.7"], path).fingerprint
    second = own_tls(["192.0.2.7", "192.0.2.8"], path).fingerprint
    assert second != first
    assert own_tls(["192.0.2.8"], path).fingerprint == second


@pytest.mark.parametrize(
    ("later", "renewed"),
    [
        (VALIDITY - RENEWAL - datetime.timedelta(hours=1), False),
        (VALIDITY - RENEWAL + datetime.timedelta(hours=1), True),
        (VALIDITY + datetime.timedelta(days=1), True),
        (datetime.timedelta(days=-3), True),
    ],
)
def test_it_is_renewed_near_its_end(path: Path, later: datetime.timedelta, renewed: bool) -> None:
    first = own_tls(path=path, now=NOW).fingerprint
    assert (own_tls(path=path, now=NOW + later).fingerprint != first) is renewed


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_one_is_made_again(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    first = own_tls(path=path).fingerprint
    assert own_tls(path=path).fingerprint == first


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_key_that_others_could_read_is_not_used(path: Path) -> None:
    first = own_tls(path=path).fingerprint
    path.chmod(0o640)
    assert own_tls(path=path).fingerprint != first
    assert path.stat().st_mode & 0o777 == 0o600


async def test_without_a_place_to_keep_it_one_is_made_for_this_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with caplog.at_level(logging.WARNING):
        tls = own_tls(path=tmp_path / "state" / "tls.pem")
    assert "another certificate each time" in caplog.text
    assert os.listdir(tmp_path / "temporary") == [], "the key stays nowhere"
    async with serving(tls) as port, aiohttp.ClientSession() as http:
        pin = aiohttp.Fingerprint(bytes.fromhex(tls.fingerprint.replace(":", "")))
        async with http.get(f"https://localhost:{port}/", ssl=pin) as response:
            assert await response.text() == "hello"


def test_without_any_place_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    (tmp_path / "state").write_text("a file, not a folder")
    with pytest.raises(TlsError, match="no place for a certificate"):
        own_tls(path=tmp_path / "state" / "tls.pem")


def test_the_place_is_the_user_s_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert certificate_path() == Path("/elsewhere/getusermedia/tls.pem")


# Given by the user.


def pem_key(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, passphrase: bytes = b"") -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption(),
    )


def split(path: Path, folder: Path) -> None:
    """Two files of one."""
    key, beginning, rest = path.read_bytes().partition(b"-----BEGIN CERTIFICATE")
    (folder / "cert.pem").write_bytes(beginning + rest)
    (folder / "key.pem").write_bytes(key)


async def test_given_files_serve(tmp_path: Path, path: Path) -> None:
    fingerprint = own_tls(path=path).fingerprint
    split(path, tmp_path)
    paths = parse_certificate_and_key(f"{tmp_path}/cert.pem,{tmp_path}/key.pem")
    tls = given_tls(*paths)
    assert tls.fingerprint == fingerprint
    async with serving(tls) as port:
        assert await hello(f"https://localhost:{port}/", paths[0]) == "hello"


@pytest.mark.parametrize("text", ["", "cert.pem", "cert.pem,", ",key.pem", "a,b,c"])
def test_one_file_is_not_two(text: str) -> None:
    with pytest.raises(ValueError, match="CERT,KEY"):
        parse_certificate_and_key(text)


@pytest.mark.parametrize(
    ("cert_file", "key_file", "said"),
    [
        ("missing", "own", "missing can't be read: No such file"),
        ("own", "missing", "missing can't be read: No such file"),
        ("folder", "own", "folder can't be read: Is a directory"),
        ("junk", "own", "junk is no certificate in PEM"),
        ("other key", "own", "is no certificate in PEM"),
        ("own", "junk", "junk is no private key in PEM"),
        ("own", "other key", "other key does not belong to the certificate"),
        ("own", "rsa key", "rsa key does not belong to the certificate"),
        ("own", "locked key", "locked key has a passphrase"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(
    tmp_path: Path, cert_file: str, key_file: str, said: str
) -> None:
    own_tls(path=tmp_path / "own")
    (tmp_path / "folder").mkdir()
    (tmp_path / "junk").write_text("junk")
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "other key").write_bytes(pem_key(key))
    (tmp_path / "locked key").write_bytes(pem_key(key, b"secret"))
    (tmp_path / "rsa key").write_bytes(pem_key(rsa.generate_private_key(65537, 2048)))
    with pytest.raises(TlsError, match=said) as caught:
        given_tls(tmp_path / cert_file, tmp_path / key_file)
    assert "\n" not in str(caught.value)


def test_one_that_is_not_valid_now_is_refused(path: Path) -> None:
    own_tls(path=path, now=NOW)
    with pytest.raises(TlsError, match=r"is valid until 20\d\d-\d\d-\d\d only"):
        given_tls(path, path, NOW + VALIDITY)
    with pytest.raises(TlsError, match=r"is valid from 20\d\d-\d\d-\d\d on only"):
        given_tls(path, path, NOW - datetime.timedelta(days=2))
