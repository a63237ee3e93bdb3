// A page's end of a connection that comes to its end, for tests: it watches or sends, over a WebSocket
// or by WHEP and WHIP, and keeps a diary of what it sees, in milliseconds of the computer's clock.
globalThis.ends = (() => {
  // Pictures are sent more often than this, black ones too.
  const STANDSTILL = 1000;
  const GLANCE = 100;
  const connection = new RTCPeerConnection();
  const video = document.createElement("video");
  const diary = [];
  const known = new Set();
  let tell = () => {};
  let say = () => {};
  let polite = true;
  let making = false;
  let own = null;

  const note = (what) => diary.push({ what, at: Date.now() });
  const on = (target, type, listener) => {
    if (!known.has(target)) target.addEventListener(type, listener);
  };

  connection.addEventListener("connectionstatechange", () => note(`connection ${connection.connectionState}`));
  connection.addEventListener("track", ({ track, streams }) => {
    note(`${track.kind} track`);
    for (const stream of streams) {
      on(stream, "addtrack", (event) => note(`${event.track.kind} addtrack`));
      on(stream, "removetrack", (event) => note(`${event.track.kind} removetrack`));
      known.add(stream);
    }
    for (const type of ["mute", "unmute", "ended"]) on(track, type, () => note(`${track.kind} ${type}`));
    known.add(track);
    if (track.kind === "video") show(track);
  });

  const show = (track) => {
    video.muted = true;
    video.srcObject = new MediaStream([track]);
    video.play().catch(() => {}); // an element that gets another track refuses the former play()
  };

  // The other side's close_notify reaches the transport; ICE alone would take half a minute.
  const watchTransport = () => {
    const transport = connection.sctp?.transport ?? connection.getReceivers()[0]?.transport;
    if (!transport || known.has(transport)) return;
    on(transport, "statechange", () => note(`transport ${transport.state}`));
    known.add(transport);
  };

  const described = async (description) => {
    const isOffer = description.type === "offer";
    if (isOffer && !polite && (making || connection.signalingState !== "stable")) return;
    await connection.setRemoteDescription(description);
    if (isOffer) {
      await connection.setLocalDescription();
      tell({ sdp: connection.localDescription.toJSON() });
    }
    watchTransport();
  };

  const offer = async () => {
    try {
      making = true;
      await connection.setLocalDescription();
      tell({ sdp: connection.localDescription.toJSON() });
    } finally {
      making = false;
    }
  };

  // Sound first: what carries the transport outlasts the picture.
  const addTracks = () => {
    for (const track of [...own.getAudioTracks(), ...own.getVideoTracks()]) {
      connection.addTransceiver(track, { direction: "sendonly", streams: [own] });
    }
  };

  const byWebSocket = (peerId) => {
    const socket = new WebSocket(new URL("/ws", location.href.replace("http", "ws")), "webrtc-signaling");
    let sessionId = null;
    let work = Promise.resolve();
    say = (message) => socket.send(JSON.stringify(message));
    tell = (content) => sessionId && say({ type: "peer", sessionId, ...content });
    connection.addEventListener("negotiationneeded", offer);
    connection.addEventListener("icecandidate", ({ candidate }) => candidate && tell({ ice: candidate.toJSON() }));
    socket.addEventListener("close", ({ code }) => note(`socket closed (${code})`));
    socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      switch (message.type) {
        case "welcome":
          return say({ type: "startSession", peerId });
        case "startSession": // with a consumer, to whom this side sends
          polite = false;
          sessionId = message.sessionId;
          return addTracks();
        case "sessionStarted":
          sessionId = message.sessionId;
          return;
        case "endSession":
          return note(`session ended (${message.reason ?? "closed"})`);
        case "peer":
          work = work.then(() => (message.sdp ? described(message.sdp) : connection.addIceCandidate(message.ice)));
          work.catch((error) => note(`error ${error}`));
      }
    });
  };

  const byHttp = async (url) => {
    const gathered = new Promise((resolve) => {
      connection.addEventListener("icegatheringstatechange", () => {
        if (connection.iceGatheringState === "complete") resolve();
      });
    });
    await connection.setLocalDescription();
    await gathered;
    const body = connection.localDescription.sdp;
    const response = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body });
    if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
    await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
    watchTransport();
  };

  const isBlack = () => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 16;
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, 16, 16);
    return context.getImageData(0, 0, 16, 16).data.every((value, i) => i % 4 === 3 || value < 40);
  };

  const packets = async () =>
    [...(await connection.getStats()).values()]
      .filter((report) => report.type === "inbound-rtp" && report.kind === "video")
      .reduce((sum, report) => sum + report.packetsReceived, 0);

  return {
    connection,
    diary,
    async watch(via, peerId) {
      if (via === "WebSocket") return byWebSocket(peerId);
      for (const kind of ["video", "audio"]) connection.addTransceiver(kind, { direction: "recvonly" });
      await byHttp(`/whep/${peerId}`);
    },
    async send(via, peerId) {
      own = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240 } });
      if (via === "WebSocket") return byWebSocket(peerId);
      addTracks();
      await byHttp(`/whip/${peerId}`);
    },
    // Whether all these kinds arrive, and the picture is there.
    live(kinds) {
      const tracks = connection.getReceivers().map(({ track }) => track);
      return video.videoWidth > 0 && kinds.every((kind) => tracks.some((t) => t.kind === kind && !t.muted));
    },
    // Note when the picture becomes black.
    watchPicture() {
      const look = () => (isBlack() ? note("black picture") : video.requestVideoFrameCallback(look));
      video.requestVideoFrameCallback(look);
    },
    // Note when no picture has arrived for a second.
    async watchFlow() {
      let before = await packets();
      let since = Date.now();
      const glance = async () => {
        const now = await packets();
        if (now !== before) [before, since] = [now, Date.now()];
        if (Date.now() - since > STANDSTILL) note("no picture for a second");
        else setTimeout(glance, GLANCE);
      };
      setTimeout(glance, GLANCE);
    },
    // End the page's own picture, or everything; returns when that was.
    act(action) {
      const at = Date.now();
      const transceiver = connection.getTransceivers().find(({ sender }) => sender.track.kind === "video");
      ({
        "track.stop()": () => transceiver.sender.track.stop(),
        "removeTrack()": () => connection.removeTrack(transceiver.sender),
        "transceiver.stop()": () => transceiver.stop(),
        "pc.close()": () => connection.close(),
      })[action]();
      return at;
    },
  };
})();
