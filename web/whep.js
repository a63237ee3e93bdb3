// One WHEP session: an offer to receive, its answer, and the end (draft-ietf-wish-whep).

// A phone on two networks gathers for seconds; what is found by then is enough to connect.
const GATHERING_LIMIT = 500;

export class WhepError extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export class WhepSession extends EventTarget {
  // Fires "track" (detail: MediaStreamTrack) and "closed" once the other side is gone.
  #connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  #headers;
  #resource = null;
  #closed = false;

  constructor(token) {
    super();
    this.#headers = token ? { Authorization: `Bearer ${token}` } : {};
  }

  get connection() {
    return this.#connection;
  }

  // control: whether to open the channel by which the camera is controlled; fires "control".
  async start(endpoint, control = false) {
    const connection = this.#connection;
    if (control) {
      const channel = connection.createDataChannel("control");
      channel.binaryType = "arraybuffer";
      channel.addEventListener("open", () => {
        this.dispatchEvent(new CustomEvent("control", { detail: channel }));
      });
    }
    for (const kind of ["video", "audio"]) {
      connection.addTransceiver(kind, { direction: "recvonly" });
    }
    connection.addEventListener("track", ({ track, receiver }) => {
      // The lowest delay that the browser allows; unknown to some.
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      this.dispatchEvent(new CustomEvent("track", { detail: track }));
    });
    connection.addEventListener("connectionstatechange", () => {
      if (connection.connectionState === "failed") this.#lost();
    });
    await connection.setLocalDescription();
    await gathered(connection);
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { ...this.#headers, "Content-Type": "application/sdp" },
      body: connection.localDescription.sdp,
    });
    if (response.status !== 201) throw await refusal(response);
    this.#resource = new URL(response.headers.get("Location"), response.url);
    if (this.#closed) return this.#delete();
    await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
    this.#watchTransport();
  }

  close() {
    // Ends the session on both sides; it may be called at any time, and twice.
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.close();
    this.#delete();
  }

  #watchTransport() {
    // The peer's close reaches the DTLS transport at once; ICE would take half a minute.
    const transport = this.#connection.getReceivers()[0]?.transport;
    transport?.addEventListener("statechange", () => {
      if (transport.state === "closed" || transport.state === "failed") this.#lost();
    });
  }

  #lost() {
    if (this.#closed) return;
    this.close();
    this.dispatchEvent(new Event("closed"));
  }

  #delete() {
    if (this.#resource === null) return;
    const resource = this.#resource;
    this.#resource = null;
    // keepalive lets it out while the page goes away. The peer may be gone already: no matter.
    fetch(resource, { method: "DELETE", headers: this.#headers, keepalive: true }).catch(() => {});
  }
}

function gathered(connection) {
  if (connection.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHERING_LIMIT);
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

async function refusal(response) {
  let detail = response.statusText;
  if (response.headers.get("Content-Type")?.includes("json")) {
    detail = (await response.json()).detail ?? detail;
  }
  return new WhepError(response.status, detail, Number(response.headers.get("Retry-After")) || 0);
}
