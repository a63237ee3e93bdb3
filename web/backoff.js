// How long to wait before another attempt: doubling, and never the same for a room full of viewers.

const FIRST = 500;
const LONGEST = 5000;

export class Backoff {
  #failures = 0;

  // Milliseconds to wait after one more failure.
  next() {
    const delay = Math.min(LONGEST, FIRST * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    return delay * (0.5 + Math.random() / 2);
  }

  // It worked: the next failure is the first again.
  reset() {
    this.#failures = 0;
  }
}
