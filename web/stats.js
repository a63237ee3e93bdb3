// What the connection's statistics say, as numbers for people.

// Milliseconds from 1900, where NTP begins, to 1970.
const NTP_EPOCH = 2208988800000;

export class Statistics {
  // Rates are differences between two samples, so the first sample has none.
  #before = null;
  // Milliseconds by which the sender's clock is ahead of this one, at the least.
  #ahead = -Infinity;

  // track: the video track that is looked at, null when there is none.
  async sample(connection, track) {
    const reports = [...(await connection.getStats()).values()];
    const inbound = reports.filter((r) => r.type === "inbound-rtp");
    const video = inbound.find((r) => r.kind === "video" && r.trackIdentifier === track?.id);
    const audio = inbound.findLast((r) => r.kind === "audio");
    const pair = reports.find((r) => r.type === "candidate-pair" && r.nominated && r.bytesReceived > 0);
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
      delay: this.#delay(video, reports.find((r) => r.id === video?.remoteId), pair),
      buffer: emitted > 0 ? (now.delay - before.delay) / emitted : undefined,
    };
  }

  // Seconds from the capture of the picture that is shown to now, by the sender's clock.
  #delay(video, sent, pair) {
    if (!video?.estimatedPlayoutTimestamp || !sent?.remoteTimestamp) return undefined;
    // Each report was on its way for a while: the fastest one tells most.
    this.#ahead = Math.max(this.#ahead, sent.remoteTimestamp - sent.timestamp);
    const there = video.timestamp + this.#ahead + ((pair?.currentRoundTripTime ?? 0) * 1000) / 2;
    const captured = video.estimatedPlayoutTimestamp;
    // Chromium counts from 1900.
    const since = captured > NTP_EPOCH + 1e12 ? captured - NTP_EPOCH : captured;
    return Math.max(0, there - since) / 1000;
  }
}
