"""Pauses of speech that are not sent (DTX), as a browser hears them."""

import asyncio
import time
from fractions import Fraction
from typing import Any

import aiortc
import numpy as np
import pytest
from av import AudioFrame

from .browser_session import Call, call
from .browsers import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")

RATE, SAMPLES = 48000, 960
SPOKEN, PAUSED = 50, 75
"""Frames of 20 ms."""
ASK = """(() => {
    const set = peer.connection.setLocalDescription.bind(peer.connection);
    peer.connection.setLocalDescription = async () => {
        const answers = peer.connection.signalingState === "have-remote-offer";
        const made = await peer.connection[answers ? "createAnswer" : "createOffer"]();
        const sdp = made.sdp.replaceAll("useinbandfec=1", "useinbandfec=1;usedtx=1");
        await set({ type: made.type, sdp });
    };
    return null;
})()"""
LISTEN = """(() => {
    const [receiver] = peer.connection.getReceivers().filter(r => r.track.kind === "audio");
    const audio = new Audio();
    audio.srcObject = new MediaStream([receiver.track]);
    audio.play();
    globalThis.statistics = async () => [...(await receiver.getStats()).values()]
        .find(r => r.type === "inbound-rtp");
    globalThis.levels = [];
    let before = null;
    setInterval(async () => {
        const now = await statistics();
        const duration = now.totalSamplesDuration - before?.totalSamplesDuration;
        const energy = now.totalAudioEnergy - before?.totalAudioEnergy;
        if (duration > 0) levels.push(Math.sqrt(energy / duration));
        before = now;
    }, 100);
    return null;
})()"""
COUNTED = ("packetsReceived", "packetsLost", "totalSamplesReceived", "concealedSamples")


class Speaker(aiortc.MediaStreamTrack):
    """Somebody who speaks for a second, and is quiet for one and a half, in a room that hums."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._number, self._begun = 0, time.monotonic()
        self._random = np.random.default_rng(1)

    async def recv(self) -> AudioFrame:
        await asyncio.sleep(max(0.0, self._begun + self._number / 50 - time.monotonic()))
        loudness = 6000 if self._number % (SPOKEN + PAUSED) < SPOKEN else 20
        noise = (self._random.normal(0, loudness, (1, SAMPLES))).clip(-32000, 32000)
        frame = AudioFrame.from_ndarray(noise.astype(np.int16), "s16", "mono")
        frame.sample_rate, frame.pts = RATE, self._number * SAMPLES
        frame.time_base = Fraction(1, RATE)
        self._number += 1
        return frame


async def heard(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = await call.page.evaluate("statistics()")
    return found


async def test_pauses_are_heard_as_the_room_and_not_as_a_fault(browser: Browser) -> None:
    async with call(browser, polite=False) as listened:
        await listened.page.evaluate(ASK)
        sender = listened.connection.addTrack(Speaker())
        await listened.noted("unmute", "audio")
        await listened.page.evaluate(LISTEN)
        # The first of it is concealed.
        await listened.page.wait_for("levels.some(level => level > 0.1)")
        before = await heard(listened)
        await listened.page.evaluate("levels.length = 0")
        await asyncio.sleep(2 * (SPOKEN + PAUSED) / 50)
        after = await heard(listened)
        elapsed = (after["timestamp"] - before["timestamp"]) / 1000
        levels = np.array(await listened.page.evaluate("levels"))
        gained = {name: after[name] - before[name] for name in COUNTED}
        assert gained["packetsReceived"] < 0.8 * elapsed * 50, "pauses are not sent"
        assert gained["totalSamplesReceived"] == pytest.approx(elapsed * RATE, rel=0.1)
        assert gained["concealedSamples"] < 0.2 * gained["totalSamplesReceived"], "late ones only"
        assert gained["packetsLost"] == 0
        assert (levels > 0.1).mean() > 0.25
        assert (levels < 0.03).mean() > 0.25
        assert sender._stream.statistics.packetsSent >= after["packetsReceived"]
        assert await listened.diary("mute", "ended") == []
