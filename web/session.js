// One session with a peer: the connection, kept negotiated from both sides, and what becomes of it.

// A peer that does not connect within this never will: it ends such sessions itself after 15 s.
const CONNECT_LIMIT = 20000;
// The transport's end and its reason come by different ways, and either may be the first.
const REASON_LIMIT = 300;

export class Session extends EventTarget {
  // Fires "track" (detail: RTCTrackEvent), "control" (detail: RTCDataChannel), and "change" when its
  // state has changed, or what its tracks do.
  // States: connecting, connected, interrupted (it may come back), ended (with reason and detail).
  state = "connecting";
  reason = null;
  detail = "";
  // The remote tracks, and what each does: coming (nothing of it yet), live, paused, ended, refused
  // (it ended before anything came: this browser has turned it down).
  tracks = { audio: null, video: null };
  doing = { audio: null, video: null };
  connection;
  #signaling;
  #polite;
  #mayControl;
  #renegotiates;
  #offering = false;
  #ignoring = false;
  #work = Promise.resolve();
  #transport = null;
  #timer;

  // polite: whether this side gives way when offers collide, as who watches does; else it calls.
  constructor(signaling, { sessionId, iceServers, mayControl = false, renegotiates = true }, { polite }) {
    super();
    this.id = sessionId;
    this.#signaling = signaling;
    this.#polite = polite;
    this.#mayControl = mayControl && polite;
    this.#renegotiates = renegotiates;
    this.connection = new RTCPeerConnection({ bundlePolicy: "max-bundle", iceServers });
    const on = (type, listener) => this.connection.addEventListener(type, listener);
    on("negotiationneeded", () => this.#offer());
    on("icecandidate", ({ candidate }) => candidate && this.#tell({ ice: candidate.toJSON() }));
    on("connectionstatechange", () => this.#connectionChanged());
    on("track", (event) => this.#received(event));
    this.#timer = setTimeout(() => this.end("failed", "No connection came about."), CONNECT_LIMIT);
    signaling.join(this);
  }

  // End the session, and tell the other side; it may be called at any time, and twice.
  end(reason = "closed", detail = "") {
    this.#signaling.leave(this, reason, detail);
    this.over(reason, detail);
  }

  // What the other side says, in order.
  hear({ sdp, ice }) {
    this.#work = this.#work.then(() => (sdp ? this.#described(sdp) : this.#add(ice))).catch((error) => {
      if (this.state !== "ended") this.end("rejected", error.message);
    });
  }

  // The session is over.
  over(reason, detail) {
    if (this.state === "ended") return;
    this.state = "ended";
    this.reason = reason;
    this.detail = detail;
    clearTimeout(this.#timer);
    this.connection.close();
    this.#changed();
  }

  // Bytes that have come in so far.
  async bytes() {
    const reports = [...(await this.connection.getStats()).values()];
    return reports.reduce((sum, report) => sum + (report.type === "inbound-rtp" ? report.bytesReceived : 0), 0);
  }

  #tell(content) {
    this.#signaling.tell(this, content);
  }

  // WebRTC 10.7, "perfect negotiation".
  async #offer() {
    if (!this.#renegotiates && this.connection.localDescription !== null) return;
    try {
      this.#offering = true;
      await this.connection.setLocalDescription();
      this.#tell({ sdp: this.connection.localDescription.toJSON() });
    } finally {
      this.#offering = false;
    }
  }

  async #described(description) {
    const connection = this.connection;
    const isOffer = description.type === "offer";
    const collides = isOffer && (this.#offering || connection.signalingState !== "stable");
    this.#ignoring = collides && !this.#polite;
    if (this.#ignoring) return;
    await connection.setRemoteDescription(description);
    if (isOffer) {
      if (this.#mayControl) this.#openControl();
      await connection.setLocalDescription();
      this.#tell({ sdp: connection.localDescription.toJSON() });
    }
    this.#watchTransport();
  }

  async #add(candidate) {
    try {
      await this.connection.addIceCandidate(candidate);
    } catch (error) {
      // One that can't be used does no harm; those of an offer that was ignored can't.
      if (!this.#ignoring) console.warn("A candidate was not taken:", error.message);
    }
  }

  // Not before the first offer: that has a place for it, so nothing more is to be negotiated.
  #openControl() {
    this.#mayControl = false;
    const channel = this.connection.createDataChannel("control");
    channel.binaryType = "arraybuffer";
    channel.addEventListener("open", () => this.#fire("control", channel));
  }

  #received(event) {
    const { track, receiver } = event;
    // The lowest delay that the browser allows, under its name and its former one.
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
    // One that was taken away for a while comes again.
    if (this.tracks[track.kind] !== track) this.#listen(track);
    this.#fire("track", event);
    this.#does(track, track.muted ? "coming" : "live");
  }

  #listen(track) {
    this.tracks[track.kind] = track;
    track.addEventListener("unmute", () => this.#does(track, "live"));
    track.addEventListener("mute", () => this.#does(track, "paused"));
    track.addEventListener("ended", () => {
      this.#does(track, this.doing[track.kind] === "coming" ? "refused" : "ended");
    });
  }

  #does(track, what) {
    if (this.tracks[track.kind] !== track) return;
    this.doing[track.kind] = what;
    this.#changed();
  }

  // The peer's end reaches the DTLS transport within milliseconds; ICE would take half a minute.
  #watchTransport() {
    const transport = this.connection.sctp?.transport ?? this.connection.getReceivers()[0]?.transport;
    if (!transport || transport === this.#transport) return;
    this.#transport = transport;
    transport.addEventListener("statechange", () => {
      if (this.#transport !== transport || this.state === "ended") return;
      if (transport.state !== "closed" && transport.state !== "failed") return;
      setTimeout(() => this.end("lost"), REASON_LIMIT);
    });
  }

  #connectionChanged() {
    switch (this.connection.connectionState) {
      case "connected":
        clearTimeout(this.#timer);
        return this.#become("connected");
      case "disconnected":
        this.#signaling.probe();
        return this.#become("interrupted");
      case "failed":
        return this.end("failed");
    }
  }

  #become(state) {
    if (this.state === "ended" || this.state === state) return;
    this.state = state;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #fire(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
