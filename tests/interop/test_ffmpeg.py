"""FFmpeg publishes by WHIP: its muxer, which is in PyAV, sends to the peer."""

import asyncio
import datetime
import re
import signal
import sys
from pathlib import Path

import av
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.peers import running_peer
from tests.processes import send_signal

from . import whip_muxer

TOKEN = "0123456789abcdef"
WAIT_SECONDS = 30.0  # it takes four; a handshake that does not end holds FFmpeg for ever


def make_certificate(folder: Path) -> dict[str, str]:
    """A certificate as WebRTC wants it (RFC 8827 6.5).

    What FFmpeg makes for itself when it was built with GnuTLS, as PyAV's is, is on the curve
    P-224, which OpenSSL refuses.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ffmpeg")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}


async def publish(url: str, options: dict[str, str]) -> None:
    """Send pictures and silence, and end."""
    words = [f"{name}={value}" for name, value in options.items()]
    process = await asyncio.create_subprocess_exec(sys.executable, whip_muxer.__file__, url, *words)
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            assert await process.wait() == 0
    finally:
        send_signal(process, signal.SIGKILL)
        await process.wait()


# Which side begins the DTLS handshake is FFmpeg's to say.
@pytest.mark.parametrize("options", [{}, {"whip_flags": "dtls_active"}], ids=["passive", "active"])
async def test_the_peer_records_what_it_sends(tmp_path: Path, options: dict[str, str]) -> None:
    if "whip" not in av.formats_available:
        pytest.skip("this PyAV has no whip muxer")
    record = tmp_path / "received.mp4"
    arguments = ("--answer", "--port", "0", "--publish-token", TOKEN, "--record", str(record))
    async with running_peer(*arguments, ready=re.compile(r"Send to (http\S+)")) as peer:
        options = {"authorization": TOKEN, **options, **make_certificate(tmp_path)}
        await publish(peer.url, options)
        await peer.logged("is over")
        assert await peer.leave() == 0
    with av.open(record) as container:
        assert {stream.type for stream in container.streams} == {"audio", "video"}
        pictures = sum(1 for _ in container.decode(video=0))
    assert pictures > whip_muxer.RATE * whip_muxer.SECONDS // 2
