// The other way round: this computer's camera and microphone to a peer that takes them.

import { Refused } from "./signaling.js";
import { Session } from "./session.js";

const MESSAGES = {
  unauthorized: "The token does not let you call.",
  overloaded: "Every place is taken.",
  "not-live": "The other side has left.",
  lost: "The connection was lost.",
  failed: "The connection was lost.",
  closed: "The other side has hung up.",
};

export class Call {
  #signaling;
  #button;
  #preview;
  #message;
  #stream = null;
  #session = null;

  constructor(signaling, button, preview, message) {
    this.#signaling = signaling;
    this.#button = button;
    this.#preview = preview;
    this.#message = message;
    signaling.addEventListener("change", () => this.#show());
  }

  toggle() {
    if (this.#stream === null) this.#begin();
    else this.end();
  }

  end(text = "") {
    const session = this.#session;
    this.#session = null;
    session?.end();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#preview.srcObject = null;
    this.#say(text);
    this.#show();
  }

  async #begin() {
    const [consumer] = this.#signaling.consumers.keys();
    this.#button.disabled = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
      this.#stream = stream;
      this.#preview.srcObject = stream;
      this.#say("Calling");
      const session = new Session(this.#signaling, await this.#signaling.startSession(consumer), { polite: false });
      this.#session = session;
      for (const track of stream.getTracks()) session.connection.addTrack(track, stream);
      session.addEventListener("change", () => this.#changed(session));
    } catch (error) {
      this.end(error instanceof Refused ? (MESSAGES[error.reason] ?? error.message) : refusal(error));
    } finally {
      this.#button.disabled = false;
      this.#show();
    }
  }

  #changed(session) {
    if (this.#session !== session) return;
    if (session.state === "ended") this.end(MESSAGES[session.reason] ?? session.detail);
    else this.#say({ connecting: "Calling", connected: "You are on the air", interrupted: "The connection is interrupted" }[session.state]);
  }

  #show() {
    const calling = this.#stream !== null;
    // Browsers give a camera to secure pages only.
    this.#button.hidden = !calling && (this.#signaling.consumers.size === 0 || !navigator.mediaDevices);
    this.#button.firstChild.textContent = calling ? "Hang up " : "Call ";
    this.#button.setAttribute("aria-pressed", String(calling));
    this.#preview.hidden = !calling;
  }

  #say(text) {
    this.#message.textContent = text;
    this.#message.hidden = text === "";
  }
}

function refusal(error) {
  if (error.name === "NotAllowedError") return "Camera and microphone were not allowed.";
  if (error.name === "NotFoundError") return "There is no camera or no microphone here.";
  return error.message;
}
