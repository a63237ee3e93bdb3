// Watches one producer: sessions with it come and go, this goes on.

import { Backoff } from "./backoff.js";
import { Refused } from "./signaling.js";
import { Session } from "./session.js";

// With these reasons another attempt would end the same.
const FOR_GOOD = ["malformed", "rejected"];

export class Watcher extends EventTarget {
  // Fires "change" when anything here, at the signalling or in the session has changed, and
  // "session" (detail: Session) when one begins.
  session = null;
  // Why the last session ended, or was not begun: { reason, detail }.
  ended = null;
  // Whether there was a picture or sound since this producer was chosen.
  seen = false;
  #signaling;
  #chosen = null;
  #shown = null;
  #asking = false;
  #hopeless = false;
  #backoff = new Backoff();
  #timer = 0;

  constructor(signaling) {
    super();
    this.#signaling = signaling;
    signaling.addEventListener("change", () => {
      this.#look();
      this.#changed();
    });
  }

  // The producer that is watched, if one is there: its id.
  get producer() {
    const { producers } = this.#signaling;
    if (this.#chosen === null) {
      return producers.has(this.#shown) ? this.#shown : (producers.keys().next().value ?? null);
    }
    if (producers.has(this.#chosen.id)) return this.#chosen.id;
    // One that was restarted has another id, but calls itself the same.
    const again = [...producers].find(([, meta]) => meta.label === this.#chosen.label);
    return again?.[0] ?? null;
  }

  // What the producer says of itself.
  get meta() {
    return this.#signaling.producers.get(this.producer) ?? null;
  }

  choose(id) {
    this.#chosen = { id, label: this.#signaling.producers.get(id)?.label };
    this.again();
  }

  // Begin anew, now.
  again() {
    this.close();
    this.ended = null;
    this.seen = false;
    this.#hopeless = false;
    this.#tryNow();
  }

  // Pictures or sound arrive: the next failure is the first again.
  arrives() {
    this.seen = true;
    this.ended = null;
    this.#backoff.reset();
  }

  close() {
    this.#forgetTimer();
    const session = this.session;
    this.session = null;
    session?.end();
  }

  #tryNow() {
    this.#forgetTimer();
    this.#look();
    this.#changed();
  }

  #forgetTimer() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  #look() {
    const signaling = this.#signaling;
    if (signaling.state !== "open") return;
    const { producer, meta } = this;
    if (producer !== this.#shown || meta?.live === false) {
      this.#forgetTimer();
      this.#hopeless = false;
    }
    this.#shown = producer ?? this.#shown;
    // A server that was restarted has forgotten the session: nothing can be said in it any more.
    const busy = this.#asking || (this.session !== null && signaling.knows(this.session));
    const later = this.#hopeless || this.#timer !== 0;
    if (!busy && !later && producer !== null && meta.live !== false) this.#ask(producer);
  }

  async #ask(producer) {
    this.#asking = true;
    try {
      const started = await this.#signaling.startSession(producer);
      this.#begin(new Session(this.#signaling, started, { polite: true }), producer);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#failed(error.reason, error.message);
    } finally {
      this.#asking = false;
      this.#look();
    }
  }

  #begin(session, producer) {
    if (producer !== this.producer) return session.end(); // another was chosen meanwhile
    const former = this.session;
    this.session = session;
    former?.end();
    session.addEventListener("change", () => {
      if (this.session !== session) return;
      if (session.state === "ended") {
        this.session = null;
        this.#failed(session.reason, session.detail);
      }
      this.#changed();
    });
    this.dispatchEvent(new CustomEvent("session", { detail: session }));
    this.#changed();
  }

  #failed(reason, detail) {
    this.ended = { reason, detail };
    this.#forgetTimer();
    this.#hopeless = FOR_GOOD.includes(reason);
    if (!this.#hopeless) this.#timer = setTimeout(() => this.#tryNow(), this.#backoff.next());
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
