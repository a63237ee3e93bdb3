// The connection to the signalling server: who is there, and what is said in sessions.
//
// A socket that breaks is replaced; the server then gives back the place and the sessions, and each
// side says again what the other has missed (signaling/protocol.py has the protocol).

import { Backoff } from "./backoff.js";

// Messages that are kept to be said again: a session has a few dozen in its life.
const KEPT = 256;
// A network that is gone swallows the attempt: the browser would wait for minutes.
const CONNECT_LIMIT = 10000;
// A server that does not answer for so long is not there.
const PROBE_LIMIT = 2000;
// What has lasted so long was no failure.
const STABLE_AFTER = 10000;

// What was asked for is not to be had; reason is one of the protocol's.
export class Refused extends Error {
  constructor(reason, detail) {
    super(detail);
    this.reason = reason;
  }
}

export class Signaling extends EventTarget {
  // Fires "change" when its state changes, or who is there.
  // States: connecting (never was open), open, closed (and trying again), unauthorized.
  state = "connecting";
  producers = new Map();
  consumers = new Map();
  #token;
  #room;
  #socket = null;
  #peerId = null;
  #resumeKey = null;
  #fresh = null;
  #admitted = false;
  #received = 0;
  #said = 0;
  #kept = [];
  #iceServers = [];
  #sessions = new Map();
  #asked = new Map();
  #backoff = new Backoff();
  #timer = 0;

  // room: where to meet others, null where the server says.
  constructor(token, room) {
    super();
    this.#token = token;
    this.#room = room;
  }

  // Connect now; for the first time, with another token, or because it may work again.
  connect(token = this.#token) {
    this.#token = token;
    clearTimeout(this.#timer);
    if (this.state === "unauthorized") this.state = "connecting";
    const url = new URL("ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const former = this.#socket;
    const socket = new WebSocket(url, "webrtc-signaling");
    this.#socket = socket;
    this.#fresh = null;
    this.#admitted = false;
    former?.close();
    let opened = null;
    const limit = setTimeout(() => this.#broken(socket), CONNECT_LIMIT);
    socket.addEventListener("open", () => {
      opened = performance.now();
      if (this.#token) this.#send({ type: "authenticate", token: this.#token });
      if (this.#resumeKey !== null) {
        this.#send({ type: "resume", resumeKey: this.#resumeKey, received: this.#received });
      }
    });
    socket.addEventListener("message", ({ data }) => {
      clearTimeout(limit);
      if (this.#socket === socket) this.#hear(JSON.parse(data));
    });
    socket.addEventListener("close", () => {
      clearTimeout(limit);
      if (opened !== null && performance.now() - opened > STABLE_AFTER) this.#backoff.reset();
      this.#broken(socket);
    });
  }

  // Ask a peer for a session; resolves with what the server says of it. Rejects with Refused.
  startSession(peerId) {
    return new Promise((resolve, reject) => {
      this.#asked.set(peerId, { resolve, reject });
      this.#say({ type: "startSession", peerId });
    });
  }

  // A session that takes part from now on: hear(message) and over(reason, detail) are called.
  join(session) {
    this.#sessions.set(session.id, session);
  }

  // What a session says to its peer.
  tell(session, content) {
    if (this.#sessions.has(session.id)) this.#say({ type: "peer", sessionId: session.id, ...content });
  }

  // A session is over on this side.
  leave(session, reason, detail) {
    if (!this.#sessions.delete(session.id)) return;
    this.#say({ type: "endSession", sessionId: session.id, reason, detail });
  }

  // Whether the server still knows the session: else nothing can be negotiated any more.
  knows(session) {
    return this.#sessions.has(session.id);
  }

  // The network may have changed: a socket whose other end is gone would not say so for minutes.
  probe() {
    const socket = this.#socket;
    if (this.state === "closed") return this.connect();
    if (this.state !== "open") return;
    const timer = setTimeout(() => this.#socket === socket && this.#broken(socket), PROBE_LIMIT);
    socket.addEventListener("message", () => clearTimeout(timer), { once: true });
    this.#say({ type: "list" });
  }

  // Leave in order; connect() begins anew.
  close() {
    clearTimeout(this.#timer);
    this.#resumeKey = null;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  #say(message) {
    this.#said += 1;
    this.#kept.push(message);
    if (this.#kept.length > KEPT) this.#kept.shift();
    if (this.#admitted) this.#send(message);
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #hear(message) {
    if (message.type === "welcome") return this.#welcomed(message);
    this.#received += 1;
    switch (message.type) {
      case "list":
        this.producers = new Map(message.producers.map(({ id, meta }) => [id, meta]));
        return this.#open();
      case "listConsumers":
        this.consumers = new Map(message.consumers.map(({ id, meta }) => [id, meta]));
        return this.#changed();
      case "peerStatusChanged":
        return this.#peerChanged(message);
      case "sessionStarted": // with a producer
      case "startSession": // with a consumer, who is waiting for an offer
        return this.#started(message);
      case "peer":
        return this.#sessions.get(message.sessionId)?.hear(message);
      case "endSession":
        return this.#over(message.sessionId, message.reason ?? "closed", message.detail ?? "");
      case "error":
        return this.#refused(message);
    }
  }

  #welcomed(welcome) {
    if (welcome.received !== undefined) {
      const missed = this.#said - welcome.received;
      if (missed > this.#kept.length) {
        // What the server has missed is not known any more: begin anew.
        this.#resumeKey = null;
        return this.connect();
      }
      this.#settle(welcome);
      this.#admitted = true;
      for (const message of this.#kept.slice(this.#kept.length - missed)) this.#send(message);
      this.#open();
    } else if (welcome.resumeKey === undefined) {
      if (!this.#token) this.#refuse();
    } else if (this.#resumeKey !== null && !this.#admitted) {
      this.#fresh = welcome; // taken if the former place is refused
    } else if (welcome.peerId === this.#peerId) {
      this.#settle(welcome); // the same place, after the token was shown
    } else {
      this.#begin(welcome);
    }
  }

  #settle(welcome) {
    this.#peerId = welcome.peerId;
    this.#resumeKey = welcome.resumeKey;
    this.#iceServers = welcome.iceServers ?? [];
  }

  // The server knows nothing of what was before.
  #begin(welcome) {
    this.#settle(welcome);
    this.#fresh = null;
    this.#received = this.#said = 0;
    this.#kept = [];
    this.#sessions.clear();
    for (const { reject } of this.#asked.values()) reject(new Refused("lost", "The server was restarted."));
    this.#asked.clear();
    this.#admitted = true;
    const where = this.#room === null ? {} : { room: this.#room };
    this.#say({ type: "setPeerStatus", roles: ["listener"], meta: {}, ...where });
    this.#say({ type: "listConsumers" });
    this.#say({ type: "list" }); // with its answer everything is known
  }

  #open() {
    this.state = "open";
    this.#changed();
  }

  #refuse() {
    this.state = "unauthorized";
    this.close();
    this.#changed();
  }

  #broken(socket) {
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.#admitted = false;
    socket.close();
    this.state = "closed";
    this.#timer = setTimeout(() => this.connect(), this.#backoff.next());
    this.#changed();
  }

  #peerChanged({ peerId, roles, meta }) {
    for (const [role, peers] of [["producer", this.producers], ["consumer", this.consumers]]) {
      if (roles.includes(role)) peers.set(peerId, meta);
      else peers.delete(peerId);
    }
    this.#changed();
  }

  #started(message) {
    const asked = this.#asked.get(message.peerId);
    this.#asked.delete(message.peerId);
    if (asked === undefined) {
      this.#say({ type: "endSession", sessionId: message.sessionId, reason: "rejected" });
    } else {
      asked.resolve({ ...message, iceServers: message.iceServers?.length ? message.iceServers : this.#iceServers });
    }
  }

  #over(sessionId, reason, detail) {
    const session = this.#sessions.get(sessionId);
    this.#sessions.delete(sessionId);
    session?.over(reason, detail);
  }

  #refused({ reason = "failed", details, peerId, sessionId }) {
    if (!this.#admitted) {
      if (this.#fresh !== null) {
        this.#begin(this.#fresh);
        this.#received = 1; // this message is the first of the new place
      } else if (reason === "unauthorized") {
        this.#refuse();
      }
    } else if (sessionId !== undefined) {
      this.#over(sessionId, reason, details);
    } else {
      this.#asked.get(peerId)?.reject(new Refused(reason, details));
      this.#asked.delete(peerId);
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
