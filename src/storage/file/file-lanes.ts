/**
 * A file in two lanes. What the page cache can do is done at once: reads by `preadv2` with RWF_NOWAIT straight into guest
 * memory, writes by `pwritev2` straight out of it. What would have to wait for the medium goes the slow lane and is
 * answered with a promise; so no request waits behind another one's slow block, and many are on the medium at once.
 * With O_DIRECT everything goes the slow lane.
 */
import { koffi, libcFunction } from "../../linux/index.js";
import type { Scatter } from "../../memory/index.js";
import type { Answer, StoreError } from "../store.js";
import { BounceBuffers, bounceSize } from "./bounce-buffers.js";
import { hasAddresses, IoVectors } from "./io-vectors.js";
import { type SlowLane, SlowOperation } from "./slow-lane.js";
import { endedEarly, type StoreWork, storeFailure } from "./store-failure.js";
import { ThreadLane } from "./thread-lane.js";
import { UringLane } from "./uring-lane.js";

const readCall = libcFunction("int64_t preadv2(int, uintptr_t, int, int64_t, int)");
const writeCall = libcFunction("int64_t pwritev2(int, uintptr_t, int, int64_t, int)");

/** RWF_NOWAIT: fail with EAGAIN instead of waiting for the medium. */
const noWait = 8;
/** Slow operations that can be under way at once; more wait for a place. */
const depth = 256;
const pageSize = 4096;
/** Before an operation that the kernel could not take is tried again, in milliseconds. */
const retryDelay = 1;

/** What operations are called when they fail. */
const workOf: Readonly<Record<SlowOperation, StoreWork>> = ["read", "write", "flush"];

/** How lanes are opened. */
export interface FileLanesOptions {
  readonly path: string;
  /** The file was opened with O_DIRECT: what positions, lengths and addresses must be multiples of. Default 0: it was not. */
  readonly directAlignment?: number;
  /** Default: io_uring where it can be had, otherwise threads. */
  readonly slowLane?: SlowLane["name"];
}

/** A request in the slow lane. */
interface SlowRequest {
  readonly operation: SlowOperation;
  readonly position: number;
  readonly scatter: Scatter | undefined;
  readonly length: number;
  /** Bytes that are done. */
  done: number;
  /** Bytes of the step that is under way. */
  step: number;
  /** Number of the aligned buffer that the step goes through; -1: it goes straight. */
  bounce: number;
  readonly resolve: () => void;
  readonly reject: (error: StoreError) => void;
}

/** The lanes of one file, in one thread. */
export class FileLanes {
  readonly #fd: number;
  readonly #path: string;
  readonly #alignment: number;
  readonly #lane: SlowLane;
  /** For what io_uring would give to threads of its own, which wake up every five seconds for ever after. */
  readonly #threads: ThreadLane;
  /** Slot 0 is for what is done at once, one more for each slow request. */
  readonly #vectors = new IoVectors(depth + 1);
  readonly #slow: (SlowRequest | undefined)[] = new Array<SlowRequest | undefined>(depth + 1).fill(undefined);
  readonly #freeSlots = Array.from({ length: depth }, (_, index) => depth - index);
  readonly #waiting: SlowRequest[] = [];
  readonly #bounces = new BounceBuffers();
  readonly #errors: Readonly<Record<string, number>> = koffi().os.errno;
  #canReadNow: boolean;
  /** Whether writes can be tried with RWF_NOWAIT: not every file system knows that. */
  #canTryWrite: boolean;
  #underWay = 0;
  #whenIdle: (() => void) | undefined;

  /** The descriptor stays the caller's; it must not be set to non-blocking. @throws SystemCallError */
  constructor(fd: number, { path, directAlignment = 0, slowLane }: FileLanesOptions) {
    this.#fd = fd;
    this.#path = path;
    this.#alignment = directAlignment;
    this.#canReadNow = directAlignment === 0;
    this.#canTryWrite = directAlignment === 0;
    const ended = (slot: number, result: number) => this.#ended(slot, result);
    const uring = slowLane === "threads" ? undefined : UringLane.open(fd, depth, ended);
    this.#threads = new ThreadLane(fd, ended);
    this.#lane = uring ?? this.#threads;
  }

  /** What the slow lane is. */
  get slowLane(): SlowLane["name"] {
    return this.#lane.name;
  }

  /** Slow requests that have not ended. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Whether a request can go here; otherwise its memory is out of the kernel's reach. */
  takes(scatter: Scatter, length: number): boolean {
    return this.#alignment > 0 || hasAddresses(scatter, length);
  }

  /** Reads `length` bytes at `position`. Ask {@link FileLanes.takes} first. */
  read(position: number, target: Scatter, length: number): Answer {
    let done = 0;
    // A try that fails is not lost: the medium has begun to read ahead before the slow lane asks.
    while (this.#canReadNow && done < length) {
      const count = this.#readNow(position, target, length, done);
      if (count <= 0) break;
      done += count;
    }
    return done === length ? undefined : this.#later(SlowOperation.Read, position, target, length, done);
  }

  /** Writes `length` bytes at `position`. Ask {@link FileLanes.takes} first. */
  write(position: number, source: Scatter, length: number): Answer {
    let done = 0;
    if (this.#alignment === 0 && (this.#canTryWrite || this.#hasEdges(position, length))) {
      while (done < length) {
        const count = this.#writeNow(position, source, length, done);
        if (count <= 0) break;
        done += count;
      }
    }
    return done === length ? undefined : this.#later(SlowOperation.Write, position, source, length, done);
  }

  /** Done when the medium has what was written. */
  sync(): Promise<void> {
    return this.#later(SlowOperation.Sync, 0, undefined, 0, 0);
  }

  /** Ends when nothing is under way. */
  async close(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    this.#lane.close();
    this.#vectors.close();
    this.#bounces.close();
  }

  /** Bytes read without waiting. */
  #readNow(position: number, target: Scatter, length: number, done: number): number {
    const vectors = this.#vectors.fill(0, target, length, done);
    const count: number = readCall()(this.#fd, this.#vectors.addressOf(0), vectors, position + done, noWait);
    if (count >= 0) return count;
    const code = koffi().errno();
    const { EAGAIN, EINTR, EOPNOTSUPP, EINVAL } = this.#errors;
    // A file system without RWF_NOWAIT: every read goes the slow lane.
    if (code === EOPNOTSUPP || code === EINVAL) this.#canReadNow = false;
    else if (code !== EAGAIN && code !== EINTR) throw this.#failure("read", code, position + done);
    return 0;
  }

  /** Bytes that the page cache took. */
  #writeNow(position: number, source: Scatter, length: number, done: number): number {
    const vectors = this.#vectors.fill(0, source, length, done);
    const flags = this.#canTryWrite ? noWait : 0;
    const count: number = writeCall()(this.#fd, this.#vectors.addressOf(0), vectors, position + done, flags);
    if (count >= 0) return count;
    const code = koffi().errno();
    const { EAGAIN, EINTR, EOPNOTSUPP, EINVAL } = this.#errors;
    if (code === EINTR || (flags === noWait && code === EAGAIN)) return 0;
    if (flags === noWait && (code === EOPNOTSUPP || code === EINVAL)) {
      this.#canTryWrite = false;
      return this.#hasEdges(position, length) ? this.#writeNow(position, source, length, done) : 0;
    }
    throw this.#failure("write", code, position + done);
  }

  /** Whether a write needs nothing from the medium: the page cache has the pages that it covers in part. */
  #hasEdges(position: number, length: number): boolean {
    const end = position + length;
    return (position % pageSize === 0 || this.#hasPage(position)) && (end % pageSize === 0 || this.#hasPage(end - 1));
  }

  #hasPage(position: number): boolean {
    if (!this.#canReadNow) return false;
    this.#vectors.set(0, this.#bounces.scratchAddress, 1);
    return readCall()(this.#fd, this.#vectors.addressOf(0), 1, position, noWait) === 1;
  }

  #later(operation: SlowOperation, position: number, scatter: Scatter | undefined, length: number, done: number) {
    return new Promise<void>((resolve, reject) => {
      const request = { operation, position, scatter, length, done, step: 0, bounce: -1, resolve, reject };
      this.#underWay++;
      this.#waiting.push(request);
      this.#beginWaiting();
    });
  }

  /** Begins what waits, as far as there are slots and buffers. */
  #beginWaiting(): void {
    while (this.#freeSlots.length > 0 && this.#waiting.length > 0) {
      const request = this.#waiting[0];
      if (!this.#takeBounce(request)) return;
      this.#waiting.shift();
      const slot = this.#freeSlots.pop() as number;
      this.#slow[slot] = request;
      this.#begin(slot, request);
    }
  }

  /** False when the request needs an aligned buffer and none is free. */
  #takeBounce(request: SlowRequest): boolean {
    const { scatter, length } = request;
    if (this.#alignment === 0 || scatter === undefined || hasAddresses(scatter, length, this.#alignment)) return true;
    request.bounce = this.#bounces.take();
    return request.bounce >= 0;
  }

  #begin(slot: number, request: SlowRequest): void {
    const { operation, position, scatter, length, done, bounce } = request;
    let vectors = 0;
    if (scatter !== undefined) {
      if (scatter.byteLength < length) {
        // The driver was reset meanwhile: its memory is not ours any more, and nobody waits for the answer.
        this.#end(slot, storeFailure(workOf[operation], this.#path, "ECANCELED"));
        return;
      }
      if (bounce < 0) vectors = this.#vectors.fill(slot, scatter, length, done);
      else {
        const step = Math.min(length - done, bounceSize);
        if (operation === SlowOperation.Write) scatter.copyOut(this.#bounces.bytesOf(bounce), 0, step, done);
        this.#vectors.set(slot, this.#bounces.addressOf(bounce), step);
        vectors = 1;
      }
      request.step = this.#vectors.byteLength;
    }
    const at = position + done;
    const address = this.#vectors.addressOf(slot);
    if (operation === SlowOperation.Sync || (operation === SlowOperation.Write && this.#alignment === 0)) {
      this.#threads.begin(operation, at, address, vectors, slot);
    } else this.#lane.begin(operation, at, address, vectors, slot);
  }

  #ended(slot: number, result: number): void {
    const request = this.#slow[slot] as SlowRequest;
    const { operation, position, scatter, length, bounce } = request;
    const { EAGAIN, EINTR } = this.#errors;
    if (result === -EAGAIN || result === -EINTR) {
      setTimeout(() => this.#begin(slot, request), retryDelay);
      return;
    }
    const doing = workOf[operation];
    if (result < 0) {
      const at = scatter === undefined ? undefined : position + request.done;
      this.#end(slot, this.#failure(doing, -result, at));
      return;
    }
    if (scatter !== undefined) {
      if (result === 0) {
        const at = position + request.done;
        this.#end(
          slot,
          doing === "read" ? endedEarly(this.#path, at) : storeFailure(doing, this.#path, "no bytes", at),
        );
        return;
      }
      if (bounce >= 0 && operation === SlowOperation.Read && scatter.byteLength >= length) {
        scatter.copyIn(this.#bounces.pagesOf(bounce), 0, result, request.done);
      }
      request.done += result;
      if (request.done < length) {
        // After a part that ends at no aligned byte nothing can be read directly: the file ends there.
        const at = position + request.done;
        if (this.#alignment > 0 && at % this.#alignment !== 0) this.#end(slot, endedEarly(this.#path, at));
        else this.#begin(slot, request);
        return;
      }
    }
    this.#end(slot, undefined);
  }

  #end(slot: number, error: StoreError | undefined): void {
    const request = this.#slow[slot] as SlowRequest;
    this.#slow[slot] = undefined;
    this.#freeSlots.push(slot);
    if (request.bounce >= 0) this.#bounces.giveBack(request.bounce);
    this.#underWay--;
    if (error === undefined) request.resolve();
    else request.reject(error);
    this.#beginWaiting();
    if (this.#underWay === 0) this.#whenIdle?.();
  }

  #failure(doing: StoreWork, code: number, position?: number): StoreError {
    const name = Object.entries(this.#errors).find(([, value]) => value === code)?.[0] ?? `error ${code}`;
    return storeFailure(doing, this.#path, name, position);
  }
}
