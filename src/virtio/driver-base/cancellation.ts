/**
 * An `AbortSignal` for many requests: one listener on the signal, however many requests an operation has. Dispose of it
 * when the operation ended, so that a long-lived signal does not collect listeners.
 */
export class Cancellation {
  readonly #signal: AbortSignal;
  readonly #listeners = new Set<() => void>();
  readonly #onAbort = () => {
    for (const listener of [...this.#listeners]) listener();
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  get isCalledOff(): boolean {
    return this.#signal.aborted;
  }

  add(listener: () => void): void {
    this.#listeners.add(listener);
  }

  remove(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  dispose(): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
  }
}
