/** One for each signal, as long as the signal lives. */
const known = new WeakMap<AbortSignal, Cancellation>();

/**
 * An `AbortSignal` for many requests: one listener on the signal while any request waits, however many requests,
 * operations and drivers share it.
 */
export class Cancellation {
  readonly #signal: AbortSignal;
  readonly #listeners = new Set<() => void>();
  readonly #onAbort = () => {
    for (const listener of [...this.#listeners]) listener();
  };

  private constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** The one of this signal. */
  static of(signal: AbortSignal): Cancellation {
    let cancellation = known.get(signal);
    if (cancellation === undefined) {
      cancellation = new Cancellation(signal);
      known.set(signal, cancellation);
    }
    return cancellation;
  }

  get isCalledOff(): boolean {
    return this.#signal.aborted;
  }

  add(listener: () => void): void {
    if (this.#listeners.size === 0) this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#listeners.add(listener);
  }

  /** A long-lived signal collects no listeners: the last one to go takes the one on the signal along. */
  remove(listener: () => void): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size === 0) this.#signal.removeEventListener("abort", this.#onAbort);
  }
}
