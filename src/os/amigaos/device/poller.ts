/** Milliseconds after news in which the machine is not left to itself between two looks. */
const eagerFor = 1;

/** Looks at a controller again and again while there is something to wait for: without interrupts nobody else does. */
export class Poller {
  readonly #idle: (milliseconds: number) => Promise<void>;
  readonly #isBusy: () => boolean;
  readonly #poll: () => boolean;
  #running = false;
  #stopped = false;

  /** @param poll true when something had come */
  constructor(idle: (milliseconds: number) => Promise<void>, isBusy: () => boolean, poll: () => boolean) {
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
      let lastNews = performance.now();
      while (!this.#stopped && this.#isBusy()) {
        if (this.#poll()) lastNews = performance.now();
        await this.#idle(performance.now() - lastNews < eagerFor ? 0 : 1);
      }
    } finally {
      this.#running = false;
    }
  }
}
