/**
 * Copy on write: what is written stays in memory, the base is only read. Pages of 4 KiB belong either to the base or to
 * the overlay; a page that is written in part is filled from the base first.
 */
import { Scatter } from "../memory/index.js";
import { checkRange } from "./check-range.js";
import { MemoryStore } from "./memory-store.js";
import { PageSet } from "./page-set.js";
import type { Answer, ExtentStatus, Store } from "./store.js";

const pageSize = 4096;

/** Limits of an overlay. */
export interface OverlayStoreOptions {
  /** A write that needs more memory than this fails with `no-space`. Default: no limit. */
  maxAllocatedBytes?: number;
}

export class OverlayStore implements Store {
  readonly description: string;
  readonly byteLength: number;
  readonly isReadOnly = false;
  readonly #base: Store;
  readonly #memory: MemoryStore;
  readonly #own: PageSet;
  /** Pages that are being filled from a base that answers late; whoever writes to one of them waits for the same fill. */
  readonly #filling = new Map<number, Promise<void>>();
  /** One-page buffers and empty scatters for the next request: the usual request allocates nothing. */
  readonly #spareFills: Scatter[] = [];
  readonly #spareParts: Scatter[] = [];

  /** Takes `base` over: `close` closes it. */
  constructor(base: Store, options: OverlayStoreOptions = {}) {
    this.description = `scratch copy of ${base.description}`;
    this.byteLength = base.byteLength;
    this.#base = base;
    this.#memory = new MemoryStore(base.byteLength, {
      ...options,
      chunkSize: 64 * 1024,
      description: this.description,
    });
    this.#own = new PageSet(Math.ceil(base.byteLength / pageSize));
  }

  /** Bytes, in whole pages, that differ (or may differ) from the base. */
  get dirtyBytes(): number {
    const over = Math.ceil(this.byteLength / pageSize) * pageSize - this.byteLength;
    const last = Math.floor((this.byteLength - 1) / pageSize);
    return this.#own.size * pageSize - (over > 0 && this.#own.has(last) ? over : 0);
  }

  /** Bytes of memory that the overlay holds. */
  get allocatedBytes(): number {
    return this.#memory.allocatedBytes;
  }

  read(position: number, target: Scatter, length: number): Answer {
    checkRange(this.byteLength, position, length, target);
    if (length === 0) return undefined;
    const first = Math.floor(position / pageSize);
    const end = Math.ceil((position + length) / pageSize);
    if (this.#own.endOfRun(first, end) < end) return this.#readMixed(position, target, length);
    return this.#own.has(first)
      ? this.#memory.read(position, target, length)
      : this.#base.read(position, target, length);
  }

  write(position: number, source: Scatter, length: number): Answer {
    checkRange(this.byteLength, position, length, source);
    if (length === 0) return undefined;
    const filled = this.#fillEdges(position, length);
    if (filled !== undefined) return filled.then(() => this.#put(position, source, length));
    this.#put(position, source, length);
    return undefined;
  }

  /** The overlay is scratch space: it survives nothing, and the base was not written. */
  flush(): Answer {
    return undefined;
  }

  discard(position: number, length: number): Answer {
    checkRange(this.byteLength, position, length);
    if (length === 0) return undefined;
    const filled = this.#fillEdges(position, length);
    if (filled !== undefined) return filled.then(() => this.#zero(position, length));
    this.#zero(position, length);
    return undefined;
  }

  writeZeroes(position: number, length: number, _keepSpace: boolean): Answer {
    return this.discard(position, length);
  }

  extentAt(position: number): ExtentStatus {
    checkRange(this.byteLength, position, 0);
    if (position === this.byteLength) return { allocated: false, length: 0 };
    const page = Math.floor(position / pageSize);
    const end = this.#own.endOfRun(page, Math.ceil(this.byteLength / pageSize));
    const run = Math.min(this.byteLength, end * pageSize) - position;
    const below = (this.#own.has(page) ? this.#memory : this.#base).extentAt(position);
    return { allocated: below.allocated, length: Math.min(run, below.length) };
  }

  /** Forgets what was written and closes the base. */
  close(): Answer {
    this.#memory.close();
    return this.#base.close();
  }

  #put(position: number, source: Scatter, length: number): void {
    this.#memory.write(position, source, length);
    this.#markOwn(position, length);
  }

  #zero(position: number, length: number): void {
    this.#memory.discard(position, length);
    this.#markOwn(position, length);
  }

  #markOwn(position: number, length: number): void {
    this.#own.addRange(Math.floor(position / pageSize), Math.ceil((position + length) / pageSize));
  }

  /** Fills the first and the last page of a range where the range covers them in part only. */
  #fillEdges(position: number, length: number): Answer {
    const stop = position + length;
    const first = Math.floor(position / pageSize);
    const last = Math.floor((stop - 1) / pageSize);
    let head: Answer;
    let tail: Answer;
    const lastIsCut = stop < Math.min((last + 1) * pageSize, this.byteLength);
    if (position > first * pageSize || (first === last && lastIsCut)) head = this.#fill(first);
    if (last !== first && lastIsCut) tail = this.#fill(last);
    if (head === undefined || tail === undefined) return head ?? tail;
    return Promise.all([head, tail]).then(() => undefined);
  }

  /** Makes `page` the overlay's, with the base's content. */
  #fill(page: number): Answer {
    if (this.#own.has(page)) return undefined;
    const running = this.#filling.get(page);
    if (running !== undefined) return running;
    const position = page * pageSize;
    const length = Math.min(pageSize, this.byteLength - position);
    const buffer = this.#spareFills.pop() ?? Scatter.of(new Uint8Array(pageSize));
    const answer = this.#base.read(position, buffer, length);
    if (answer === undefined) {
      this.#adopt(page, position, buffer, length);
      return undefined;
    }
    const done = answer
      .then(() => this.#adopt(page, position, buffer, length))
      .finally(() => this.#filling.delete(page));
    // Those who wait see the failure; when nobody does (the other edge failed first), it is no unhandled rejection.
    done.catch(() => {});
    this.#filling.set(page, done);
    return done;
  }

  #adopt(page: number, position: number, buffer: Scatter, length: number): void {
    // A write that covers the whole page can have come in while the base was being read: it is newer.
    if (!this.#own.has(page)) this.#put(position, buffer, length);
    this.#spareFills.push(buffer);
  }

  /** Reads a range that lies in the base and in the overlay by turns. */
  #readMixed(position: number, target: Scatter, length: number): Answer {
    const late: Promise<void>[] = [];
    let failure: unknown;
    try {
      this.#readRuns(position, target, length, late);
    } catch (error) {
      if (late.length === 0) throw error;
      failure = error;
    }
    if (late.length === 0) return undefined;
    // The target is ours until the last part has answered, also when another part has failed.
    return Promise.allSettled(late).then((results) => {
      if (failure !== undefined) throw failure;
      for (const result of results) if (result.status === "rejected") throw result.reason;
    });
  }

  #readRuns(position: number, target: Scatter, length: number, late: Promise<void>[]): void {
    const stop = position + length;
    const endPage = Math.ceil(stop / pageSize);
    let at = position;
    while (at < stop) {
      const page = Math.floor(at / pageSize);
      const runEnd = Math.min(stop, this.#own.endOfRun(page, endPage) * pageSize);
      const store = this.#own.has(page) ? this.#memory : this.#base;
      const part = this.#spareParts.pop() ?? new Scatter();
      slice(target, at - position, runEnd - at, part);
      const answer = store.read(at, part, runEnd - at);
      if (answer === undefined) this.#spareParts.push(part);
      else late.push(answer.finally(() => this.#spareParts.push(part)));
      at = runEnd;
    }
  }
}

/** Makes `part` the `length` bytes of `whole` after `skip` bytes. */
function slice(whole: Scatter, skip: number, length: number, part: Scatter): void {
  part.clear();
  let past = skip;
  let left = length;
  for (let index = whole.first; index < whole.end && left > 0; index++) {
    const piece = whole.lengths[index];
    if (past >= piece) {
      past -= piece;
      continue;
    }
    const step = Math.min(piece - past, left);
    part.push(whole.regions[index], whole.offsets[index] + past, step);
    left -= step;
    past = 0;
  }
}
