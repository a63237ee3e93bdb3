// npm's node-datachannel (libdatachannel) as a publisher for the fan-out benchmark: it can't encode,
// so it is given RTP by the command that its arguments are, followed by two ports. It speaks as
// fanout_publisher.py does.

import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createInterface } from "node:readline";

const CODECS = {
  video: { payloadType: 96, clockRate: 90000, ssrc: 1001 },
  audio: { payloadType: 97, clockRate: 48000, ssrc: 1002 },
};

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

let datachannel;
try {
  datachannel = (await import("node-datachannel")).default;
} catch (error) {
  say({ missing: error.message.split("\n")[0] });
  process.exit();
}

const tracks = { video: [], audio: [] };
const ports = [];
for (const kind of ["video", "audio"]) {
  const socket = createSocket("udp4");
  socket.on("message", (packet) => {
    for (const track of tracks[kind]) if (track.isOpen()) track.sendMessageBinary(packet);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.setRecvBufferSize(1 << 20);
  ports.push(socket.address().port);
}

/** A track that reports and answers NACK, as ours do. */
function addTrack(connection, kind) {
  const { payloadType, clockRate, ssrc } = CODECS[kind];
  const media = new datachannel[kind === "video" ? "Video" : "Audio"](kind, "SendOnly");
  if (kind === "video") media.addVP8Codec(payloadType);
  else media.addOpusCodec(payloadType);
  media.addSSRC(ssrc, "publisher", "stream", kind);
  const track = connection.addTrack(media);
  const form = new datachannel.RtpPacketizationConfig(ssrc, "publisher", payloadType, clockRate);
  const reporter = new datachannel.RtcpSrReporter(form);
  reporter.addToChain(new datachannel.RtcpNackResponder());
  track.setMediaHandler(reporter);
  tracks[kind].push(track);
}

const connections = [];
spawn(process.argv[2], [...process.argv.slice(3), ...ports], { stdio: ["ignore", "ignore", 2] });
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if ("answer" in message) {
    connections.at(-1).setRemoteDescription(message.answer, "answer");
    continue;
  }
  const connection = new datachannel.PeerConnection("publisher", {
    iceServers: [],
    disableAutoNegotiation: true,
  });
  connections.push(connection);
  connection.onGatheringStateChange((state) => {
    if (state === "complete") say({ offer: connection.localDescription().sdp });
  });
  addTrack(connection, "video");
  addTrack(connection, "audio");
  connection.setLocalDescription("offer");
}
process.exit();
