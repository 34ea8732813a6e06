/** A raw image file or a block device. Reads and writes go straight between the file and guest memory. */
import { closeSync, fdatasync, readSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { PageViews, Scatter } from "../../memory/index.js";
import { checkRange } from "../check-range.js";
import { type Answer, type ExtentStatus, type Store, StoreError } from "../store.js";
import type { FileLanes } from "./file-lanes.js";
import type { MappedPages } from "./mapped-pages.js";
import { nextData, nextHole, punchHole, type SpaceAnswer, zeroRange } from "./sparse-file.js";
import { endedEarly, storeFailure } from "./store-failure.js";

/** How a file is opened as a store. */
export interface FileStoreOptions {
  /** Path, for messages. */
  path: string;
  /** Bytes. */
  byteLength: number;
  isReadOnly: boolean;
  /** The way for work that can be done without holding others up. The store closes it. Default none. */
  lanes?: FileLanes | undefined;
  /** The way for reads of what is in memory already. The store closes it. Default none. */
  mapped?: MappedPages | undefined;
}

/** Flushes at once: with one alone a few writers wait for each other, more are not faster, and make the medium flush more. */
const mostFlushes = 2;
const syncFile = promisify(fdatasync);

/** Node takes at most 2^31 − 1 bytes a call. */
const largestCall = 2 ** 30;
/** Scattered requests go through a buffer of this size: one call and a copy instead of a call for each piece. */
const bounceSize = 256 * 1024;
/** Pieces of this size and more are worth a call each. */
const largePiece = 64 * 1024;
/** Zeros are written in steps of this size, and other work gets its turn between two steps. */
const zeroStep = 1024 * 1024;

export class FileStore implements Store {
  readonly description: string;
  readonly byteLength: number;
  readonly isReadOnly: boolean;
  readonly #fd: number;
  readonly #lanes: FileLanes | undefined;
  readonly #mapped: MappedPages | undefined;
  #bounce: PageViews | undefined;
  #zeros: Scatter | undefined;
  #running = 0;
  #whenIdle: (() => void) | undefined;
  /** Flushes that run, and the one after them. */
  #flushing = 0;
  #nextFlush: Promise<void> | undefined;
  #beginNext: (() => void) | undefined;
  #flushFailure: StoreError | undefined;
  #isClosed = false;

  /** Takes the open file over: `close` closes it. Locks nothing; `openImage` does. */
  constructor(fd: number, options: FileStoreOptions) {
    this.#fd = fd;
    this.description = options.path;
    this.byteLength = options.byteLength;
    this.isReadOnly = options.isReadOnly;
    this.#lanes = options.lanes;
    this.#mapped = options.mapped;
  }

  /** The open file, for as long as the store is open: other threads open the same file through it. */
  get descriptor(): number {
    return this.#fd;
  }

  read(position: number, target: Scatter, length: number): Answer {
    checkRange(this.byteLength, position, length, target);
    if (this.#mapped?.read(position, target, length)) return undefined;
    if (this.#lanes?.takes(target, length)) {
      const answer = this.#lanes.read(position, target, length);
      this.#mapped?.learn(position, answer === undefined);
      return answer;
    }
    if (isFragmented(target, length)) {
      this.#bounce ??= new PageViews(new Uint8Array(bounceSize));
      for (let done = 0; done < length; ) {
        const step = Math.min(bounceSize, length - done);
        this.#readFully(position + done, this.#bounce.bytes, 0, step);
        target.copyIn(this.#bounce, 0, step, done);
        done += step;
      }
      return undefined;
    }
    let done = 0;
    for (let index = target.first; index < target.end && done < length; index++) {
      const step = Math.min(target.lengths[index], length - done);
      this.#readFully(position + done, target.regions[index].bytes, target.offsets[index], step);
      done += step;
    }
    return undefined;
  }

  write(position: number, source: Scatter, length: number): Answer {
    this.#checkWritable();
    checkRange(this.byteLength, position, length, source);
    if (this.#lanes?.takes(source, length)) return this.#lanes.write(position, source, length);
    if (isFragmented(source, length)) {
      this.#bounce ??= new PageViews(new Uint8Array(bounceSize));
      for (let done = 0; done < length; ) {
        const step = Math.min(bounceSize, length - done);
        source.copyOut(this.#bounce.bytes, 0, step, done);
        this.#writeFully(position + done, this.#bounce.bytes, 0, step);
        done += step;
      }
      return undefined;
    }
    let done = 0;
    for (let index = source.first; index < source.end && done < length; index++) {
      const step = Math.min(source.lengths[index], length - done);
      this.#writeFully(position + done, source.regions[index].bytes, source.offsets[index], step);
      done += step;
    }
    return undefined;
  }

  /**
   * Answers when the medium has it. While as many run as may at once, all that come share the next one: those that run may
   * have begun before what it is to make durable. A failure stays: after one the system may have dropped what was not
   * written.
   */
  flush(): Answer {
    if (this.isReadOnly) return undefined;
    if (this.#flushing < mostFlushes) return this.#flushOnce();
    this.#nextFlush ??= new Promise((resolve) => {
      this.#beginNext = () => resolve(this.#flushOnce());
    });
    return this.#nextFlush;
  }

  async #flushOnce(): Promise<void> {
    this.#flushing++;
    this.#running++;
    try {
      await (this.#lanes === undefined ? syncFile(this.#fd) : this.#lanes.sync());
    } catch (error) {
      this.#flushFailure ??= error instanceof StoreError ? error : this.#failure(error);
    }
    this.#flushing--;
    const begin = this.#beginNext;
    this.#beginNext = undefined;
    this.#nextFlush = undefined;
    begin?.();
    this.#finishOne();
    if (this.#flushFailure !== undefined) throw this.#flushFailure;
  }

  discard(position: number, length: number): Answer {
    this.#checkWritable();
    checkRange(this.byteLength, position, length);
    if (length === 0) return undefined;
    return this.#isDone(punchHole(this.#fd, position, length), position)
      ? undefined
      : this.#writeZeros(position, length, true);
  }

  writeZeroes(position: number, length: number, keepSpace: boolean): Answer {
    this.#checkWritable();
    checkRange(this.byteLength, position, length);
    if (length === 0) return undefined;
    if (!keepSpace && this.#isDone(punchHole(this.#fd, position, length), position)) return undefined;
    if (this.#isDone(zeroRange(this.#fd, position, length), position)) return undefined;
    return this.#writeZeros(position, length, !keepSpace);
  }

  extentAt(position: number): ExtentStatus {
    checkRange(this.byteLength, position, 0);
    const data = nextData(this.#fd, position, this.byteLength);
    if (data > position) return { allocated: false, length: data - position };
    return { allocated: true, length: nextHole(this.#fd, position, this.byteLength) - position };
  }

  /** Closes the file, which ends its locks, when no flush is under way any more. */
  close(): Answer {
    if (this.#isClosed) return undefined;
    this.#isClosed = true;
    this.#mapped?.close();
    if (this.#lanes !== undefined) {
      this.#running++;
      void this.#lanes.close().then(() => this.#finishOne());
    }
    if (this.#running === 0) {
      closeSync(this.#fd);
      return undefined;
    }
    return new Promise((resolve) => {
      this.#whenIdle = () => {
        closeSync(this.#fd);
        resolve();
      };
    });
  }

  #readFully(position: number, bytes: Uint8Array, offset: number, length: number): void {
    let done = 0;
    while (done < length) {
      const step = Math.min(largestCall, length - done);
      let count: number;
      try {
        count = readSync(this.#fd, bytes, offset + done, step, position + done);
      } catch (error) {
        if (errorName(error) === "EINTR") continue;
        throw storeFailure("read", this.description, errorName(error), position + done, error);
      }
      if (count === 0) throw endedEarly(this.description, position + done);
      done += count;
    }
  }

  #writeFully(position: number, bytes: Uint8Array, offset: number, length: number): void {
    let done = 0;
    while (done < length) {
      const step = Math.min(largestCall, length - done);
      try {
        done += writeSync(this.#fd, bytes, offset + done, step, position + done);
      } catch (error) {
        if (errorName(error) === "EINTR") continue;
        throw storeFailure("write", this.description, errorName(error), position + done, error);
      }
    }
  }

  /** The long way: zeros where there is data (everywhere, when the range shall have space). */
  async #writeZeros(position: number, length: number, skipHoles: boolean): Promise<void> {
    const end = position + length;
    this.#running++;
    try {
      for (let at = position; at < end; ) {
        const start = skipHoles ? nextData(this.#fd, at, end) : at;
        const stop = Math.min(skipHoles ? nextHole(this.#fd, start, end) : end, start + zeroStep);
        await this.#writeSomeZeros(start, stop - start);
        at = stop;
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    } finally {
      this.#finishOne();
    }
  }

  #writeSomeZeros(position: number, length: number): Answer {
    this.#zeros ??= Scatter.of(new Uint8Array(zeroStep));
    if (this.#lanes?.takes(this.#zeros, length)) return this.#lanes.write(position, this.#zeros, length);
    this.#writeFully(position, this.#zeros.regions[0].bytes, 0, length);
    return undefined;
  }

  #isDone(answer: SpaceAnswer, position: number): boolean {
    if (answer === "done" || answer === "refused") return answer === "done";
    throw storeFailure("write", this.description, answer, position);
  }

  #finishOne(): void {
    this.#running--;
    if (this.#running === 0) this.#whenIdle?.();
  }

  #failure(error: unknown): StoreError {
    return storeFailure("flush", this.description, errorName(error), undefined, error);
  }

  #checkWritable(): void {
    if (this.isReadOnly) throw new StoreError("read-only", `${this.description} was opened read-only`);
  }
}

function isFragmented(scatter: Scatter, length: number): boolean {
  const pieces = scatter.end - scatter.first;
  return pieces > 1 && length / pieces < largePiece && scatter.lengths[scatter.first] < length;
}

/** `ENOSPC` and the like. */
export function errorName(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
