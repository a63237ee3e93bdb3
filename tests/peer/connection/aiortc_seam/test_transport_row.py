"""Bursts that are sent to many by one call of C arrive as those that are sent one by one."""

import asyncio
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiortc import rtcdtlstransport
from aiortc.rtp import RtpPacket

from peer.connection.aiortc_seam import transport_row
from peer.connection.aiortc_seam.dtls import DtlsTransport
from peer.connection.aiortc_seam.srtp import SrtpTransport
from peer.connection.aiortc_seam.transport_row import LIBRARY, TransportRow
from peer.media.encoded_frame import EncodedFrame
from peer.media.rtp_packet import PacketBatch, packet_form

from ...media.loopback import connected_pair

PAYLOADS = [b"a" * 1000, b"b" * 1000, b"c" * 500, b"d" * 900, b"e"]
MANY = 11  # more than a row has room for in the beginning

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux cuts datagrams")


def batch(trailer: int) -> PacketBatch:
    [burst] = EncodedFrame(b"", PAYLOADS, 0, 0.0, is_picture=True).bursts(12)
    return PacketBatch(burst, packet_form(96, "0", (), trailer))


class Receiver:
    """What has come out of a transport, decrypted."""

    def __init__(self, transport: DtlsTransport) -> None:
        self._rtp: asyncio.Queue[RtpPacket] = asyncio.Queue()
        transport._handle_rtp_data = self._take  # type: ignore[method-assign]

    async def _take(self, data: bytes, arrival_time_ms: int) -> None:
        self._rtp.put_nowait(RtpPacket.parse(data))

    async def burst(self) -> list[RtpPacket]:
        async with asyncio.timeout(30):
            return [await self._rtp.get() for _ in PAYLOADS]


def open_row() -> TransportRow:
    row = transport_row.open_row()
    assert row is not None
    return row


def test_it_was_compiled_where_there_is_a_compiler() -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    assert LIBRARY.exists(), "install the package anew: scripts/build_hook.py makes it"


def test_without_the_library_there_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_row, "LIBRARY", LIBRARY.with_name("nothing.so"))
    transport_row._send_burst.cache_clear()
    assert transport_row.open_row() is None
    transport_row._send_burst.cache_clear()


@pytest.mark.parametrize(
    "source", ["", "unsigned layout[4] = {1, 2, 3, 4}; int send_burst(void) { return 0; }"]
)
def test_another_library_is_done_without(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "burst.so"
    if source:
        if (compiler := shutil.which("cc")) is None:
            pytest.skip("there is no C compiler")
        arguments = ("-x", "c", "-", "-shared", "-fPIC", "-o", other)
        subprocess.run([compiler, *arguments], input=source, text=True, check=True)
    else:
        other.write_bytes(b"of another computer")
    monkeypatch.setattr(transport_row, "LIBRARY", other)
    transport_row._send_burst.cache_clear()
    assert transport_row.open_row() is None
    transport_row._send_burst.cache_clear()
    assert "will cost more" in caplog.text


needs_library = pytest.mark.skipif(not LIBRARY.exists(), reason="burst.c was not compiled")


@needs_library
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    "profile", [b"SRTP_AEAD_AES_256_GCM", b"SRTP_AEAD_AES_128_GCM", b"SRTP_AES128_CM_SHA1_80"]
)
async def test_each_is_sent_its_own(
    profile: bytes, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = [p for p in rtcdtlstransport.SRTP_PROFILES if p.openssl_profile == profile]
    monkeypatch.setattr(rtcdtlstransport, "SRTP_PROFILES", profiles)
    async with AsyncExitStack() as stack:
        row = open_row()
        pairs = [await stack.enter_async_context(connected_pair(address)) for _ in range(2)]
        receivers = [Receiver(receiving) for _, receiving in pairs]
        transports = [SrtpTransport(sending) for sending, _ in pairs]
        for number, transport in enumerate(transports):
            row.add(transport, 65530 * number, 2**32 - number, 100 + number)
        assert row.send(batch(transports[0].trailer), 2**16 + 7, 5) == []
        for number, (receiver, transport) in enumerate(zip(receivers, transports, strict=True)):
            packets = await receiver.burst()
            first = (7 + 65530 * number) & 0xFFFF
            found = [(p.sequence_number, p.timestamp, p.ssrc) for p in packets]
            stamp = (5 - number) & 0xFFFFFFFF
            assert found == [
                ((first + index) & 0xFFFF, stamp, 100 + number) for index in range(len(PAYLOADS))
            ]
            assert [p.payload for p in packets] == PAYLOADS
            before = transport._ice.pair_statistics().packets_sent
            transport.settle()
            assert transport._ice.pair_statistics().packets_sent - before == len(PAYLOADS)


@needs_library
async def test_a_row_grows_and_those_who_leave_are_sent_no_more() -> None:
    async with AsyncExitStack() as stack:
        row = open_row()
        pairs = [await stack.enter_async_context(connected_pair()) for _ in range(MANY)]
        receivers = [Receiver(receiving) for _, receiving in pairs]
        transports = [SrtpTransport(sending) for sending, _ in pairs]
        for number, transport in enumerate(transports):
            row.add(transport, 0, 0, number)
        made = batch(transports[0].trailer)
        assert row.send(made, 1, 1) == []
        assert [(await one.burst())[0].ssrc for one in receivers] == list(range(MANY))
        row.remove(3)
        row.remove(MANY - 2)
        assert row.send(made, 11, 1) == []
        staying = [one for number, one in enumerate(receivers) if number not in (3, MANY - 2)]
        assert {(await one.burst())[0].sequence_number for one in staying} == {11}
        assert receivers[3]._rtp.empty()


@needs_library
async def test_who_cannot_be_sent_to_is_left_to_be_asked_why() -> None:
    async with AsyncExitStack() as stack:
        row = open_row()
        pairs = [await stack.enter_async_context(connected_pair()) for _ in range(3)]
        receivers = [Receiver(receiving) for _, receiving in pairs]
        transports = [SrtpTransport(sending) for sending, _ in pairs]
        for number, transport in enumerate(transports):
            row.add(transport, 0, 0, number)
        trailer = transports[0].trailer
        assert row.send(batch(trailer - 1), 1, 1) == [0, 1, 2], "protection does not fit"
        sending, _ = pairs[1]
        await sending.stop()
        await sending.ice.stop()
        assert not transports[1].ready
        assert row.send(batch(trailer), 20, 1) == [1]
        assert row.send(batch(trailer), 2, 1) == [1], "older packets can be sent still"
        assert [(await receivers[n].burst())[0].sequence_number for n in (0, 2)] == [20, 20]
        assert row.send(batch(trailer), 20000, 1) == [1]
        assert row.send(batch(trailer), 10000, 1) == [0, 1, 2], "too old for SRTP's window"


async def test_nothing_is_written_to_the_number_of_a_socket_that_was_closed() -> None:
    async with connected_pair() as (sending, _):
        transport = SrtpTransport(sending)
        path = transport._ice.selected_path()
        assert path is not None
        sock, _ = path
        assert transport.way.socket == sock.fileno()
        assert transport.way.end in sock.closing
        seen: list[tuple[int, int]] = []
        sock.closing.add(lambda: seen.append((sock.fileno(), len(seen))))
        await sending.ice.stop()
        async with asyncio.timeout(30):
            while sock.fileno() != -1:  # noqa: ASYNC110 - asyncio closes it a little later
                await asyncio.sleep(0.001)
        assert [number >= 0 for number, _ in seen] == [True], "once, and before"
        assert transport.way.socket == -1


@needs_library
async def test_a_new_path_is_used_when_the_old_one_is_closed() -> None:
    async with connected_pair() as (sending, receiving):
        transport = SrtpTransport(sending)
        path = transport._ice.selected_path()
        assert path is not None
        old, _ = path
        for ice in (sending.ice, receiving.ice):
            ice.restart()
        await asyncio.gather(*(ice.gather(complete=True) for ice in (sending.ice, receiving.ice)))
        both = ((sending.ice, receiving.ice), (receiving.ice, sending.ice))
        for ice, other in both:
            for candidate in (*other.candidates, None):
                await ice.add_remote_candidate(candidate)
        await asyncio.gather(
            sending.ice.start(receiving.ice.parameters, controlling=True),
            receiving.ice.start(sending.ice.parameters, controlling=False),
        )
        async with asyncio.timeout(30):
            while old.fileno() != -1:  # noqa: ASYNC110 - closed a second after the other is there
                await asyncio.sleep(0.01)
        path = transport._ice.selected_path()
        assert path is not None
        assert transport.way.socket == path[0].fileno() >= 0
        received, row = Receiver(receiving), open_row()
        row.add(transport, 0, 0, 1)
        assert row.send(batch(transport.trailer), 1, 1) == []
        assert len(await received.burst()) == len(PAYLOADS)
