/** A store that counts what is asked of it, for those who watch. */
import type { Scatter } from "../memory/index.js";
import type { Answer, ExtentStatus, Store } from "./store.js";

const counted = { reads: 0, writes: 1, flushes: 2, bytesRead: 3, bytesWritten: 4 } as const;
const length = 5;

/** Counts since the start, of this thread and of those that count for it. */
export class Tally {
  /** This thread's own. Others may read it. */
  readonly own: Float64Array;
  readonly #all: Float64Array[];

  /** @param memory where this thread counts, from {@link Tally.forThread} of the one that reads. Default: its own. */
  constructor(memory: ArrayBufferLike = new ArrayBuffer(length * Float64Array.BYTES_PER_ELEMENT)) {
    this.own = new Float64Array(memory);
    this.#all = [this.own];
  }

  /** Memory in which another thread counts; it is part of the sums here. */
  forThread(): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(length * Float64Array.BYTES_PER_ELEMENT);
    this.#all.push(new Float64Array(memory));
    return memory;
  }

  get reads(): number {
    return this.#sum(counted.reads);
  }

  get writes(): number {
    return this.#sum(counted.writes);
  }

  get flushes(): number {
    return this.#sum(counted.flushes);
  }

  get bytesRead(): number {
    return this.#sum(counted.bytesRead);
  }

  get bytesWritten(): number {
    return this.#sum(counted.bytesWritten);
  }

  #sum(what: number): number {
    return this.#all.reduce((sum, counts) => sum + counts[what], 0);
  }
}

/** The store around another. */
export class TalliedStore implements Store {
  readonly description: string;
  readonly byteLength: number;
  readonly isReadOnly: boolean;
  readonly #store: Store;
  readonly #counts: Float64Array;

  /** Takes the store over: `close` closes it. Stores may share a tally. */
  constructor(store: Store, tally: Tally) {
    this.description = store.description;
    this.byteLength = store.byteLength;
    this.isReadOnly = store.isReadOnly;
    this.#store = store;
    this.#counts = tally.own;
  }

  read(position: number, target: Scatter, length: number): Answer {
    this.#counts[counted.reads]++;
    this.#counts[counted.bytesRead] += length;
    return this.#store.read(position, target, length);
  }

  write(position: number, source: Scatter, length: number): Answer {
    this.#counts[counted.writes]++;
    this.#counts[counted.bytesWritten] += length;
    return this.#store.write(position, source, length);
  }

  flush(): Answer {
    this.#counts[counted.flushes]++;
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
