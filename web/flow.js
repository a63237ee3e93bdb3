// Whether pictures, or sound where there is no picture, arrive; and their figures.

import { Statistics } from "./stats.js";

const SAMPLE_INTERVAL = 1000;
// Two seconds without a picture are no hiccup of the network any more.
const STALE_SAMPLES = 2;
// When something looks broken: what is sent at all is sent more often than this, sound and pictures.
const GLANCE = 200;

export class Flow extends EventTarget {
  // Fires "change" when its state does, and "sample" (detail: figures) each second.
  // States: none (nothing has come of the present track), fresh, stalled.
  state = "none";
  #session;
  #video;
  #statistics = new Statistics();
  #timer;
  #empty = 0;

  constructor(session, video) {
    super();
    this.#session = session;
    this.#video = video;
    session.addEventListener("track", ({ detail: { track } }) => this.#began(track));
    this.#timer = setInterval(() => this.#sample(), SAMPLE_INTERVAL);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
  }

  // Whether anything arrives right now.
  async glance() {
    const before = await this.#session.bytes();
    await new Promise((resolve) => setTimeout(resolve, GLANCE));
    const after = await this.#session.bytes();
    if (after > before) return;
    this.#statistics = new Statistics(); // what came before this counts no more
    this.#become("stalled");
  }

  #began(track) {
    if (track.kind !== "video") return;
    this.#become("none");
    this.#empty = 0;
    // The first picture is seen at once where the browser tells of it, else with the next sample.
    this.#video.requestVideoFrameCallback?.(() => this.#session.tracks.video === track && this.#become("fresh"));
  }

  async #sample() {
    const { connection, tracks } = this.#session;
    const sample = await this.#statistics.sample(connection, tracks.video);
    if (sample === null || this.#timer === null) return;
    this.dispatchEvent(new CustomEvent("sample", { detail: sample }));
    const arrived = tracks.video === null ? sample.bitrate > 0 : sample.frames > 0;
    this.#empty = arrived ? 0 : this.#empty + 1;
    if (arrived) this.#become("fresh");
    else if (this.#empty >= STALE_SAMPLES && this.state === "fresh") this.#become("stalled");
  }

  #become(state) {
    if (this.state === state || this.#timer === null) return;
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}
