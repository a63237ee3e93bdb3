"""Our ICE with others': aioice and aiortc as they are, in both roles."""

import asyncio
from typing import cast

import aioice
import pytest
from aiortc import (
    RTCCertificate,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceTransport,
)
from aiortc.rtcicetransport import candidate_from_aioice, candidate_to_aioice

from peer.connection.aiortc_seam.ice import IceTransport

from ...whep_viewer import gather_loopback_when_alone
from .ice_network import PATIENCE, join, nothing_left, receive, transports


@pytest.fixture(autouse=True)
def loopback() -> None:
    gather_loopback_when_alone()


@pytest.mark.parametrize("controlling", [True, False], ids=["controlling", "controlled"])
async def test_aioice(controlling: bool) -> None:
    async with nothing_left(), asyncio.timeout(PATIENCE):
        ours, theirs = IceTransport(), aioice.Connection(ice_controlling=not controlling)
        await ours.gather(complete=True)
        await theirs.gather_candidates()
        for local in theirs.local_candidates:
            await ours.add_remote_candidate(candidate_from_aioice(local))
        for candidate in ours.candidates:
            await theirs.add_remote_candidate(candidate_to_aioice(candidate))
        await ours.add_remote_candidate(None)
        await theirs.add_remote_candidate(None)
        theirs.remote_username = ours.parameters.usernameFragment
        theirs.remote_password = ours.parameters.password
        remote = RTCIceParameters(theirs.local_username, theirs.local_password)
        await asyncio.gather(theirs.connect(), ours.start(remote, controlling=controlling))
        ours.send_now(b"\x80 there")
        assert await theirs.recv() == b"\x80 there"
        await theirs.send(b"\x80 back")
        assert await receive(ours) == b"\x80 back"
        await ours.stop()
        await theirs.close()


@pytest.mark.parametrize("controlling", [True, False], ids=["controlling", "controlled"])
async def test_aiortc_with_dtls(controlling: bool) -> None:
    certificates = [RTCCertificate.generateCertificate() for _ in range(2)]
    async with nothing_left(), asyncio.timeout(PATIENCE):
        ours = IceTransport()
        gatherer = RTCIceGatherer(iceServers=[])
        theirs = RTCIceTransport(gatherer)
        gatherer._connection.ice_controlling = not controlling
        await ours.gather(complete=True)
        await gatherer.gather()
        for candidate in gatherer.getLocalCandidates():
            await ours.add_remote_candidate(candidate)
        for candidate in ours.candidates:
            await theirs.addRemoteCandidate(candidate)
        await ours.add_remote_candidate(None)
        await theirs.addRemoteCandidate(None)
        await asyncio.gather(
            theirs.start(ours.parameters),
            ours.start(gatherer.getLocalParameters(), controlling=controlling),
        )
        near = RTCDtlsTransport(cast(RTCIceTransport, ours), [certificates[0]])
        far = RTCDtlsTransport(theirs, [certificates[1]])
        await asyncio.gather(
            near.start(RTCDtlsParameters(certificates[1].getFingerprints())),
            far.start(RTCDtlsParameters(certificates[0].getFingerprints())),
        )
        assert near.state == far.state == "connected"
        await near.stop()
        await far.stop()
        await ours.stop()
        await theirs.stop()


async def test_dtls_notices_nothing_of_a_restart() -> None:
    certificates = [RTCCertificate.generateCertificate() for _ in range(2)]
    async with transports() as (one, other), asyncio.timeout(PATIENCE):
        await join(one, other)
        near, far = (
            RTCDtlsTransport(cast(RTCIceTransport, transport), [certificate])
            for transport, certificate in zip((one, other), certificates, strict=True)
        )
        await asyncio.gather(
            near.start(RTCDtlsParameters(certificates[1].getFingerprints())),
            far.start(RTCDtlsParameters(certificates[0].getFingerprints())),
        )
        received: asyncio.Queue[bytes] = asyncio.Queue()

        class Receiver:
            async def _handle_data(self, data: bytes) -> None:
                received.put_nowait(data)

        far._register_data_receiver(Receiver())
        changes: list[str] = []
        near.on("statechange", lambda: changes.append(near.state))
        before = one.selected_pair
        one.restart()
        other.restart()
        await near._send_data(b"during")
        assert await received.get() == b"during"
        await join(one, other)
        assert one.selected_pair != before
        await near._send_data(b"after")
        assert await received.get() == b"after"
        assert changes == []
        await asyncio.gather(near.stop(), far.stop())
