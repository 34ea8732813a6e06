/** Long work's manners: shows how far it is, lets the event loop turn (for signals and sockets), stops when asked to. */
import type { SingleBar } from "cli-progress";
import type { Interruption } from "./interruption.js";

/** Work runs this long before the event loop gets its turn, milliseconds. */
const turn = 20;

export class Pace {
  readonly #interruption: Interruption;
  #bar: SingleBar | undefined;
  #lastTurn = performance.now();
  #done = 0;
  #total = 0;

  constructor(interruption: Interruption) {
    this.#interruption = interruption;
  }

  /** Shows a bar for `total` bytes of work on standard error, when that is a terminal. */
  async begin(total: number, isQuiet: boolean): Promise<void> {
    this.#total = total;
    if (isQuiet || process.stderr.isTTY !== true) return;
    const { default: progress } = await import("cli-progress");
    const format = "{what} [{bar}] {percentage} %, {eta_formatted} left";
    this.#bar = new progress.SingleBar(
      { format, clearOnComplete: true, stream: process.stderr, etaBuffer: 50, gracefulExit: false },
      progress.Presets.legacy,
    );
    // It changes how the terminal wraps lines, which must not stay so however the process ends.
    process.once("exit", () => this.end());
    this.#bar.start(total, 0, { what: "starting" });
  }

  /** Names what is being done. */
  name(what: string): void {
    this.#bar?.update({ what });
  }

  /** `bytes` more are done. @throws Interrupted */
  async step(bytes: number): Promise<void> {
    this.#done = Math.min(this.#total, this.#done + bytes);
    const now = performance.now();
    if (now - this.#lastTurn >= turn) {
      this.#bar?.update(this.#done);
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#lastTurn = performance.now();
    }
    this.#interruption.check();
  }

  /** @throws Interrupted */
  check(): void {
    this.#interruption.check();
  }

  /** Work that must not be cut short. */
  protect<T>(work: () => Promise<T>): Promise<T> {
    return this.#interruption.protect(work);
  }

  /** Takes the bar away. */
  end(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
