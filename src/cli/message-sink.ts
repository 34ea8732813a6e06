/** Where a face's own messages go: the file of `--com1`, or standard error. */
import { closeSync, openSync, writeSync } from "node:fs";
import { UsageError } from "./errors.js";

export class MessageSink {
  readonly #file: number;
  readonly #isOurs: boolean;

  /** @throws UsageError when the file cannot be written */
  constructor(path: string | undefined) {
    this.#isOurs = path !== undefined;
    try {
      this.#file = path === undefined ? 2 : openSync(path, "w");
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw new UsageError(`${path} cannot be written (${code}): give another file for --com1`, { cause });
    }
  }

  write(bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#file, bytes, done);
    } catch {
      // Messages that nobody takes do not stop the work.
    }
  }

  close(): void {
    if (this.#isOurs) closeSync(this.#file);
  }
}
