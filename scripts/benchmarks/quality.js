// For scripts/benchmarks/quality.py: sends a clip from this page to itself, and keeps what the
// encoder made of it.
globalThis.quality = (() => {
  const encoded = [];
  let connections = [];

  const gathered = async (connection) => {
    while (connection.iceGatheringState !== "complete") {
      await new Promise((resolve) => (connection.onicegatheringstatechange = resolve));
    }
    return connection.localDescription.sdp;
  };

  const base64 = (buffer) =>
    new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.split(",")[1]);
      reader.readAsDataURL(new Blob([buffer]));
    });

  return {
    async load(url) {
      this.clip = await (await fetch(url)).arrayBuffer();
      return null;
    },
    async connect(codec, bitrate) {
      for (const one of connections) one.close();
      const options = { encodedInsertableStreams: true };
      const sender = new RTCPeerConnection(options), receiver = new RTCPeerConnection(options);
      connections = [sender, receiver];
      this.track = new MediaStreamTrackGenerator({ kind: "video" });
      const transceiver = sender.addTransceiver(this.track, { direction: "sendonly" });
      const { codecs } = RTCRtpSender.getCapabilities("video");
      transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === `video/${codec}`));
      const outgoing = transceiver.sender.createEncodedStreams();
      const keep = new TransformStream({
        transform(frame, controller) {
          encoded.push({ data: frame.data.slice(0), key: frame.type === "key" });
          controller.enqueue(frame);
        },
      });
      outgoing.readable.pipeThrough(keep).pipeTo(outgoing.writable);
      receiver.ontrack = ({ receiver: one }) => {
        const incoming = one.createEncodedStreams();
        incoming.readable.pipeTo(incoming.writable);
      };
      for (const [one, other] of [[sender, receiver], [receiver, sender]]) {
        one.onicecandidate = ({ candidate }) => other.addIceCandidate(candidate);
      }
      await sender.setLocalDescription();
      await receiver.setRemoteDescription(sender.localDescription);
      await receiver.setLocalDescription();
      // Begin with the bitrate instead of growing into it.
      const kbits = Math.round(bitrate / 1000);
      const rates = ["start", "min", "max"].map((one) => `x-google-${one}-bitrate=${kbits}`).join(";");
      const [number] = receiver.localDescription.sdp.match(/m=video \d+ \S+ (\d+)/).slice(1);
      let { sdp } = receiver.localDescription;
      const fmtp = new RegExp(`(a=fmtp:${number} [^\r]*)`);
      sdp = fmtp.test(sdp)
        ? sdp.replace(fmtp, `$1;${rates}`)
        : sdp.replace(new RegExp(`(a=rtpmap:${number} [^\r]*)`), `$1\r\na=fmtp:${number} ${rates}`);
      await sender.setRemoteDescription({ type: "answer", sdp });
      const parameters = transceiver.sender.getParameters();
      parameters.encodings[0].maxBitrate = bitrate;
      parameters.degradationPreference = "maintain-resolution";
      await transceiver.sender.setParameters(parameters);
      while (sender.connectionState !== "connected") {
        await new Promise((resolve) => (sender.onconnectionstatechange = resolve));
      }
      return null;
    },
    async play(width, height, rate) {
      encoded.length = 0;
      const writer = this.track.writable.getWriter();
      const size = (width * height * 3) / 2;
      const begun = performance.now();
      for (let number = 0; number * size < this.clip.byteLength; number++) {
        const wait = begun + (number * 1000) / rate - performance.now();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        const pixels = new Uint8Array(this.clip, number * size, size);
        const timestamp = Math.round((number * 1e6) / rate);
        const form = { format: "I420", codedWidth: width, codedHeight: height, timestamp };
        await writer.write(new VideoFrame(pixels, form));
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
      return Promise.all(encoded.map(async ({ data, key }) => ({ key, data: await base64(data) })));
    },
  };
})();
null;
