/** Ctrl-C and its like: the work stops at the next safe point, cleans up, and the exit status names the signal. */
import { constants } from "node:os";
import { Interrupted } from "./errors.js";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export class Interruption {
  #signal: number | undefined;
  #critical = 0;
  readonly #listeners: (() => void)[] = [];

  /** Listens to signals for the rest of the process. A second one ends it at once, unless an image would suffer. */
  static watch(): Interruption {
    const interruption = new Interruption();
    for (const name of signals) process.on(name, () => interruption.#take(constants.signals[name]));
    return interruption;
  }

  /** @throws Interrupted when the user called the work off. */
  check(): void {
    if (this.#signal !== undefined) throw new Interrupted(this.#signal);
  }

  /** Done when the user calls the work off: for work whose end that is. */
  ended(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#signal === undefined) this.#listeners.push(resolve);
      else resolve();
    });
  }

  /** While `work` runs, the process is not ended: an image holds other data than it should. */
  async protect<T>(work: () => Promise<T>): Promise<T> {
    this.#critical++;
    try {
      return await work();
    } finally {
      this.#critical--;
    }
  }

  #take(signal: number): void {
    const isFirst = this.#signal === undefined;
    this.#signal ??= signal;
    if (isFirst) {
      for (const listener of this.#listeners) listener();
      return;
    }
    if (this.#critical > 0) process.stderr.write("ringside: putting the image's data back, one moment\n");
    else process.exit(128 + signal);
  }
}
