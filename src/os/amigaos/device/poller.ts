/** Looks at a controller again and again while there is something to wait for: without interrupts nobody else does. */
export class Poller {
  readonly #idle: (milliseconds: number) => Promise<void>;
  readonly #isBusy: () => boolean;
  readonly #poll: () => void;
  #running = false;
  #stopped = false;

  constructor(idle: (milliseconds: number) => Promise<void>, isBusy: () => boolean, poll: () => void) {
    this.#idle = idle;
    this.#isBusy = isBusy;
    this.#poll = poll;
  }

  /** There may be something to wait for now. */
  wake(): void {
    if (this.#running || this.#stopped) return;
    this.#running = true;
    // A machine that was closed meanwhile has nothing to look at.
    this.#run().catch(() => {});
  }

  /** Ends with the turn that is under way. */
  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopped && this.#isBusy()) {
        this.#poll();
        await this.#idle(1);
      }
    } finally {
      this.#running = false;
    }
  }
}
