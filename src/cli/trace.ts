/** Traces on standard error. */
import { writeSync } from "node:fs";
import { formatEvent, type Observer, observeOnly, type TraceCategory } from "../observe/index.js";

/** An observer that prints the events of `categories`, or none. */
export function traceTo(categories: readonly TraceCategory[] | undefined): Observer | undefined {
  if (categories === undefined) return undefined;
  return observeOnly(categories, (event) => writeLine(formatEvent(event)));
}

/** Synchronous: work that is traced may keep the event loop from turning, and memory would fill up. */
function writeLine(line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(2, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Nobody reads traces any more; a slow reader is waited for.
      if (code !== "EAGAIN") return;
    }
  }
}
