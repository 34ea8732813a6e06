/**
 * Reading a file in two lanes. What is in the page cache is copied straight into guest memory by `preadv2` with
 * RWF_NOWAIT, and the read answers at once; what would have to wait goes to the kernel through io_uring, and the read
 * answers with a promise. So no request waits behind another one's slow block, and many reads are on the disk at once.
 * Only memory whose address in this process is known can be read into.
 */

import {
  closeDescriptor,
  createEventDescriptor,
  IoUring,
  koffi,
  libcFunction,
  NativeBuffer,
  UringOperation,
  type Watch,
  watchEvent,
} from "../../linux/index.js";
import type { Scatter } from "../../memory/index.js";
import { type Answer, StoreError } from "../store.js";

const readNow = libcFunction("int64_t preadv2(int, void *, int, int64_t, int)");

/** RWF_NOWAIT: fail with EAGAIN instead of waiting for the medium. */
const noWait = 8;
/** Reads that can be under way at once; more wait for a place. */
const depth = 256;
/** Pieces of one read; more are read in several steps. */
const maxPieces = 128;
const vectorSize = 16;

/** A read that was handed to io_uring. */
interface SlowRead {
  position: number;
  /** Bytes that are missing. */
  left: number;
  /** First vector that is not full. */
  vector: number;
  vectors: number;
  readonly resolve: () => void;
  readonly reject: (error: StoreError) => void;
}

/** The lanes of one file, in one thread. */
export class ReadLanes {
  readonly #fd: number;
  readonly #path: string;
  readonly #ring: IoUring;
  readonly #wakeUp: number;
  readonly #watch: Watch;
  /** Vectors: slot 0 for reads that answer at once, one for each slow read. */
  readonly #vectors = new NativeBuffer((depth + 1) * maxPieces * vectorSize);
  readonly #slow: (SlowRead | undefined)[] = new Array<SlowRead | undefined>(depth + 1).fill(undefined);
  readonly #freeSlots = Array.from({ length: depth }, (_, index) => index + 1);
  readonly #waiting: (() => void)[] = [];
  readonly #slot0: bigint;
  #submitting = false;
  #canTryNow = true;
  #underWay = 0;
  #whenIdle: (() => void) | undefined;

  private constructor(fd: number, path: string, ring: IoUring, wakeUp: number) {
    this.#fd = fd;
    this.#path = path;
    this.#ring = ring;
    this.#wakeUp = wakeUp;
    this.#slot0 = this.#vectors.address;
    ring.notifyThrough(wakeUp);
    this.#watch = watchEvent(wakeUp, () => this.#reap());
  }

  /** Lanes for an open file; undefined where io_uring is missing or forbidden. The descriptor stays the caller's. */
  static open(fd: number, path: string): ReadLanes | undefined {
    const ring = IoUring.open(depth);
    if (ring === undefined) return undefined;
    const wakeUp = createEventDescriptor();
    try {
      return new ReadLanes(fd, path, ring, wakeUp);
    } catch (error) {
      ring.close();
      closeDescriptor(wakeUp);
      throw error;
    }
  }

  /** Reads that wait for the medium. */
  get underWay(): number {
    return this.#underWay;
  }

  /** True when all pieces of a scatter that `length` bytes touch lie at known addresses, and are few enough. */
  takes(target: Scatter, length: number): boolean {
    let left = length;
    for (let index = target.first; index < target.end && left > 0; index++) {
      if (target.regions[index].nativeAddress === 0) return false;
      left -= target.lengths[index];
    }
    return target.end - target.first <= maxPieces;
  }

  /** Reads `length` bytes at `position`. Call {@link ReadLanes.takes} first. */
  read(position: number, target: Scatter, length: number): Answer {
    const count = this.#canTryNow ? this.#readNow(position, target, length) : 0;
    if (count === length) return undefined;
    return this.#readLater(position, target, length, count);
  }

  /** Ends when nothing is under way. */
  async close(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    this.#watch.close();
    this.#ring.close();
    closeDescriptor(this.#wakeUp);
  }

  /** Bytes read without waiting. */
  #readNow(position: number, target: Scatter, length: number): number {
    const vectors = this.#fill(0, target, length, 0);
    const count = Number(readNow()(this.#fd, this.#slot0, vectors, position, noWait));
    if (count >= 0) return count;
    const code = koffi().errno();
    const { EAGAIN, EINTR, EOPNOTSUPP, EINVAL } = koffi().os.errno;
    // A file system without RWF_NOWAIT: every read goes the other lane.
    if (code === EOPNOTSUPP || code === EINVAL) this.#canTryNow = false;
    else if (code !== EAGAIN && code !== EINTR) throw this.#failure(code);
    return 0;
  }

  #readLater(position: number, target: Scatter, length: number, done: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const start = () => {
        const slot = this.#freeSlots.pop() as number;
        const vectors = this.#fill(slot, target, length, done);
        this.#slow[slot] = { position: position + done, left: length - done, vector: 0, vectors, resolve, reject };
        this.#prepare(slot);
      };
      this.#underWay++;
      if (this.#freeSlots.length > 0) start();
      else this.#waiting.push(start);
    });
  }

  /** Writes the vectors of a read to `slot`, without its first `skip` bytes. Returns how many. */
  #fill(slot: number, target: Scatter, length: number, skip: number): number {
    const { view } = this.#vectors;
    let at = slot * maxPieces * vectorSize;
    let past = skip;
    let left = length - skip;
    let count = 0;
    for (let index = target.first; index < target.end && left > 0; index++) {
      const piece = target.lengths[index];
      if (past >= piece) {
        past -= piece;
        continue;
      }
      const step = Math.min(piece - past, left);
      const address = target.regions[index].nativeAddress + target.offsets[index] + past;
      writeWord64(view, at, address);
      writeWord64(view, at + 8, step);
      at += vectorSize;
      left -= step;
      past = 0;
      count++;
    }
    return count;
  }

  #prepare(slot: number): void {
    const { position, vector, vectors } = this.#slow[slot] as SlowRead;
    const address = Number(this.#vectors.address) + (slot * maxPieces + vector) * vectorSize;
    const ring = this.#ring;
    while (!ring.prepare(UringOperation.ReadVector, this.#fd, position, address, vectors - vector, 0, slot))
      ring.submit();
    if (this.#submitting) return;
    // One system call for all reads of this turn.
    this.#submitting = true;
    queueMicrotask(() => {
      this.#submitting = false;
      ring.submit();
      this.#reap();
    });
  }

  #reap(): void {
    this.#ring.reap((slot, result) => this.#ended(slot, result));
  }

  #ended(slot: number, result: number): void {
    const read = this.#slow[slot] as SlowRead;
    const { EAGAIN, EINTR } = koffi().os.errno;
    if (result === -(EAGAIN as number) || result === -(EINTR as number)) {
      this.#prepare(slot);
      return;
    }
    if (result > 0 && result < read.left) {
      this.#advance(slot, read, result);
      this.#prepare(slot);
      return;
    }
    this.#slow[slot] = undefined;
    this.#freeSlots.push(slot);
    this.#underWay--;
    if (result < 0) read.reject(this.#failure(-result));
    else if (result === 0) read.reject(this.#atEnd(read.position));
    else read.resolve();
    this.#waiting.shift()?.();
    if (this.#underWay === 0) this.#whenIdle?.();
  }

  /** Takes `count` bytes off the front of a read's vectors. */
  #advance(slot: number, read: SlowRead, count: number): void {
    const { view } = this.#vectors;
    read.position += count;
    read.left -= count;
    let left = count;
    while (left > 0) {
      const at = (slot * maxPieces + read.vector) * vectorSize;
      const length = readWord64(view, at + 8);
      if (left >= length) {
        left -= length;
        read.vector++;
      } else {
        writeWord64(view, at, readWord64(view, at) + left);
        writeWord64(view, at + 8, length - left);
        left = 0;
      }
    }
  }

  #atEnd(position: number): StoreError {
    return new StoreError(
      "changed-size",
      `${this.#path} ends at byte ${position} or before: it was longer when opened`,
    );
  }

  #failure(code: number): StoreError {
    const name = Object.entries(koffi().os.errno).find(([, value]) => value === code)?.[0] ?? `error ${code}`;
    return new StoreError("read", `cannot read ${this.#path} (${name})`);
  }
}

const word32 = 0x1_0000_0000;

function writeWord64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % word32, true);
  view.setUint32(at + 4, value / word32, true);
}

function readWord64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * word32;
}
