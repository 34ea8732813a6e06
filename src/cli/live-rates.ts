/** One line on a terminal that is written again each second: what a server does just now. Nothing in a pipe. */

import type { Tally } from "../storage/index.js";
import { formatRate } from "./table.js";

const interval = 1000;
/** Back to the start of the line, and clears it. */
const again = "\r\u001b[K";

export class LiveRates {
  readonly #tally: Tally;
  readonly #isConnected: () => boolean;
  readonly #isShown = process.stderr.isTTY === true;
  #timer: ReturnType<typeof setInterval> | undefined;
  #last = { at: performance.now(), reads: 0, writes: 0, bytesRead: 0, bytesWritten: 0 };

  constructor(tally: Tally, isConnected: () => boolean) {
    this.#tally = tally;
    this.#isConnected = isConnected;
  }

  start(): void {
    if (this.#isShown) this.#timer = setInterval(() => process.stderr.write(`${again}${this.#line()}`), interval);
  }

  /** Makes room for another line. */
  clear(): void {
    if (this.#isShown) process.stderr.write(again);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.clear();
  }

  #line(): string {
    const { reads, writes, bytesRead, bytesWritten } = this.#tally;
    const at = performance.now();
    const seconds = (at - this.#last.at) / 1000;
    const per = (now: number, before: number) => (now - before) / seconds;
    const line = this.#isConnected()
      ? `read ${Math.round(per(reads, this.#last.reads))} IOPS ${formatRate(per(bytesRead, this.#last.bytesRead))}   ` +
        `write ${Math.round(per(writes, this.#last.writes))} IOPS ${formatRate(per(bytesWritten, this.#last.bytesWritten))}`
      : "no front end";
    this.#last = { at, reads, writes, bytesRead, bytesWritten };
    return line;
  }
}
