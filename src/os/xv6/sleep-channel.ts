/** What processes sleep on until somebody wakes them up: xv6's `sleep` and `wakeup`, all sleepers at once. */
export class SleepChannel {
  #sleepers: { wake: () => void; fail: (error: Error) => void }[] = [];

  /** Rejects when the kernel stops. */
  sleep(): Promise<void> {
    return new Promise((wake, fail) => this.#sleepers.push({ wake, fail }));
  }

  wakeup(): void {
    for (const { wake } of this.#take()) wake();
  }

  /** Wakes everybody up with an error. */
  fail(error: Error): void {
    for (const { fail } of this.#take()) fail(error);
  }

  #take() {
    const sleepers = this.#sleepers;
    this.#sleepers = [];
    return sleepers;
  }
}
