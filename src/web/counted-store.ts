/** A store that counts what is asked of it, for people who watch. */
import type { Scatter } from "../memory/index.js";
import type { Answer, ExtentStatus, Store } from "../storage/index.js";

/** The store around another. */
export class CountedStore implements Store {
  readonly description: string;
  readonly byteLength: number;
  readonly isReadOnly: boolean;
  readonly #store: Store;
  reads = 0;
  bytesRead = 0;
  writes = 0;
  bytesWritten = 0;

  constructor(store: Store) {
    this.#store = store;
    this.description = store.description;
    this.byteLength = store.byteLength;
    this.isReadOnly = store.isReadOnly;
  }

  read(position: number, target: Scatter, length: number): Answer {
    this.reads++;
    this.bytesRead += length;
    return this.#store.read(position, target, length);
  }

  write(position: number, source: Scatter, length: number): Answer {
    this.writes++;
    this.bytesWritten += length;
    return this.#store.write(position, source, length);
  }

  flush(): Answer {
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
