"""TLS for the signalling server: a certificate that is given, or one that vouches for itself.

Browsers give a camera, a microphone and much else to secure pages only, and a certificate from
an authority needs a public name. So a machine in a home network makes its own; people compare its
fingerprint once, and it stays the same until it nears its end or the machine's names change.
"""

import datetime
import ipaddress
import logging
import os
import re
import secrets
import socket
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

logger = logging.getLogger(__name__)

VALIDITY = datetime.timedelta(days=396)
"""With the day before, browsers take no longer one (CA/Browser Forum, ballot SC-31: 398 days)."""

RENEWAL = datetime.timedelta(days=60)
"""A server may run so long before its certificate ends; a shorter rest is renewed at the start."""

CLOCK_SKEW = datetime.timedelta(days=1)
"""A viewer's clock may be behind this machine's."""

_DNS_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_LONGEST_COMMON_NAME = 64


class TlsError(Exception):
    """A certificate or key can't be used; the message is one line for a person."""


@dataclass(frozen=True)
class ServerTls:
    """What a server needs to serve over TLS."""

    context: ssl.SSLContext
    fingerprint: str
    """SHA-256 of the certificate, in the way that browsers show it."""
    self_signed: bool
    """Whether browsers will ask their users about it."""


def parse_certificate_and_key(text: str) -> tuple[Path, Path]:
    """The paths in `CERT,KEY`.

    :raises ValueError: there are not two.
    """
    paths = text.split(",")
    if len(paths) != 2 or not all(paths):
        raise ValueError(f"{text!r} is not two files: CERT,KEY")
    return Path(paths[0]), Path(paths[1])


def certificate_path() -> Path:
    """Where this user's own certificate and key are kept; without the file, others are made."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "getusermedia" / "tls.pem"


def given_tls(certificate: Path, key: Path, now: datetime.datetime | None = None) -> ServerTls:
    """TLS with files in PEM; the certificate's may hold those of its authorities, too. Blocks.

    :param now: the time, zone included; now by default.
    :raises TlsError: a file can't be read or understood, they don't belong together, or the
        certificate isn't valid at the moment.
    """
    leaf = _read(certificate, key, now or datetime.datetime.now(datetime.UTC))
    return ServerTls(_context(certificate, key), _fingerprint(leaf), leaf.issuer == leaf.subject)


def own_tls(
    addresses: Iterable[str] = (),
    path: Path | None = None,
    now: datetime.datetime | None = None,
) -> ServerTls:
    """TLS with this user's own certificate, which is made when there is none that can be used.
    Blocks.

    :param addresses: this machine's, by which viewers may reach it beside its names.
    :param path: where it is kept; `certificate_path()` by default.
    :param now: the time, zone included; now by default.
    :raises TlsError: there is no place for a file, be it for a moment.
    :raises ValueError: an address is none.
    """
    path, now = path or certificate_path(), now or datetime.datetime.now(datetime.UTC)
    names = machine_names(addresses)
    try:
        if not _is_usable(path, names, now):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _replace(path, _make(names, now))
        return given_tls(path, path, now)
    except OSError as error:
        logger.warning("browsers will ask about another certificate each time: %s", error)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tls.pem"
            _replace(path, _make(names, now))
            return given_tls(path, path, now)
    except OSError as error:
        raise TlsError(f"there is no place for a certificate: {error}") from error


def machine_names(addresses: Iterable[str] = ()) -> list[x509.GeneralName]:
    """What this machine's certificate is for: its names, loopback, and these addresses."""
    host = socket.gethostname().lower()
    names = dict.fromkeys((host, f"{host.partition('.')[0]}.local", "localhost"))
    numbers = dict.fromkeys(
        # A zone (fe80::1%eth0) means nothing to others.
        ipaddress.ip_address(address.partition("%")[0])
        for address in ("127.0.0.1", "::1", *addresses)
    )
    return [
        *(x509.DNSName(name) for name in names if _DNS_NAME.fullmatch(name)),
        *(x509.IPAddress(number) for number in numbers),
    ]


def _is_usable(path: Path, names: list[x509.GeneralName], now: datetime.datetime) -> bool:
    """:raises OSError: the file is not to be seen."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if os.name == "posix" and mode & 0o077:
        logger.warning("%s can be read by others: another certificate is made", path)
        return False
    try:
        certificate = _read(path, path, now)
        _check_period(certificate, path, now + RENEWAL)
    except TlsError as error:
        logger.info("another certificate is made: %s", error)
        return False
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return False
    if missing := [name.value for name in names if name not in list(extension.value)]:
        logger.info("another certificate is made: the last one is not for %s",
                    ", ".join(map(str, missing)))  # fmt: skip
        return False
    return True


def _make(names: list[x509.GeneralName], now: datetime.datetime) -> bytes:
    """A key and a certificate for it, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    common_name = str(names[0].value)[:_LONGEST_COMMON_NAME]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usages = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False
    )  # fmt: skip
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName(names), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.KeyUsage(digital_signature=True, **usages), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        # Firefox refuses a second certificate of the same issuer and number.
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    certificate = builder.sign(key, hashes.SHA256())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _replace(path: Path, content: bytes) -> None:
    """Put a file that only its owner can read into place, whole or not at all."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def _read(certificate: Path, key: Path, now: datetime.datetime) -> x509.Certificate:
    """The certificate of a server, when all is well with it and its key.

    :raises TlsError: when it isn't.
    """
    try:
        leaf = x509.load_pem_x509_certificate(_content(certificate))
    except ValueError as error:
        raise TlsError(f"{certificate} is no certificate in PEM") from error
    try:
        private = serialization.load_pem_private_key(_content(key), password=None)
    except TypeError as error:
        raise TlsError(f"the key {key} has a passphrase; only one without can be used") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TlsError(f"{key} is no private key in PEM") from error
    if private.public_key() != leaf.public_key():
        raise TlsError(f"the key {key} does not belong to the certificate {certificate}")
    _check_period(leaf, certificate, now)
    return leaf


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"{path} can't be read: {error.strerror or error}") from error


def _check_period(certificate: x509.Certificate, path: Path, now: datetime.datetime) -> None:
    """:raises TlsError: the certificate isn't valid then."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= last:
        raise TlsError(f"the certificate {path} is valid until {last:%Y-%m-%d} only")
    if now < first:
        raise TlsError(f"the certificate {path} is valid from {first:%Y-%m-%d} on only")


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise TlsError(f"{certificate} and {key} can't be used: {error.reason}") from error
    return context


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()
