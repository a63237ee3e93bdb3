// A browser's end of a connection, for tests: perfect negotiation (WebRTC 10.7), and a diary of what
// happens. What it has to say is fetched by `next()`, what it is to hear comes by `hear()`.
globalThis.peer = (() => {
  const connection = new RTCPeerConnection();
  const outbox = [];
  const diary = [];
  const started = performance.now();
  let waiting = null;
  let polite = true;
  let making = false;
  let ignoring = false;

  const say = (message) => {
    outbox.push(message);
    waiting?.();
  };
  const note = (what, more = {}) => diary.push({ what, at: performance.now() - started, ...more });

  connection.onicecandidate = ({ candidate }) => say({ candidate: candidate?.toJSON() ?? null });
  connection.onnegotiationneeded = async () => {
    try {
      making = true;
      await connection.setLocalDescription();
      say({ description: connection.localDescription.toJSON() });
    } catch (error) {
      note("error", { message: String(error) });
    } finally {
      making = false;
    }
  };
  connection.onsignalingstatechange = () => note("signalingstatechange", { state: connection.signalingState });
  connection.onconnectionstatechange = () => note("connectionstatechange", { state: connection.connectionState });
  connection.ondatachannel = ({ channel }) => {
    note("datachannel", { label: channel.label });
    channel.onmessage = ({ data }) => note("message", { data });
  };
  const known = new Set();
  connection.ontrack = ({ track, streams, transceiver }) => {
    note("track", { kind: track.kind, streams: streams.map((s) => s.id), mid: transceiver.mid, muted: track.muted });
    for (const stream of streams) {
      if (known.has(stream)) continue;
      known.add(stream);
      stream.onaddtrack = (event) => note("addtrack", { kind: event.track.kind });
      stream.onremovetrack = (event) => note("removetrack", { kind: event.track.kind });
    }
    if (known.has(track)) return;
    known.add(track);
    for (const type of ["mute", "unmute", "ended"]) {
      track.addEventListener(type, () => note(type, { kind: track.kind }));
    }
  };

  return {
    connection,
    diary,
    setPolite(value) {
      polite = value;
    },
    async next() {
      if (!outbox.length) await new Promise((resolve) => (waiting = resolve));
      waiting = null;
      return outbox.splice(0);
    },
    async hear({ description, candidate }) {
      try {
        if (description) {
          const collides = description.type === "offer" && (making || connection.signalingState !== "stable");
          ignoring = !polite && collides;
          if (ignoring) return;
          await connection.setRemoteDescription(description);
          if (description.type === "offer") {
            await connection.setLocalDescription();
            say({ description: connection.localDescription.toJSON() });
          }
        } else {
          await connection.addIceCandidate(candidate);
        }
      } catch (error) {
        if (!ignoring) note("error", { message: String(error) });
      }
    },
    // A moving picture, and a tone.
    video() {
      const canvas = document.createElement("canvas");
      const context = canvas.getContext("2d");
      let hue = 0;
      setInterval(() => {
        context.fillStyle = `hsl(${(hue += 7)} 90% 50%)`;
        context.fillRect(0, 0, canvas.width, canvas.height);
      }, 40);
      return canvas.captureStream(25).getVideoTracks()[0];
    },
    audio() {
      const context = new AudioContext();
      const tone = context.createOscillator();
      const out = context.createMediaStreamDestination();
      tone.connect(out);
      tone.start();
      return out.stream.getAudioTracks()[0];
    },
    async frames() {
      const reports = [...(await connection.getStats()).values()];
      return reports
        .filter((r) => r.type === "inbound-rtp" && r.kind === "video")
        .reduce((sum, r) => sum + (r.framesDecoded ?? 0), 0);
    },
    errors() {
      return diary.filter((entry) => entry.what === "error").map((entry) => entry.message);
    },
  };
})();
