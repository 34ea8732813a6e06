/**
 * A disk with a write cache that loses power: what was flushed stays; of the rest, any sectors may have reached the
 * medium, in any order. A write of several sectors can be torn between them, a sector cannot.
 */
import { Scatter } from "../memory/index.js";
import { type Answer, type ExtentStatus, MemoryStore, type Store } from "../storage/index.js";
import { seededRandom } from "./seeded-random.js";

/** How a power cut treats what was not flushed. */
export interface PowerLossOptions {
  /** Bytes that are written whole or not at all. Default 512. */
  sectorSize?: number;
  /** How likely an unflushed sector is to survive. Default 0.5. */
  survival?: number;
  /** A medium that lies: flushing does nothing. For tests of tests. Default false. */
  ignoresFlush?: boolean;
}

/** A change since the last flush; without bytes it made the range zeros. */
interface Change {
  readonly position: number;
  readonly length: number;
  readonly bytes?: Uint8Array;
}

/** Long ranges of zeros are torn into this many parts at most. */
const largestTear = 1024;

export class PowerLossStore implements Store {
  readonly description = "memory that loses power";
  readonly byteLength: number;
  readonly isReadOnly = false;
  readonly #sectorSize: number;
  readonly #survival: number;
  readonly #ignoresFlush: boolean;
  /** What the medium has for certain. */
  readonly #durable: MemoryStore;
  /** What reads see: the medium and the cache. */
  readonly #current: MemoryStore;
  #changes: Change[] = [];

  /** Zeros, `byteLength` bytes of them. */
  constructor(byteLength: number, options: PowerLossOptions = {}) {
    this.byteLength = byteLength;
    this.#sectorSize = options.sectorSize ?? 512;
    this.#survival = options.survival ?? 0.5;
    this.#ignoresFlush = options.ignoresFlush ?? false;
    this.#durable = new MemoryStore(byteLength, { chunkSize: 64 * 1024 });
    this.#current = new MemoryStore(byteLength, { chunkSize: 64 * 1024 });
  }

  /** Changes that a power cut can lose. */
  get unflushedChanges(): number {
    return this.#changes.length;
  }

  /**
   * The power goes and comes back. Requests that were not answered are the caller's to forget.
   * @returns how many sectors (or parts of long zero ranges) survived and how many were lost.
   */
  powerCut(seed: number): { survived: number; lost: number } {
    const { surviving, lost } = this.#lottery(seed, this.#survival);
    const changes = this.#changes;
    for (const part of surviving) apply(this.#durable, part);
    for (const change of changes) {
      const content = new Uint8Array(Math.min(change.length, 1024 * 1024));
      for (let done = 0; done < change.length; done += content.length) {
        const step = Math.min(content.length, change.length - done);
        this.#durable.read(change.position + done, Scatter.of(content), step);
        this.#current.write(change.position + done, Scatter.of(content), step);
      }
    }
    this.#changes = [];
    return { survived: surviving.length, lost };
  }

  /** What the medium would hold if the power went now; nothing changes. @param survival as {@link PowerLossOptions} */
  imageAfterCut(seed: number, survival = this.#survival): Uint8Array {
    const bytes = new Uint8Array(this.byteLength);
    this.#durable.read(0, Scatter.of(bytes), bytes.length);
    for (const { position, length, bytes: written } of this.#lottery(seed, survival).surviving) {
      if (written === undefined) bytes.fill(0, position, position + length);
      else bytes.set(written, position);
    }
    return bytes;
  }

  /** Draws the parts of the cache that reach the medium, in the order in which they do. */
  #lottery(seed: number, survival: number): { surviving: Change[]; lost: number } {
    const random = seededRandom(seed);
    const parts = random.shuffle(this.#changes.flatMap((change) => this.#tear(change)));
    const surviving = parts.filter(() => random.chance(survival));
    return { surviving, lost: parts.length - surviving.length };
  }

  read(position: number, target: Scatter, length: number): Answer {
    return this.#current.read(position, target, length);
  }

  write(position: number, source: Scatter, length: number): Answer {
    this.#current.write(position, source, length);
    const bytes = new Uint8Array(length);
    source.copyOut(bytes, 0, length);
    this.#changes.push({ position, length, bytes });
    return undefined;
  }

  flush(): Answer {
    if (this.#ignoresFlush) return undefined;
    for (const change of this.#changes) apply(this.#durable, change);
    this.#changes = [];
    return undefined;
  }

  discard(position: number, length: number): Answer {
    this.#current.discard(position, length);
    this.#changes.push({ position, length });
    return undefined;
  }

  writeZeroes(position: number, length: number, _keepSpace: boolean): Answer {
    return this.discard(position, length);
  }

  extentAt(position: number): ExtentStatus {
    return this.#current.extentAt(position);
  }

  close(): Answer {
    this.#changes = [];
    this.#durable.close();
    return this.#current.close();
  }

  /** Cuts a change at the sectors' borders. */
  #tear(change: Change): Change[] {
    const sectors = Math.ceil(change.length / this.#sectorSize);
    const perPart = change.bytes === undefined ? Math.ceil(sectors / largestTear) : 1;
    const partSize = perPart * this.#sectorSize;
    const parts: Change[] = [];
    const end = change.position + change.length;
    for (let at = change.position; at < end; ) {
      const stop = Math.min(end, (Math.floor(at / partSize) + 1) * partSize);
      const bytes = change.bytes?.subarray(at - change.position, stop - change.position);
      parts.push({ position: at, length: stop - at, ...(bytes ? { bytes } : {}) });
      at = stop;
    }
    return parts;
  }
}

function apply(store: MemoryStore, change: Change): void {
  if (change.bytes === undefined) store.discard(change.position, change.length);
  else store.write(change.position, Scatter.of(change.bytes), change.length);
}
