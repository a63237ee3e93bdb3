// For scripts/benchmarks/latency.py, in both pages: pictures that carry the time at which they were
// drawn, in the barcode of peer/devices/barcode.py, and a look at how old they are when they arrive.
globalThis.latency = (() => {
  const WIDTH = 1280, HEIGHT = 720, RATE = 30, COLUMNS = 40, ROWS = 2, BITS = 36, CELL = 4;
  const now = () => performance.timeOrigin + performance.now();

  const crc8 = (payload) => {
    let crc = 0;
    for (let shift = 56n; shift >= 0n; shift -= 8n) {
      crc ^= Number((payload >> shift) & 0xffn);
      for (let i = 0; i < 8; i++) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
    }
    return crc;
  };

  const drawCode = (context, frame, time) => {
    const payload = ((BigInt(frame) & 0xffffffn) << 40n) | (BigInt(Math.round(time)) & 0xffffffffffn);
    const value = (payload << 8n) | BigInt(crc8(payload));
    const size = WIDTH / COLUMNS;
    for (let row = 0; row < ROWS; row++) {
      for (let column = 0; column < COLUMNS; column++) {
        const bit = (ROWS - row) * BITS - 1 - (column - 2);
        const edge = column === 0 || column === COLUMNS - 1;
        const inside = column >= 2 && column < 2 + BITS;
        const light = edge || (inside && (value >> BigInt(bit)) & 1n);
        context.fillStyle = light ? "rgb(240,240,240)" : "rgb(9,9,9)";
        context.fillRect(column * size, row * size, size, size);
      }
    }
  };

  // A small copy of the code's rows: four pixels a cell.
  const code = document.createElement("canvas");
  [code.width, code.height] = [COLUMNS * CELL, ROWS * CELL];
  const reading = code.getContext("2d", { willReadFrequently: true });
  const readCode = (video) => {
    const rows = (ROWS * video.videoWidth) / COLUMNS;
    reading.drawImage(video, 0, 0, video.videoWidth, rows, 0, 0, code.width, code.height);
    const { data } = reading.getImageData(0, 0, code.width, code.height);
    let value = 0n;
    for (let row = 0; row < ROWS; row++) {
      for (let bit = 0; bit < BITS; bit++) {
        const at = ((row * CELL + CELL / 2) * code.width + (bit + 2) * CELL + CELL / 2) * 4;
        value = (value << 1n) | (data[at + 1] > 124 ? 1n : 0n);
      }
    }
    const payload = value >> 8n;
    if (crc8(payload) !== Number(value & 0xffn)) return null;
    return { frame: Number(payload >> 40n), time: Number(payload & 0xffffffffffn) };
  };

  // A canvas's track: a slope, something that moves, and the code.
  const camera = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [WIDTH, HEIGHT];
    const context = canvas.getContext("2d");
    const slope = context.createLinearGradient(0, 0, WIDTH, HEIGHT);
    slope.addColorStop(0, "rgb(40,40,70)");
    slope.addColorStop(1, "rgb(190,190,220)");
    const [track] = canvas.captureStream(0).getVideoTracks();
    let frame = 0, due = performance.now();
    const draw = () => {
      const time = now();
      context.fillStyle = slope;
      context.fillRect(0, 0, WIDTH, HEIGHT);
      context.fillStyle = "rgb(220,220,220)";
      context.fillRect(((frame / RATE / 4) % 1) * WIDTH, HEIGHT / 2, WIDTH / 16, HEIGHT / 16);
      drawCode(context, frame++, time);
      track.requestFrame();
      due += 1000 / RATE;
      setTimeout(draw, Math.max(0, due - performance.now()));
    };
    draw();
    return track;
  };

  const gathered = async (connection) => {
    while (connection.iceGatheringState !== "complete") {
      await new Promise((resolve) => (connection.onicegatheringstatechange = resolve));
    }
    return connection.localDescription.sdp;
  };

  const seen = [];
  let connection;
  return {
    seen,
    // The sender's page.
    async offer(codec) {
      connection = new RTCPeerConnection();
      const transceiver = connection.addTransceiver(camera(), { direction: "sendonly" });
      const { codecs } = RTCRtpSender.getCapabilities("video");
      transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === `video/${codec}`));
      const parameters = transceiver.sender.getParameters();
      parameters.encodings[0].maxBitrate = 2_000_000;
      await transceiver.sender.setParameters(parameters);
      await connection.setLocalDescription();
      return gathered(connection);
    },
    async answered(sdp) {
      await connection.setRemoteDescription({ type: "answer", sdp });
    },
    // The viewer's page.
    async answer(sdp) {
      connection = new RTCPeerConnection();
      connection.ontrack = ({ track }) => {
        const video = document.createElement("video");
        video.muted = video.autoplay = true;
        video.srcObject = new MediaStream([track]);
        document.body.append(video);
        const look = (_, metadata) => {
          const at = now();
          const found = readCode(video);
          video.requestVideoFrameCallback(look);
          if (found === null) return;
          const received = performance.timeOrigin + metadata.receiveTime;
          const age = (time) => (time % 2 ** 40) - found.time;
          seen.push({ frame: found.frame, shown: age(at), received: age(received) });
        };
        video.requestVideoFrameCallback(look);
      };
      await connection.setRemoteDescription({ type: "offer", sdp });
      await connection.setLocalDescription();
      return gathered(connection);
    },
  };
})();
null;
