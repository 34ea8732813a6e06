/** The image as its host sees it: what a driver reads is compared with this. Takes no locks and writes nothing. */
import { closeSync, openSync, readSync } from "node:fs";
import { WorkFailed } from "./errors.js";

export class ImageBytes {
  readonly path: string;
  readonly #file: number;

  constructor(path: string) {
    this.path = path;
    this.#file = openSync(path, "r");
  }

  /** Fills `bytes` from byte `position` on. */
  read(position: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const count = readSync(this.#file, bytes, done, bytes.length - done, position + done);
      if (count === 0) throw new WorkFailed(`${this.path} became shorter while it was read`);
      done += count;
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}
