// What the connection's statistics say, as numbers for people.

export class Statistics {
  // Rates are differences between two samples, so the first sample has none.
  #before = null;

  // track: the video track that is looked at, null when there is none.
  async sample(connection, track) {
    const reports = [...(await connection.getStats()).values()];
    const inbound = reports.filter((r) => r.type === "inbound-rtp");
    const video = inbound.find((r) => r.kind === "video" && r.trackIdentifier === track?.id);
    const audio = inbound.findLast((r) => r.kind === "audio");
    const pair = reports.find((r) => r.type === "candidate-pair" && r.nominated && r.state === "succeeded");
    const codec = reports.find((r) => r.id === video?.codecId);
    const now = {
      id: video?.id,
      time: performance.now(),
      frames: video?.framesDecoded ?? 0,
      bytes: (video?.bytesReceived ?? 0) + (audio?.bytesReceived ?? 0),
      packets: (video?.packetsReceived ?? 0) + (audio?.packetsReceived ?? 0),
      lost: (video?.packetsLost ?? 0) + (audio?.packetsLost ?? 0),
      delay: video?.jitterBufferDelay ?? 0,
      emitted: video?.jitterBufferEmittedCount ?? 0,
    };
    const before = this.#before;
    this.#before = now;
    if (before === null || before.id !== now.id) return null;
    const seconds = (now.time - before.time) / 1000;
    const packets = now.packets - before.packets;
    const lost = Math.max(0, now.lost - before.lost);
    const emitted = now.emitted - before.emitted;
    return {
      width: video?.frameWidth,
      height: video?.frameHeight,
      codec: codec?.mimeType?.split("/")[1],
      frames: now.frames - before.frames,
      frameRate: (now.frames - before.frames) / seconds,
      bitrate: ((now.bytes - before.bytes) * 8) / seconds,
      loss: packets + lost > 0 ? lost / (packets + lost) : 0,
      roundTrip: pair?.currentRoundTripTime,
      buffer: emitted > 0 ? (now.delay - before.delay) / emitted : undefined,
    };
  }
}
