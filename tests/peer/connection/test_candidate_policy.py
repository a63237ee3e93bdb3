"""Which addresses of the other side's are sent packets to."""

import asyncio

import pytest

from peer import RTCPeerConnection
from peer.connection.candidate_policy import candidate_policy
from peer.connection.sdp import parse_candidate

from .pairs import Diary


@pytest.mark.parametrize(
    ("address", "port", "allowed"),
    [
        ("192.0.2.1", 5000, True),
        ("10.0.0.1", 5000, True),
        ("2001:db8::1", 5000, True),
        ("127.0.0.1", 5000, False),
        ("::1", 5000, False),
        ("169.254.169.254", 5000, False),
        ("fe80::1", 5000, False),
        ("0.0.0.0", 5000, False),
        ("224.0.0.1", 5000, False),
        ("192.0.2.1", 53, False),
    ],
)
def test_strangers_name_no_services_of_ours(address: str, port: int, allowed: bool) -> None:
    candidate = parse_candidate(f"candidate:1 1 udp 1 {address} {port} typ host")
    assert candidate_policy(allow_loopback=False)(candidate) is allowed


def test_loopback_where_it_is_allowed() -> None:
    candidate = parse_candidate("candidate:1 1 udp 1 127.0.0.1 5000 typ host")
    assert candidate_policy(allow_loopback=True)(candidate)


async def test_no_packet_goes_where_none_may() -> None:
    """A candidate of ours that a stranger names: nothing arrives there."""
    heard = asyncio.Event()

    class Service(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: object) -> None:
            heard.set()

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Service, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    line = f"a=candidate:1 1 udp 1 127.0.0.1 {port} typ host\r\n"
    for allow, expected in ((False, False), (True, True)):
        ours = RTCPeerConnection(
            alwaysNegotiateDataChannels=True,
            allowRemoteCandidate=candidate_policy(allow_loopback=allow),
        )
        stranger = RTCPeerConnection()
        states = Diary().keep(ours, "iceconnectionstatechange")
        try:
            await ours.setLocalDescription()
            await stranger.setRemoteDescription(ours.localDescription)
            answer = await stranger.createAnswer()
            await ours.setRemoteDescription({"type": "answer", "sdp": answer.sdp + line})
            await states.has("iceconnectionstatechange")
            if expected:
                await asyncio.wait_for(heard.wait(), 30)
            # The checks of all candidates begin in the same turns of the loop.
            assert heard.is_set() is expected
            assert bool(ours._transport.ice.remote_candidates) is expected
        finally:
            await ours.close()
            await stranger.close()
    transport.close()
