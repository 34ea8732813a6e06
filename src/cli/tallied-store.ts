/** A store that counts what is asked of it: for the live rates of `serve`. */
import type { Scatter } from "../memory/index.js";
import type { Answer, ExtentStatus, Store } from "../storage/index.js";

/** Counts since the start. */
export class Tally {
  reads = 0;
  writes = 0;
  flushes = 0;
  bytesRead = 0;
  bytesWritten = 0;
}

export class TalliedStore implements Store {
  readonly description: string;
  readonly byteLength: number;
  readonly isReadOnly: boolean;
  readonly #store: Store;
  readonly #tally: Tally;

  /** Takes the store over: `close` closes it. Stores may share a tally. */
  constructor(store: Store, tally: Tally) {
    this.description = store.description;
    this.byteLength = store.byteLength;
    this.isReadOnly = store.isReadOnly;
    this.#store = store;
    this.#tally = tally;
  }

  read(position: number, target: Scatter, length: number): Answer {
    this.#tally.reads++;
    this.#tally.bytesRead += length;
    return this.#store.read(position, target, length);
  }

  write(position: number, source: Scatter, length: number): Answer {
    this.#tally.writes++;
    this.#tally.bytesWritten += length;
    return this.#store.write(position, source, length);
  }

  flush(): Answer {
    this.#tally.flushes++;
    return this.#store.flush();
  }

  discard(position: number, length: number): Answer {
    return this.#store.discard(position, length);
  }

  writeZeroes(position: number, length: number, keepSpace: boolean): Answer {
    return this.#store.writeZeroes(position, length, keepSpace);
  }

  extentAt(position: number): ExtentStatus {
    return this.#store.extentAt(position);
  }

  close(): Answer {
    return this.#store.close();
  }
}
